"""`ObjectSpec`: everything that an eBPF object holds, as plain data.

Reading the same object gives the same spec on any machine. What depends on the running kernel happens in `skep.kernel`.
"""

from __future__ import annotations

import struct

from skep.base.errors import ObjectFormatError, ProgramError
from skep.base.schema import Field, Schema, Type
from skep.spec.annotations import Note, read_note
from skep.spec.btf import ARRAY, POINTER, STRUCT, Btf
from skep.spec.document import SECTION, TYPES, read_document, type_variable
from skep.spec.elf import SHF_EXECINSTR, STT_FUNC, STT_OBJECT, Elf
from skep.spec.meanings import with_meanings
from skep.spec.sections import parse
from skep.spec.variables import VariableSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from skep.spec.document import Document
    from skep.spec.elf import Section, Symbol
    from skep.spec.sections import Hook

__all__ = ["EventSpec", "MapSpec", "ObjectSpec", "ProgramSpec"]

# enum bpf_map_type, include/uapi/linux/bpf.h
PERF_EVENT_ARRAY = 4
RINGBUF = 27

# Of skep.h: the map that a file shares with the tracker (skep.kernel.scope), and whether there is a tree to be in.
TREE = "skep_tree"
SCOPED = "skep_scoped"

# Helpers that print to the trace pipe: bpf_trace_printk, bpf_trace_vprintk.
_PRINTK = {6, 177}
# Helpers that send records, by the kind of map: perf_event_output, skb_output, xdp_output; ringbuf_output,
# ringbuf_reserve, ringbuf_reserve_dynptr.
_SENDERS = {PERF_EVENT_ARRAY: {25, 111, 121}, RINGBUF: {130, 131, 198}}
_CALL = 0x85
# Programs send less than this: the size of a perf record has 16 bits, and no ring has to hold more.
_LARGEST_RECORD = 1 << 24


class ProgramSpec:
    """One program.

    Args:
        name: its function.
        section: the section that names its hook, such as ``tp/syscalls/sys_enter_openat``.
        helpers: numbers of the helpers that it calls itself (not those of its subprograms).
        symbols: names of the maps and variables that it uses, or that the subprograms of the object use.
        note: its doc comment.
    """

    __slots__ = ("helpers", "name", "note", "section", "symbols")

    def __init__(
        self, name: str, section: str, helpers: frozenset[int], symbols: frozenset[str], note: Note | None = None
    ) -> None:
        self.name = name
        self.section = section
        self.helpers = helpers
        self.symbols = symbols
        self.note = note or Note("", {})

    @property
    def hook(self) -> Hook:
        """What its section names."""
        return parse(self.section)


class MapSpec:
    """One map that the source declares.

    Args:
        name: its variable.
        type: number of enum bpf_map_type.
        max_entries: how many entries (bytes, for a ring buffer) it asks for; 0 where it leaves that open.
        value: the type of its values, if it states one, or their size.
        note: its doc comment.
        key: the type of its keys, if it states one, or their size.
    """

    __slots__ = ("key", "max_entries", "name", "note", "type", "value")

    def __init__(
        self,
        name: str,
        type: int,  # noqa: A002
        max_entries: int,
        value: Type | None,
        note: Note | None = None,
        key: Type | None = None,
    ) -> None:
        self.name = name
        self.type = type
        self.max_entries = max_entries
        self.value = value
        self.note = note or Note("", {})
        self.key = key

    @property
    def is_stream(self) -> bool:
        """Whether it carries records to user space."""
        return self.type in {RINGBUF, PERF_EVENT_ARRAY}

    @property
    def is_ring(self) -> bool:
        """Whether it is a ring buffer: of these, the kernel does not count what found no room."""
        return self.type == RINGBUF


