"""Attaching to samples of perf events, as scripts say it: the part of `BPF` that opens them.

Source: perf_event_open(2).
"""

from __future__ import annotations

import errno

from skep.base.errors import AttachError, HookMissingError, UsageError
from skep.bcc.attaching import Attaching
from skep.bcc.perf import Perf
from skep.bcc.utils import as_text
from skep.kernel.features import online_cpus
from skep.kernel.link import Links
from skep.kernel.link.link import Link
from skep.kernel.link.perf_event import attach_to, open_described, open_event
from skep.spec.sections import Hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Name = str | bytes

__all__ = ["Sampling"]


class Sampling(Attaching):
    """What is attached to samples."""

    def attach_perf_event(
        self,
        ev_type: int = -1,
        ev_config: int = -1,
        fn_name: Name = b"",
        sample_period: int = 0,
        sample_freq: int = 0,
        pid: int = -1,
        cpu: int = -1,
        group_fd: int = -1,
    ) -> None:
        """Attaches a program to samples of an event.

        Args:
            ev_type: of `PerfType`.
            ev_config: the event, as `PerfHWConfig` or `PerfSWConfig` numbers it.
            fn_name: the program.
            sample_period: how many of it come to one sample.
            sample_freq: samples a second, where there is no period.
            pid: the process, with what it starts; -1 for all.
            cpu: the CPU; -1 for each that is online.
            group_fd: the event that leads the group; -1 for none.

        Raises:
            HookMissingError: nothing on this machine counts the event.
            AttachError: it is refused for another reason.
        """

        def opened(places: list[tuple[int, int]]) -> list[int]:
            return open_event(
                ev_type,
                ev_config,
                places,
                period=sample_period,
                frequency=sample_freq,
                inherit=pid > 0,
                group=group_fd,
            )

        self._attach_event(ev_type, ev_config, fn_name, pid, cpu, opened)

    def attach_perf_event_raw(
        self, attr: Any = -1, fn_name: Name = b"", pid: int = -1, cpu: int = -1, group_fd: int = -1
    ) -> None:
        """Attaches a program to samples of an event that is described to the last bit.

        Args:
            attr: a `Perf.perf_event_attr`.
            fn_name: the program.
            pid: the process; 0 for the script itself, -1 for all.
            cpu: the CPU; -1 for each that is online.
            group_fd: the event that leads the group; -1 for none.

        Raises:
            UsageError: it is no such description.
            HookMissingError: nothing on this machine counts the event.
            AttachError: it is refused for another reason.
        """
        if not isinstance(attr, Perf.perf_event_attr):
            raise UsageError(f"{attr!r} is no Perf.perf_event_attr()")
        described = bytes(attr)
        # Scripts detach it by its number alone.
        self._attach_event(
            -1, attr.config, fn_name, pid, cpu, lambda places: open_described(described, places, group=group_fd)
        )

    def _attach_event(
        self,
        ev_type: int,
        ev_config: int,
        fn_name: Name,
        pid: int,
        cpu: int,
        open_all: Callable[[list[tuple[int, int]]], list[int]],
    ) -> None:
        name = as_text(fn_name)
        hook = Hook("perf_event", f"{ev_type}:{ev_config}", sleepable=False, lacks="")
        program = self._program(name, "perf_event")
        try:
            opened = open_all([(pid, each) for each in (online_cpus() if cpu < 0 else [cpu])])
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EOPNOTSUPP}:
                raise HookMissingError(f"nothing on this machine counts event {ev_type}:{ev_config}") from error
            raise AttachError(f"{hook} cannot be sampled: {error.strerror}", error.errno or 0) from error
        if not opened:
            raise AttachError(f"{hook}: there is no process {pid}, or no CPU {cpu}", errno.ESRCH)
        link = Link(name, attach_to(program, hook, opened), str(hook), program.id)
        self._links["perf_event", ev_type, ev_config, len(self._links), name] = Links({name: link})

    def detach_perf_event(self, ev_type: int = -1, ev_config: int = -1) -> None:
        """Detaches the programs of an event."""
        self._detach("perf_event", ev_type, ev_config)
