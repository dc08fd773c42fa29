"""`Recording`: a file that `skep.stream.recorder` wrote is one more stream of batches. Imports pyarrow.

It may come from anybody, be cut short or damaged. A stream is read as far as it was written: a run that was killed
leaves one without an end.
"""

from __future__ import annotations

import json

from skep._native import ffi, lib
from skep.base.errors import RecordingError, SourceNotFoundError, UnsupportedError
from skep.base.plain import schema_from_plain
from skep.stream.batch import Batch
from skep.stream.names import Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Self

    import pyarrow as pa

    from skep.base.schema import Schema

__all__ = ["NO_ARROW", "PARQUET", "Recording", "read_stream"]

NO_ARROW = "pip install 'skep[arrow]'"
"""What to do where there is no pyarrow."""

PARQUET = b"PAR1"
"""What a Parquet file begins with; any other is taken for an Arrow stream."""
# What pyarrow, JSON and what we make of it raise where the bytes are not what they should be.
_DAMAGE: tuple[type[Exception], ...] = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OSError,
    NotImplementedError,
)
_DAMAGE += (OverflowError, MemoryError, RecursionError)
# A batch has no more records, and no more bytes once those that were cut short are filled up.
_RECORDS = 1 << 16
_BYTES = 1 << 26


class Recording:
    """A recording: a context manager.

    Args:
        path: of the file: Parquet, or an Arrow stream.

    Raises:
        SourceNotFoundError: it cannot be read.
        RecordingError: it is no recording, damaged, or of another version.
        UnsupportedError: pyarrow is not installed.

    `schemas` are the kinds of its records, by name, `samples` the annotations of those that are entries of maps,
    `names` the resolved names, `about` what ran, and where. `account` is that of the run; None until its end was
    read, and for good where the run was killed or the file is cut short.
    """

    def __init__(self, path: str) -> None:
        try:
            import pyarrow as pa
        except ImportError:
            raise UnsupportedError("reading recordings needs pyarrow", remedy=NO_ARROW) from None
        self._path = path
        self.account: dict[str, Any] | None = None
        try:
            self._file = pa.OSFile(path)
        except OSError as error:
            raise SourceNotFoundError(f"{path} cannot be read: {_reason(error)}") from None
        try:
            self._open()
        except BaseException as error:
            self._file.close()
            if isinstance(error, _DAMAGE) and not isinstance(error, RecordingError):
                raise self._wrong(error) from error
            raise

    def _open(self) -> None:
        import pyarrow as pa

        self._is_parquet = self._file.read(len(PARQUET)) == PARQUET
        self._file.seek(0)
        if self._is_parquet:
            from pyarrow import parquet

            self._parquet = parquet.ParquetFile(self._file)
            schema = self._parquet.schema_arrow
        else:
            self._stream = pa.ipc.open_stream(self._file)
            schema = self._stream.schema
        from skep.stream.recorder import END, START, VERSION

        metadata = schema.metadata or {}
        if START not in metadata:
            raise RecordingError(f"{self._path} is no recording of skep", remedy="skep query reads any Parquet.")
        start = json.loads(metadata[START])
        if int(start["version"]) != VERSION:
            raise RecordingError(
                f"{self._path} was written by another version of skep (format {int(start['version'])}, not {VERSION})",
                remedy="Replay it with the skep that wrote it; skep query reads it nevertheless.",
            )
        self.schemas = {str(kind["name"]): schema_from_plain(kind["schema"]) for kind in start["kinds"]}
        self.samples: dict[Schema, dict[str, Any]] = {
            self.schemas[kind["name"]]: dict(kind["sample"]) for kind in start["kinds"] if kind["sample"] is not None
        }
        self.about = dict(start["about"])
        self.names = Names.from_plain(start["names"])
        self._rows = 0
        self._columns = [name for name in ("_event", "_round", "_record") if name in schema.names]
        if "_record" not in self._columns or ("_event" not in self._columns and len(self.schemas) != 1):
            raise ValueError("it lacks the records")
        if END in metadata:
            self._finish(metadata[END])

    def _finish(self, told: bytes) -> None:
        end = json.loads(told)
        self.names.set(Names.from_plain(end["names"]))
        self.account = dict(end["account"])

    def _wrong(self, error: Exception) -> RecordingError:
        return RecordingError(
            f"{self._path} is no recording, or damaged: {_reason(error)}",
            remedy="A run that was killed leaves FILE.part, which can be replayed.",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def read(self) -> float:
        """How much of it was read: from 0 to 1."""
        if self._is_parquet:
            return self._rows / max(int(self._parquet.metadata.num_rows), 1)
        return int(self._file.tell()) / max(int(self._file.size()), 1)

    def batches(self, passed: Callable[[], None] = lambda: None) -> Iterator[Batch]:
        """The records, in the order in which they came.

        Args:
            passed: is called where an interval of the run had passed.

        Raises:
            RecordingError: the file is damaged from here on.
        """
        last = 0
        for name, turn, records in self._told():
            if turn != last:
                passed()
                last = turn
            yield from _batches(records, self.schemas[name], name)

    def _told(self) -> Iterator[tuple[str, int, pa.Array]]:
        """Records of one kind and round that follow one another: the kind, the round, the records."""
        try:
            for table in self._tables():
                yield from self._runs(table)
        except _DAMAGE as error:
            raise self._wrong(error) from error

    def _tables(self) -> Iterator[pa.RecordBatch]:
        if self._is_parquet:
            for batch in self._parquet.iter_batches(_RECORDS, columns=self._columns):
                self._rows += len(batch)
                yield batch
            return
        import pyarrow as pa

        from skep.stream.recorder import END

        while True:
            try:
                batch, metadata = self._stream.read_next_batch_with_custom_metadata()
            except StopIteration:
                return
            except (pa.ArrowInvalid, OSError):
                # Cut short in the midst of a batch: as a run does that is killed, or a disk that is full.
                return
            if metadata is not None and END in metadata:
                self._finish(metadata[END])
            elif len(batch):
                for start in range(0, len(batch), _RECORDS):
                    yield batch.select(self._columns).slice(start, _RECORDS)

    def _runs(self, table: pa.RecordBatch) -> Iterator[tuple[str, int, pa.Array]]:
        import numpy as np
        import pyarrow as pa

        table.validate(full=True)
        records = table.column("_record")
        if records.type != pa.binary() or records.null_count:
            raise ValueError("its records are none")
        told = [np.zeros(len(table), np.int64)] * 2
        names = list(self.schemas)
        if "_event" in self._columns:
            kinds = table.column("_event").cast(pa.string())
            places = kinds.dictionary_encode()
            told[0], names = np.asarray(places.indices), places.dictionary.to_pylist()
        if "_round" in self._columns:
            told[1] = np.asarray(table.column("_round"))
        changes = np.flatnonzero((np.diff(told[0]) != 0) | (np.diff(told[1]) != 0)) + 1
        for start, end in zip([0, *changes], [*changes, len(table)], strict=True):
            name = names[told[0][start]]
            if name not in self.schemas:
                raise ValueError(f"there is no kind {name!r}")
            yield name, int(told[1][start]), records.slice(start, end - start)


def read_stream(path: str) -> pa.Table:
    """An Arrow stream as a table, as far as it was written. Spans of time are numbers, with which SQL reckons.

    Args:
        path: of the file.

    Raises:
        RecordingError: it is none.
    """
    import pyarrow as pa

    batches = []
    try:
        with pa.OSFile(path) as file, pa.ipc.open_stream(file) as stream:
            schema = stream.schema
            try:
                for batch in stream:
                    batch.validate(full=True)
                    batches.append(batch)
            except OSError:
                pass  # cut short
        table = pa.Table.from_batches(batches, schema=schema)
    except _DAMAGE as error:
        raise RecordingError(f"{path} is neither Parquet nor an Arrow stream, or damaged: {_reason(error)}") from None
    spans = [(index, each.name) for index, each in enumerate(schema) if pa.types.is_duration(each.type)]
    for index, name in spans:
        table = table.set_column(index, name, table.column(index).cast(pa.int64()))
    return table


def _batches(records: pa.Array, schema: Schema, source: str) -> Iterator[Batch]:
    _, offsets, data = records.buffers()
    # The buffer itself may have any length.
    places = memoryview(offsets).cast("B")[4 * records.offset :][: 4 * (len(records) + 1)].cast("I")
    buffer = memoryview(data).cast("B") if data is not None else memoryview(b"")
    most = max(1, _BYTES // max(schema.size, 1))
    for start in range(0, len(records), most):
        part = places[start : start + most + 1]
        count = len(part) - 1
        stride = lib.skep_stride(ffi.from_buffer("uint32_t[]", part), count)
        yield Batch(
            buffer[part[0] : part[count]] if stride else buffer,
            count,
            stride=stride or None,
            offsets=None if stride else part,
            schema=schema,
            lost=0,
            source=source,
            cpu=None,
        )


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
