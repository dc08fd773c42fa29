"""`ObjectSpec`: everything that an eBPF object holds, as plain data.

Reading the same object gives the same spec on any machine. What depends on the running kernel happens in `skep.kernel`.
"""

from __future__ import annotations

from bisect import bisect_right

from skep.base.abi.maps import MAP_TYPES
from skep.base.errors import ObjectFormatError, UsageError
from skep.base.schema import Type
from skep.spec.annotations import Note, read_note
from skep.spec.btf import ARRAY, POINTER, STRUCT, Btf
from skep.spec.code import read_code, used_from
from skep.spec.document import SECTION, read_document
from skep.spec.elf import STT_FUNC, STT_OBJECT, Elf
from skep.spec.events import RING_SENDERS, SEQUENCE_WRITERS, EventSpec, find_events
from skep.spec.sections import parse
from skep.spec.variables import GlobalSpec, VariableSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Self

    from skep.spec.code import Code, Place
    from skep.spec.document import Document
    from skep.spec.elf import Symbol
    from skep.spec.sections import Hook

__all__ = ["EventSpec", "MapSpec", "ObjectSpec", "ProgramSpec", "sized"]

# enum bpf_map_type, include/uapi/linux/bpf.h
PROG_ARRAY = 3
PERF_EVENT_ARRAY = 4
RINGBUF = 27

# What to say of a file that declares none.
NO_PROGRAM = 'it has no program: SEC("tp/...") before a function makes it one'

# Of skep.h: the map that a file shares with the tracker (skep.kernel.scope), and whether there is a tree to be in.
TREE = "skep_tree"
SCOPED = "skep_scoped"

# Where structs of operations lie that programs are the members of; what has a link since Linux 6.4 is in the second.
STRUCT_SECTIONS = (".struct_ops", ".struct_ops.link")

# Helpers that print to the trace pipe: bpf_trace_printk, bpf_trace_vprintk.
_PRINTK = {6, 177}


