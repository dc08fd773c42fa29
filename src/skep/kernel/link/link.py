"""`Link`: what keeps one program attached; what the kernel says of it, and what can be done with it.

Minimum kernel: 5.7 for links; perf events (tp, kprobe, uprobe, perf_event) have them since 5.15. Source:
kernel/bpf/syscall.c (bpf_link_show_fdinfo, link_update, link_detach).
"""

from __future__ import annotations

import errno
import os

from skep._native import ffi, lib, messages
from skep.base.errors import NOT_PERMITTED, AttachError, PinError, SkepError
from skep.kernel.features import privilege_error
from skep.kernel.held import Held
from skep.kernel.link.common import Attachment
from skep.kernel.pin import describe, kind_of, open_id, open_pin, pin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Self

    from skep.kernel.program import Program

__all__ = ["Link", "LinkInfo", "release"]

_EVENT = "anon_inode:[perf_event]"
# What the kernel calls the place, by the kind of link.
_WORDS = ("tp_name", "func_name", "name", "target_name", "path")


class LinkInfo:
    """What the kernel says of a link.

    Args:
        id: its number, by which anybody with CAP_SYS_ADMIN can open it.
        kind: ``raw_tracepoint``, ``tracing``, ``perf``, ``xdp``, ``cgroup`` ...
        program_id: of the program that is attached.
        target: what it is attached to, as far as it is known: of our own links as the section says it, of others what
            the kernel tells, such as ``sched_switch`` or ``lo``.
        details: all that the kernel says, in its own words (/proc/PID/fdinfo).

    Minimum kernel: 5.8; the targets of perf events 6.6. Source: kernel/bpf/syscall.c (bpf_link_show_fdinfo).
    """

    __slots__ = ("details", "id", "kind", "program_id", "target")

    def __init__(self, fd: int, target: str) -> None:
        self.details = describe(fd)
        self.id = int(self.details["link_id"])
        self.kind = self.details["link_type"]
        self.program_id = int(self.details.get("prog_id", "0"))
        self.target = target or _target(self.details)

    def __repr__(self) -> str:
        return f"<LinkInfo {self.id}: {self.kind} {self.target!r}, program {self.program_id}>"


def _target(details: dict[str, str]) -> str:
    found = next((details[word] for word in _WORDS if word in details), "")
    if found or "ifindex" not in details:
        return found
    from socket import if_indextoname

    number = int(details["ifindex"])
    try:
        return if_indextoname(number)
    except OSError:
        return f"interface {number}, which is not here"


