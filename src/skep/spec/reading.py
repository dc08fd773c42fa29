"""Reads a kernel file's source with libclang: which type each ring carries, and what the doc comments say.

The answer travels in the object (see `skep.spec.document`). libclang takes 25 ms to import and 60 MB: this module is
imported only when a source is compiled.
"""

from __future__ import annotations

import os
import re

from clang.cindex import Cursor, CursorKind, Index, StorageClass, TranslationUnit, TranslationUnitLoadError, TypeKind
from clang.cindex import Type as ClangType

from skep.base.errors import CompileError, Diagnostic, UsageError
from skep.spec.annotations import mistake, read_note
from skep.spec.function import Function
from skep.spec.inference import distinct, find_records
from skep.spec.objectspec import PERF_EVENT_ARRAY, RINGBUF
from skep.spec.restating import restate
from skep.spec.syntax import type_name
from skep.spec.tags import find_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from skep.spec.annotations import Note
    from skep.spec.document import Tag
    from skep.spec.inference import Record

__all__ = ["Reading", "read_source"]

_RECORDS = {CursorKind.STRUCT_DECL, CursorKind.UNION_DECL}
# What names a type beside those that a file declares.
_BUILTIN = {"unsigned", "signed", "char", "short", "int", "long", "float", "double", "_Bool", "__int128"}


class Reading:
    """What a source says.

    Args:
        events: the names in C of the types of the records that each ring carries, by name of the ring.
        tags: what tells records of one size apart, by name of the ring.
        declarations: of the types among these that the source itself does not name.
        formats: the meanings that @format gives to fields, by name of their struct in C.
        notes: the doc comments of programs, maps and global variables, by name.
        inputs: every file that was read beside the source itself, absolute.
    """

    __slots__ = ("declarations", "events", "formats", "inputs", "notes", "tags")

    def __init__(self, inputs: list[str]) -> None:
        self.events: dict[str, list[str]] = {}
        self.tags: dict[str, Tag] = {}
        self.declarations: list[str] = []
        self.formats: dict[str, dict[str, str]] = {}
        self.notes: dict[str, str] = {}
        self.inputs = inputs


def read_source(
    source: str,
    text: bytes,
    arguments: Sequence[str],
    events: Mapping[str, Sequence[str]] | None = None,
) -> Reading:
    """Parses a source and collects its event types and doc comments.

    A source with errors is read as far as it goes: the compiler, which comes next, says what is wrong with it.

    Args:
        source: path of the .bpf.c file.
        text: its contents.
        arguments: the compiler's, without input and output.
        events: the types of the records of rings, as the user says; they overrule the source.

    Raises:
        CompileError: an annotation names no type, or a name or comment is not UTF-8.
        UsageError: a ring or a type that the user names is not there.
    """
    try:
        return _read(_parse(source, text, arguments), events or {})
    except TranslationUnitLoadError:
        return Reading([])
    except UnicodeDecodeError as error:
        raise CompileError(
            f"{os.path.basename(source)}: a comment or the name of a file is not UTF-8: {error.object!r}",
            remedy="Save the source as UTF-8.",
        ) from error


def _parse(source: str, text: bytes, arguments: Sequence[str]) -> TranslationUnit:
    command = [os.fsencode(argument) for argument in ["-xc", *arguments]]
    index = Index.create(excludeDecls=True)
    return index.parse(os.fsencode(source), args=command, unsaved_files=[(os.fsencode(source), text)])


