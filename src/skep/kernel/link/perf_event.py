"""Attach to samples: taken by a clock, or of an event that the processor or the kernel counts (``perf_event``).

The target is an event and, behind a colon, how many of it come to one sample, for a clock in nanoseconds: ``cycles``,
``page-faults:1``. Without a number, ``--freq`` samples are taken a second. Without an event, they are taken by cycles,
or by the CPU's clock where no hardware counts cycles.

Samples are taken on every CPU that is online, whatever runs there; with ``--pid``, in that process alone: in its
threads, those that they start, and its later children.

Minimum kernel: 4.9; a link of its own since 5.15. Source: perf_event_open(2), kernel/events/core.c (inherit_event).
"""

from __future__ import annotations

import errno
import os

from skep._native import ffi, lib, messages
from skep.base.errors import NOT_PERMITTED, AttachError, HookMissingError, SkepError, UsageError
from skep.base.nearest import nearest
from skep.kernel.features import instead_of, online_cpus, privilege_error
from skep.kernel.link.common import Attachment, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach", "attach_to", "open_described", "open_event", "open_samples"]

# enum perf_type_id, perf_hw_id, perf_sw_ids: include/uapi/linux/perf_event.h. The names are those of perf(1).
_HARDWARE, _SOFTWARE = 0, 1
_EVENTS = {
    "cycles": (_HARDWARE, 0),
    "instructions": (_HARDWARE, 1),
    "cache-references": (_HARDWARE, 2),
    "cache-misses": (_HARDWARE, 3),
    "branches": (_HARDWARE, 4),
    "branch-misses": (_HARDWARE, 5),
    "bus-cycles": (_HARDWARE, 6),
    "stalled-cycles-frontend": (_HARDWARE, 7),
    "stalled-cycles-backend": (_HARDWARE, 8),
    "ref-cycles": (_HARDWARE, 9),
    "cpu-clock": (_SOFTWARE, 0),
    "task-clock": (_SOFTWARE, 1),
    "page-faults": (_SOFTWARE, 2),
    "context-switches": (_SOFTWARE, 3),
    "cpu-migrations": (_SOFTWARE, 4),
    "minor-faults": (_SOFTWARE, 5),
    "major-faults": (_SOFTWARE, 6),
    "alignment-faults": (_SOFTWARE, 7),
    "emulation-faults": (_SOFTWARE, 8),
}
# Of these the first that the machine has.
_BY_DEFAULT = ("cycles", "cpu-clock")
# struct perf_event_attr, in 64-bit words: type and size, config, period or frequency, two that are not used, flags.
_WORDS = 16
_INHERIT, _FREQUENCY = 1 << 1, 1 << 10
_CLOSE_ON_EXEC = 1 << 3
# What perf_event_open(2) says where nothing counts an event.
_UNCOUNTED = {errno.ENOENT, errno.EOPNOTSUPP}
# What it says of a CPU that went offline, or a thread that ended, while we looked.
_GONE = {errno.ENODEV, errno.ESRCH}


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:
    """Attaches a program to the samples of each CPU, or of each thread of a process."""
    return attach_to(program, hook, open_samples(hook, targets.freq, targets.root))


def attach_to(program: Program, hook: Hook, waiting: list[int]) -> Attachment:
    """Attaches a program to events that are open: to all, or to none.

    Args:
        program: it is attached.
        hook: where, as it is called.
        waiting: file descriptors of the events, which become the links'.

    Raises:
        AttachError, PrivilegeError: the kernel refuses one.
    """
    events = tuple(waiting)
    links = []
    try:
        while waiting:
            link = lib.bpf_program__attach_perf_event(program.handle, waiting[-1])
            if link == ffi.NULL:
                raise failure(hook, ffi.errno, messages())
            # From here on the file descriptor is the link's.
            waiting.pop()
            links.append(link)
    except SkepError:
        for fd in waiting:
            os.close(fd)
        lib.skep_detach(ffi.new("struct bpf_link *[]", links), len(links))
        raise
    return Attachment(*links, events=events)