class ProgramSpec:
    """One program.

    Args:
        name: its function.
        section: the section that names its hook, such as ``tp/syscalls/sys_enter_openat``.
        helpers: numbers of the helpers that it calls, itself or in its subprograms.
        symbols: names of the maps and variables that it uses, itself or in its subprograms.
        note: its doc comment.
        struct: the struct of operations that it is a member of (struct_ops).
        array: the program array that the source puts it in, to be called from there.
    """

    __slots__ = ("array", "helpers", "name", "note", "section", "struct", "symbols")

    def __init__(
        self,
        name: str,
        section: str,
        helpers: frozenset[int],
        symbols: frozenset[str],
        note: Note | None = None,
        *,
        struct: str = "",
        array: str = "",
    ) -> None:
        self.name = name
        self.section = section
        self.helpers = helpers
        self.symbols = symbols
        self.note = note or Note("", {})
        self.struct = struct
        self.array = array

    def __repr__(self) -> str:
        return f"<ProgramSpec {self.name!r} {self.section}>"

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
        flags: of BPF_F_*, as it asks for them.
        inner: what its values are like, if they are maps.
    """

    __slots__ = ("flags", "inner", "key", "max_entries", "name", "note", "type", "value")

    def __init__(
        self,
        name: str,
        type: int,  # noqa: A002
        max_entries: int,
        value: Type | None,
        note: Note | None = None,
        key: Type | None = None,
        *,
        flags: int = 0,
        inner: MapSpec | None = None,
    ) -> None:
        self.name = name
        self.type = type
        self.max_entries = max_entries
        self.value = value
        self.note = note or Note("", {})
        self.key = key
        self.flags = flags
        self.inner = inner

    def __repr__(self) -> str:
        kind = MAP_TYPES.get(self.type, f"type {self.type}")
        types = " -> ".join(type_.name for type_ in (self.key, self.value) if type_)
        size = f", {self.max_entries} {'bytes' if self.is_ring else 'entries'}" if self.max_entries else ""
        return f"<MapSpec {self.name!r} {kind}{types and ' '}{types}{size}>"

    @property
    def is_stream(self) -> bool:
        """Whether it carries records to user space."""
        return self.type in {RINGBUF, PERF_EVENT_ARRAY}

    @property
    def is_ring(self) -> bool:
        """Whether it is a ring buffer: of these, the kernel does not count what found no room."""
        return self.type == RINGBUF


class ObjectSpec:
    """What an eBPF object is: plain data, testable without root.

    Args:
        name: for messages; the file's name without its ending.
        data: the object file.
        programs: by name, in the order of the file.
        maps: by name.
        variables: the globals that a user may set, by name.
        globals: those that programs may write, by name.
        events: by name of the ring that carries them, or of the iterator that writes them.
        formats: the format strings of bpf_printk() calls, where the object keeps them.
        prints: does any program print?
        description: the source's own words for itself: the comment on its licence.
    """

    __slots__ = (
        "data",
        "description",
        "events",
        "formats",
        "globals",
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
        globals: Mapping[str, GlobalSpec],  # noqa: A002
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
        self.globals = globals
        self.events = events
        self.formats = formats
        self.prints = prints
        self.description = description

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {len(self.programs)} programs, {len(self.maps)} maps>"

    def counts_losses(self, counter: str) -> bool:
        """Whether every program that sends through a ring buffer uses a counter for what found no room.

        Args:
            counter: the name of a global.
        """
        senders = [program for program in self.programs.values() if program.helpers & RING_SENDERS]
        return all(counter in program.symbols for program in senders)

    def check_required(self, filled: Collection[str] = ()) -> None:
        """Refuses to go on while something has to be said (@required), unless there is a tree to be in.

        Args:
            filled: the names of the maps that are to hold something before the first program runs.

        Raises:
            UsageError: a variable has to be set, or a map has to be filled.
        """
        if SCOPED in self.variables and self.variables[SCOPED].value:
            return
        missing = {
            variable.name: variable.long or f"--{variable.name.replace('_', '-')}"
            for variable in self.variables.values()
            if variable.is_missing
        }
        for name, map_ in self.maps.items():
            if "required" in map_.note.marks and name not in filled:
                is_cgroup = MAP_TYPES.get(map_.type) == "cgroup_array"
                missing[name] = "--cgroup PATH" if is_cgroup else f"--fill {name}=KEY:VALUE"
        if missing:
            also = ", a running process with -p PID, or a command after --" if SCOPED in self.variables else ""
            message = f"{self.name} is not run without {' or '.join(missing)}"
            raise UsageError(message, remedy=f"Give {' or '.join(missing.values())}{also}.")

    @classmethod
    def read(cls, data: bytes, file: str, *, document: Document | None = None) -> Self:
        """Reads an eBPF object.

        Args:
            data: the whole file, from anybody.
            file: its name, for messages.
            document: what is known of it from elsewhere; it overrules what the object says of itself.

        Raises:
            ObjectFormatError: not an eBPF object, or a damaged one.
            UsageError: the document names a map or a type that the object does not have.
        """
        elf = Elf(data, file)
        section = elf.by_name.get(".BTF")
        if section is None:
            raise ObjectFormatError(f"{file} has no BTF (type information)", remedy="Compile it with -g.")
        btf = Btf(section.data, elf.byte_order, file)
        own = read_document(elf.by_name[SECTION].data if SECTION in elf.by_name else memoryview(b""), file)
        known = own if document is None else own.overruled_by(document)
        notes = {name: read_note(comment) for name, comment in known.notes.items()}
        functions = read_code(elf)
        programs = {program.name: program for program in _programs(elf, functions, notes)}
        helpers = frozenset[int]().union(*(code.helpers for code in functions.values()))
        maps = {spec.name: spec for spec in _maps(btf, notes)}
        iterators = {
            name: program.helpers & SEQUENCE_WRITERS
            for name, program in programs.items()
            if program.hook.kind == "iter"
        }
        asked = {} if document is None else document.events
        return cls(
            file.rpartition("/")[2].removesuffix(".o").removesuffix(".bpf"),
            data,
            programs=programs,
            maps=maps,
            variables=_variables(elf, btf, notes),
            globals=_globals(elf, btf, notes),
            events=find_events(elf, btf, maps, helpers, iterators, known, asked, file),
            formats=tuple(_formats(elf, btf)),
            prints=bool(helpers & _PRINTK),
            description=notes["LICENSE"].text if "LICENSE" in notes else "",
        )


def _programs(elf: Elf, functions: Mapping[Place, Code], notes: Mapping[str, Note]) -> Iterable[ProgramSpec]:
    structs, arrays = _holders(elf, STRUCT_SECTIONS), _holders(elf, (".maps",))
    for symbol in elf.symbols:
        place, section = (symbol.section, symbol.value), elf.sections[symbol.section].name
        # Functions in .text are called by programs; they are none themselves.
        if symbol.type == STT_FUNC and symbol.is_global and place in functions and section != ".text":
            used = used_from(place, functions)
            yield ProgramSpec(
                symbol.name,
                section,
                used.helpers,
                used.names,
                notes.get(symbol.name),
                struct=structs.get(symbol.name, ""),
                array=arrays.get(symbol.name, ""),
            )


def _holders(elf: Elf, sections: Collection[str]) -> Mapping[str, str]:
    """Of each program that a variable of these sections names (a struct of operations, a map), which one that is."""
    homes = {elf.by_name[name].index for name in sections if name in elf.by_name}
    holders = {(symbol.section, symbol.value): symbol for symbol in elf.symbols if symbol.section in homes}
    places = sorted(holders)
    found = {}
    for home, offset, program, _, _ in elf.references(homes) if holders else ():
        # They do not overlap: only the last that begins before it may hold it.
        index = bisect_right(places, (home, offset))
        symbol = holders[places[index - 1]]
        if index and symbol.section == home and offset < symbol.value + symbol.size:
            found[program] = symbol.name
    return found


def _maps(btf: Btf, notes: Mapping[str, Note]) -> Iterable[MapSpec]:
    """The maps of section .maps: each variable's type is a struct whose members say what the map is."""
    # Each struct is read once, however many maps a hostile object makes of it.
    known: dict[int, MapSpec] = {}
    for name, (_, variable) in btf.variables(".maps").items():
        number = btf.strip(variable)
        if number not in known:
            known[number] = _map(btf, number, name)
        like = known[number]
        yield MapSpec(
            name,
            like.type,
            like.max_entries,
            like.value,
            notes.get(name),
            like.key,
            flags=like.flags,
            inner=like.inner,
        )


