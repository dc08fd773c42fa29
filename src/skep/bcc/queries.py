"""What scripts ask of the machine before they choose what to attach to: the static part of `BPF`."""

from __future__ import annotations

import os
import re
import time
from functools import cache

from skep.base.errors import AttachError
from skep.bcc.binaries import open_binary_of
from skep.bcc.symbols import kernel_names
from skep.bcc.utils import as_bytes, as_text
from skep.kernel.features import load_nothing, mount_tracefs, tracefs
from skep.spec.sections import parse
from skep.spec.targets import Targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.kernel.link.executable import Executable

__all__ = ["Queries"]

# What architectures put before the names of system calls, in those of the functions that they enter by.
_SYSCALL_PREFIXES = (
    b"sys_",
    b"__x64_sys_",
    b"__x32_compat_sys_",
    b"__ia32_compat_sys_",
    b"__arm64_sys_",
    b"__s390x_sys_",
    b"__s390_sys_",
    b"__riscv_sys_",
)
# Functions that are no place for a kprobe, though nobody forbids it: perf's own, parts of functions, trampolines.
_UNFIT = re.compile(rb"_kbl_addr_.*|__perf.*|perf_.*|__SCT__.*|.*\.cold(\.\d+)?")
_RAW_TRACEPOINT = 17  # enum bpf_prog_type


