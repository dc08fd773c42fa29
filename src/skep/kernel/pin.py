"""Pins: files of a bpffs that keep programs, maps and links in the kernel when nobody has them open.

What is pinned together lies in one folder: ``FOLDER/links/NAME`` for each attached program, ``FOLDER/maps/NAME`` for
each map that the source declares. Either all of it is pinned, or nothing.

Minimum kernel: 4.4; 5.7 for links. Source: kernel/bpf/inode.c.
"""

from __future__ import annotations

import errno
import os

from skep._native import lib, messages
from skep.base.errors import MORE_DESCRIPTORS, NO_DESCRIPTORS, NOT_PERMITTED, PinError, UnsupportedError
from skep.kernel.features import privilege_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from skep.base.errors import SkepError

    class Pinned(Protocol):
        """What can be pinned."""

        def pin(self, path: str) -> None:
            """Pins it."""


__all__ = ["check_bpffs", "describe", "kind_of", "open_id", "open_pin", "pin", "pin_all", "unpin"]

# Links first: a program is detached before the maps go that it works with.
_FOLDERS = ("links", "maps")
# Kind -> what /proc/PID/fdinfo says of a file descriptor of it, and of no other.
_MARKS = {"map": "map_type", "program": "prog_type", "link": "link_type"}


def describe(fd: int) -> dict[str, str]:
    """What the kernel says of a file descriptor, in words: of a link, ``link_id``, ``prog_id``, ``tp_name`` ...

    Args:
        fd: any.
    """
    with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8", errors="replace") as file:
        lines = (line.partition(":") for line in file)
        return {name: value.strip() for name, _, value in lines}


def kind_of(fd: int) -> str:
    """What a file descriptor stands for: ``map``, ``program``, ``link``; "" for anything else, and where none is open.

    Args:
        fd: any.
    """
    try:
        said = describe(fd)
    except FileNotFoundError:
        return ""
    return next((kind for kind, mark in _MARKS.items() if mark in said), "")


def check_bpffs(folder: str) -> None:
    """Refuses a folder in which nothing can be pinned.

    Args:
        folder: it, or its nearest parent that is there, is on the file system that counts.

    Raises:
        PinError: it is a link that leads nowhere.
        UnsupportedError: it is not on a bpffs.
        PrivilegeError: it may not be looked at.
    """
    there = os.path.abspath(folder)
    try:
        while not os.path.exists(there):
            if os.path.islink(there):
                raise PinError(f"{there} is a link that leads nowhere", errno.ENOENT)
            there = os.path.dirname(there)
        device = os.stat(there).st_dev
    except PermissionError:
        raise privilege_error(f"pinning in {folder}", "CAP_DAC_OVERRIDE") from None
    mounted = dict(_bpffs())
    if device in mounted:
        return
    if mounted:
        remedy = f"Name a folder below {next(iter(mounted.values()))}."
    else:
        remedy = "No bpffs is mounted. To mount one: sudo mount -t bpf bpf /sys/fs/bpf"
    raise UnsupportedError(f"{folder} is not on a bpffs: nothing can be pinned there", remedy=remedy)


