"""What tables and buffers of BCC's scripts have in common: a map of `skep.kernel`, and its bytes as ctypes."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager

from skep.base.errors import LoadError, MapError, UnsupportedError
from skep.base.schema import Type
from skep.bcc.layout import as_ctype
from skep.bcc.texts import from_text, to_text
from skep.kernel.map import open_map
from skep.spec.objectspec import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.kernel.map import Map

__all__ = ["Backed", "sized_by_the_text"]


@contextmanager
def sized_by_the_text() -> Iterator[None]:
    """Advises of a size what scripts can do: the options of ``skep run`` are not theirs."""
    try:
        yield
    except (LoadError, MapError) as error:
        if error.remedy and "--map " in error.remedy:
            error.remedy = "The text says how many entries a table has: N of BPF_HASH(NAME, KEY, LEAF, N) and its like."
        raise


class Backed:
    """What stands on a map.

    Args:
        map_: the map, as it was loaded.
        kind: what BCC calls it.
        keytype: the ctypes type of its keys, where the script says it.
        leaftype: that of its values.
    """

    def __init__(self, map_: Map, kind: str, keytype: Any = None, leaftype: Any = None) -> None:
        self.map = map_
        self.raw = _in_bytes(map_)
        self.kind = kind
        self.name = map_.name.encode()
        self.Key = keytype or as_ctype(map_.key_type)
        self.Leaf = leaftype or as_ctype(map_.value_type)
        self.map_fd = map_.fd
        self.max_entries = map_.max_entries
        self.flags = map_.spec.flags
        self.ttype = map_.spec.type

    def _stand_on_what_a_script_opened(self) -> None:
        """Classes of scripts with an `__init__` of their own set a descriptor and types; the kernel knows the rest."""
        from skep.kernel.maps.opened import described

        given = dict(vars(self))
        spec = described(self.map_fd)
        map_ = open_map(spec, self.map_fd, spec.max_entries)
        Backed.__init__(self, map_, map_.kind, given.get("Key"), given.get("Leaf"))
        vars(self).update(given)

    def get_fd(self) -> int:
        """The map's file descriptor."""
        return self.map.fd

    def close(self) -> None:
        """Lets go of what it has opened."""

    def __getattr__(self, name: str) -> Any:
        known = vars(self)
        if name.startswith("_") or not known.keys() & {"map", "map_fd"}:
            raise AttributeError(name)
        if "map" not in known:
            self._stand_on_what_a_script_opened()
            return getattr(self, name)
        raise UnsupportedError(f"{type(self).__name__} {self.map.name}: skep has no {name}() of BCC's tables")

    def key_sprintf(self, key: Any) -> bytes:
        """A key as text.

        Args:
            key: of the type `Key`.
        """
        return to_text(key).encode()

    def leaf_sprintf(self, leaf: Any) -> bytes:
        """A value as text.

        Args:
            leaf: of the type `Leaf`.
        """
        return to_text(leaf).encode()

    def key_scanf(self, key_str: str | bytes) -> Any:
        """A key from text.

        Args:
            key_str: as `key_sprintf` writes it.

        Raises:
            UsageError: it is not that of a key.
        """
        return from_text(self.Key, os.fsdecode(key_str))

    def leaf_scanf(self, leaf_str: str | bytes) -> Any:
        """A value from text.

        Args:
            leaf_str: as `leaf_sprintf` writes it.

        Raises:
            UsageError: it is not that of a value.
        """
        return from_text(self.Leaf, os.fsdecode(leaf_str))

    def _read(self, type_: Any, data: bytes) -> Any:
        """What bytes of the kernel's are; one that a script takes for larger ends in zeros."""
        return type_.from_buffer_copy(data.ljust(ctypes.sizeof(type_), b"\0"))

    def _bytes(self, type_: Any, size: int, given: Any) -> bytes:
        """What a script gives as a key or a value, as the kernel has it."""
        if isinstance(given, (bytes, str)) and issubclass(type_, ctypes.Array):
            given = type_(*(given.encode() if isinstance(given, str) else given))
        elif isinstance(given, (int, float)):
            given = type_(given)
        data = bytes(given)
        return data[:size].ljust(size, b"\0")

    def _key(self, key: Any) -> bytes:
        return self._bytes(self.Key, self.map.key_type.size, key)

    def _leaf(self, leaf: Any) -> Any:
        return self._bytes(self.Leaf, self.map.value_type.size, leaf)


def _in_bytes(map_: Map) -> Any:
    """The same map, with keys and values as bytes."""
    spec = map_.spec
    sizes = [Type("bytes", type_.size, f"{type_.size} bytes") for type_ in (map_.key_type, map_.value_type)]
    told = MapSpec(spec.name, spec.type, spec.max_entries, sizes[1], key=sizes[0], flags=spec.flags, inner=spec.inner)
    return open_map(told, map_.fd, map_.max_entries)