class Queries:
    """What scripts ask of the machine."""

    _syscall_prefixes = _SYSCALL_PREFIXES

    @staticmethod
    def monotonic_time() -> int:
        """Nanoseconds since boot, as bpf_ktime_get_ns() gives them."""
        return time.monotonic_ns()

    @staticmethod
    def get_syscall_prefix() -> bytes:
        """What this kernel puts before the names of system calls."""
        names = kernel_names()
        found = (prefix for prefix in _SYSCALL_PREFIXES if names.address(prefix + b"bpf") is not None)
        return next(found, _SYSCALL_PREFIXES[0])

    def get_syscall_fnname(self, name: str | bytes) -> bytes:
        """The function that a system call enters by: ``__x64_sys_clone`` for ``clone``."""
        return self.get_syscall_prefix() + as_bytes(name)

    def fix_syscall_fnname(self, name: str | bytes) -> bytes:
        """The same for a name that may have a prefix, which may be another kernel's; others stay as they are."""
        given = as_bytes(name)
        for prefix in _SYSCALL_PREFIXES:
            if given.startswith(prefix):
                return self.get_syscall_fnname(given.removeprefix(prefix))
        return given

    @staticmethod
    def get_kprobe_functions(event_re: str | bytes) -> list[bytes]:
        """The kernel's functions that a pattern fits as a whole, and that can have a kprobe.

        Args:
            event_re: a regular expression.
        """
        pattern = re.compile(as_bytes(event_re))
        unfit, traceable = _blacklist(), _traceable()
        return list(
            dict.fromkeys(
                name
                for name in kernel_names().functions
                if pattern.fullmatch(name)
                and name not in unfit
                and not _UNFIT.fullmatch(name)
                and (not traceable or name in traceable)
            )
        )

    @staticmethod
    def get_tracepoints(tp_re: str | bytes) -> list[str]:
        """The tracepoints whose beginning a pattern fits, as ``category:event``.

        Args:
            tp_re: a regular expression.
        """
        pattern = re.compile(as_text(tp_re))
        mount_tracefs()
        root = os.path.join(tracefs() or "", "events")
        found = []
        for category in sorted(os.listdir(root)):
            folder = os.path.join(root, category)
            events = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
            names = (f"{category}:{event}" for event in events if os.path.isdir(os.path.join(folder, event)))
            found += [name for name in names if pattern.match(name)]
        return found

    @staticmethod
    def tracepoint_exists(category: str | bytes, event: str | bytes) -> bool:
        """Whether this kernel has a tracepoint."""
        mount_tracefs()
        path = os.path.join(os.fsencode(tracefs() or ""), b"events", as_bytes(category), as_bytes(event))
        return os.path.isdir(path)

    @staticmethod
    def kernel_struct_has_field(struct_name: str | bytes, field_name: str | bytes) -> int:
        """1 if a struct of the kernel has a member of that name, 0 if not, -1 if there is no such struct."""
        found = _members(as_bytes(struct_name).decode())
        return (1 if as_bytes(field_name).decode() in found else 0) if found else -1

    @staticmethod
    def support_kfunc() -> bool:
        """Whether this kernel takes programs on functions (fentry): it is tried."""
        return _takes("fentry/vfs_read")

    @staticmethod
    def support_lsm() -> bool:
        """Whether this kernel takes programs on LSM hooks: it is tried."""
        return _takes("lsm/bpf")

    @staticmethod
    def support_raw_tracepoint() -> bool:
        """Whether this kernel has raw tracepoints (Linux 4.17): it is tried."""
        fd = load_nothing(_RAW_TRACEPOINT, 0)
        if fd >= 0:
            os.close(fd)
        return fd >= 0

    @staticmethod
    def support_raw_tracepoint_in_module() -> bool:
        """Whether modules may have raw tracepoints (Linux 5.0)."""
        return kernel_names().address(b"bpf_trace_modules") is not None

    @staticmethod
    def ksymname(name: str | bytes) -> int:
        """Where a symbol of the kernel lies; -1 if there is none."""
        found = kernel_names().address(as_bytes(name))
        return -1 if found is None else found

    @staticmethod
    def find_exe(bin_path: str | bytes) -> bytes | None:
        """The path of a program: one that is a path already, or one on PATH; None if there is none."""
        from shutil import which

        found = which(os.fsdecode(bin_path))
        return None if found is None else os.fsencode(found)

    @staticmethod
    def find_library(libname: str | bytes) -> bytes | None:
        """The path of a library that the loader finds: ``c``; one that is a path already; None if there is none."""
        from skep.kernel.link.binary import find_binary

        if b"/" in as_bytes(libname):
            return as_bytes(libname)
        try:
            return os.fsencode(find_binary(f"lib{os.fsdecode(libname)}", Targets()))
        except AttachError:
            return None

    @staticmethod
    def get_user_functions_and_addresses(name: str | bytes, sym_re: str | bytes) -> list[tuple[bytes, int]]:
        """The functions of a binary whose beginning a pattern fits, and where they lie in the file.

        Args:
            name: a path, or the name of a library or program.
            sym_re: a regular expression.
        """
        pattern = re.compile(as_bytes(sym_re))
        return [found for found in _functions_of(open_binary_of(name)) if pattern.match(found[0])]

    @classmethod
    def get_user_functions(cls, name: str | bytes, sym_re: str | bytes) -> list[bytes]:
        """The names of the same."""
        return [found for found, _ in cls.get_user_functions_and_addresses(name, sym_re)]

    @classmethod
    def get_user_addresses(cls, name: str | bytes, sym_re: str | bytes) -> list[int]:
        """The places of the same, each once."""
        return list(dict.fromkeys(address for _, address in cls.get_user_functions_and_addresses(name, sym_re)))

    @staticmethod
    def get_probe_limit() -> int:
        """How many probes a script may have: BCC_PROBE_LIMIT, or 1000."""
        limit = os.environ.get("BCC_PROBE_LIMIT", "")
        return int(limit) if limit.isdecimal() else 1000


def _functions_of(binary: Executable) -> Iterator[tuple[bytes, int]]:
    from skep.kernel.link.executable import FUNCTION

    for symbol in binary.symbols():
        if symbol.type == FUNCTION and symbol.address:
            offset = binary.offset(symbol.address)
            if offset is not None:
                yield symbol.name.encode(), symbol.address


@cache
def _members(struct: str) -> list[str]:
    from skep.kernel.btf import members

    return list(members(struct))


@cache
def _takes(section: str) -> bool:
    from skep.kernel.trial import Trial

    return not Trial().why_not(parse(section))


@cache
def _blacklist() -> frozenset[bytes]:
    """Functions that kprobes must not touch (/sys/kernel/debug/kprobes/blacklist), where it can be read."""
    try:
        with open("/sys/kernel/debug/kprobes/blacklist", "rb") as file:
            return frozenset(line.split()[1] for line in file)
    except OSError:
        return frozenset()


@cache
def _traceable() -> frozenset[bytes]:
    """Functions that ftrace knows; empty where it does not tell."""
    try:
        mount_tracefs()
        with open(f"{tracefs()}/available_filter_functions", "rb") as file:
            return frozenset(line.split()[0] for line in file)
    except OSError:
        return frozenset()