def _read(unit: TranslationUnit, asked: Mapping[str, Sequence[str]]) -> Reading:
    reading = Reading(sorted({os.path.abspath(included.include.name) for included in unit.get_includes()}))
    rings: dict[str, Cursor] = {}
    programs: dict[str, Cursor] = {}
    stated: dict[str, Sequence[str]] = {}
    functions: dict[str, Function] = {}
    for cursor in unit.cursor.get_children():
        if not _is_local(cursor):
            continue
        if cursor.kind == CursorKind.VAR_DECL:
            note = _note(cursor, "map" if _is_map(cursor) else "variable", reading.notes)
            if _map_type(cursor) in {RINGBUF, PERF_EVENT_ARRAY}:
                rings[cursor.spelling] = cursor
            if note is not None and note.marks.get("event"):
                stated[cursor.spelling] = note.marks["event"]
        elif cursor.kind == CursorKind.FUNCTION_DECL and cursor.is_definition():
            # A static function is none of the programs: its comment may be written for any tool.
            if cursor.storage_class != StorageClass.STATIC:
                programs[cursor.spelling] = cursor
                note = _note(cursor, "program", reading.notes)
                if note is not None and note.marks.get("event"):
                    stated[cursor.spelling] = note.marks["event"]
            functions[cursor.spelling] = Function(cursor)
        elif cursor.kind in _RECORDS and cursor.is_definition():
            _note(cursor, "struct", {})
            given = _formats(cursor)
            if given:
                reading.formats[type_name(cursor.type) or ""] = given
    known = _stated(unit, rings, programs, stated, asked)
    for ring, types in _carried(find_records(functions), rings, known).items():
        known[ring] = _name(reading, ring, types)
    for ring, named in known.items():
        if named:
            reading.events[ring] = list(named)
        structs = {name: type_ for name, type_ in named.items() if type_ is not None}
        tag = find_tag(structs, functions) if len(structs) == len(named) > 1 else None
        if tag is not None:
            reading.tags[ring] = tag
    return reading


def _stated(
    unit: TranslationUnit,
    rings: Mapping[str, Cursor],
    programs: Mapping[str, Cursor],
    stated: Mapping[str, Sequence[str]],
    asked: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, ClangType | None]]:
    """The types that annotations and the user name, by name; None for those of C itself.

    Raises:
        CompileError, UsageError: there is no such type, or no such ring.
    """
    declared = {**programs, **rings}
    for ring in asked:
        # Which program is an iterator is known once it is compiled.
        if ring not in declared:
            remedy = _nearest(ring, rings) or f"There are: {', '.join(rings) or 'none'}."
            raise UsageError(f"there is no ring buffer and no perf event array {ring}", remedy=remedy)
    known = _types(unit) if stated or asked else {}
    found: dict[str, dict[str, ClangType | None]] = {}
    for ring, names in {**stated, **asked}.items():
        for name in names:
            if name not in known and not set(name.split()) <= _BUILTIN:
                remedy = _nearest(name, known) or "Write it as C does: struct event"
                message = f"{name}: there is no such type"
                if ring in asked:
                    raise UsageError(f"--event {ring}={message}", remedy=remedy)
                raise _error(declared[ring], f"@event {message}", remedy)
            found.setdefault(ring, {})[name] = known.get(name)
    return found


def _types(unit: TranslationUnit) -> dict[str, ClangType]:
    """The types that C knows, by name."""
    words = {CursorKind.STRUCT_DECL: "struct ", CursorKind.UNION_DECL: "union ", CursorKind.ENUM_DECL: "enum "}
    words[CursorKind.TYPEDEF_DECL] = ""
    return {
        words[cursor.kind] + cursor.spelling: cursor.type
        for cursor in unit.cursor.get_children()
        if cursor.kind in words and (cursor.is_definition() or cursor.kind == CursorKind.TYPEDEF_DECL)
    }


def _nearest(name: str, known: Collection[str]) -> str | None:
    import difflib

    near = [f"struct {name}"] if f"struct {name}" in known else difflib.get_close_matches(name, sorted(known), 1)
    return f"Did you mean {near[0]}?" if near else None


def _carried(
    records: Sequence[Record], rings: Mapping[str, Cursor], stated: Collection[str]
) -> dict[str, list[ClangType]]:
    """The types of the records of each ring of which nothing else states them."""
    found: dict[str, list[ClangType]] = {}
    for record in records:
        for ring in record.rings:
            found.setdefault(ring, []).extend(record.types)
    # What goes to a ring that cannot be told goes to one that nothing is known of.
    for ring, cursor in rings.items():
        if not found.get(ring):
            kind = _map_type(cursor)
            lost = [type_ for record in records if not record.rings and record.kind == kind for type_ in record.types]
            found[ring] = lost
    return {ring: types for ring, types in found.items() if types and ring not in stated and not _is_typed(rings, ring)}


