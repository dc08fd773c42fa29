"""Attach to a network interface's packets as they come in or leave, by a filter of tc (``tc``, ``classifier``).

This is what those sections have always meant, and it stays so where the kernel has tcx: a program there runs before all
filters, and what it lets pass never reaches those of others; handle and priority exist only here. An ``action`` is
attached as a filter that acts itself (direct action).

A filter has no link: it stays when its process is killed (SIGKILL), and its program goes on running. So its name says
whose it is, ``skep:PORT:...``, with the port of a netlink socket that lives as long as its process: a filter whose port
nobody has is a leftover, and is removed when skep attaches to the same interface again. By hand:
``tc filter show dev NAME ingress`` (or egress) shows them, ``tc filter del`` removes them.

Filters hang on the queueing discipline clsact. Where skep made it, each of its filters carries that in its name, and
the last one takes it away if no filter of anybody is left. No filter of others is ever removed or replaced.

Minimum kernel: 4.5. Source: net/sched/cls_api.c, cls_bpf.c, sch_ingress.c; include/uapi/linux/pkt_sched.h, pkt_cls.h.
"""

from __future__ import annotations

import errno
import re
import struct
from contextlib import suppress
from functools import partial

from skep.base.errors import NOT_PERMITTED, AttachError, HookMissingError
from skep.kernel.features import privilege_error
from skep.kernel.link.common import Attachment
from skep.kernel.netlink import ACK, CREATE, DUMP, ECHO, EXCLUSIVE, Netlink, attribute, attributes
from skep.kernel.places import find_interface, lost_interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from skep.base.errors import SkepError
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

# include/uapi/linux/rtnetlink.h
_NEW_QDISC, _DELETE_QDISC, _GET_QDISC = 36, 37, 38
_NEW_FILTER, _DELETE_FILTER, _GET_FILTER = 44, 45, 46
_KIND, _OPTIONS = 1, 2
# TCA_BPF_*
_FD, _NAME, _FLAGS, _ID = 6, 7, 8, 11
_DIRECT_ACTION = struct.pack("=I", 1)
# struct tcmsg: family, interface, handle, parent, info (priority and protocol).
_MESSAGE = struct.Struct("=B3xiIII")
_CLSACT, _CLSACT_HANDLE = 0xFFFFFFF1, 0xFFFF0000
_PARENTS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}
_POINTS = {"BPF_TC_INGRESS": "ingress", "BPF_TC_EGRESS": "egress"}
_ALL_PROTOCOLS = 0x0300  # ETH_P_ALL, as it goes over the wire
_LAST_PRIORITY = 0xFFFF
_OURS = re.compile(r"skep:(\d+):(made|found):")


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:
    """Attaches a program to an interface, with the handle and priority of @tcopts or those that the kernel chooses."""
    name, index = find_interface(hook.target)
    direction = _direction(program, hook, targets)
    options = program.spec.note.object("tcopts")
    handle, priority = options.get("handle", 0), options.get("priority", 0)
    if priority > _LAST_PRIORITY:
        raise AttachError(f"@tcopts: there is no priority {priority}: the last is {_LAST_PRIORITY}", errno.EINVAL)
    filter_ = _Filter(index, _PARENTS[direction])
    try:
        filter_.add(program, handle, priority)
    except OSError as error:
        failure = _failure(f"tc {direction} of {name}", error)
        if error.errno == errno.EEXIST and (holder := filter_.holder(handle, priority)):
            message = f"handle {handle} and priority {priority} of tc {direction} of {name} are held by {holder}"
            failure = AttachError(message, errno.EEXIST, remedy="Choose others in @tcopts, or none: the kernel does.")
        filter_.close()
        raise failure from None
    return Attachment(closers=(filter_.close,), lost=partial(lost_interface, index))


def _direction(program: Program, hook: Hook, targets: Targets) -> str:
    """What the section says, else the user, else @tchook, else what comes in."""
    said = hook.kind.partition("/")[2] or targets.direction
    point = program.spec.note.object("tchook").get("attach_point", "BPF_TC_INGRESS")
    if not said and point not in _POINTS:
        raise AttachError(
            f"@tchook: {point} does not say which parent it is",
            errno.EINVAL,
            remedy="Write BPF_TC_INGRESS or BPF_TC_EGRESS, or give --direction.",
        )
    return said or _POINTS[point]


def _failure(place: str, error: OSError) -> SkepError:
    if error.errno in NOT_PERMITTED:
        return privilege_error(f"attaching to {place}", "CAP_NET_ADMIN")
    if error.errno == errno.ENOENT:
        remedy = "It needs CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF."
        return HookMissingError(f"this kernel has no {place} ({error.strerror})", remedy=remedy)
    return AttachError(f"it cannot be attached to {place}: {error.strerror}", error.errno or 0)


