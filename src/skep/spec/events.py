"""What rings carry and iterators write: the layouts of the records of each, and what tells them apart.

The evidence, best first: what the user says (`--event`, or a package), what the source said when it was compiled (the
`.skep` section), the type of the ring's values, and what BTF keeps for nothing else. Where it does not suffice nothing
is guessed: the records are bytes, and `EventSpec.question` says how to answer.
"""

from __future__ import annotations

from skep.base.errors import ObjectFormatError, UsageError
from skep.base.schema import Field, Schema, Type
from skep.spec.btf import POINTER, Btf
from skep.spec.document import RESTATED, SECTION, TYPES, type_variable
from skep.spec.meanings import with_meanings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from skep.spec.document import Document
    from skep.spec.elf import Elf
    from skep.spec.objectspec import MapSpec

__all__ = ["PERF_SENDERS", "RING_SENDERS", "SEQUENCE_WRITERS", "EventSpec", "TagSpec", "find_events"]

# Helpers that send records: perf_event_output, skb_output, xdp_output; ringbuf_output, ringbuf_reserve,
# ringbuf_reserve_dynptr.
PERF_SENDERS = frozenset({25, 111, 121})
RING_SENDERS = frozenset({130, 131, 198})
# What iterators write with: seq_printf, seq_printf_btf; seq_write.
_PRINTERS, _WRITER = frozenset({126, 150}), 127
SEQUENCE_WRITERS = _PRINTERS | {_WRITER}
# Programs send less than this: the size of a perf record has 16 bits, and no ring has to hold more.
_LARGEST_RECORD = 1 << 24
# A question names no more types than this.
_MOST_CANDIDATES = 8


class TagSpec:
    """The field that tells several types of one ring apart.

    Args:
        field: all types have it, at this place.
        schemas: the layouts, by the field's value as an unsigned number.
    """

    __slots__ = ("field", "schemas")

    def __init__(self, field: Field, schemas: Mapping[int, Schema]) -> None:
        self.field = field
        self.schemas = schemas


class EventSpec:
    """The records that one ring carries, or one iterator writes.

    Args:
        map: the ring's name; that of the program, for an iterator.
        schemas: the layouts of its records; if there are several, each has another size, or the tag tells them apart.
        padded: are its records padded by the kernel, as those of perf buffers: to 4 less than a multiple of 8?
        tag: what tells the layouts apart before their sizes do, or None.
        question: what the user has to say so that the layout is known; "" where it is.
    """

    __slots__ = ("_padded", "map", "question", "schemas", "tag")

    def __init__(
        self,
        map: str,  # noqa: A002
        schemas: tuple[Schema, ...],
        *,
        padded: bool = False,
        tag: TagSpec | None = None,
        question: str = "",
    ) -> None:
        self.map = map
        self.schemas = schemas
        self.tag = tag
        self.question = question
        self._padded = padded

    def sent_size(self, schema: Schema) -> int:
        """How many bytes a whole record has when it arrives.

        Args:
            schema: one of these.
        """
        return _sent_size(schema, padded=self._padded)


def _sent_size(schema: Schema, *, padded: bool) -> int:
    return schema.size + (-schema.size - 4) % 8 if padded else schema.size


def find_events(
    elf: Elf,
    btf: Btf,
    maps: Mapping[str, MapSpec],
    helpers: frozenset[int],
    iterators: Mapping[str, frozenset[int]],
    document: Document,
    asked: Collection[str],
    file: str,
) -> dict[str, EventSpec]:
    """The rings and iterators that records come from, by name.

    Args:
        elf: the object.
        btf: its types.
        maps: its maps.
        helpers: the numbers of the helpers that it calls.
        iterators: the numbers of those that write what is read of it, by name of the iterator.
        document: what is said of it.
        asked: the rings and iterators whose types the user, or a package, says; not the object itself.
        file: the object's name, for messages.

    Raises:
        UsageError: a map or a type that was asked for is not there.
        ObjectFormatError: the document names a type that is not there, or a record is too large to be sent.
    """
    for name in asked:
        _check_source(name, [*(spec.name for spec in maps.values() if spec.is_stream), *iterators], file)
    finder = _Finder(elf, btf, helpers, document, asked, file)
    # A perf event array may also serve to read counters: then nothing calls a helper that sends.
    sent = [
        spec
        for spec in maps.values()
        if spec.is_stream
        and (spec.name in document.events or helpers & (RING_SENDERS if spec.is_ring else PERF_SENDERS))
    ]
    known = {spec.name: finder.stated(spec) for spec in sent}
    unknown = [spec.name for spec in sent if not known[spec.name]]
    spare = finder.spare() if unknown else []
    if len(unknown) == 1:
        known[unknown[0]] = spare
    found = {spec.name: finder.event(spec, known[spec.name], spare) for spec in sent}
    return found | {name: finder.written(name, own) for name, own in iterators.items() if own}


