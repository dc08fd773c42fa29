"""Reads a kernel file's source with libclang: which type each ring carries, and what the doc comments say.

The answer travels in the object (see `skep.spec.document`). libclang takes 25 ms to import and 60 MB: this module is
imported only when a source is compiled.
"""

from __future__ import annotations

import os
import re

from clang.cindex import Cursor, CursorKind, Index, StorageClass, TranslationUnit, TranslationUnitLoadError, TypeKind
from clang.cindex import Diagnostic as FoundInSource
from clang.cindex import Type as ClangType

from skep.base.errors import CompileError, Diagnostic
from skep.spec.annotations import mistake, read_note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from skep.spec.annotations import Note
    from skep.spec.document import Tag

__all__ = ["Reading", "read_source"]

# Calls that send a record: name -> (the argument that is the map, the record, its size).
_OUTPUTS = {
    "bpf_ringbuf_output": (0, 1, 2),
    "bpf_perf_event_output": (1, 3, 4),
    "bpf_skb_output": (1, 3, 4),
    "bpf_xdp_output": (1, 3, 4),
}
_RESERVE = "bpf_ringbuf_reserve"
_TRANSPARENT = {CursorKind.UNEXPOSED_EXPR, CursorKind.PAREN_EXPR, CursorKind.CSTYLE_CAST_EXPR}
# enum bpf_map_type, include/uapi/linux/bpf.h
_RINGBUF = 27
# What names a type beside those that a file declares.
_BUILTIN = {"unsigned", "signed", "char", "short", "int", "long", "float", "double", "_Bool", "__int128"}


class Reading:
    """What a source says.

    Args:
        events: the names in C of the types of the records that each ring carries, by name of the ring.
        tags: what tells records of one size apart, by name of the ring.
        formats: the meanings that @format gives to fields, by name of their struct in C.
        notes: the doc comments of programs, maps and global variables, by name.
        inputs: every file that was read beside the source itself, absolute.
    """

    __slots__ = ("events", "formats", "inputs", "notes", "tags")

    def __init__(
        self,
        events: Mapping[str, list[str]],
        tags: Mapping[str, Tag],
        formats: Mapping[str, Mapping[str, str]],
        notes: Mapping[str, str],
        inputs: list[str],
    ) -> None:
        self.events = events
        self.tags = tags
        self.formats = formats
        self.notes = notes
        self.inputs = inputs


def read_source(source: str, text: bytes, arguments: Sequence[str], precompiled: str | None = None) -> Reading:
    """Parses a source and collects its event types and doc comments.

    A source with errors is read as far as it goes: the compiler, which comes next, says what is wrong with it.

    Args:
        source: path of the .bpf.c file.
        text: its contents.
        arguments: the compiler's, without input and output.
        precompiled: what libclang made of vmlinux.h with these arguments, for a source that begins with it.

    Raises:
        CompileError: an annotation names no type, a record's type has no name, or a name or comment is not UTF-8.
    """
    if precompiled is not None:
        try:
            unit = _parse(source, text, ["-include-pch", precompiled, *arguments])
            # Of what is precompiled, only what the source uses is in sight: @event may name more.
            if all(found.severity < FoundInSource.Fatal for found in unit.diagnostics):
                return _read(unit)
        except (TranslationUnitLoadError, CompileError, UnicodeDecodeError):
            pass
    try:
        return _read(_parse(source, text, arguments))
    except TranslationUnitLoadError:
        return Reading({}, {}, {}, {}, [])
    except UnicodeDecodeError as error:
        raise CompileError(
            f"{os.path.basename(source)}: a comment or the name of a file is not UTF-8: {error.object!r}",
            remedy="Save the source as UTF-8.",
        ) from error


def _parse(source: str, text: bytes, arguments: Sequence[str]) -> TranslationUnit:
    command = [os.fsencode(argument) for argument in ["-xc", *arguments]]
    index = Index.create(excludeDecls=True)
    return index.parse(os.fsencode(source), args=command, unsaved_files=[(os.fsencode(source), text)])


def _read(unit: TranslationUnit) -> Reading:
    found: dict[str, list[_Record]] = {}
    formats: dict[str, dict[str, str]] = {}
    notes: dict[str, str] = {}
    stated: dict[str, list[str]] = {}
    for cursor in unit.cursor.get_children():
        if not _is_local(cursor):
            continue
        if cursor.kind == CursorKind.VAR_DECL:
            note = _note(cursor, "map" if _is_map(cursor) else "variable", notes)
            annotated = [] if note is None else note.marks.get("event", ())
            if annotated:
                stated[cursor.spelling] = [_declared(unit, name, cursor) for name in annotated]
            elif _is_typed_ring(cursor):
                stated[cursor.spelling] = []
        elif cursor.kind == CursorKind.FUNCTION_DECL and cursor.is_definition():
            # A static function is none of the programs: its comment may be written for any tool.
            if cursor.storage_class != StorageClass.STATIC:
                _note(cursor, "program", notes)
            for record in _records(cursor):
                found.setdefault(record.ring, []).append(record)
        elif cursor.kind == CursorKind.STRUCT_DECL and cursor.is_definition():
            _note(cursor, "struct", {})
            given = _formats(cursor)
            if given:
                formats[f"struct {cursor.spelling}"] = given
    events = {ring: _names(records) for ring, records in found.items() if ring not in stated}
    events |= {ring: names for ring, names in stated.items() if names}
    inputs = sorted({os.path.abspath(included.include.name) for included in unit.get_includes()})
    return Reading(events, {}, formats, notes, inputs)


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
    return found


