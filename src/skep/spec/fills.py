"""What maps hold before the first program runs: keys and values from text or Python, by the types that a map states."""

from __future__ import annotations

import sys

from skep.base.errors import UsageError
from skep.base.nearest import nearest
from skep.base.schema import Type
from skep.spec.objectspec import PROG_ARRAY
from skep.spec.values import Value, input_meaning
from skep.spec.words import CGROUP_ARRAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from skep.spec.objectspec import MapSpec, ObjectSpec

    Fill: TypeAlias = Mapping[str, Mapping[object, object] | Sequence[object]]

__all__ = ["Entry", "entries", "prefix", "read_fill"]

# enum bpf_map_type, include/uapi/linux/bpf.h
_LPM_TRIE = 11
_KEYLESS = {22, 23, 30}  # queue, stack, bloom_filter
# hash, array, percpu_hash, percpu_array, lru_hash, lru_percpu_hash, lpm_trie, devmap, cpumap, devmap_hash
_KEYED = {1, 2, 5, 6, 9, 10, _LPM_TRIE, 14, 16, 25}
_WHAT = {PROG_ARRAY: "the name of a program", CGROUP_ARRAY: "the path of a cgroup"}


class Entry:
    """One entry of a map.

    Args:
        map: the map's name.
        key: empty for a map without keys.
        value: empty where there is a target.
        target: what a file descriptor is put in for: a program's name, or a cgroup's path; else "".
    """

    __slots__ = ("key", "map", "target", "value")

    def __init__(self, map: str, key: bytes, value: bytes, target: str = "") -> None:  # noqa: A002
        self.map = map
        self.key = key
        self.value = value
        self.target = target


def read_fill(spec: ObjectSpec, texts: Iterable[str]) -> Fill:
    """Takes `MAP=KEY[:VALUE]` apart; a key that holds a colon stands in brackets. A queue takes `MAP=VALUE`.

    Raises:
        UsageError: there is no such map, or it is written otherwise.
    """
    fill: dict[str, dict[object, object]] = {}
    queued: dict[str, list[object]] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if not equals or not rest:
            raise UsageError(f"--fill {text}: it takes MAP=KEY or MAP=KEY:VALUE")
        if _map(spec, name).type in _KEYLESS:
            queued.setdefault(name, []).append(rest)
            continue
        if rest.startswith("["):
            key, bracket, rest = rest[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                raise UsageError(f"--fill {text}: behind the key in brackets, :VALUE or nothing is expected")
            colon, value = rest[:1], rest[1:]
        else:
            key, colon, value = rest.partition(":")
        fill.setdefault(name, {})[key] = value if colon else None
    return {**fill, **queued}


def entries(spec: ObjectSpec, fill: Fill) -> list[Entry]:
    """The entries that maps are to hold.

    Args:
        spec: the kernel file.
        fill: by map, its keys and their values, or keys alone; the values, for a map without keys. Keys and values are
            numbers, text as on the command line, or bytes; None is the default: 1, or zeros if the type is no number.

    Raises:
        UsageError: no such map, or what its types do not take.
    """
    found = []
    for name, contents in fill.items():
        map_ = _map(spec, name)
        # Only a mapping has values.
        pairs = contents.items() if hasattr(contents, "items") else ((key, None) for key in contents)
        found += [_entry(map_, key, value) for key, value in pairs]
    return found


def _map(spec: ObjectSpec, name: str) -> MapSpec:
    map_ = spec.maps.get(name)
    if map_ is None:
        raise UsageError(f"there is no map {name}", remedy=nearest(name, spec.maps, "maps"))
    if map_.type not in _KEYED | _KEYLESS | _WHAT.keys():
        raise UsageError(f"map {name} is of a kind that is not filled from user space")
    return map_


def _entry(map_: MapSpec, key: object, value: object) -> Entry:
    name = map_.name
    if map_.type in _KEYLESS:
        return Entry(name, b"", _bytes(f"a value of {name}", map_.value, key))
    if map_.type in _WHAT:
        if not isinstance(value, str) or not value:
            raise UsageError(f"map {name} takes {_WHAT[map_.type]}: {name}=0:{_WHAT[map_.type].split()[-1].upper()}")
        return Entry(name, _bytes(f"the key of {name}", map_.key, key), b"", value)
    if map_.type == _LPM_TRIE and isinstance(key, str):
        place = prefix(map_, key)
    else:
        place = _bytes(f"the key of {name}", map_.key, key)
    if value is None:
        value = _default(map_.value)
    return Entry(name, place, _bytes(f"the value of {name}", map_.value, value))


def _default(type_: Type | None) -> object:
    if type_ is None:
        return None
    number = type_.kind in {"int", "bool", "enum", "float"} and not input_meaning("", type_)
    return 1 if number else bytes(type_.size)


def _bytes(what: str, type_: Type | None, value: object) -> bytes:
    if type_ is None:
        raise UsageError(f"{what} has no type in the kernel file", remedy="State it there, with __type() or __uint().")
    if isinstance(value, bytes):
        if len(value) != type_.size:
            raise UsageError(f"{what} is a {type_.name}, which takes {type_.size} bytes, not {len(value)}")
        return value
    if isinstance(value, str):
        return Value(what, type_, input_meaning("", type_) or _address(type_, value)).parse(value)
    return Value(what, type_, input_meaning("", type_)).write(value)


def _address(type_: Type, text: str) -> str | None:
    """What a type without a name is when it is given an address: its text cannot be mistaken for anything else."""
    octets = type_.kind == "array" and type_.element is not None and type_.element.kind == "int"
    if type_.size == 4 and (octets or (type_.kind == "int" and text.count(".") == 3)):
        return "ipv4"
    return "ipv6" if type_.size == 16 and octets else None


def prefix(map_: MapSpec, text: str) -> bytes:
    """The key of an LPM trie, struct bpf_lpm_trie_key: how many bits count, and the address.

    Args:
        map_: what the source declares.
        text: an address, and the number of bits behind a slash; all of them where there is none.

    Raises:
        UsageError: it is none, or the key holds something else.
    """
    size = 0 if map_.key is None else map_.key.size - 4
    if size not in {4, 16}:
        raise UsageError(f"the key of {map_.name} holds no address alone: it is set from Python, as bytes")
    address, slash, length = text.partition("/")
    what = f"the key of {map_.name}"
    octets = Value(what, Type("bytes", size, "address"), "ipv4" if size == 4 else "ipv6").parse(address)
    bits = size * 8
    if slash:
        bits = int(length) if length.isascii() and length.isdecimal() and len(length) <= 3 else -1
    if not 0 <= bits <= size * 8:
        raise UsageError(f"{what} takes an address and 0 to {size * 8} bits of it, such as {address}/8, not {text!r}")
    return bits.to_bytes(4, sys.byteorder) + octets