class _Filter:
    """A filter of ours, or one that is to be.

    Args:
        interface: its number.
        parent: which end of clsact.
    """

    __slots__ = ("_added", "_interface", "_made", "_netlink", "_parent")

    def __init__(self, interface: int, parent: int) -> None:
        self._netlink = Netlink()
        self._interface = interface
        self._parent = parent
        self._made = False  # whether skep made the clsact
        self._added: tuple[int, int] | None = None  # handle and info

    def add(self, program: Program, handle: int, priority: int) -> None:
        """Attaches the program.

        Raises:
            OSError: what the kernel says.
        """
        self._prepare()
        mark = f"skep:{self._netlink.port}:{'made' if self._made else 'found'}:{program.spec.name}"
        options = attribute(_FD, struct.pack("=I", program.fd)) + attribute(_NAME, mark.encode() + b"\0")
        options += attribute(_FLAGS, _DIRECT_ACTION)
        body = self._message(self._parent, handle, priority << 16 | _ALL_PROTOCOLS)
        body += attribute(_KIND, b"bpf\0") + attribute(_OPTIONS, options)
        # The echo tells what the kernel chose.
        [answer] = self._netlink.ask(_NEW_FILTER, ACK | ECHO | CREATE | EXCLUSIVE, body)
        _, _, handle, _, info = _MESSAGE.unpack_from(answer)
        self._added = handle, info

    def holder(self, handle: int, priority: int) -> str:
        """Whose filter has a handle and a priority; "" if none has."""
        from skep.kernel.holders import holder

        for found, info, options in self._filters(self._parent):
            if (found, info >> 16) == (handle, priority) and _ID in options:
                return holder(*struct.unpack("=I", options[_ID]))
        return ""

    def close(self) -> None:
        """Takes the filter away, and the clsact if it was ours and nobody uses it."""
        # Who removes the interface, or the clsact, has done all this.
        with suppress(OSError):
            if self._added is not None:
                self._remove(self._parent, *self._added)
        with suppress(OSError):
            if self._made and not any(self._filters(parent) for parent in _PARENTS.values()):
                body = self._message(_CLSACT, _CLSACT_HANDLE)
                self._netlink.ask(_DELETE_QDISC, ACK, body)
        self._netlink.close()

    def _prepare(self) -> None:
        """Makes the clsact if there is none, and removes what dead processes left."""
        body = self._message(_CLSACT, _CLSACT_HANDLE)
        try:
            self._netlink.ask(_NEW_QDISC, ACK | CREATE | EXCLUSIVE, body + attribute(_KIND, b"clsact\0"))
            self._made = True
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
            self._check_kind(body)
        for parent in _PARENTS.values():
            for handle, info, options in self._filters(parent):
                mark = _OURS.match(options.get(_NAME, b"").decode("ascii", "replace"))
                if mark is not None:
                    self._made = self._made or mark[2] == "made"
                    if not Netlink.is_taken(int(mark[1])):
                        self._remove(parent, handle, info)

    def _check_kind(self, body: bytes) -> None:
        """An older qdisc in the same place has but one end: a filter for what leaves would get what comes."""
        [answer] = self._netlink.ask(_GET_QDISC, ACK | ECHO, body)
        kind = attributes(answer[_MESSAGE.size :]).get(_KIND, b"").rstrip(b"\0").decode("ascii", "replace")
        if kind != "clsact" and self._parent == _PARENTS["egress"]:
            raise OSError(errno.EBUSY, f"the qdisc {kind} is in the place of clsact, and has no egress")

    def _filters(self, parent: int) -> list[tuple[int, int, Mapping[int, bytes]]]:
        """The handle, the info and the options of every filter at one end of clsact."""
        found = []
        for answer in self._netlink.ask(_GET_FILTER, DUMP, self._message(parent)):
            _, _, handle, _, info = _MESSAGE.unpack_from(answer)
            told = attributes(answer[_MESSAGE.size :])
            found.append((handle, info, attributes(told.get(_OPTIONS, b""))))
        return found

    def _remove(self, parent: int, handle: int, info: int) -> None:
        self._netlink.ask(_DELETE_FILTER, ACK, self._message(parent, handle, info) + attribute(_KIND, b"bpf\0"))

    def _message(self, parent: int, handle: int = 0, info: int = 0) -> bytes:
        return _MESSAGE.pack(0, self._interface, handle, parent, info)
