"""`USDT`: probes that programs and libraries were built with, as BCC's scripts enable them.

libbpf finds where the arguments of a probe lie, and counts its semaphore up (`skep.kernel.link.usdt`).
"""

from __future__ import annotations

import os
import re
import sys

from skep.base.errors import AttachError, UsageError
from skep.bcc.binaries import find_binary_of, open_binary_of
from skep.bcc.refusing import Refusing, answer_for
from skep.bcc.utils import as_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.kernel.link.executable import Place

    Name = str | bytes

__all__ = ["USDT", "USDTException", "USDTProbe"]

# What else scripts ask of the module.
__getattr__ = answer_for("bcc.usdt", {})

# Bytes of an argument, signed where negative, in front of where it lies.
_ARGUMENT = re.compile(r"(-?\d+)(?:f|@|f@)(.*)")
_C_TYPES = {1: "uint8_t", 2: "uint16_t", 4: "uint32_t", 8: "uint64_t"}


class USDTException(Exception):  # noqa: N818 - BCC's name
    """A probe is not there."""


class USDTProbeArgument(Refusing):
    """An argument of a probe at one of its places.

    Args:
        text: as the compiler wrote it: ``-4@%edi``.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        found = _ARGUMENT.fullmatch(text)
        self.size = int(found[1]) if found else 8
        self.valid = 1 if found else 0

    def __str__(self) -> str:
        signed = "signed" if self.size < 0 else "unsigned"
        return f"{abs(self.size)} {signed} bytes @ {self.text.partition('@')[2]}"


class USDTProbeLocation(Refusing):
    """A place of a probe.

    Args:
        probe: the probe.
        index: of the place.
        place: what the binary says of it.
    """

    def __init__(self, probe: USDTProbe, index: int, place: Place) -> None:
        self.probe = probe
        self.index = index
        self.num_arguments = len(place.arguments)
        self.address = place.address
        self.bin_path = probe.bin_path
        self._place = place

    def __str__(self) -> str:
        return f"{os.fsdecode(self.bin_path)} {self.address:#x}"

    def get_argument(self, index: int) -> USDTProbeArgument:
        """An argument.

        Args:
            index: from 0.

        Raises:
            USDTException: it has fewer.
        """
        if not 0 <= index < self.num_arguments:
            raise USDTException(f"Failed to get probe argument {index}: there are {self.num_arguments}")
        return USDTProbeArgument(self._place.arguments[index])


class USDTProbe(Refusing):
    """A probe of a binary.

    Args:
        path: of the binary.
        name: as ``provider:name``.
        places: of it.
    """

    def __init__(self, path: str, name: str, places: list[Place]) -> None:
        provider, _, point = name.partition(":")
        self.provider, self.name = provider.encode(), point.encode()
        self.bin_path = os.fsencode(path)
        self.semaphore = places[0].semaphore
        self.num_locations = len(places)
        self.num_arguments = len(places[0].arguments)
        self._places = places

    def __str__(self) -> str:
        return f"{self.short_name()} [sema 0x{self.semaphore:x}]"

    def short_name(self) -> str:
        """Its provider and its name."""
        return f"{self.provider.decode()}:{self.name.decode()}"

    def get_location(self, index: int) -> USDTProbeLocation:
        """A place.

        Args:
            index: from 0.

        Raises:
            USDTException: it has fewer.
        """
        if not 0 <= index < self.num_locations:
            raise USDTException(f"Failed to get probe location {index}: there are {self.num_locations}")
        return USDTProbeLocation(self, index, self._places[index])


class USDT(Refusing):
    """The probes of a binary, or of a process and its libraries.

    Args:
        pid: of the process.
        path: of the binary, or its name.

    Raises:
        UsageError: neither is given.
        USDTException: there is no such process or binary.
    """

    def __init__(self, pid: int | None = None, path: Name | None = None) -> None:
        self.pid = -1 if pid is None or pid <= 0 else int(pid)
        self.path = os.fsdecode(path) if path else None
        if self.pid < 0 and self.path is None:
            raise UsageError("either a pid or a binary path must be specified")
        self._enabled: list[tuple[USDTProbe, str]] = []
        self._probes = list(self._read())

    def _read(self) -> Iterator[USDTProbe]:
        try:
            paths = [self._seen(find_binary_of(self.path, self.pid))] if self.path is not None else self._mapped()
        except (OSError, AttachError) as error:
            raise USDTException(f"USDT failed to instrument {self.path or f'PID {self.pid}'}: {error}") from error
        for path in paths:
            try:
                probes = open_binary_of(path).probes()
            except AttachError as error:
                if self.path is not None:
                    raise USDTException(f"USDT failed to instrument path {self.path}: {error}") from error
                continue  # not all that is mapped is a program
            for name, places in probes.items():
                yield USDTProbe(path, name, places)

    def _mapped(self) -> list[str]:
        """The files that the process runs code of."""
        with open(f"/proc/{self.pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.split(None, 5) for line in file]
        found = (line[5].rstrip("\n") for line in lines if len(line) == 6 and "x" in line[1] and line[5][0] == "/")
        return [self._seen(path) for path in dict.fromkeys(found)]

    def _seen(self, path: str) -> str:
        """A path as the process sees it, by the way through the process."""
        if self.pid < 0 or path.startswith("/proc/"):
            return path
        return f"/proc/{self.pid}/root{os.path.abspath(path)}"

    def _find(self, name: Name) -> USDTProbe | None:
        text = as_bytes(name).decode()
        return next((each for each in self._probes if text in {each.short_name(), each.name.decode()}), None)

    def enable_probe(self, probe: Name, fn_name: Name) -> None:
        """Has a program run at a probe, from when a `BPF` gets this.

        Args:
            probe: as ``name`` or ``provider:name``.
            fn_name: the program.

        Raises:
            USDTException: there is no such probe.
        """
        found = self._find(probe)
        if found is None:
            where = self.path or f"process {self.pid}"
            raise USDTException(
                f"Failed to enable USDT probe '{as_bytes(probe).decode()}': {where} has none of that name; it may have "
                "been built without probes"
            )
        self._enabled.append((found, as_bytes(fn_name).decode()))

    def enable_probe_or_bail(self, probe: Name, fn_name: Name) -> None:
        """The same; a probe that is not there ends the script.

        Args:
            probe: as for `enable_probe`.
            fn_name: the program.
        """
        try:
            self.enable_probe(probe, fn_name)
        except USDTException as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)

    def get_text(self) -> bytes:
        """Nothing: the arguments of probes are read by functions of libbpf's."""
        return b""

    def get_probe_arg_ctype(self, probe_name: Name, arg_index: int) -> str:
        """The type in C of an argument.

        Args:
            probe_name: of the probe.
            arg_index: from 0.

        Raises:
            USDTException: there is no such probe or argument.
        """
        found = self._find(probe_name)
        if found is None:
            raise USDTException(f"there is no probe {as_bytes(probe_name).decode()}")
        size = found.get_location(0).get_argument(arg_index).size
        return _C_TYPES.get(abs(size), "uint64_t").removeprefix("u" if size < 0 else "")

    def enumerate_probes(self) -> list[USDTProbe]:
        """All probes."""
        return list(self._probes)

    def enumerate_active_probes(self) -> list[tuple[bytes, bytes, int, int]]:
        """The places that programs run at: binary, program, address, process."""
        return [
            (probe.bin_path, name.encode(), probe.get_location(index).address, self.pid)
            for probe, name in self._enabled
            for index in range(probe.num_locations)
        ]

    def attach_uprobes(self, bpf: Any, attach_usdt_ignore_pid: bool) -> None:
        """Attaches what was enabled.

        Args:
            bpf: the `BPF` with the programs.
            attach_usdt_ignore_pid: in all processes.
        """
        for probe, name in self._enabled:
            bpf.attach_usdt(probe, name, -1 if attach_usdt_ignore_pid else self.pid)