def _is_local(cursor: Cursor) -> bool:
    """Is it the user's? Programs may stand in headers beside the source or elsewhere; those of the system hold none."""
    return cursor.location.file is not None and not cursor.location.is_in_system_header


def _is_map(variable: Cursor) -> bool:
    """Maps are structs whose first member says of what type they are (libbpf's bpf_helpers.h)."""
    return any(field.spelling == "type" for field in variable.type.get_fields())


def _comment(declaration: Cursor) -> tuple[str, str]:
    """The doc comment on a declaration, as it stands and without the signs that make it one."""
    raw = declaration.raw_comment
    declared = declaration.type.get_declaration()
    # That on `struct { ... } events;`, which is how maps are written, belongs to the struct for clang.
    if raw is None and declared.kind != CursorKind.NO_DECL_FOUND and declared.extent.start in declaration.extent:
        raw = declared.raw_comment
    lines = [re.sub(r"^\s*(//[/!]<?|/\*[*!]<?|\*(?!/))\s?|\s*\*/\s*$", "", line) for line in (raw or "").splitlines()]
    return raw or "", "\n".join(lines).strip()


def _declared(unit: TranslationUnit, name: str, ring: Cursor) -> str:
    """The name that an annotation gives, if C knows a type by it."""
    words = {CursorKind.STRUCT_DECL: "struct ", CursorKind.UNION_DECL: "union ", CursorKind.ENUM_DECL: "enum "}
    words[CursorKind.TYPEDEF_DECL] = ""
    known = {
        words[cursor.kind] + cursor.spelling
        for cursor in unit.cursor.get_children()
        if cursor.kind in words and (cursor.is_definition() or cursor.kind == CursorKind.TYPEDEF_DECL)
    }
    if name in known or set(name.split()) <= _BUILTIN:
        return name
    import difflib

    near = [f"struct {name}"] if f"struct {name}" in known else difflib.get_close_matches(name, sorted(known), 1)
    message = f"@event {name}: there is no such type"
    raise _error(ring, message, f"Did you mean {near[0]}?" if near else "Write it as C does: /// @event struct event")


def _error(cursor: Cursor, message: str, remedy: str | None) -> CompileError:
    place = cursor.location
    diagnostic = Diagnostic(
        "annotation", "error", message, file=place.file.name, line=place.line, column=place.column, suggestion=remedy
    )
    return CompileError(str(diagnostic), remedy=remedy, diagnostics=[diagnostic])


def _is_typed_ring(variable: Cursor) -> bool:
    """Whether a ring buffer states `__type(value, T)`. The value of a perf event array is a file descriptor."""
    fields = {field.spelling: field.type for field in variable.type.get_fields()}
    kind = fields["type"].get_pointee() if "type" in fields else None
    return (
        "value" in fields
        and kind is not None
        and kind.kind == TypeKind.CONSTANTARRAY
        and kind.element_count == _RINGBUF
    )


class _Record:
    """A record that a call reserves or sends: the ring, the type of what is sent, the call."""

    __slots__ = ("call", "ring", "type")

    def __init__(self, ring: str, type: ClangType, call: Cursor) -> None:  # noqa: A002
        self.ring = ring
        self.type = type
        self.call = call


def _names(records: Sequence[_Record]) -> list[str]:
    """How C calls the types of one ring's records, each once: `struct event` and a typedef of it are one type."""
    names: dict[str, str] = {}
    for record in records:
        name = _name(record.type)
        if name is None:
            raise _error(
                record.call,
                f"the type of the records of {record.ring} has no name outside of this function",
                "Declare it at the top level, with a name: struct event { ... };",
            )
        names.setdefault(record.type.get_canonical().spelling, name)
    return list(names.values())


def _name(type_: ClangType) -> str | None:
    """How C calls a type at the top level; None if it cannot."""
    if type_.kind == TypeKind.CONSTANTARRAY:
        base, bracket, counts = (_name(type_.element_type) or "").partition("[")
        return f"{base}[{type_.element_count}]{bracket}{counts}" if base else None
    declaration = type_.get_declaration()
    if declaration.kind == CursorKind.NO_DECL_FOUND:
        return _unqualified(type_.get_canonical().spelling)
    if declaration.semantic_parent.kind != CursorKind.TRANSLATION_UNIT:
        return None
    name = _unqualified(type_.spelling)
    # libclang writes out typeof(x), and calls what has no name `struct (unnamed at FILE:LINE)`.
    return name if re.fullmatch(r"[\w ]+", name) else _canonical_name(type_)


