"""Maps as records: what programs have counted in them, read whole. An entry is one record: its key, then its value.

The members of structs are fields of their own; other keys and values are called `key` and `value`. Of a map with values
for all CPUs these are added up. Entries of arrays that hold nothing but zeros are left out.
"""

from __future__ import annotations

from skep.base.abi.maps import MAP_TYPES
from skep.base.schema import Field, Schema, Type
from skep.spec.meanings import with_meanings
from skep.spec.objectspec import TREE
from skep.stream.batch import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    import numpy as np

    from skep.spec.objectspec import MapSpec, ObjectSpec

    Array = np.ndarray[Any, Any]

__all__ = ["is_taken", "read_table", "stated_interval", "table_schemas"]

_KINDS = frozenset({"hash", "lru_hash", "array", "percpu_hash", "lru_percpu_hash", "percpu_array", "lpm_trie"})
_NUMBER = Type("int", 4, "u32")


def table_schemas(spec: ObjectSpec) -> dict[str, Schema]:
    """The maps that a run shows, with the layout of their entries: by name.

    Those with an annotation ``@sample`` are; where none has one and nothing else is sent, all that are tables.

    Args:
        spec: the kernel file.
    """
    tables = {name: each for name, each in spec.maps.items() if _is_table(each)}
    sampled = {name: each for name, each in tables.items() if "sample" in each.note.marks}
    if not sampled and (spec.events or spec.prints):
        return {}
    return {name: _schema(each) for name, each in (sampled or tables).items()}


def stated_interval(spec: ObjectSpec, tables: Collection[str]) -> float | None:
    """How often the maps that a run shows are to be read, in seconds, as ``@sample`` says; None where it does not.

    Args:
        spec: the kernel file.
        tables: the names of those maps.
    """
    stated = [spec.maps[name].note.object("sample").get("interval", 0) for name in tables]
    return min((interval for interval in stated if interval), default=0) / 1000 or None


def is_taken(table: Any) -> bool:
    """Whether the entries of a map are taken out of it as they are read: its annotation says ``clear_map``.

    Args:
        table: the map, one of `skep.kernel.maps`.
    """
    if "array" in table.kind or table.kind == "lpm_trie":
        return False
    return _is_cleared(table)


def _is_cleared(table: Any) -> bool:
    return bool(table.spec.note.object("sample").get("clear_map"))


def read_table(table: Any, schema: Schema, seen: dict[str, Any] | None = None) -> Batch:
    """The entries of a map as they are now. Imports NumPy.

    Args:
        table: the map, one of `skep.kernel.maps`. Where its annotation says ``clear_map``, the entries of a hash are
            taken out of it as they are read.
        schema: as `table_schemas` gives it.
        seen: what arrays held when they were read before, by the name of the map. An array's entries cannot be taken
            out: where its annotation says ``clear_map``, what has been added since is given.

    Raises:
        MapError: the kernel refuses it, or programs change the map faster than it can be walked.
    """
    import numpy as np

    is_array = "array" in table.kind
    keys, values = table.to_array(take=is_taken(table), cpus="sum")
    if is_array and seen is not None and _is_cleared(table) and _adds_up(table.spec.value):
        now, before = values, seen.get(table.name)
        values, seen[table.name] = now if before is None else _since(now, before), now
    parts = [np.ascontiguousarray(each).view(np.uint8).reshape(len(keys), -1) for each in (keys, values) if len(keys)]
    entries = np.hstack(parts) if parts else np.empty((0, schema.size), np.uint8)
    if is_array:
        entries = entries[entries[:, table.key_type.size :].any(axis=1)]
    return Batch(
        memoryview(entries.tobytes()),
        len(entries),
        stride=schema.size,
        offsets=None,
        schema=schema,
        lost=0,
        source=table.name,
        cpu=None,
    )


def _since(now: Array, before: Array) -> Array:
    """What was added to each number."""
    if now.dtype.names is None:
        return now - before
    added = now.copy()
    for name in now.dtype.names:
        added[name] = _since(now[name], before[name])
    return added


def _is_table(declared: MapSpec) -> bool:
    kind = MAP_TYPES.get(declared.type, "")
    # A name with a dot is that of a section of the object, in which variables live; the tree is skep's own.
    if (
        kind not in _KINDS
        or "." in declared.name
        or declared.name == TREE
        or not declared.value
        or not declared.value.size
    ):
        return False
    return not kind.startswith(("percpu", "lru_percpu")) or _adds_up(declared.value)


def _adds_up(held: Type) -> bool:
    """Whether values can be added up number by number."""
    if held.kind == "struct":
        return all(field.bits is None and _adds_up(field.type) for field in held.fields)
    if held.kind == "array" and held.element is not None:
        return _adds_up(held.element)
    return held.kind in {"int", "enum"} and held.size <= 8


def _schema(declared: MapSpec) -> Schema:
    key, value = declared.key or _NUMBER, declared.value
    assert value is not None, "a table has values"
    fields = _members("key", key, 0, {})
    fields += _members("value", value, key.size, {field.name: field for field in fields})
    return with_meanings(Schema(declared.name, key.size + value.size, tuple(fields)), ())


def _members(name: str, held: Type, start: int, taken: Mapping[str, Field]) -> list[Field]:
    # A struct without a member that is shown is itself one field.
    if held.kind != "struct" or not any(field.name for field in held.fields):
        return [Field(name, start, held.size, held)]
    return [
        Field(
            f"{name}_{field.name}" if field.name in taken else field.name,
            start + field.offset,
            field.size,
            field.type,
            field.meaning,
            field.bits,
        )
        for field in held.fields
    ]
