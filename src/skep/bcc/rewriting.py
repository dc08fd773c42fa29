"""Rewrites a text of BCC's dialect: calls of tables' methods, reads of memory outside, parameters, sections."""

from __future__ import annotations

import re

from clang.cindex import Cursor, CursorKind, StorageClass, TypeKind

from skep.base.errors import CompileError
from skep.base.nearest import nearest
from skep.bcc.places import diagnostic
from skep.bcc.tables import METHODS
from skep.bcc.tracking import Tracker, children, is_array, is_arrow, method_of, table_of
from skep.spec.syntax import ADDRESS_OF, ASSIGN, DEREFERENCE, STEPS, binary_operator, has_name, strip, unary_operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from skep.bcc.tables import Table

__all__ = ["rewrite", "unknown_method"]

_PLACES = {CursorKind.MEMBER_REF_EXPR, CursorKind.ARRAY_SUBSCRIPT_EXPR, CursorKind.UNARY_OPERATOR}
_TAG = re.compile(r"\b(struct|union) \w+$")
# What mends a checksum: its place in the packet, a value as programs have it, and the one that takes its place.
_VALUES = "(u64)({0}), skep_on_the_wire({1}, {length}), skep_on_the_wire({2}, {length})"
_CHECKSUMS = {
    "incr_cksum_l3": f"bpf_l3_csum_replace({{packet}}, {_VALUES}, {{length}})",
    "incr_cksum_l4": f"bpf_l4_csum_replace({{packet}}, {_VALUES}, (({{3}}) & 1) << 4 | {{length}})",
}
# Parameters in registers, beside the context: include/uapi/asm/ptrace.h by bpf_tracing.h.
_MOST_ARGUMENTS = 6


def rewrite(text: bytes, functions: Sequence[Cursor], tables: Mapping[str, Table]) -> tuple[bytes, dict[str, str]]:
    """The text in C, and its programs with the types of their contexts.

    Args:
        text: that libclang has read.
        functions: those that it defines.
        tables: those that it declares.

    Raises:
        CompileError: it is wrong in a way that the compiler would not tell, or not as clearly.
    """
    return _Rewriter(text, functions, tables).result()