def _bpffs() -> Iterator[tuple[int, str]]:
    """Each bpffs that is mounted: its device, and where."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            mount, _, rest = line.partition(" - ")
            if rest.split()[0] == "bpf":
                major, _, minor = mount.split()[2].partition(":")
                yield os.makedev(int(major), int(minor)), mount.split()[4]


def pin(fd: int, path: str) -> None:
    """Pins what a file descriptor stands for.

    Args:
        fd: of a map, a program or a link.
        path: of a file that is not there yet.

    Raises:
        UnsupportedError: it is not on a bpffs.
        PinError: there is a file already, or no folder, or the name is none for a pin.
        PrivilegeError: it is not permitted.
    """
    error = lib.bpf_obj_pin(fd, os.fsencode(path))
    messages()
    if error:
        raise _refused(fd, path, -error)


def _refused(fd: int, path: str, number: int) -> SkepError:
    folder, name = os.path.split(path)
    if number == errno.EEXIST:
        return PinError(f"{path} is there already", number, remedy=f"To remove it: rm {path}")
    if number == errno.ENOENT:
        return PinError(f"there is no folder {folder}", number, remedy=f"mkdir -p {folder}")
    check_bpffs(folder or ".")
    if number in NOT_PERMITTED and "." in name:
        return PinError(f"{name!r} is no name for a pin: the kernel takes none with a dot", number)
    if number in NOT_PERMITTED:
        return privilege_error(f"pinning {path}", "CAP_DAC_OVERRIDE")
    if number == errno.EINVAL and not kind_of(fd):
        return PinError("this kernel has no link for what is attached so, and nothing else can be pinned", number)
    return PinError(f"{path} cannot be pinned: {os.strerror(number)}", number)


def open_pin(path: str, kind: str) -> int:
    """Opens what is pinned.

    Args:
        path: of the file.
        kind: ``map``, ``program`` or ``link``: what it is to be.

    Returns:
        A file descriptor.

    Raises:
        PinError: there is no such pin, or of something else.
        UnsupportedError: it is no file of a bpffs.
        PrivilegeError: it is not permitted.
    """
    fd = lib.bpf_obj_get(os.fsencode(path))
    messages()
    if fd < 0:
        number = -fd
        if number == errno.ENOENT:
            raise PinError(f"nothing is pinned at {path}", number)
        if number in NO_DESCRIPTORS:
            raise _not_opened(path, number)
        check_bpffs(path)
        if os.path.isdir(path):
            raise PinError(f"{path} is a folder, not a pin", errno.EISDIR)
        if number in NOT_PERMITTED:
            raise privilege_error(f"opening {path}", "CAP_DAC_OVERRIDE")
        raise _not_opened(path, number)
    found = kind_of(fd)
    if found != kind:
        os.close(fd)
        raise PinError(f"{path} is the pin of a {found}, not of a {kind}", errno.EINVAL)
    return int(fd)


def open_id(number: int, kind: str) -> int:
    """Opens what has a number in the kernel.

    Args:
        number: its id.
        kind: ``map``, ``program`` or ``link``.

    Returns:
        A file descriptor.

    Raises:
        PinError: there is none of that number.
        PrivilegeError: it is not permitted.
    """
    opened = {"map": lib.bpf_map_get_fd_by_id, "program": lib.bpf_prog_get_fd_by_id, "link": lib.bpf_link_get_fd_by_id}
    fd = opened[kind](number) if 0 < number < 1 << 32 else -errno.ENOENT
    messages()
    if -fd in NOT_PERMITTED:
        raise privilege_error(f"opening {kind} {number}", "CAP_SYS_ADMIN")
    if fd == -errno.ENOENT:
        raise PinError(f"the kernel has no {kind} {number}", errno.ENOENT)
    if fd < 0:
        raise _not_opened(f"{kind} {number}", -fd)
    return int(fd)


def _not_opened(what: str, number: int) -> PinError:
    remedy = MORE_DESCRIPTORS if number in NO_DESCRIPTORS else None
    return PinError(f"{what} cannot be opened: {os.strerror(number)}", number, remedy=remedy)


def pin_all(folder: str, links: Iterable[tuple[str, Pinned]], maps: Iterable[tuple[str, Pinned]]) -> None:
    """Pins what belongs together; where one cannot be pinned, none is.

    Args:
        folder: on a bpffs; it is made if it is not there.
        links: by name of their program.
        maps: by name.

    Raises:
        PinError, UnsupportedError, PrivilegeError: something cannot be pinned there.
    """
    check_bpffs(folder)
    made: list[str] = []
    before = _pins(folder)
    try:
        for kind, those in zip(_FOLDERS, (links, maps), strict=True):
            _make(f"{folder}/{kind}", made)
            for name, one in those:
                one.pin(f"{folder}/{kind}/{name}")
    except BaseException:
        for name in _pins(folder):
            if name not in before:
                os.unlink(f"{folder}/{name}")
        for path in reversed(made):
            os.rmdir(path)
        raise


def _make(folder: str, made: list[str]) -> None:
    """Makes a folder, with those above it.

    Args:
        folder: it may be there.
        made: gets what was not.
    """
    if os.path.isdir(folder):
        return
    _make(os.path.dirname(os.path.abspath(folder)), made)
    try:
        os.mkdir(folder)
    except PermissionError:
        raise privilege_error(f"pinning in {folder}", "CAP_DAC_OVERRIDE") from None
    except OSError as error:
        raise PinError(f"{folder} cannot be made: {error.strerror}", error.errno or 0) from None
    made.append(folder)


def unpin(folder: str) -> list[str]:
    """Removes what `pin_all` pinned: programs that nothing else holds are detached.

    Args:
        folder: that it was given.

    Returns:
        The pins that were there, such as ``links/opened``.

    Raises:
        PinError: nothing is pinned there.
        UnsupportedError: it is not on a bpffs.
        PrivilegeError: it is not permitted.

    Minimum kernel: 4.4; 5.7 for links. Source: kernel/bpf/inode.c.
    """
    if not os.path.isdir(folder):
        raise PinError(f"there is no folder {folder}", errno.ENOENT)
    check_bpffs(folder)
    try:
        found = _pins(folder)
        if not found:
            raise PinError(f"nothing in {folder} was pinned by skep", errno.ENOENT)
        for name in found:
            os.unlink(f"{folder}/{name}")
        for path in (*(f"{folder}/{kind}" for kind in _FOLDERS), folder):
            _remove(path)
    except PermissionError:
        raise privilege_error(f"removing pins from {folder}", "CAP_DAC_OVERRIDE") from None
    return found


def _pins(folder: str) -> list[str]:
    """The pins where `pin_all` pins; it makes no folders there."""
    folders = [kind for kind in _FOLDERS if os.path.isdir(f"{folder}/{kind}")]
    try:
        found = [f"{kind}/{name}" for kind in folders for name in sorted(os.listdir(f"{folder}/{kind}"))]
        return [name for name in found if not os.path.isdir(f"{folder}/{name}")]
    except PermissionError:
        raise privilege_error(f"looking at the pins in {folder}", "CAP_DAC_OVERRIDE") from None


def _remove(folder: str) -> None:
    """Removes a folder, unless others have something in it."""
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.ENOENT, errno.EBUSY}:
            raise