def open_samples(hook: Hook, frequency: int, pid: int | None) -> list[int]:
    """Opens an event, with no program on it yet.

    Args:
        hook: whose target is the event; without one, by cycles or the CPU's clock.
        frequency: samples a second, where the target says no period.
        pid: the process to sample; None for every CPU.

    Returns:
        File descriptors: one for each CPU, or thread.

    Raises:
        UsageError: there is no such event.
        HookMissingError: nothing on this machine counts it.
        PrivilegeError, AttachError: it is refused.
    """
    name, colon, period = hook.target.partition(":")
    if (name and name not in _EVENTS) or (colon and not _is_period(period)):
        raise _no_event(hook.target, name)
    places = [(-1, cpu) for cpu in online_cpus()] if pid is None else [(tid, -1) for tid in _threads(pid)]
    for event in [name] if name else _BY_DEFAULT:
        try:
            found = _open_all(event, int(period) if period else None, frequency, places)
        except OSError as error:
            number = error.errno or 0
            if number in _UNCOUNTED and event != _BY_DEFAULT[-1]:
                continue
            raise _refused(hook, number, frequency) from error
        if found:
            return found
        raise AttachError(f"process {pid} has ended", errno.ESRCH)
    raise HookMissingError(f"nothing on this machine counts {name}", remedy=f"cpu-clock is everywhere: {_ATTACH}")


_ATTACH = "--attach PROGRAM=cpu-clock"


def _open_all(event: str, period: int | None, frequency: int, places: Iterable[tuple[int, int]]) -> list[int]:
    """Opens an event for each (thread, CPU) that is still there; -1 stands for any."""
    return open_event(*_EVENTS[event], places, period=period or 0, frequency=frequency, inherit=True)


def open_event(
    kind: int,
    number: int,
    places: Iterable[tuple[int, int]],
    *,
    period: int = 0,
    frequency: int = 0,
    inherit: bool = False,
    group: int = -1,
) -> list[int]:
    """Opens an event as the kernel numbers it.

    Args:
        kind: of enum perf_type_id.
        number: of the event, by its kind.
        places: thread and CPU; -1 stands for any. Those that are gone are left out.
        period: how many of it come to one sample.
        frequency: samples a second, where there is no period.
        inherit: whether what the thread starts is counted, too.
        group: the file descriptor of the event that leads its group; -1: it leads itself.

    Returns:
        File descriptors, one for each place.

    Raises:
        OSError: as perf_event_open(2) says.
    """
    attributes = ffi.new("uint64_t[]", _WORDS)
    halves = ffi.cast("uint32_t *", attributes)
    halves[0:2] = [kind, _WORDS * 8]
    attributes[1] = number
    attributes[2] = period or frequency
    attributes[5] = (_INHERIT if inherit else 0) | (_FREQUENCY if frequency and not period else 0)
    return open_described(bytes(ffi.buffer(attributes)), places, group=group)


def open_described(description: bytes, places: Iterable[tuple[int, int]], *, group: int = -1) -> list[int]:
    """Opens an event that a struct perf_event_attr describes.

    Args:
        description: the struct.
        places: thread and CPU; -1 stands for any. Those that are gone are left out.
        group: the file descriptor of the event that leads its group; -1: it leads itself.

    Returns:
        File descriptors, one for each place.

    Raises:
        OSError: as perf_event_open(2) says.
    """
    attributes = ffi.new("char[]", description)
    found: list[int] = []
    for thread, cpu in places:
        fd = lib.syscall(
            lib.SYS_perf_event_open, attributes, *_ints(thread, cpu, group), ffi.cast("long", _CLOSE_ON_EXEC)
        )
        if fd >= 0:
            found.append(int(fd))
        elif ffi.errno not in _GONE:
            number = ffi.errno
            for opened in found:
                os.close(opened)
            raise OSError(number, os.strerror(number))
    return found


def _ints(*numbers: int) -> list[object]:
    return [ffi.cast("int", number) for number in numbers]


def _threads(pid: int) -> list[int]:
    try:
        return [int(tid) for tid in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        raise AttachError(f"there is no process {pid}", errno.ESRCH) from None


def _is_period(text: str) -> bool:
    return text.isdecimal() and 0 < int(text) < 1 << 63


def _no_event(target: str, name: str) -> UsageError:
    if name in _EVENTS:
        return UsageError(f"{target}: behind the colon of an event stands a number: how many come to one sample")
    return UsageError(f"there is no event {name}", remedy=nearest(name, _EVENTS, "events"))


def _refused(hook: Hook, number: int, frequency: int) -> SkepError:
    if number in _UNCOUNTED:
        return HookMissingError(f"nothing on this machine counts {hook.target.partition(':')[0]}")
    if number in NOT_PERMITTED:
        return privilege_error("sampling", instead=instead_of("perf_event"))
    if number == errno.EINVAL:
        with open("/proc/sys/kernel/perf_event_max_sample_rate", encoding="ascii") as file:
            most = int(file.read())
        if frequency > most:
            message = f"{frequency} samples a second are more than this kernel takes"
            return AttachError(
                message, number, remedy=f"It takes {most} (/proc/sys/kernel/perf_event_max_sample_rate)."
            )
    return AttachError(f"{hook} cannot be sampled: {os.strerror(number)}", number)
