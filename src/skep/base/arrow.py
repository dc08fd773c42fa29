"""Structured arrays as Arrow tables: a column a field, of the type that its meaning has. Imports pyarrow and NumPy."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa

from skep.base.meaning import MEANINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from skep.base.schema import Field, Schema, Type

    Values = np.ndarray[Any, Any]

__all__ = ["texts_to_arrow", "to_column", "to_table"]

_SCALARS = frozenset({"int", "enum", "pointer"})


def to_table(schema: Schema, records: Values, clocks: Mapping[str, int]) -> pa.Table:
    """An Arrow table of records.

    Args:
        schema: their layout.
        records: a structured array of the schema's dtype.
        clocks: nanoseconds from each clock to the Unix epoch, by the meaning that its moments have.
    """
    names = [field.name or f"_{index}" for index, field in enumerate(schema.fields)]
    columns = [_member(field, records[name], clocks) for field, name in zip(schema.fields, names, strict=True)]
    return pa.Table.from_arrays(columns, names=names)


def texts_to_arrow(values: list[bytes]) -> pa.Array:
    r"""Texts up to their first NUL, dictionary-encoded. A byte that is not UTF-8 is written as ``\xNN``.

    Args:
        values: the texts.
    """
    return _texts(pa.array(values, pa.binary()))


def _member(field: Field, values: Values, clocks: Mapping[str, int]) -> pa.Array:
    if field.bits is not None:
        return pa.array(_bits(values, field))
    return to_column(field.type, field.meaning, values, clocks)


def to_column(held: Type, meaning: str | None, values: Values, clocks: Mapping[str, int]) -> pa.Array:
    """An Arrow array of values of one type.

    Args:
        held: the type.
        meaning: what they stand for, or None.
        values: an array of the type's dtype.
        clocks: as for `to_table`.
    """
    word = MEANINGS.get(meaning or "")
    if word is not None and word.arrow.startswith("binary") and held.size in {4, 6, 16}:
        return _bytes(values, held.size)
    if held.kind == "text" or (word is not None and word.kind == "text" and _is_octets(held)):
        return _texts(_bytes(values, held.size).cast(pa.binary())) if held.size else pa.array([""] * len(values))
    if held.kind in _SCALARS and held.size <= 8:
        return _numbers(values, word.name if word is not None else "", clocks)
    match held.kind:
        case "bool":
            return pa.array(np.ascontiguousarray(values))
        case "float" if held.size <= 8:
            return pa.array(np.ascontiguousarray(values))
        case "struct" | "union" if held.fields:
            names = [field.name or f"_{index}" for index, field in enumerate(held.fields)]
            members = [_member(field, values[name], clocks) for field, name in zip(held.fields, names, strict=True)]
            return pa.StructArray.from_arrays(members, names=names)
        case "array" if held.element is not None and held.size:
            elements = values.reshape(-1, *values.shape[2:])
            return pa.FixedSizeListArray.from_arrays(to_column(held.element, meaning, elements, clocks), held.count)
        case "array":
            return pa.array([[]] * len(values), pa.list_(pa.null()))
        case _:
            return _bytes(values, held.size) if held.size else pa.array([b""] * len(values), pa.binary())


def _is_octets(held: Type) -> bool:
    return held.kind == "bytes" or (held.element is not None and held.element.size == 1)


def _numbers(values: Values, meaning: str, clocks: Mapping[str, int]) -> pa.Array:
    word = MEANINGS.get(meaning)
    if word is None:
        return pa.array(np.ascontiguousarray(values))
    unit = word.arrow.partition("[")[2].rstrip("]")
    if word.kind == "time":
        moments = values.astype(np.int64)
        # Zero: never set.
        return pa.array(moments + np.int64(clocks[meaning]), mask=moments == 0).view(pa.timestamp(unit, "UTC"))
    if word.kind == "duration":
        return pa.array(values.astype(np.int64)).view(pa.duration(unit))
    target = np.dtype(word.arrow)
    # Never to a narrower type; and what may be negative stays so.
    if values.dtype.itemsize <= target.itemsize and not (values.dtype.kind == "i" and target.kind == "u"):
        values = values.astype(target)
    return pa.array(np.ascontiguousarray(values))


def _texts(values: pa.Array) -> pa.Array:
    encoded = values.dictionary_encode()
    known = [raw.as_py().partition(b"\0")[0].decode("utf-8", "backslashreplace") for raw in encoded.dictionary]
    # What differed behind the NUL alone is the same text.
    texts = pa.array(known, pa.string()).dictionary_encode()
    indices = texts.indices.take(encoded.indices) if known else pa.array([], pa.int32())
    return pa.DictionaryArray.from_arrays(indices, texts.dictionary)


def _bytes(values: Values, size: int) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(size), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _bits(values: Values, field: Field) -> Values:
    assert field.bits is not None
    shift, width = field.bits
    octets = np.zeros((len(values), 8), np.uint8)
    raw = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8).reshape(len(values), field.size)
    if sys.byteorder == "big":
        shift = field.size * 8 - shift - width
        octets[:, 8 - field.size :] = raw
    else:
        octets[:, : field.size] = raw
    numbers: Values = octets.view(np.uint64)[:, 0] >> np.uint64(shift) & np.uint64((1 << width) - 1)
    if field.type.kind == "bool":
        return numbers.astype(np.bool_)
    if field.type.signed:
        top = np.uint64(64 - width)
        numbers = (numbers << top).view(np.int64) >> top.astype(np.int64)
    return numbers
