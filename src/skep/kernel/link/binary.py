"""Finds what a uprobe or USDT probe is on: a binary by its path or name, and in it the places that its target names.

A target is ``BINARY:PLACE``. A binary is a path, or the name of a program (``bash``) or a library (``libssl``,
``libssl.so.3``). A place is a function (``readline``), one of several versions of it (``memcpy@GLIBC_2.2.5``), an
instruction of it (``readline+4``), an address (``0x1234``, as nm and objdump print it), or a pattern of functions
(``SSL_*``). Source: ld.so(8) for where libraries lie.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from skep.base.errors import NO_DESCRIPTORS, AttachError, HookMissingError
from skep.kernel.features import has_probes
from skep.kernel.link.common import failure
from skep.kernel.link.executable import FUNCTION, INDIRECT, Executable, Symbol
from skep.kernel.link.symbols import bytes_behind, did_you_mean, fitting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.base.errors import SkepError
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["find_binary", "open_binary", "places", "refusal", "split"]

_CACHE = "/etc/ld.so.cache"
# Where the loader looks without a cache (musl has none), and where multiarch folders lie.
_FOLDERS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")
# An ELF header's class, byte order and machine: what tells the libraries of this architecture from others.
_IDENTITY = slice(4, 6), slice(18, 20)


def split(hook: Hook) -> tuple[str, str]:
    """The binary that a hook names, and the place in it."""
    binary, _, place = hook.target.partition(":")
    return binary, place


def find_binary(name: str, targets: Targets) -> str:
    """The path of a binary.

    Args:
        name: a path, or the name of a program or library: one that the user's process has loaded, one on PATH, or one
            that the loader finds.
        targets: what the user says.

    Raises:
        AttachError: there is none.
    """
    if "/" in name:
        return name
    for path in _candidates(name, targets.process if targets.pid is None else targets.pid):
        if os.path.isfile(path) and _is_ours(path):
            return path
    raise AttachError(
        f"there is no program and no library {name}", errno.ENOENT, remedy="Give its path: --binary /PATH/OF/IT."
    )


def _candidates(name: str, pid: int | None) -> Iterator[str]:
    library = re.compile(rf"{re.escape(name)}(\.so(\.\d+)*)?")
    for path in _loaded(pid) if pid is not None else ():
        if library.fullmatch(os.path.basename(path)):
            yield path
    for folder in os.environ.get("PATH", os.defpath).split(":"):
        yield f"{folder or '.'}/{name}"
    try:
        with open(_CACHE, "rb") as file:
            # Of its format it is enough to know that paths are the only texts that begin with a slash.
            cached = [os.fsdecode(path) for path in re.findall(rb"(?<![^\0])/[^\0]+", file.read())]
    except OSError:
        cached = []
    for path in cached:
        if library.fullmatch(os.path.basename(path)):
            yield path
    for folder in _FOLDERS:
        if os.path.isdir(folder):
            yield from (f"{folder}/{file}" for file in sorted(os.listdir(folder)) if library.fullmatch(file))


def _loaded(pid: int) -> list[str]:
    """The files that a process has mapped; those of a container by the way through its process."""
    root = f"/proc/{pid}/root"
    try:
        is_ours = os.path.samefile(root, "/") and os.path.samefile(f"/proc/{pid}/ns/mnt", "/proc/self/ns/mnt")
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
            paths = {line.partition("/")[2].rstrip("\n") for line in file if "/" in line}
    except OSError:
        return []
    return [f"{'' if is_ours else root}/{path}" for path in sorted(paths)]


def _is_ours(path: str) -> bool:
    """Whether a file is an ELF file of the architecture that runs this program."""
    try:
        with open(path, "rb") as file, open("/proc/self/exe", "rb") as own:
            head, ours = file.read(20), own.read(20)
    except OSError:
        return False
    return head[:4] == b"\x7fELF" and all(head[part] == ours[part] for part in _IDENTITY)


def open_binary(path: str) -> Executable:
    """Opens a binary, to look for places in it.

    Args:
        path: of it.

    Raises:
        AttachError: it cannot be read, or is no program or library.
    """
    from mmap import ACCESS_READ, mmap

    try:
        # Not to wait for a writer, if it is a pipe.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                raise AttachError(f"{path} is a folder, not a program or library", errno.EISDIR)
            if not stat.S_ISREG(status.st_mode):
                raise AttachError(f"{path} is not a program or library, but a device or pipe", errno.ENOEXEC)
            data = mmap(fd, 0, access=ACCESS_READ) if status.st_size else b""
        finally:
            os.close(fd)
    except FileNotFoundError:
        raise AttachError(f"there is no {path}", errno.ENOENT, remedy="Say where it is: --binary PATH.") from None
    except OSError as error:
        if isinstance(error, AttachError):
            raise
        raise AttachError(f"{path} cannot be read: {error.strerror}", error.errno or errno.EIO) from None
    return Executable(data, path)


def places(hook: Hook, targets: Targets) -> tuple[str, list[int]]:
    """The file that a hook is in, and where in it.

    Args:
        hook: of kind uprobe or uprobe.multi, entry or return.
        targets: what the user says.

    Returns:
        The path, and offsets in the file.

    Raises:
        HookMissingError: this kernel has no uprobes.
        AttachError: there is no such binary, or no such place in it.
    """
    if not has_probes("uprobe"):
        raise HookMissingError("this kernel has no uprobes (CONFIG_UPROBE_EVENTS)")
    name, place = split(hook)
    binary = open_binary(find_binary(name, targets))
    if hook.is_pattern:
        names = fitting(place)
        found = {symbol.address for symbol in binary.symbols() if symbol.type == FUNCTION and names.match(symbol.name)}
        offsets = {binary.offset(address) for address in found if address is not None} - {None}
        if not offsets:
            raise AttachError(f"no function of {binary.path} fits {place}{_stripped(binary)}", errno.ENOENT)
        return binary.path, sorted(offset for offset in offsets if offset is not None)
    return binary.path, [_place(binary, hook, place)]


def _place(binary: Executable, hook: Hook, place: str) -> int:
    function, _, text = place.rpartition("+")
    more = bytes_behind(text)
    if more is None or not function:
        # No instruction is named: a + may be part of a name.
        function, more = place, 0
    elif hook.is_return:
        raise AttachError(f"{hook} names an instruction, and the return of a function has none", errno.EINVAL)
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", function):
        address = int(function, 16)
    else:
        symbol = _function(binary, function)
        if symbol.type == INDIRECT:
            return _chosen(binary, symbol) + more
        address = symbol.address or 0
    offset = binary.offset(address + more)
    if offset is None:
        raise AttachError(f"{place} lies outside of the code of {binary.path}", errno.EINVAL)
    return offset


def _function(binary: Executable, text: str) -> Symbol:
    """The one function of a name."""
    name, _, version = text.partition("@")
    version = version.lstrip("@")
    named = binary.symbols(name)
    found = [
        symbol
        for symbol in named
        if symbol.type in {FUNCTION, INDIRECT} and symbol.address and (not version or symbol.version == version)
    ]
    # What a program that names it would get, before what only the file itself sees.
    best = max(((symbol.is_default, symbol.is_global) for symbol in found), default=None)
    chosen = {symbol.address: symbol for symbol in found if (symbol.is_default, symbol.is_global) == best}
    if len(chosen) == 1:
        return next(iter(chosen.values()))
    if chosen:
        addresses = ", ".join(f"{address:#x}" for address in sorted(filter(None, chosen))[:5])
        raise AttachError(
            f"{binary.path} has {len(chosen)} functions {text}",
            errno.EINVAL,
            remedy=f"Give the address of one: {addresses}.",
        )
    raise _missing(binary, text, named)


def _missing(binary: Executable, text: str, named: list[Symbol]) -> AttachError:
    name, at, _ = text.partition("@")
    versions = sorted({symbol.version for symbol in named if symbol.version and symbol.address})
    if at and versions:
        remedy = f"It has {', '.join(f'{name}@{version}' for version in versions)}."
        return AttachError(f"{binary.path} has no function {text}", errno.ENOENT, remedy=remedy)
    if any(symbol.address for symbol in named):
        return AttachError(f"{text} is a variable of {binary.path}, not a function", errno.EINVAL)
    if named:
        return AttachError(
            f"{binary.path} only uses {text}: it takes it from a library",
            errno.ENOENT,
            remedy="Name the library that has it: --binary LIBRARY.",
        )
    names = {symbol.name for symbol in binary.symbols() if symbol.type != 1 and symbol.address}
    by_address = f"Its address will do: {binary.path}:0x..." if binary.is_stripped else None
    return AttachError(
        f"{binary.path} has no function {text}{_stripped(binary)}",
        errno.ENOENT,
        remedy=did_you_mean(name, names) or by_address,
    )


def _stripped(binary: Executable) -> str:
    return " (it is stripped: only what it exports has a name)" if binary.is_stripped else ""


def _chosen(binary: Executable, symbol: Symbol) -> int:
    """Of a function that is chosen when a library is loaded, the one that this process got: others get the same."""
    import ctypes

    try:
        # Nothing is loaded for this: it would run code of that library, here.
        library = ctypes.CDLL(binary.path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        address = ctypes.cast(library[symbol.name], ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        address = 0
    with open("/proc/self/maps", encoding="ascii", errors="replace") as file:
        for line in file:
            span, _, offset, _, inode = line.split()[:5]
            start, end = (int(part, 16) for part in span.split("-"))
            if start <= address < end and int(inode) == os.stat(binary.path).st_ino:
                return address - start + int(offset, 16)
    raise AttachError(
        f"{symbol.name} is chosen when {binary.path} is loaded, for the processor that it runs on",
        errno.EINVAL,
        remedy=f"Give the address of the one that is chosen, or a pattern that fits all: *{symbol.name}*.",
    )


def refusal(hook: Hook, targets: Targets, number: int, log: str = "") -> SkepError:
    """Why the kernel does not take a program in a binary.

    Args:
        hook: where it should be.
        targets: what the user says.
        number: errno.
        log: what libbpf said.
    """
    if number == errno.ESRCH and targets.pid is not None and not os.path.exists(f"/proc/{targets.pid}"):
        return AttachError(f"it cannot be attached to {hook}: process {targets.pid} has ended", number)
    if number in NO_DESCRIPTORS:
        return AttachError(f"it cannot be attached to {hook}: {os.strerror(number)}", number, remedy="ulimit -n 65536")
    return failure(hook, number, log)