class EventSpec:
    """The records that one ring carries.

    Args:
        map: the ring's name.
        schemas: the layouts of its records; if there are several, each has another size.
        padded: are its records padded by the kernel, as those of perf buffers: to 4 less than a multiple of 8?
    """

    __slots__ = ("_by_size", "_padded", "map", "schemas")

    def __init__(self, map: str, schemas: tuple[Schema, ...], *, padded: bool = False) -> None:  # noqa: A002
        self.map = map
        self.schemas = schemas
        self._padded = padded
        self._by_size: dict[int, Schema] = {}

    def schema_of(self, size: int) -> Schema:
        """The layout of a record, told by its size.

        Args:
            size: in bytes. A record may be cut short, or padded.
        """
        if len(self.schemas) == 1:
            return self.schemas[0]
        if size not in self._by_size:
            whole = [schema for schema in self.schemas if size == _sent_size(schema, padded=self._padded)]
            cut = sorted((schema for schema in self.schemas if schema.size > size), key=lambda schema: schema.size)
            self._by_size[size] = (whole or cut or [max(self.schemas, key=lambda schema: schema.size)])[0]
        return self._by_size[size]


def _sent_size(schema: Schema, *, padded: bool) -> int:
    return schema.size + (-schema.size - 4) % 8 if padded else schema.size


class ObjectSpec:
    """What an eBPF object is: plain data, testable without root.

    Args:
        name: for messages; the file's name without its ending.
        data: the object file.
        programs: by name, in the order of the file.
        maps: by name.
        variables: the globals that a user may set, by name.
        counters: offsets in .bss, by name, of the globals that programs count in.
        events: by name of the ring that carries them.
        formats: the format strings of bpf_printk() calls, where the object keeps them.
        prints: does any program print?
        description: the source's own words for itself: the comment on its licence.
    """

    __slots__ = (
        "counters",
        "data",
        "description",
        "events",
        "formats",
        "maps",
        "name",
        "prints",
        "programs",
        "variables",
    )

    def __init__(
        self,
        name: str,
        data: bytes,
        *,
        programs: Mapping[str, ProgramSpec],
        maps: Mapping[str, MapSpec],
        variables: Mapping[str, VariableSpec],
        counters: Mapping[str, int],
        events: Mapping[str, EventSpec],
        formats: tuple[bytes, ...],
        prints: bool,
        description: str,
    ) -> None:
        self.name = name
        self.data = data
        self.programs = programs
        self.maps = maps
        self.variables = variables
        self.counters = counters
        self.events = events
        self.formats = formats
        self.prints = prints
        self.description = description

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {len(self.programs)} programs, {len(self.maps)} maps>"

    def counts_losses(self, counter: str) -> bool:
        """Whether every program that sends through a ring buffer uses a counter for what found no room."""
        senders = [program for program in self.programs.values() if program.helpers & _SENDERS[RINGBUF]]
        return all(counter in program.symbols for program in senders)

    @classmethod
    def read(cls, data: bytes, file: str) -> Self:
        """Reads an eBPF object.

        Args:
            data: the whole file, from anybody.
            file: its name, for messages.

        Raises:
            ObjectFormatError: not an eBPF object, or a damaged one.
            ProgramError: the type of a ring's records cannot be told.
        """
        elf = Elf(data, file)
        section = elf.by_name.get(".BTF")
        if section is None:
            raise ObjectFormatError(f"{file} has no BTF (type information)", remedy="Compile it with -g.")
        btf = Btf(section.data, elf.byte_order, file)
        document = read_document(elf.by_name[SECTION].data if SECTION in elf.by_name else memoryview(b""), file)
        notes = {name: read_note(comment) for name, comment in document.notes.items()}
        programs = {program.name: program for program in _programs(elf, notes)}
        helpers = frozenset[int]().union(*(_helpers(section.data, elf) for section in _code(elf)))
        maps = {spec.name: spec for spec in _maps(btf, notes)}
        events = _Events(btf, document, helpers, file)
        return cls(
            file.rpartition("/")[2].removesuffix(".o").removesuffix(".bpf"),
            data,
            programs=programs,
            maps=maps,
            variables=_variables(elf, btf, notes),
            counters=_counters(elf),
            events={
                spec.name: EventSpec(spec.name, events.schemas(spec), padded=not spec.is_ring)
                for spec in maps.values()
                if events.sent(spec)
            },
            formats=tuple(_formats(elf, btf)),
            prints=bool(helpers & _PRINTK),
            description=notes["LICENSE"].text if "LICENSE" in notes else "",
        )


