"""Which pointers of a program lead to memory that it may not read by itself.

BCC's dialect reads through them as if it might. They come from the registers of a probe, from the arguments of a
tracepoint, and from `bpf_get_current_task()`; from there they go where the program puts them: into variables, members
of structs, parameters of its functions, what these return, and tables.

What is known of a thing is its depth: after so many steps through memory of the program's own there is such a pointer.
A variable that holds one has depth 0, its address 1.
"""

from __future__ import annotations

from clang.cindex import Cursor, CursorKind, StorageClass, TypeKind

from skep.spec.syntax import ADDRESS_OF, ASSIGN, DEREFERENCE, TRANSPARENT, binary_operator, strip, unary_operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

__all__ = ["Tracker", "children", "is_array", "is_arrow", "method_of", "table_of"]

_REGISTERS = ("pt_regs", "bpf_raw_tracepoint_args")
_STORES = {"update", "insert", "lookup_or_init", "lookup_or_try_init"}
_LOOKUPS = {"lookup", "lookup_or_init", "lookup_or_try_init"}


def children(cursor: Cursor) -> list[Cursor]:
    """What an expression or a statement consists of."""
    return list(cursor.get_children())


def is_array(cursor: Cursor) -> bool:
    """Whether an expression is an array."""
    return cursor.type.get_canonical().kind in {TypeKind.CONSTANTARRAY, TypeKind.INCOMPLETEARRAY}


def is_arrow(member: Cursor) -> bool:
    """Whether a member is reached by ``->``."""
    inner = children(member)
    return bool(inner) and inner[0].type.get_canonical().kind == TypeKind.POINTER


def method_of(call: Cursor) -> tuple[str, str] | None:
    """The table and the method that a call is of; None for calls of functions."""
    inner = children(call)
    callee = strip(inner[0]) if inner else None
    if callee is None or callee.kind != CursorKind.MEMBER_REF_EXPR:
        return None
    table = table_of(callee)
    return (table, callee.spelling) if table else None


def table_of(member: Cursor) -> str:
    """The table that a member is of; "" for members of anything else."""
    inner = children(member)
    base = strip(inner[0]) if inner else None
    if base is None or base.kind != CursorKind.DECL_REF_EXPR:
        return ""
    name = f"struct {base.spelling}_table_t"
    return str(base.spelling) if base.type.get_canonical().spelling == name else ""