def _map(btf: Btf, number: int, name: str, *, is_inner: bool = False) -> MapSpec:
    """What a struct says of a map.

    `__uint(name, N)` is a pointer to an array of N elements, `__type(name, T)` a pointer to T, `__array(values, T)` an
    array of pointers to T (libbpf's bpf_helpers.h).
    """
    numbers = {"type": 0, "max_entries": 0, "key_size": 0, "value_size": 0, "map_flags": 0}
    types: dict[str, Type] = {}
    inner = None
    raw = btf.raw(number)
    for member, member_type, _ in btf.entries(raw, "III") if raw.kind == STRUCT else ():
        word = btf.string(member)
        target = btf.raw(btf.strip(member_type))
        if word in numbers and target.kind == POINTER:
            array = btf.raw(target.size_or_type)
            numbers[word] = btf.unpack(array, "III")[2] if array.kind == ARRAY else 0
        elif word in {"key", "value"} and target.kind == POINTER:
            types[word] = btf.type(target.size_or_type)
        elif word == "values" and target.kind == ARRAY and not is_inner:
            # Maps hold maps, but no deeper.
            inner = _inner(btf, btf.unpack(target, "III")[0], name)
    key, value = (types.get(word) or sized(numbers[f"{word}_size"]) for word in ("key", "value"))
    flags, entries = numbers["map_flags"], numbers["max_entries"]
    return MapSpec(name, numbers["type"], entries, value, key=key, flags=flags, inner=inner)


def _inner(btf: Btf, pointer: int, name: str) -> MapSpec | None:
    """The maps that a map holds; None where it holds programs."""
    pointed = btf.raw(btf.strip(pointer))
    number = btf.strip(pointed.size_or_type) if pointed.kind == POINTER else 0
    return _map(btf, number, f"{name}[]", is_inner=True) if btf.raw(number).kind == STRUCT else None


def sized(size: int) -> Type | None:
    """The type of a key or value of which only the size is stated.

    Args:
        size: in bytes.
    """
    if size in {1, 2, 4, 8}:
        return Type("int", size, f"u{size * 8}")
    return Type("bytes", size, f"{size} bytes") if size else None


def _variables(elf: Elf, btf: Btf, notes: Mapping[str, Note]) -> Mapping[str, VariableSpec]:
    """The `const volatile` globals: they are constants to the verifier, and set before load.

    Those that are only `const` are constants to the compiler too: to set them would change nothing.
    """
    found: dict[str, VariableSpec] = {}
    symbols = _symbols(elf, ".rodata")
    constants = btf.variables(".rodata")
    if constants and ".rodata" not in elf.by_name:
        # Of 4, 8, 16 or 32 bytes they lie in .rodata.cst4 and its like, and no variable does in .rodata: libbpf refuses
        # types of a section that is not there.
        raise ObjectFormatError(
            f"{elf.file}: libbpf does not find the constant {min(constants)} where the compiler puts it",
            remedy="Declare it const volatile.",
        )
    for name, (size, number) in constants.items():
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


def _globals(elf: Elf, btf: Btf, notes: Mapping[str, Note]) -> Mapping[str, GlobalSpec]:
    """The globals that programs may write; those within functions (`handle.calls`) are theirs alone."""
    sections = {elf.by_name[name].index: name for name in elf.by_name if name.startswith((".bss", ".data"))}
    types = {name: btf.variables(name) for name in sections.values()}
    found: dict[str, GlobalSpec] = {}
    for symbol in elf.symbols:
        section, name = sections.get(symbol.section, ""), symbol.name
        if symbol.type == STT_OBJECT and section and "." not in name and name in types[section]:
            type_ = btf.type(types[section][name][1])
            if 0 < type_.size <= symbol.size:
                found[name] = GlobalSpec(name, section, symbol.value, type_, notes.get(name))
    return found


def _formats(elf: Elf, btf: Btf) -> Iterable[bytes]:
    symbols = _symbols(elf, ".rodata")
    for name in btf.variables(".rodata"):
        # bpf_printk() keeps its format in a static local: ____fmt, or ___fmt with more than three arguments; in one
        # function, all but the first have a number behind their names.
        if "___fmt" in name and name in symbols:
            yield bytes(elf.data(symbols[name])).partition(b"\0")[0]
