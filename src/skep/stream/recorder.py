"""`Recorder`: records as columns in an Arrow stream, readable as far as it was written. Imports pyarrow and NumPy.

A column a field, of the type that its meaning has, and:

    _event    which kind of record it is, where the run has several: the name of its struct, else with its source
    _round    after how many intervals maps and iterators were read, where maps are
    _record   the record as the kernel wrote it, from which `skep.stream.recording` gives it back

Fields of one name and type of several kinds share a column; where the types differ, each kind has its own, called
after the kind. What is known at the start stands in the stream's metadata (key `skep`, JSON: the layouts, resolved
names, what ran where), what is known at the end in that of its last batch, which is empty (`skep.end`: the account).

Parquet keeps its index at the end of the file, so that one which is cut short is worth nothing: it is made of such a
stream once that is whole (`to_parquet`).
"""

from __future__ import annotations

import json
import os

import numpy as np
import pyarrow as pa

from skep.base.plain import schema_to_plain
from skep.base.progress import Work
from skep.stream.batch import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, BinaryIO

    from skep.base.schema import Schema
    from skep.stream.names import Names

__all__ = ["END", "START", "VERSION", "Recorder", "to_parquet"]

START, END = b"skep", b"skep.end"
"""The keys of the metadata."""
VERSION = 1

_OWN = ("_event", "_round", "_record")
# Rows of a row group: what whoever reads Parquet has to hold at once.
_ROW_GROUP = 1 << 17


class Recorder:
    """Writes the records of a run.

    Args:
        sink: where to.
        schemas: those of the run, with the map, ring or program that each comes from.
        names: resolved names of the run; moments are told by its clocks.
        about: what else is known: as JSON takes it.
        samples: the annotations ``@sample`` of maps, by the schemas of their entries.
    """

    def __init__(
        self,
        sink: BinaryIO,
        schemas: Iterable[tuple[str, Schema]],
        names: Names,
        about: Mapping[str, Any],
        samples: Mapping[Schema, Mapping[str, Any]],
    ) -> None:
        self._sink = sink
        self._names = names
        self._round = 0
        self._kinds = _named(schemas)
        self.schema, self._places = self._columns(rounds=bool(samples))
        start = {
            "version": VERSION,
            "kinds": [
                {"name": name, "schema": schema_to_plain(schema), "sample": samples.get(schema)}
                for schema, name in self._kinds.items()
            ],
            "names": names.plain(),
            "about": about,
        }
        self.schema = self.schema.with_metadata({START: json.dumps(start)})
        self._writer = pa.ipc.new_stream(sink, self.schema)

    def _columns(self, *, rounds: bool) -> tuple[pa.Schema, dict[Schema, list[str]]]:
        """The columns, and what those of each kind are called."""
        found = {schema: self._table(_empty(schema)).schema for schema in self._kinds}
        types: dict[str, set[Any]] = {name: {None} for name in _OWN}
        for columns in found.values():
            for column in columns:
                types.setdefault(column.name, set()).add(column.type)
        places = {
            schema: [
                column.name if len(types[column.name]) == 1 else f"{self._kinds[schema]}_{column.name}"
                for column in columns
            ]
            for schema, columns in found.items()
        }
        fields = {"_event": pa.dictionary(pa.int32(), pa.string())} if len(found) > 1 else {}
        for schema, columns in found.items():
            fields |= dict(zip(places[schema], columns.types, strict=True))
        fields |= {"_round": pa.int32()} if rounds else {}
        return pa.schema([*fields.items(), ("_record", pa.binary())]), places

    def _table(self, batch: Batch) -> pa.Table:
        return batch.to_arrow(self._names.clocks)

    def write(self, batch: Batch) -> None:
        """Writes records. They can be read from now on.

        Raises:
            OSError: the sink takes no more.
        """
        if not batch.count:
            return
        known = self._table(batch)
        columns = dict(zip(self._places[batch.schema], known.columns, strict=True))
        columns["_record"] = _records(batch)
        if "_round" in self.schema.names:
            columns["_round"] = pa.array(np.full(batch.count, self._round, np.int32))
        if "_event" in self.schema.names:
            kinds = pa.array([self._kinds[batch.schema]], pa.string())
            columns["_event"] = pa.DictionaryArray.from_arrays(np.zeros(batch.count, np.int32), kinds)
        whole = [
            columns[field.name] if field.name in columns else pa.nulls(batch.count, field.type) for field in self.schema
        ]
        self._writer.write_table(pa.Table.from_arrays(whole, schema=self.schema))
        self._sink.flush()

    def passed(self) -> None:
        """Notes that an interval has passed: maps will be read anew."""
        self._round += 1

    def finish(self, end: Mapping[str, Any]) -> bytes:
        """Writes what is known at the end only, and ends the stream.

        Args:
            end: the account of the run, as JSON takes it.

        Returns:
            The metadata `END`.
        """
        told = json.dumps({"names": self._names.plain(), "account": end}).encode()
        nothing = pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in self.schema], schema=self.schema)
        self._writer.write_batch(nothing, custom_metadata={END: told})
        self._writer.close()
        self._sink.flush()
        return told


def to_parquet(journal: BinaryIO, sink: BinaryIO, end: bytes) -> None:
    """Makes Parquet of a stream, a row group at a time.

    Args:
        journal: what a `Recorder` has written, whole.
        sink: where to.
        end: what its `finish` gave.

    Raises:
        OSError: the sink takes no more.
    """
    from pyarrow import parquet

    size = max(journal.seek(0, os.SEEK_END), 1)
    journal.seek(0)
    stream = pa.ipc.open_stream(journal)
    schema = stream.schema.with_metadata({**stream.schema.metadata, END: end})
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer, Work("making Parquet") as work:
        for batches in _groups(stream):
            work.step(journal.tell() / size)
            writer.write_table(pa.Table.from_batches(batches, schema=stream.schema).cast(schema), _ROW_GROUP)


def _groups(stream: Iterable[Any]) -> Iterator[list[Any]]:
    held: list[Any] = []
    rows = 0
    for batch in stream:
        held.append(batch)
        rows += len(batch)
        if rows >= _ROW_GROUP:
            yield held
            held, rows = [], 0
    if held:
        yield held


def _named(schemas: Iterable[tuple[str, Schema]]) -> dict[Schema, str]:
    """What each kind is called: as its struct, and where several are called so, with what they come from."""
    known = list(schemas)
    names = [schema.name for _, schema in known]
    called: dict[Schema, str] = {}
    for source, schema in known:
        name = schema.name if names.count(schema.name) == 1 else f"{source}_{schema.name}"
        while name in called.values():
            name += "_"
        called.setdefault(schema, name)
    return called


def _empty(schema: Schema) -> Batch:
    stride = schema.size or 1
    return Batch(memoryview(bytearray()), 0, stride=stride, offsets=None, schema=schema, lost=0, source="", cpu=None)


def _records(batch: Batch) -> pa.Array:
    if batch.offsets is None:
        stride = batch.stride or 0
        offsets = pa.py_buffer(np.arange(batch.count + 1, dtype=np.int32) * np.int32(stride))
    else:
        offsets = pa.py_buffer(batch.offsets)
    return pa.Array.from_buffers(pa.binary(), batch.count, [None, offsets, pa.py_buffer(batch.buffer)])