def _canonical_name(type_: ClangType) -> str | None:
    name = _unqualified(type_.get_canonical().spelling)
    return name if re.fullmatch(r"[\w ]+", name) else None


def _unqualified(name: str) -> str:
    return re.sub(r"\b(const|volatile|restrict)\b\s*", "", name).strip()


def _records(function: Cursor) -> Iterator[_Record]:
    """The records that a function reserves or sends, in the order of its text."""
    # What a reserved record is follows from what the call's result becomes: hence the type that casts around it give.
    pending: list[tuple[Cursor, ClangType | None]] = [(function, None)]
    while pending:
        cursor, target = pending.pop()
        if cursor.kind == CursorKind.CALL_EXPR:
            record = _record(cursor, target)
            if record is not None:
                yield record
        target = (target or _pointee(cursor.type)) if cursor.kind in _TRANSPARENT else None
        pending += [(child, target) for child in reversed(list(cursor.get_children()))]


def _record(call: Cursor, target: ClangType | None) -> _Record | None:
    arguments = list(call.get_arguments())
    name = call.spelling
    if name == _RESERVE and len(arguments) == 3:
        ring, size = arguments[:2]
    elif name in _OUTPUTS and len(arguments) > max(_OUTPUTS[name]):
        ring, record, size = (arguments[index] for index in _OUTPUTS[name])
        target = _pointed_to(record)
    else:
        return None
    variable = _variable(ring)
    type_ = _weighed(target, _operand_of_sizeof(size))
    return _Record(variable, type_, call) if variable and type_ else None


def _weighed(target: ClangType | None, counted: ClangType | None) -> ClangType | None:
    """The type of a record, from that which a pointer leads to and that of which the size is taken."""
    if counted is None:
        # A pointer to single bytes leads to a buffer of unknown size.
        return target if target is not None and target.get_size() > 1 else None
    if target is None or (target.kind == TypeKind.CONSTANTARRAY and _same(target.element_type, counted)):
        # One element of an array is sent, if the pointer is known at all.
        return counted
    # A larger size tells that the pointer leads to a buffer of bytes, or to the head of a larger struct. A smaller one
    # sends the struct without its tail.
    return counted if counted.get_size() > target.get_size() else target


def _same(one: ClangType, other: ClangType) -> bool:
    return _unqualified(one.get_canonical().spelling) == _unqualified(other.get_canonical().spelling)


def _pointee(type_: ClangType) -> ClangType | None:
    """What a pointer leads to; None for `void *` and for what is no pointer."""
    if type_.kind != TypeKind.POINTER:
        type_ = type_.get_canonical()
    if type_.kind != TypeKind.POINTER or type_.get_pointee().get_canonical().kind == TypeKind.VOID:
        return None
    return type_.get_pointee()


def _pointed_to(cursor: Cursor) -> ClangType | None:
    """What a pointer argument leads to: by a cast that the source writes, or before it became `void *`."""
    for link in _unwrapped(cursor):
        cursor = link
        if cursor.kind == CursorKind.CSTYLE_CAST_EXPR and _pointee(cursor.type) is not None:
            break
    return cursor.type if cursor.type.get_canonical().kind == TypeKind.CONSTANTARRAY else _pointee(cursor.type)


def _unwrapped(cursor: Cursor) -> Iterator[Cursor]:
    """The expression, then what stands in its parentheses and casts, one by one."""
    yield cursor
    while cursor.kind in _TRANSPARENT:
        inner = [child for child in cursor.get_children() if child.kind.is_expression()]
        if len(inner) != 1:
            return
        cursor = inner[0]
        yield cursor


def _strip(cursor: Cursor) -> Cursor:
    """The expression behind parentheses and casts."""
    *_, last = _unwrapped(cursor)
    return last


def _variable(cursor: Cursor) -> str | None:
    """The global map in `&map`."""
    cursor = _strip(cursor)
    if cursor.kind == CursorKind.UNARY_OPERATOR:
        cursor = _strip(next(cursor.get_children(), cursor))
    if cursor.kind != CursorKind.DECL_REF_EXPR or cursor.referenced.kind != CursorKind.VAR_DECL:
        return None
    is_global = cursor.referenced.semantic_parent.kind == CursorKind.TRANSLATION_UNIT
    return str(cursor.spelling) if is_global else None


def _operand_of_sizeof(cursor: Cursor) -> ClangType | None:
    """The T of `sizeof(T)`, or the type of the x of `sizeof(x)`."""
    cursor = _strip(cursor)
    if cursor.kind != CursorKind.CXX_UNARY_EXPR:
        return None
    operand = next(cursor.get_children(), None)
    if operand is None or operand.kind == CursorKind.INTEGER_LITERAL:
        return None
    # Of `sizeof(struct event *)` and `sizeof(u8[64])` libclang shows no more than struct event and u8.
    if operand.kind == CursorKind.TYPE_REF and any(token.spelling in {"*", "["} for token in cursor.get_tokens()):
        return None
    return operand.type if _pointee(operand.type) is None else None