def _is_typed(rings: Mapping[str, Cursor], ring: str) -> bool:
    """Whether a ring states `__type(value, T)`: for a perf event array, whose values are numbers, with a struct."""
    if ring not in rings:
        return False
    value = next((field.type.get_pointee() for field in _fields(rings[ring]) if field.spelling == "value"), None)
    is_struct = value is not None and value.get_canonical().kind == TypeKind.RECORD
    return is_struct or (value is not None and _map_type(rings[ring]) == RINGBUF)


def _name(reading: Reading, ring: str, types: Sequence[ClangType]) -> dict[str, ClangType | None]:
    """The types of a ring by their names in C, each once; none, if one has no name and cannot be given one."""
    named: dict[str, ClangType | None] = {}
    for type_ in distinct(types):
        name = type_name(type_)
        if name is None:
            restated = restate(type_, f"{ring}_{len(named)}" if named else ring)
            if restated is None:
                return {}
            name, declaration = restated
            # Functions may have structs of one name.
            if any(each.startswith(f"{name} ") for each in reading.declarations):
                return {}
            reading.declarations.append(declaration)
        named[name] = type_
    return named


def _note(cursor: Cursor, kind: str, notes: dict[str, str]) -> Note | None:
    """The doc comment of a declaration, which goes to the others; None if it has none.

    Raises:
        CompileError: an annotation is wrong.
    """
    raw, text = _comment(cursor)
    if not text:
        return None
    if cursor.spelling:
        notes[cursor.spelling] = text
    note = read_note(text)
    wrong = mistake(note, kind)
    # Comments of the other form, as Doxygen and the kernel write them, may have words of their own.
    if wrong is not None and raw.lstrip().startswith("//"):
        raise _error(cursor, wrong.message, wrong.suggestion)
    return note


def _formats(struct: Cursor) -> dict[str, str]:
    """The meanings that the fields of a struct are given."""
    found = {}
    for field in struct.get_children():
        if field.kind == CursorKind.FIELD_DECL and field.raw_comment:
            note = _note(field, "field", {})
            if note is not None and note.marks.get("format"):
                found[field.spelling] = note.marks["format"][-1]
        elif field.kind in _RECORDS and field.is_anonymous():
            # Its fields are used as if they stood in the outer one.
            found |= _formats(field)
    return found


def _is_local(cursor: Cursor) -> bool:
    """Is it the user's? Programs may stand in headers beside the source or elsewhere; those of the system hold none."""
    return cursor.location.file is not None and not cursor.location.is_in_system_header


def _is_map(variable: Cursor) -> bool:
    """Maps are structs whose first member says of what type they are (libbpf's bpf_helpers.h)."""
    return any(field.spelling == "type" for field in _fields(variable))


def _fields(variable: Cursor) -> list[Cursor]:
    return list(variable.type.get_fields())


def _map_type(variable: Cursor) -> int | None:
    """The number of enum bpf_map_type: `__uint(type, N)` is a pointer to an array of N elements."""
    kind = next((field.type.get_pointee() for field in _fields(variable) if field.spelling == "type"), None)
    return int(kind.element_count) if kind is not None and kind.kind == TypeKind.CONSTANTARRAY else None


def _comment(declaration: Cursor) -> tuple[str, str]:
    """The doc comment on a declaration, as it stands and without the signs that make it one."""
    raw = declaration.raw_comment
    declared = declaration.type.get_declaration()
    # That on `struct { ... } events;`, which is how maps are written, belongs to the struct for clang.
    if raw is None and declared.extent.start.file is not None and declared.extent.start in declaration.extent:
        raw = declared.raw_comment
    lines = [re.sub(r"^\s*(//[/!]<?|/\*[*!]<?|\*(?!/))\s?|\s*\*/\s*$", "", line) for line in (raw or "").splitlines()]
    return raw or "", "\n".join(lines).strip()


def _error(cursor: Cursor, message: str, remedy: str | None) -> CompileError:
    place = cursor.location
    diagnostic = Diagnostic(
        "annotation", "error", message, file=place.file.name, line=place.line, column=place.column, suggestion=remedy
    )
    return CompileError(str(diagnostic), remedy=remedy, diagnostics=[diagnostic])