def _code(elf: Elf) -> Iterable[Section]:
    return [section for section in elf.sections if section.flags & SHF_EXECINSTR and section.size]


def _programs(elf: Elf, notes: Mapping[str, Note]) -> Iterable[ProgramSpec]:
    code = {section.index: section for section in _code(elf)}
    used: dict[int, list[tuple[int, str]]] = {}
    for index, offset, name in elf.references():
        used.setdefault(index, []).append((offset, name))
    shared = {name for index in used if index in code and code[index].name == ".text" for _, name in used[index]}
    for symbol in elf.symbols:
        section = code.get(symbol.section)
        # Functions in .text are called by programs; they are none themselves.
        if section is not None and symbol.type == STT_FUNC and symbol.is_global and section.name != ".text":
            end = symbol.value + symbol.size
            own = {name for offset, name in used.get(section.index, ()) if symbol.value <= offset < end}
            helpers = _helpers(elf.data(symbol), elf)
            yield ProgramSpec(symbol.name, section.name, helpers, frozenset(shared | own), notes.get(symbol.name))


def _helpers(code: memoryview, elf: Elf) -> frozenset[int]:
    """Numbers of the helpers called: `call` with no source register, which marks subprograms and kfuncs."""
    whole = code[: len(code) // 8 * 8]
    instructions = struct.iter_unpack(f"{elf.byte_order}BBhi", whole)
    return frozenset(number for code, registers, _, number in instructions if code == _CALL and registers >> 4 == 0)


def _maps(btf: Btf, notes: Mapping[str, Note]) -> Iterable[MapSpec]:
    """The maps of section .maps: each variable's type is a struct whose members say what the map is."""
    # Each struct is read once, however many maps a hostile object makes of it.
    known: dict[int, tuple[int, int, Type | None, Type | None]] = {}
    for name, (_, variable) in btf.variables(".maps").items():
        number = btf.strip(variable)
        if number not in known:
            known[number] = _map(btf, number)
        type_, max_entries, key, value = known[number]
        yield MapSpec(name, type_, max_entries, value, notes.get(name), key)


def _map(btf: Btf, number: int) -> tuple[int, int, Type | None, Type | None]:
    """Type, max_entries and the types of the keys and values of a map.

    `__uint(name, N)` is a pointer to an array of N elements, `__type(name, T)` a pointer to T (libbpf's bpf_helpers.h).
    """
    numbers = {"type": 0, "max_entries": 0, "key_size": 0, "value_size": 0}
    types: dict[str, Type] = {}
    raw = btf.raw(number)
    for member, member_type, _ in btf.entries(raw, "III") if raw.kind == STRUCT else ():
        word = btf.string(member)
        target = btf.raw(btf.strip(member_type))
        if word in numbers and target.kind == POINTER:
            array = btf.raw(target.size_or_type)
            numbers[word] = btf.unpack(array, "III")[2] if array.kind == ARRAY else 0
        elif word in {"key", "value"} and target.kind == POINTER:
            types[word] = btf.type(target.size_or_type)
    key, value = (types.get(word) or _sized(numbers[f"{word}_size"]) for word in ("key", "value"))
    return numbers["type"], numbers["max_entries"], key, value


def _sized(size: int) -> Type | None:
    """The type of a key or value of which only the size is stated."""
    if size in {1, 2, 4, 8}:
        return Type("int", size, f"u{size * 8}")
    return Type("bytes", size, f"{size} bytes") if size else None


def _variables(elf: Elf, btf: Btf, notes: Mapping[str, Note]) -> Mapping[str, VariableSpec]:
    """The `const volatile` globals: they are constants to the verifier, and set before load.

    Those that are only `const` are constants to the compiler too: to set them would change nothing.
    """
    found: dict[str, VariableSpec] = {}
    symbols = _symbols(elf, ".rodata")
    for name, (size, number) in btf.variables(".rodata").items():
        # A dot stands in the names of static locals (`handle.____fmt`).
        if "." in name or name not in symbols or not btf.is_volatile(number):
            continue
        symbol = symbols[name]
        type_ = btf.type(number)
        # A struct that ends in a flexible array may be larger than its type.
        if symbol.size != size or (type_.size != size and type_.kind != "struct"):
            raise elf.damaged(f"variable {name} has {symbol.size} bytes, or {size}, or {type_.size}")
        found[name] = VariableSpec(name, ".rodata", symbol.value, type_, bytes(elf.data(symbol)), notes.get(name))
    return found


def _symbols(elf: Elf, section: str) -> Mapping[str, Symbol]:
    index = elf.by_name[section].index if section in elf.by_name else 0
    return {symbol.name: symbol for symbol in elf.symbols if symbol.section == index and symbol.type == STT_OBJECT}


def _counters(elf: Elf) -> Mapping[str, int]:
    return {symbol.name: symbol.value for symbol in _symbols(elf, ".bss").values() if symbol.size == 8}


def _formats(elf: Elf, btf: Btf) -> Iterable[bytes]:
    symbols = _symbols(elf, ".rodata")
    for name in btf.variables(".rodata"):
        # bpf_printk() keeps its format in a static local: ____fmt, or ___fmt with more than three arguments; in one
        # function, all but the first have a number behind their names.
        if "___fmt" in name and name in symbols:
            yield bytes(elf.data(symbols[name])).partition(b"\0")[0]


class _Events:
    """Finds which types the records of an object have.

    Args:
        btf: the object's types.
        document: its `.skep` document.
        helpers: the numbers of the helpers that it calls.
        file: the object's name, for messages.
    """

    def __init__(self, btf: Btf, document: Document, helpers: frozenset[int], file: str) -> None:
        self._btf = btf
        self._document = document
        self._helpers = helpers
        self._file = file
        self._pointers = btf.variables(TYPES)
        self._schemas: dict[Type, Schema] = {}

    def sent(self, ring: MapSpec) -> bool:
        """Whether any records come from this map: a perf event array may also serve to read counters."""
        return ring.is_stream and bool(ring.name in self._document.events or self._helpers & _SENDERS[ring.type])

    def schemas(self, ring: MapSpec) -> tuple[Schema, ...]:
        """The layouts of the records of a ring.

        Raises:
            ProgramError: they cannot be told, or not told apart.
        """
        names = self._document.events.get(ring.name, [])
        # The value of a perf event array is a file descriptor, whatever is sent through it.
        types = [self._pointed_to(name) for name in names] or ([ring.value] if ring.is_ring and ring.value else [])
        found = tuple(self._schema(ring, type_) for type_ in types if type_.size)
        if not found or len(found) < len(types):
            raise ProgramError(
                f"{self._file}: the type of the records of {ring.name} cannot be told",
                remedy="State it in the line before the map: /// @event struct event",
            )
        if len({_sent_size(schema, padded=not ring.is_ring) for schema in found}) < len(found):
            raise ProgramError(
                f"{self._file}: {ring.name} carries records of several types of one size: {', '.join(names)}",
                remedy=f"Say which one it is: /// @event {names[0]}, in the line before the map.",
            )
        return found

    def _schema(self, ring: MapSpec, type_: Type) -> Schema:
        if type_.size > _LARGEST_RECORD:
            raise ObjectFormatError(f"{self._file}: records of {type_.size} bytes ({ring.name}) cannot be sent")
        if type_.kind not in {"struct", "union"}:
            return with_meanings(Schema(ring.name, type_.size, (Field("value", 0, type_.size, type_),)), self._helpers)
        if type_ not in self._schemas:
            schema = Schema(type_.name.rpartition(" ")[2], type_.size, type_.fields)
            self._schemas[type_] = with_meanings(schema, self._helpers)
        return self._schemas[type_]

    def _pointed_to(self, name: str) -> Type:
        """The type that C calls by that name: the section with the pointers knows."""
        _, variable = self._pointers.get(type_variable(name), (0, 0))
        pointer = self._btf.raw(self._btf.strip(variable))
        if pointer.kind != POINTER:
            raise ObjectFormatError(f"{self._file}: its BTF has no {name}, which its {SECTION} section names")
        return self._btf.type(pointer.size_or_type)