class Tracker:
    """What is known of all functions of a text.

    Args:
        functions: those that the text defines.
        programs: the names of those that are programs: their first parameter is the context, the others registers.
    """

    def __init__(self, functions: Sequence[Cursor], programs: Collection[str]) -> None:
        self._depths: dict[Any, int] = {}
        self._returned: dict[str, int] = {}
        self._stored: dict[str, int] = {}
        self._contexts: set[Any] = set()
        self._changed = True
        for function in functions:
            if function.spelling in programs:
                self._begin(function)
        defined = {function.spelling: function for function in functions}
        while self._changed:
            self._changed = False
            for function in functions:
                for cursor in function.walk_preorder():
                    self._follow(cursor, function, defined)

    def _begin(self, program: Cursor) -> None:
        for number, parameter in enumerate(program.get_arguments()):
            if number and parameter.type.get_canonical().kind == TypeKind.POINTER:
                self._depths[_key(parameter)] = 0
            elif not number:
                pointed = parameter.type.get_canonical().get_pointee().spelling
                if any(pointed == f"struct {name}" for name in _REGISTERS) or "struct tracepoint__" in pointed:
                    self._contexts.add(_key(parameter))

    def _note(self, known: dict[Any, int], key: Any, depth: int | None) -> None:
        if depth is not None and key not in known:
            known[key] = depth
            self._changed = True

    def _follow(self, cursor: Cursor, function: Cursor, defined: dict[str, Cursor]) -> None:
        kind = cursor.kind
        if kind == CursorKind.VAR_DECL:
            values = [child for child in children(cursor) if child.kind.is_expression()]
            if values and not is_array(cursor):
                self._note(self._depths, _key(cursor), self.depth(values[-1]))
        elif kind == CursorKind.BINARY_OPERATOR and binary_operator(cursor) == ASSIGN:
            target, value = children(cursor)
            target = strip(target)
            if target.kind in {CursorKind.DECL_REF_EXPR, CursorKind.MEMBER_REF_EXPR} and not self.is_outside(target):
                self._note(self._depths, _key(target.referenced), self.depth(value))
        elif kind == CursorKind.RETURN_STMT and function.storage_class == StorageClass.STATIC:
            for value in children(cursor):
                self._note(self._returned, function.spelling, self.depth(value))
        elif kind == CursorKind.CALL_EXPR:
            arguments = list(cursor.get_arguments())
            method = method_of(cursor)
            if method is not None:
                if method[1] in _STORES and len(arguments) > 1:
                    depth = self.depth(arguments[1])
                    self._note(self._stored, method[0], depth or None)
            elif cursor.spelling in defined:
                for parameter, argument in zip(defined[cursor.spelling].get_arguments(), arguments, strict=False):
                    self._note(self._depths, _key(parameter), self.depth(argument))
                    if _key(strip(argument).referenced) in self._contexts:
                        self._contexts.add(_key(parameter))

    def depth(self, cursor: Cursor) -> int | None:
        """The depth of the value of an expression; None where nothing is known of it."""
        kind = cursor.kind
        if self.is_outside(cursor):
            return 0
        if kind == CursorKind.DECL_REF_EXPR:
            return self._depths.get(_key(cursor.referenced))
        if kind in TRANSPARENT:
            inner = [child for child in children(cursor) if child.kind.is_expression()]
            return self.depth(inner[-1]) if inner else None
        if kind == CursorKind.MEMBER_REF_EXPR:
            if children(cursor) and self._is_context(children(cursor)[0]):
                return 1 if is_array(cursor) else 0
            return self._depths.get(_key(cursor.referenced))
        if kind == CursorKind.UNARY_OPERATOR:
            inner, operator = children(cursor)[0], unary_operator(cursor)
            below = self.depth(inner)
            if below is None or (operator == ADDRESS_OF and self.is_outside(inner)):
                return below
            return below + 1 if operator == ADDRESS_OF else max(below - 1, 0) if operator == DEREFERENCE else below
        if kind == CursorKind.ARRAY_SUBSCRIPT_EXPR:
            below = self.depth(children(cursor)[0])
            return None if below is None else max(below - 1, 0)
        if kind == CursorKind.CALL_EXPR:
            method = method_of(cursor)
            if method is not None:
                return self._stored.get(method[0]) if method[1] in _LOOKUPS else None
            return 0 if cursor.spelling == "bpf_get_current_task" else self._returned.get(cursor.spelling)
        if kind in {CursorKind.BINARY_OPERATOR, CursorKind.CONDITIONAL_OPERATOR, CursorKind.StmtExpr}:
            return self._of_several(cursor)
        return None

    def _of_several(self, cursor: Cursor) -> int | None:
        inner = children(cursor)
        if cursor.kind == CursorKind.StmtExpr:
            # Its value is that of its last statement.
            last = children(inner[0]) if inner else []
            return self.depth(last[-1]) if last and last[-1].kind.is_expression() else None
        operands = inner[1:] if cursor.kind == CursorKind.CONDITIONAL_OPERATOR else inner
        # A number that is added to a pointer says nothing of where that leads.
        pointers = [each for each in operands if each.type.get_canonical().kind == TypeKind.POINTER or is_array(each)]
        depths = [depth for each in pointers or operands if (depth := self.depth(each)) is not None]
        return min(depths, default=None)

    def is_outside(self, cursor: Cursor) -> bool:
        """Whether an expression names a place in memory that the program may not read by itself."""
        inner = children(cursor)
        if cursor.kind == CursorKind.PAREN_EXPR:
            return self.is_outside(inner[0])
        if cursor.kind == CursorKind.MEMBER_REF_EXPR and inner:
            if not is_arrow(cursor):
                return self.is_outside(inner[0])
            return not self._is_context(inner[0]) and self.depth(inner[0]) == 0
        if cursor.kind == CursorKind.ARRAY_SUBSCRIPT_EXPR and inner:
            base = _undecayed(inner[0])
            return self.is_outside(base) if is_array(base) else self.depth(base) == 0
        if cursor.kind == CursorKind.UNARY_OPERATOR and unary_operator(cursor) == DEREFERENCE:
            return self.depth(inner[0]) == 0
        return False

    def _is_context(self, cursor: Cursor) -> bool:
        base = strip(cursor)
        return base.kind == CursorKind.DECL_REF_EXPR and _key(base.referenced) in self._contexts


def _undecayed(cursor: Cursor) -> Cursor:
    """An array behind its conversion to a pointer."""
    while cursor.kind in {CursorKind.UNEXPOSED_EXPR, CursorKind.PAREN_EXPR}:
        inner = children(cursor)
        if len(inner) != 1:
            break
        cursor = inner[0]
    return cursor


def _key(declaration: Cursor | None) -> Any:
    """What tells a declaration from others."""
    if declaration is None:
        return None
    place = declaration.location
    return (place.file.name if place.file else "", place.offset, declaration.spelling)