class Link(Held):
    """What keeps one program attached: a context manager that detaches it. Made by `Object.attach`.

    Closed, it lets go: the program is detached, unless the link is pinned, or another process has it.

    Args:
        name: of the program.
        attachment: what holds it.
        target: what it is attached to, for people.
        program: its id.

    Minimum kernel: 5.7. Source: kernel/bpf/syscall.c (bpf_link_show_fdinfo, link_update, link_detach).
    """

    def __init__(self, name: str, attachment: Attachment, target: str, program: int) -> None:
        self.name = name
        self.target = target
        self.notice = attachment.notice
        self._attachment = attachment
        self._is_pinned = False
        self._program = program
        self._hold()

    def _told(self) -> str:
        return f"Link {self.name!r} {self.target}"

    @classmethod
    def from_pin(cls, path: str) -> Self:
        """A link that is pinned. To close it leaves the program attached, as long as the pin is there.

        Args:
            path: of the file.

        Raises:
            PinError, PrivilegeError: there is no such pin, or of something else, or it is not permitted.

        Minimum kernel: 5.7. Source: kernel/bpf/inode.c (bpf_obj_get_user).
        """
        return cls._opened(open_pin(path, "link"), os.path.basename(path))

    @classmethod
    def from_id(cls, number: int) -> Self:
        """A link of the kernel's, whoever made it: to be closed.

        Args:
            number: its id.

        Raises:
            PinError, PrivilegeError: there is none of that id, or it is not permitted (CAP_SYS_ADMIN).

        Minimum kernel: 5.8. Source: kernel/bpf/syscall.c (bpf_link_get_fd_by_id).
        """
        return cls._opened(open_id(number, "link"), "")

    @classmethod
    def _opened(cls, fd: int, name: str) -> Self:
        from skep.kernel.program import Program

        info = LinkInfo(fd, "")
        try:
            with Program.from_id(info.program_id) as program:
                name = program.name
        except SkepError:
            pass  # a struct of operations has none; and a link may be for more users than its program
        return cls(name, Attachment(fds=(fd,)), info.target, info.program_id)

    @property
    def fds(self) -> list[int]:
        """The file descriptors of the kernel's links: usually one; none where the kernel has none for such a hook."""
        self.check()
        return self._links()

    def _links(self) -> list[int]:
        # libbpf's may be of a perf event or a map.
        return [fd for fd in self._held() if kind_of(fd) == "link"]

    def _held(self) -> list[int]:
        found = [*self._attachment.fds, *(lib.bpf_link__fd(handle) for handle in self._attachment.links)]
        # libbpf has handles without a descriptor, which then says 0 (USDT).
        return [fd for fd in found if fd > 0]

    @property
    def lasts(self) -> bool:
        """Whether anything is held: not by a program that has run once, or that another one's link holds, too."""
        held = self._attachment
        return bool(held.links or held.fds or held.closers)

    def info(self) -> LinkInfo:
        """What the kernel says of it; of several links (a perf event on each CPU), of the first.

        Raises:
            ClosedError: it is closed.
            AttachError: the kernel has no link for such a hook.
        """
        return LinkInfo(self._needed()[0], self.target)

    def _needed(self) -> list[int]:
        found = self.fds
        if not found:
            raise AttachError(f"{self.name} is attached to {self.target}, for which there is no link", errno.EOPNOTSUPP)
        return found

    def lost(self) -> str:
        """What became of its place (an interface, a cgroup), if that has gone since; "" if it is there."""
        return self._attachment.lost() if self._attachment.lost is not None else ""

    def update(self, program: Program) -> None:
        """Puts another program in the place of the one that is attached: nothing is missed in between.

        Args:
            program: of the same type.

        Raises:
            ClosedError: it is closed, or the program is.
            AttachError: links of this kind keep their program, or the kernel refuses this one.
            PrivilegeError: it is not permitted.

        Minimum kernel: 5.7 cgroup, netns; 5.9 xdp, iter; 6.6 tcx. Source: kernel/bpf/syscall.c (link_update).
        """
        program.check()
        for fd in self._needed():
            error = -lib.bpf_link_update(fd, program.fd, ffi.NULL)
            messages()
            if error in NOT_PERMITTED:
                raise privilege_error(f"updating {self!r}")
            if error:
                kind = LinkInfo(fd, "").kind
                reasons = {
                    errno.EINVAL: f"a {kind} link keeps its program, or takes none of this type",
                    errno.EOPNOTSUPP: f"a {kind} link keeps its program",
                }
                why = reasons.get(error, os.strerror(error))
                raise AttachError(f"program {program.name} cannot take the place of {self.name}: {why}", error)
        self.name, self._program = program.name, program.id

    def detach(self) -> None:
        """Takes the program off its hook, though the link is pinned or others have it, too.

        Raises:
            ClosedError: it is closed.
            AttachError: links of this kind end only with their last holder.

        Minimum kernel: 5.9. Source: kernel/bpf/syscall.c (link_detach).
        """
        for fd in self._needed():
            error = -lib.bpf_link_detach(fd)
            messages()
            if error == errno.EOPNOTSUPP:
                raise AttachError(
                    f"a {LinkInfo(fd, '').kind} link ends only with its last holder",
                    error,
                    remedy="Close it, and remove its pins.",
                )
            if error:
                raise AttachError(f"{self.name} cannot be detached: {os.strerror(error)}", error)

    def pin(self, path: str) -> None:
        """Pins it: the program stays attached until the file is removed, whatever becomes of this process.

        Args:
            path: of a file that is not there yet, on a bpffs. Of several links, the second is ``PATH-2``.

        Raises:
            ClosedError: it is closed.
            PinError: there is a file already, or the kernel has no link for such a hook.
            UnsupportedError: it is not on a bpffs.
            PrivilegeError: it is not permitted.

        Minimum kernel: 5.7. Source: kernel/bpf/inode.c (bpf_obj_pin_user).
        """
        found = self.fds
        if not found:
            raise PinError(
                f"program {self.name} ({self.target}) cannot be pinned: it is attached without a link",
                errno.EOPNOTSUPP,
                remedy=f"Leave it out: --without {self.name}. For packets: --attach {self.name}=tcx/ingress.",
            )
        done: list[str] = []
        try:
            for number, fd in enumerate(found, 1):
                where = path if number == 1 else f"{path}-{number}"
                pin(fd, where)
                done.append(where)
        except BaseException:
            for where in done:
                os.unlink(where)
            raise
        self._is_pinned = True

    def close(self) -> None:
        """Lets go of it. To close it twice is fine."""
        release([self])

    def _abandon(self) -> None:
        # In a fork, whatever keeps the program attached: neither we nor libbpf know of all.
        for fd in {*self._held(), *_descriptors(self._program)}:
            try:  # noqa: SIM105 - contextlib costs 3 ms
                os.close(fd)
            except OSError:
                pass  # another link of the same program has closed it

    def end(self) -> Iterator[Any]:
        """Gives back what needs no time; yields libbpf's handles that are left to be destroyed.

        For `release`: detaching takes the kernel long, and goes in parallel.
        """
        if not self._end("is closed"):
            return
        attachment = self._attachment
        for close in attachment.closers:
            close()
        if self._is_pinned:
            # libbpf would switch the perf events off that the pinned links are on.
            events = attachment.events or tuple(_descriptors(self._program, events_only=True))
            found = self._links()
            for handle in attachment.links:
                lib.bpf_link__disconnect(handle)
            for fd in {*found, *attachment.fds, *events}:
                os.close(fd)
        else:
            for fd in attachment.fds:
                os.close(fd)
        yield from attachment.links


def release(links: Iterable[Link]) -> None:
    """Ends several links at once: the kernel takes 20 to 250 ms for each, by kind.

    Args:
        links: those that are closed already are left alone.
    """
    handles = [handle for link in links for handle in link.end()]
    lib.skep_detach(ffi.new("struct bpf_link *[]", handles), len(handles))


def _descriptors(program: int, *, events_only: bool = False) -> Iterator[int]:
    """Our file descriptors of links, and of perf events, that hold a program.

    Args:
        program: its id.
        events_only: perf events alone.
    """
    found, length = ffi.new("uint32_t *"), ffi.new("uint32_t *")
    kind, place = ffi.new("uint32_t *"), ffi.new("uint64_t[2]")
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            is_event = os.readlink(f"/proc/self/fd/{name}") == _EVENT
            said = {} if is_event or events_only else describe(fd)
        except FileNotFoundError:  # that of the listing itself, or another thread has closed it
            continue
        if is_event:
            failed = lib.bpf_task_fd_query(os.getpid(), fd, 0, ffi.NULL, length, found, kind, place, place + 1)
            messages()
            if not failed and found[0] == program:
                yield fd
        elif said.get("prog_id") == str(program) and "link_id" in said:
            yield fd