def _check_source(name: str, sources: Sequence[str], file: str) -> None:
    if name in sources:
        return
    from difflib import get_close_matches

    near = get_close_matches(name, sources, 1)
    raise UsageError(
        f"{file}: there is no ring buffer, perf event array or iterator {name}",
        remedy=f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sources) or 'none'}.",
    )


class _Finder:
    def __init__(
        self, elf: Elf, btf: Btf, helpers: frozenset[int], document: Document, asked: Collection[str], file: str
    ) -> None:
        self._document = document
        self._asked = asked
        self._elf = elf
        self._btf = btf
        self._helpers = helpers
        self._file = file
        self._pointers = btf.variables(TYPES)
        self._schemas: dict[tuple[str, Type], Schema] = {}

    def stated(self, ring: MapSpec) -> list[tuple[str, Type]]:
        """The types that the documents or the map itself state, by their names in C."""
        types = self._told(ring.name)
        if types:
            return types
        # The value of a perf event array is a file descriptor, unless it is there as a hint.
        hints = {"struct", "union"} if not ring.is_ring else None
        if ring.value is None or (hints is not None and ring.value.kind not in hints):
            return []
        return [(ring.value.name, ring.value)]

    def _told(self, source: str) -> list[tuple[str, Type]]:
        return [(name, self._named(name, source)) for name in self._document.events.get(source, ())]

    def spare(self) -> list[tuple[str, Type]]:
        """The structs that BTF keeps for no other use: it may be that they lie on a ring."""
        from skep.spec.spare import spare_types

        types = [self._btf.type(number) for number in spare_types(self._elf, self._btf)]
        return [(type_.name, type_) for type_ in types]

    def event(self, ring: MapSpec, types: Sequence[tuple[str, Type]], spare: Sequence[tuple[str, Type]]) -> EventSpec:
        """What a ring carries, if that is one of these types."""
        names = [name for name, _ in types]
        schemas = tuple(self._schema(ring.name, type_) for _, type_ in types)
        padded = not ring.is_ring
        if not schemas or not all(schema.size for schema in schemas):
            return _open(ring.name, [name for name, _ in spare])
        tag = self._tag(ring.name, names, schemas)
        if tag is None and len({_sent_size(schema, padded=padded) for schema in schemas}) < len(schemas):
            return _open(ring.name, names)
        return EventSpec(ring.name, schemas, padded=padded, tag=tag)

    def written(self, program: str, helpers: frozenset[int]) -> EventSpec:
        """What an iterator writes: lines, where it prints, or else records."""
        types = self._told(program)
        if helpers & _PRINTERS or (types and all(type_.kind == "text" for _, type_ in types)):
            line = Field("line", 0, 0, Type("text", 0, "char[]"), "text")
            return EventSpec(program, (Schema(program, 0, (line,)),))
        names = [name for name, _ in types]
        schemas = tuple(self._schema(program, type_) for _, type_ in types)
        tag = self._tag(program, names, schemas) if len(schemas) > 1 else None
        # Nothing stands between one record and the next: only a tag can tell where the next one begins.
        if not schemas or not all(schema.size for schema in schemas) or (tag is None and len(schemas) > 1):
            return _open(program, names, "program")
        return EventSpec(program, schemas, tag=tag)

    def _schema(self, source: str, type_: Type) -> Schema:
        if type_.size > _LARGEST_RECORD:
            raise ObjectFormatError(f"{self._file}: records of {type_.size} bytes ({source}) cannot be sent")
        whole = type_.kind in {"struct", "union"}
        key = ("" if whole else source, type_)
        if key not in self._schemas:
            formatted = self._formatted(type_)
            fields = formatted.fields if whole else (Field("value", 0, type_.size, formatted),)
            name = type_.name.rpartition(" ")[2].removesuffix(RESTATED) if whole and "{" not in type_.name else source
            self._schemas[key] = with_meanings(Schema(name, type_.size, fields), self._helpers)
        return self._schemas[key]

    def _formatted(self, type_: Type) -> Type:
        """The type with the meanings that @format gives to its fields, and to those of the structs in it."""
        if not self._document.formats or not type_.fields:
            return type_
        given = self._document.formats.get(type_.name, {})
        fields = tuple(
            Field(
                field.name,
                field.offset,
                field.size,
                self._formatted(field.type),
                given.get(field.name, field.meaning),
                field.bits,
            )
            for field in type_.fields
        )
        return Type(type_.kind, type_.size, type_.name, fields=fields)

    def _tag(self, ring: str, names: Sequence[str], schemas: Sequence[Schema]) -> TagSpec | None:
        tag = self._document.tags.get(ring)
        # An object linked from several may carry types of which only some have been told apart.
        if tag is None or not set(names) <= set(tag.values):
            return None
        fields = [_member(schema.fields, tag.field) for schema in schemas]
        first = fields[0]
        if first is None or any(
            field is None or (field.offset, field.size) != (first.offset, first.size) for field in fields
        ):
            raise self._damaged(f"the types of {ring} have no field {tag.field} in one place")
        mask = (1 << first.size * 8) - 1
        values = [{value & mask for value in tag.values[name]} for name in names]
        if sum(map(len, values)) > len(set().union(*values)) or not all(values):
            raise self._damaged(f"{tag.field} does not tell the types of {ring} apart")
        return TagSpec(first, {value: schema for schema, own in zip(schemas, values, strict=True) for value in own})

    def _named(self, name: str, ring: str) -> Type:
        """The type that C calls by that name: the section with the pointers knows, or BTF by name."""
        _, variable = self._pointers.get(type_variable(name), (0, 0))
        pointer = self._btf.raw(self._btf.strip(variable))
        if pointer.kind == POINTER:
            return self._btf.type(pointer.size_or_type)
        if ring not in self._asked:
            raise self._damaged(f"its BTF has no {name}")
        number = self._btf.named(name)
        if number is None:
            from difflib import get_close_matches

            known = sorted(self._btf.names())
            # Who forgets the word means the struct.
            near = [each for each in known if each.endswith(f" {name}")] or get_close_matches(name, known, 1)
            raise UsageError(
                f"{self._file}: {ring} cannot carry {name}: there is no such type",
                remedy=f"Did you mean {near[0]}?" if near else f"It has: {', '.join(known[:_MOST_CANDIDATES])}.",
            )
        return self._btf.type(number)

    def _damaged(self, why: str) -> ObjectFormatError:
        return ObjectFormatError(f"{self._file}: its {SECTION} section does not fit: {why}", remedy="Build it again.")


def _member(fields: Sequence[Field], path: str) -> Field | None:
    """The number at a path such as ``header.kind``, with its place in the whole record; None if it is not there."""
    name, _, rest = path.partition(".")
    field = next((field for field in fields if field.name == name), None)
    if field is None or field.bits is not None:
        return None
    if rest:
        inner = _member(field.type.fields, rest)
        return inner and Field(path, field.offset + inner.offset, inner.size, inner.type)
    return field if field.type.kind in {"int", "enum", "bool"} and 0 < field.size <= 8 else None


def _open(ring: str, candidates: Sequence[str], declared: str = "map") -> EventSpec:
    """A ring, or an iterator, of which it cannot be told what it carries: bytes, and a question."""
    known = [name for name in candidates if "{" not in name][:_MOST_CANDIDATES]
    which = f"which of {', '.join(known)} {ring} carries" if known else f"the type of the records of {ring}"
    example = known[0] if known else "struct event"
    question = f"{which} cannot be told: --event '{ring}={example}', or before the {declared}: /// @event {example}"
    data = Field("data", 0, 0, Type("bytes", 0, "bytes"))
    return EventSpec(ring, (Schema(ring, 0, (data,)),), question=question)
