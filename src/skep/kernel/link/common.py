"""What the modules of `skep.kernel.link` share: what an attachment is, and how a failure is told."""

from __future__ import annotations

import errno
import os

from skep._native import ffi, lib, messages
from skep.base.errors import NOT_PERMITTED, AttachError, HookMissingError, SkepError
from skep.kernel.features import beside, instead_of, privilege_error, tracefs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.kernel.program import Program
    from skep.spec.sections import Hook

__all__ = ["MISSING", "Attachment", "checked", "failure", "link_create", "linked", "open_map"]

# What perf_event_open(2) says of a kprobe on a name that several functions have. Since 6.6.
_AMBIGUOUS = errno.EADDRNOTAVAIL
# What the kernel says of a program that reads beyond the record, or the arguments, of its tracepoint
# (kernel/events/core.c, perf_event_set_bpf_prog; kernel/trace/bpf_trace.c, __bpf_probe_register). perf_event_open(2)
# says EACCES, too: libbpf tells which of the two calls failed.
_BEYOND = {"tp": errno.EACCES, "raw_tp": errno.EINVAL, "raw_tp.w": errno.EINVAL}
_NOT_OPENED = "perf event:"
MISSING = {errno.ENOENT, errno.ESRCH, errno.ENODEV, _AMBIGUOUS}
"""What the kernel says where it lacks a hook."""

_LINK_CREATE = 28  # enum bpf_cmd, include/uapi/linux/bpf.h


class Attachment:
    """What keeps one program attached.

    Args:
        links: libbpf's links: detaching them takes long, and goes in parallel.
        fds: file descriptors that keep it attached.
        events: those of perf events that libbpf's links have, where nobody else can tell which they are.
        closers: what else ends it, in this order; each is called once.
        lost: tells what became of the place that it is at, where that may go before; "" as long as it is there.
        notice: what the user should know of it; "" if nothing.
    """

    __slots__ = ("closers", "events", "fds", "links", "lost", "notice")

    def __init__(
        self,
        *links: Any,
        fds: tuple[int, ...] = (),
        events: tuple[int, ...] = (),
        closers: tuple[Callable[[], object], ...] = (),
        lost: Callable[[], str] | None = None,
        notice: str = "",
    ) -> None:
        self.links = links
        self.fds = fds
        self.events = events
        self.closers = closers
        self.lost = lost
        self.notice = notice


def checked(link: Any, hook: Hook) -> Attachment:
    """A link of libbpf, if it is one, as an attachment.

    Args:
        link: what libbpf returned.
        hook: where the program was to be attached.

    Raises:
        HookMissingError, PrivilegeError, AttachError: it is none.
    """
    if link == ffi.NULL:
        number = ffi.errno
        raise failure(hook, number, messages())
    return Attachment(link)


def linked(fd: int, lost: Callable[[], str] | None = None) -> Attachment:
    """A link that `link_create` made, as an attachment.

    Args:
        fd: its file descriptor.
        lost: as for `Attachment`.
    """
    return Attachment(fds=(fd,), lost=lost)


def failure(hook: Hook, number: int, log: str = "") -> SkepError:
    """Why a program cannot be attached.

    Args:
        hook: where it should be.
        number: errno.
        log: what libbpf said.
    """
    # libbpf finds kprobe.multi missing only in the kernel's answer to it.
    if not hook.in_binary and (number in MISSING or (number == errno.EOPNOTSUPP and ".multi" in hook.kind)):
        return HookMissingError(f"this kernel has {'several functions for' if number == _AMBIGUOUS else 'no'} {hook}")
    if number == _BEYOND.get(hook.kind) and _NOT_OPENED not in log:
        what = f"{tracefs()}/events/{hook.target}/format" if hook.kind == "tp" else "TP_PROTO of its definition"
        return AttachError(
            f"it cannot be attached to {hook}: the program reads more of it than it has",
            number,
            remedy=f"What it has is told by {what}.",
        )
    if number in NOT_PERMITTED:
        return privilege_error(f"attaching to {hook}", *beside(hook.kind), instead=instead_of(hook.kind))
    detail = log.strip().splitlines()[-1].removeprefix("libbpf: ") if log.strip() else os.strerror(number)
    return AttachError(f"it cannot be attached to {hook}: {detail}", number)


def link_create(fd: int, target: int, attach_type: int, *, flags: int = 0, extra: bytes = b"") -> int:
    """Makes a link that libbpf 1.1 has no function for.

    Args:
        fd: of the program that is attached, or of a map that holds a struct of operations.
        target: what it is attached to: a file descriptor or an index.
        attach_type: of enum bpf_attach_type.
        flags: of the link.
        extra: what follows in `union bpf_attr`, by the kind of link.

    Returns:
        A file descriptor; the program is attached as long as it is open.

    Raises:
        OSError: as the kernel says.

    Minimum kernel: 5.7. Source: include/uapi/linux/bpf.h (BPF_LINK_CREATE).
    """
    attributes = ffi.new("uint32_t[]", 16)
    attributes[0:4] = [fd, target, attach_type, flags]
    ffi.memmove(attributes + 4, extra, len(extra))
    size = ffi.cast("unsigned int", 16 + len(extra))
    link = lib.syscall(lib.SYS_bpf, ffi.cast("int", _LINK_CREATE), attributes, size)
    if link < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return int(link)


def open_map(program: Program, name: str) -> int:
    """A file descriptor of a map, to be closed.

    Args:
        program: of the object whose maps have names.
        name: of a map, or its number, or the path of its pin.

    Raises:
        AttachError: there is no such map, or it is not permitted.
    """
    if name in program.maps:
        return os.dup(program.maps[name].fd)
    is_number = name.isdecimal() and len(name) <= 10 and int(name) < 1 << 32
    fd = lib.bpf_map_get_fd_by_id(int(name)) if is_number else lib.bpf_obj_get(os.fsencode(name))
    if fd < 0:
        raise AttachError(f"map {name} cannot be opened: {os.strerror(-fd)}", -fd)
    return int(fd)