class _Rewriter:
    def __init__(self, text: bytes, functions: Sequence[Cursor], tables: Mapping[str, Table]) -> None:
        self._text = text
        self._tables = tables
        self._functions = functions
        self._programs = {
            function.spelling: function for function in functions if function.storage_class != StorageClass.STATIC
        }
        # What the function that is looked at calls the packet that it is given.
        self._packets = ""
        # (first byte, -one behind the last, order) -> what stands there instead; an outer one comes before its inner,
        # of the same place the one that was noted first.
        self._edits: dict[tuple[int, int, int], Callable[[], str]] = {}
        self._tracker = Tracker(functions, self._programs)

    def result(self) -> tuple[bytes, dict[str, str]]:
        for table in self._tables.values():
            self._replace(*table.place, table.declared)
        for function in self._functions:
            self._function(function)
        contexts = {name: _context(function) for name, function in self._programs.items()}
        return self._slice(0, len(self._text)).encode("utf-8", "surrogateescape"), contexts

    def _replace(self, start: int, end: int, by: Callable[[], str]) -> None:
        self._edits.setdefault((start, -end, len(self._edits)), by)

    def _slice(self, start: int, end: int, *, within: int = -1) -> str:
        """A part of the text as it is to be; `within` is the number of the edit of all of it that asks."""
        written, at = [], start
        for key in sorted(self._edits):
            first, last = key[0], -key[1]
            if first < at or last > end or ((first, last) == (start, end) and key[2] <= within):
                continue
            written += [self._original(at, first), self._edits[key]()]
            at = last
        return "".join([*written, self._original(at, end)])

    def _original(self, start: int, end: int) -> str:
        return self._text[start:end].decode("utf-8", "surrogateescape")

    def _of(self, cursor: Cursor) -> str:
        return self._slice(*_range(cursor))

    def _function(self, function: Cursor) -> None:
        body = next(child for child in children(function) if child.kind == CursorKind.COMPOUND_STMT)
        start, _ = _range(function)
        if function.spelling not in self._programs:
            self._replace(start, start, lambda: "__attribute__((always_inline)) ")
        else:
            self._program(function, body)
        packets = [each for each in function.get_arguments() if each.type.spelling == "struct __sk_buff *"]
        self._packets = packets[0].spelling if packets else "(struct __sk_buff *)0"
        self._visit(body, addressed=False)

    def _program(self, program: Cursor, body: Cursor) -> None:
        name, parameters = program.spelling, list(program.get_arguments())
        if len(parameters) > _MOST_ARGUMENTS + 1:
            raise self._error(
                program, f"{name}: too many arguments: a program has a context and {_MOST_ARGUMENTS} of its own"
            )
        if any(not each.spelling for each in parameters):
            raise self._error(program, f"{name}: a parameter has no name", "Name each parameter.")
        start, _ = _range(program)
        self._replace(start, start, lambda: f'SEC("?{name}@") ')
        if len(parameters) < 2:
            return
        first, last = _range(parameters[0])[1], _range(parameters[-1])[1]
        self._replace(first, last, lambda: "")
        used = {each.spelling for each in body.walk_preorder() if each.kind == CursorKind.DECL_REF_EXPR}
        context = parameters[0].spelling
        is_call = name.startswith(("syscall__", "kprobe____x64_sys_"))
        said = []
        if is_call:
            said.append(f"struct pt_regs *skep_call = (struct pt_regs *)PT_REGS_PARM1({context});")
        for number, parameter in enumerate(parameters[1:], 1):
            if parameter.spelling in used:
                value = (
                    f"PT_REGS_PARM{number}_CORE_SYSCALL(skep_call)" if is_call else f"PT_REGS_PARM{number}({context})"
                )
                written = self._original(*_range(parameter))
                said.append(f"{written} = ({parameter.type.spelling}){value};")
        brace, _ = _range(body)
        self._replace(brace, brace + 1, lambda: f"{{ {' '.join(said)}")

    def _visit(self, cursor: Cursor, *, addressed: bool) -> None:
        """Notes what becomes of an expression or a statement.

        Args:
            cursor: of it.
            addressed: whether its place is asked for, not its value.
        """
        kind, inner = cursor.kind, children(cursor)
        if kind == CursorKind.CXX_UNARY_EXPR:  # sizeof: nothing is read
            self._measured(cursor)
            return
        if kind == CursorKind.CALL_EXPR and self._call(cursor):
            return
        if kind == CursorKind.MEMBER_REF_EXPR and not addressed and self._packet(cursor):
            return
        if kind in _PLACES and not addressed and not is_array(cursor) and self._tracker.is_outside(cursor):
            self._read(cursor)
        if kind == CursorKind.MEMBER_REF_EXPR and inner:
            self._member(cursor)
            if self._tracker.is_outside(cursor):
                self._base(cursor)
            self._visit(inner[0], addressed=not is_arrow(cursor))
        elif kind == CursorKind.ARRAY_SUBSCRIPT_EXPR and len(inner) > 1:
            self._visit(inner[0], addressed=False)
            self._visit(inner[1], addressed=False)
        elif kind == CursorKind.UNARY_OPERATOR:
            operator = unary_operator(cursor)
            if operator in STEPS:
                self._written(inner[0])
            self._visit(inner[0], addressed=operator == ADDRESS_OF or operator in STEPS)
        elif kind == CursorKind.COMPOUND_ASSIGNMENT_OPERATOR or (
            kind == CursorKind.BINARY_OPERATOR and binary_operator(cursor) == ASSIGN
        ):
            if kind == CursorKind.BINARY_OPERATOR and self._stored(cursor):
                return
            self._written(inner[0])
            self._visit(inner[0], addressed=True)
            self._visit(inner[1], addressed=False)
        else:
            keeps = kind == CursorKind.PAREN_EXPR
            for child in inner:
                self._visit(child, addressed=addressed and keeps)

    def _measured(self, cursor: Cursor) -> None:
        for each in cursor.walk_preorder():
            if each.kind == CursorKind.MEMBER_REF_EXPR:
                self._member(each)

    def _member(self, member: Cursor) -> None:
        """`counts.key` and `counts.leaf` are those of the map, which names their types by pointers."""
        table = table_of(member)
        if table and member.spelling in {"key", "leaf"}:
            word = "key" if member.spelling == "key" else "value"
            self._replace(*_range(member), lambda: f"(*{table}.{word})")

    def _base(self, member: Cursor) -> None:
        """A struct that is reached by a name that the text gives it (typedef): CO-RE looks for the kernel's name."""
        base = children(member)[0]
        if not is_arrow(member):
            place = strip(base)
            if place.kind != CursorKind.UNARY_OPERATOR or unary_operator(place) != DEREFERENCE:
                return
            base = children(place)[0]
        named = base.type.get_pointee().get_declaration().kind if base.type.kind == TypeKind.POINTER else None
        struct = base.type.get_canonical().get_pointee().spelling
        (start, end), number = _range(base), len(self._edits)
        if named not in {CursorKind.STRUCT_DECL, CursorKind.UNION_DECL} and _TAG.search(struct):
            self._replace(start, end, lambda: f"(({struct} *)({self._slice(start, end, within=number)}))")

    def _packet(self, member: Cursor) -> bool:
        """Whether a member is a field of a packet, which is read from there."""
        field = self._field(member)
        if field is None:
            return False
        self._replace(*_range(member), lambda: f"skep_packet({field()})")
        self._visit(children(member)[0], addressed=False)
        return True

    def _stored(self, assignment: Cursor) -> bool:
        """Whether a field of a packet is assigned to, which is written there."""
        target, value = children(assignment)
        member = strip(target)
        field = self._field(member) if member.kind == CursorKind.MEMBER_REF_EXPR else None
        if field is None:
            return False
        self._replace(*_range(assignment), lambda: f"skep_store_packet({field()}, {self._of(value)})")
        self._visit(children(member)[0], addressed=False)
        self._visit(value, addressed=False)
        return True

    def _field(self, member: Cursor) -> Callable[[], str] | None:
        """Where a field of a packet is: packet, byte, bits behind that, how many it has; None for other members."""
        base = children(member)[0] if children(member) else None
        pointed = base.type.get_canonical().get_pointee().get_declaration() if base is not None else None
        if pointed is None or not any(
            each.kind == CursorKind.ANNOTATE_ATTR and each.spelling == "packet" for each in pointed.get_children()
        ):
            return None
        field = member.referenced
        place = field.get_field_offsetof()
        bits = field.get_bitfield_width() if field.is_bitfield() else field.type.get_size() * 8
        packet = self._packets
        return lambda: f"{packet}, (u64)({self._of(base)}) + {place // 8}, {place % 8}, {bits}"

    def _written(self, cursor: Cursor) -> None:
        place = strip(cursor)
        if place.kind == CursorKind.MEMBER_REF_EXPR and self._field(place):
            raise self._error(
                place, "a field of a packet is changed by = alone", "Write the field, =, and what it is to be."
            )
        if self._tracker.is_outside(place):
            raise self._error(
                place,
                f"{self._original(*_range(place))} is memory of the kernel or of a process: it cannot be written to",
                "Read what is needed into a variable, and change that.",
            )

    def _read(self, cursor: Cursor) -> None:
        (start, end), number = _range(cursor), len(self._edits)
        is_bitfield = cursor.kind == CursorKind.MEMBER_REF_EXPR and cursor.referenced.is_bitfield()
        type_ = cursor.type.spelling

        def bitfield() -> str:
            member = _outermost(cursor)
            base = children(member)[0]
            struct = self._of(base) if is_arrow(member) else f"&{self._of(base)}"
            return f"BPF_CORE_READ_BITFIELD_PROBED({struct}, {cursor.spelling})"

        def value() -> str:
            place = self._slice(start, end, within=number)
            # A struct without a name is told by the place itself, which is then written twice.
            plain = re.fullmatch(r"[\w *]+", type_)
            return f"skep_read({type_ if plain else f'typeof({place})'}, {place})"

        self._replace(start, end, bitfield if is_bitfield else value)

    def _error(self, cursor: Cursor, message: str, suggestion: str | None = None) -> CompileError:
        said = diagnostic(self._text, cursor.location.offset, message, suggestion)
        return CompileError(message, remedy=suggestion, diagnostics=[said])

    def _call(self, call: Cursor) -> bool:
        """Whether a call is rewritten as a whole."""
        arguments = list(call.get_arguments())
        method = method_of(call)
        if call.spelling in _CHECKSUMS:
            self._checksum(call, arguments)
            return True
        if method is None:
            called = self._programs.get(call.spelling)
            if called is not None:
                raise self._error(
                    call,
                    f"{call.spelling}() is a program, and cannot be called: cannot call non-static helper function",
                    f"Write static in front of {call.spelling}().",
                )
            return False
        table, name = method
        for argument in arguments:
            self._visit(argument, addressed=False)

        def value() -> str:
            try:
                return self._tables[table].call(name, [self._of(argument) for argument in arguments])
            except CompileError as error:
                raise self._error(call, error.message) from None

        self._replace(*_range(call), value)
        return True

    def _checksum(self, call: Cursor, arguments: Sequence[Cursor]) -> None:
        for argument in arguments:
            self._visit(argument, addressed=False)
        packet = self._packets
        # How wide the field is, is said by what it is to be.
        length = f"sizeof({self._original(*_range(arguments[2]))})"

        def value() -> str:
            written = [self._of(argument) for argument in arguments]
            return _CHECKSUMS[call.spelling].format(*written, packet=packet, length=length)

        self._replace(*_range(call), value)


def _outermost(member: Cursor) -> Cursor:
    """Of a member of structs without names in each other, the one that the text names a struct in front of."""
    base = children(member)[0]
    while base.kind == CursorKind.MEMBER_REF_EXPR and not has_name(base):
        member, base = base, children(base)[0]
    return member


def _range(cursor: Cursor) -> tuple[int, int]:
    return cursor.extent.start.offset, cursor.extent.end.offset


def _context(program: Cursor) -> str:
    first = next(iter(program.get_arguments()), None)
    return first.type.spelling if first is not None else "void *"


def unknown_method(message: str) -> str | None:
    """What to say of a method that no table has.

    Args:
        message: libclang's, of a member that is not there.
    """
    found = re.fullmatch(r"no member named '(\w+)' in 'struct (\w+)_table_t'", message)
    return nearest(found[1], METHODS, "methods of tables") if found else None
