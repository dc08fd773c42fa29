"""`ObjectSpec`: everything that an eBPF object holds, as plain data.

Reading the same object gives the same spec on any machine. What depends on the running kernel happens in `skep.kernel`.
"""

from __future__ import annotations

import struct

from skep.base.errors import ObjectFormatError, ProgramError
from skep.base.schema import Field, Schema, Type
from skep.spec.btf import ARRAY, INT, POINTER, STRUCT, TYPEDEF, UNION, Btf
from skep.spec.document import SECTION, read_document
from skep.spec.elf import SHF_EXECINSTR, STT_FUNC, STT_OBJECT, Elf
from skep.spec.meanings import with_meanings
from skep.spec.variables import VariableSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Self

    from skep.spec.elf import Section

__all__ = ["EventSpec", "MapSpec", "ObjectSpec", "ProgramSpec"]

# enum bpf_map_type, include/uapi/linux/bpf.h
PERF_EVENT_ARRAY = 4
RINGBUF = 27

# Helpers that print to the trace pipe: bpf_trace_printk, bpf_trace_vprintk.
_PRINTK = {6, 177}
_CALL = 0x85


class ProgramSpec:
    """One program.

    Args:
        name: its function.
        section: the section that names its hook, such as ``tp/syscalls/sys_enter_openat``.
        helpers: numbers of the helpers that it calls itself (not those of its subprograms).
    """

    __slots__ = ("helpers", "name", "section")

    def __init__(self, name: str, section: str, helpers: frozenset[int]) -> None:
        self.name = name
        self.section = section
        self.helpers = helpers


class MapSpec:
    """One map that the source declares.

    Args:
        name: its variable.
        type: number of enum bpf_map_type.
        max_entries: how many entries (bytes, for a ring buffer) it asks for; 0 where it leaves that open.
        value: the type of its values, if it states one.
    """

    __slots__ = ("max_entries", "name", "type", "value")

    def __init__(self, name: str, type: int, max_entries: int, value: Type | None) -> None:  # noqa: A002
        self.name = name
        self.type = type
        self.max_entries = max_entries
        self.value = value

    @property
    def is_stream(self) -> bool:
        """Does it carry records to user space?"""
        return self.type in {RINGBUF, PERF_EVENT_ARRAY}

    @property
    def is_ring(self) -> bool:
        """Is it a ring buffer? (Of these the kernel does not count what found no room.)"""
        return self.type == RINGBUF


class EventSpec:
    """The records that one ring carries.

    Args:
        map: the ring's name.
        schema: the layout of its records.
    """

    __slots__ = ("map", "schema")

    def __init__(self, map: str, schema: Schema) -> None:  # noqa: A002
        self.map = map
        self.schema = schema


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
        programs = {program.name: program for program in _programs(elf)}
        helpers = frozenset[int]().union(*(_helpers(section.data, elf) for section in _code(elf)))
        maps = {spec.name: spec for spec in _maps(btf)}
        return cls(
            file.rpartition("/")[2].removesuffix(".o").removesuffix(".bpf"),
            data,
            programs=programs,
            maps=maps,
            variables=_variables(elf, btf, document["notes"]),
            counters=_counters(elf),
            events={spec.name: _event(spec, btf, document, helpers, file) for spec in maps.values() if spec.is_stream},
            formats=tuple(_formats(elf, btf)),
            prints=bool(helpers & _PRINTK),
            description=document["notes"].get("LICENSE", ""),
        )


def _code(elf: Elf) -> Iterable[Section]:
    return [section for section in elf.sections if section.flags & SHF_EXECINSTR and section.size]


def _programs(elf: Elf) -> Iterable[ProgramSpec]:
    code = {section.index: section for section in _code(elf)}
    for symbol in elf.symbols:
        section = code.get(symbol.section)
        # Functions in .text are called by programs; they are none themselves.
        if section is not None and symbol.type == STT_FUNC and symbol.is_global and section.name != ".text":
            body = section.data[symbol.value : symbol.value + symbol.size]
            yield ProgramSpec(symbol.name, section.name, _helpers(body, elf))


