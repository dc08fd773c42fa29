"""Maps that others made, or that are pinned: the kernel tells what they are, and how they differ from what is declared.

Minimum kernel: 4.18 for types (BPF_BTF_GET_FD_BY_ID). Source: kernel/bpf/syscall.c (bpf_map_get_info_by_fd),
kernel/bpf/btf.c (btf_get_info_by_fd).
"""

from __future__ import annotations

import errno
import os
import sys

from skep._native import ffi, lib
from skep.base.abi.maps import MAP_TYPES
from skep.base.errors import LoadError, PrivilegeError
from skep.kernel.features import privilege_error
from skep.kernel.maps.info import MapInfo
from skep.spec.objectspec import MapSpec, sized

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.base.schema import Type

__all__ = ["check_fits", "described"]

_ORDER = "<" if sys.byteorder == "little" else ">"
# A flag that the kernel adds by itself to maps that redirect packets (kernel/bpf/devmap.c): BPF_F_RDONLY_PROG.
_ADDED = {"devmap": 1 << 7, "devmap_hash": 1 << 7}


def described(fd: int) -> MapSpec:
    """What the kernel says of a map, with the types of its keys and values.

    Args:
        fd: of a map.
    """
    info = MapInfo(fd)
    key, value = _types(info)
    return MapSpec(info.name, info.type, info.max_entries, value, key=key, flags=info.flags)


def _types(info: MapInfo) -> tuple[Type | None, Type | None]:
    """The types of its keys and values; numbers or bytes of their sizes, where it has none."""
    sizes = info.key_size, info.value_size
    if not info.btf or not any(info.types):
        key, value = map(sized, sizes)
        return key, value
    from skep.spec.btf import Btf

    btf = Btf(memoryview(_btf(info.btf)), _ORDER, f"map {info.name}")
    key, value = (btf.type(number) if number else sized(size) for number, size in zip(info.types, sizes, strict=True))
    return key, value


def _btf(number: int) -> bytes:
    """The BTF of that number."""
    fd = lib.bpf_btf_get_fd_by_id(number)
    if fd == -errno.EPERM:
        raise privilege_error("asking for the types of a map", "CAP_SYS_ADMIN")
    if fd < 0:
        raise LoadError(f"BTF {number} cannot be opened: {os.strerror(-fd)}", -fd)
    try:
        info, size = ffi.new("struct bpf_btf_info *"), ffi.new("uint32_t *", ffi.sizeof("struct bpf_btf_info"))
        error = lib.bpf_obj_get_info_by_fd(fd, info, size)
        room = info.btf_size
        data = ffi.new("unsigned char[]", room)
        # Now that the size is known, the data comes, too.
        info = ffi.new("struct bpf_btf_info *", {"btf": int(ffi.cast("uintptr_t", data)), "btf_size": room})
        error = error or lib.bpf_obj_get_info_by_fd(fd, info, size)
    finally:
        os.close(fd)
    if error:
        raise LoadError(f"BTF {number} cannot be read: {os.strerror(-error)}", -error)
    return bytes(ffi.buffer(data))


def check_fits(handle: Any, declared: MapSpec, fd: int, where: str) -> None:
    """Refuses a map that is to take the place of another, and is not made like it.

    Args:
        handle: libbpf's, of the other, sizes set.
        declared: what the source says of it.
        fd: of the map that is to take its place.
        where: it comes from, for the message.

    Raises:
        LoadError: it is of another type, or has other sizes or flags, or its keys or values have other members; the
            message lists all of that.
    """
    info = MapInfo(fd)
    kind = MAP_TYPES.get(info.type, str(info.type))
    compared = {
        "type": (kind, MAP_TYPES.get(declared.type, str(declared.type))),
        "key size": (info.key_size, lib.bpf_map__key_size(handle)),
        "value size": (info.value_size, lib.bpf_map__value_size(handle)),
        "max_entries": (info.max_entries, lib.bpf_map__max_entries(handle)),
        "flags": (info.flags & ~_ADDED.get(kind, 0), lib.bpf_map__map_flags(handle) & ~_ADDED.get(kind, 0)),
    }
    differing = [f"{what} {has} instead of {wanted}" for what, (has, wanted) in compared.items() if has != wanted]
    try:
        key, value = _types(info)
    except PrivilegeError:
        pass  # sizes have to do for whoever may not ask for types
    else:
        differing += [*_moved("key", key, declared.key), *_moved("value", value, declared.value)]
    name = declared.name
    if differing:
        raise LoadError(
            f"map {name} cannot be the one {where}, which has {', '.join(differing)}",
            errno.EINVAL,
            remedy=f"Where only the size differs: --map {name}.max_entries=N. Else remove that map, or use another.",
        )


def _moved(what: str, has: Type | None, wanted: Type | None) -> Iterator[str]:
    """The members of a struct that lie elsewhere in another one, or are not in it. Names alone may differ."""
    if not has or not wanted or not has.fields or not wanted.fields:
        return
    there, here = dict(_places(has, what, 0)), dict(_places(wanted, what, 0))
    for name, place in here.items():
        if name in there and there[name] != place:
            yield f"{name} at {_told(there[name])} instead of {_told(place)}"
        elif name not in there and place not in there.values():
            yield f"no {name} at {_told(place)}"


def _places(type_: Type, name: str, start: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Where the innermost members of a struct lie: the first bit of each, and how many it has."""
    if not type_.fields:
        yield name, (start, type_.size * 8)
    for field in type_.fields:
        skipped, width = field.bits or (0, field.size * 8)
        first = start + field.offset * 8 + skipped
        if field.bits is None:
            yield from _places(field.type, f"{name}.{field.name}", first)
        else:
            yield f"{name}.{field.name}", (first, width)


def _told(place: tuple[int, int]) -> str:
    first, width = place
    if first % 8 or width % 8:
        return f"bit {first} ({width} bits)"
    return f"byte {first // 8} ({width // 8} bytes)"