def _helpers(code: memoryview, elf: Elf) -> frozenset[int]:
    """Numbers of the helpers called: `call` with no source register, which marks subprograms and kfuncs."""
    whole = code[: len(code) // 8 * 8]
    instructions = struct.iter_unpack(f"{elf.byte_order}BBhi", whole)
    return frozenset(number for code, registers, _, number in instructions if code == _CALL and registers >> 4 == 0)


def _maps(btf: Btf) -> Iterable[MapSpec]:
    """The maps of section .maps: each variable's type is a struct whose members say what the map is.

    `__uint(name, N)` is a pointer to an array of N elements, `__type(name, T)` a pointer to T (tools/lib/bpf/bpf_helpers.h).
    """
    for name, (_, _, number) in btf.variables(".maps").items():
        raw = btf.raw(btf.strip(number))
        numbers = {"type": 0, "max_entries": 0}
        value = None
        if raw.kind == STRUCT:
            for member, member_type, _ in btf.entries(raw, "III"):
                key = btf.string(member)
                target = btf.raw(btf.strip(member_type))
                if key in numbers and target.kind == POINTER:
                    array = btf.raw(target.size_or_type)
                    numbers[key] = btf.unpack(array, "III")[2] if array.kind == ARRAY else 0
                elif key == "value" and target.kind == POINTER:
                    value = btf.type(target.size_or_type)
        yield MapSpec(name, numbers["type"], numbers["max_entries"], value)


def _variables(elf: Elf, btf: Btf, notes: Mapping[str, str]) -> Mapping[str, VariableSpec]:
    """The `const volatile` globals: they are constants to the verifier, and set before load."""
    found = {}
    section = elf.by_name.get(".rodata")
    if section is None:
        return found
    offsets = {symbol.name: symbol.value for symbol in elf.symbols if symbol.section == section.index}
    for name, (_, size, number) in btf.variables(".rodata").items():
        # A dot stands in the names of static locals (`handle.____fmt`); the offset in BTF is 0 until libbpf fills it in.
        if "." in name or name not in offsets:
            continue
        offset = offsets[name]
        if offset + size > len(section.data):
            raise ObjectFormatError(f"{elf.file}: variable {name} lies outside of its section")
        default = bytes(section.data[offset : offset + size])
        found[name] = VariableSpec(name, ".rodata", offset, btf.type(number), default, notes.get(name, ""))
    return found


def _counters(elf: Elf) -> Mapping[str, int]:
    section = elf.by_name.get(".bss")
    if section is None:
        return {}
    return {
        symbol.name: symbol.value
        for symbol in elf.symbols
        if symbol.section == section.index and symbol.type == STT_OBJECT and symbol.value + 8 <= section.size
    }


def _formats(elf: Elf, btf: Btf) -> Iterable[bytes]:
    section = elf.by_name.get(".rodata")
    symbols = {symbol.name: symbol for symbol in elf.symbols}
    for name in btf.variables(".rodata"):
        # The name that bpf_printk() gives its static local; a second one in the same function gets a number behind it.
        symbol = symbols.get(name)
        if "____fmt" in name and section is not None and symbol is not None:
            yield bytes(section.data[symbol.value : symbol.value + symbol.size]).partition(b"\0")[0]


def _event(spec: MapSpec, btf: Btf, document: Mapping[str, Any], helpers: frozenset[int], file: str) -> EventSpec:
    names = document["events"].get(spec.name, [])
    if len(names) > 1:
        raise ProgramError(
            f"{file}: {spec.name} carries records of several types: {', '.join(names)}",
            remedy=f"Say which one it is: /// @event {names[0]}, in the line before the map.",
        )
    type_ = _named(btf, names[0], file) if names else spec.value
    if type_ is None or type_.size == 0:
        raise ProgramError(
            f"{file}: the type of the records of {spec.name} cannot be told",
            remedy="State it on the map: __type(value, struct event).",
        )
    if type_.kind in {"struct", "union"}:
        schema = Schema(type_.name.rpartition(" ")[2], type_.size, type_.fields)
    else:
        schema = Schema(spec.name, type_.size, (Field("value", 0, type_.size, type_),))
    return EventSpec(spec.name, with_meanings(schema, helpers))


def _named(btf: Btf, name: str, file: str) -> Type:
    """The type that C calls by that name."""
    kind, _, tag = name.rpartition(" ")
    wanted = {"struct": {STRUCT}, "union": {UNION}, "": {TYPEDEF, INT}}.get(kind, {INT})
    for number, raw in btf:
        if raw.kind in wanted and raw.name in {tag, name}:
            return btf.type(number)
    raise ObjectFormatError(f"{file}: its BTF has no {name}, which its {SECTION} section names")
