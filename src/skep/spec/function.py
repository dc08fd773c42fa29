"""What a function's text does with values: what comes into each variable, what becomes of it, what is called.

Each function is read once, whatever calls it (`skep.spec.flow` joins them).
"""

from __future__ import annotations

from clang.cindex import Cursor, CursorKind
from clang.cindex import Type as ClangType

from skep.spec.syntax import (
    ADDRESS_OF,
    ASSIGN,
    STEPS,
    TRANSPARENT,
    binary_operator,
    is_number,
    pointee,
    strip,
    unary_operator,
)

__all__ = ["Call", "Function", "Use"]

_PLACES = {CursorKind.VAR_DECL, CursorKind.PARM_DECL}


class Use:
    """What becomes of a value: the type that casts give it, or else the place where it goes.

    Args:
        type: what the pointer is made to lead to, or None.
        variable: hash of the variable that it is assigned to.
        argument: the call that it is given to, and its position.
        returned: whether it is returned.
    """

    __slots__ = ("argument", "returned", "type", "variable")

    def __init__(
        self,
        type: ClangType | None = None,  # noqa: A002
        variable: int | None = None,
        argument: tuple[Call, int] | None = None,
        *,
        returned: bool = False,
    ) -> None:
        self.type = type
        self.variable = variable
        self.argument = argument
        self.returned = returned


class Call:
    """One call in a function's text.

    Args:
        cursor: the call.
        use: what becomes of its result.
    """

    __slots__ = ("arguments", "cursor", "name", "use")

    def __init__(self, cursor: Cursor, use: Use) -> None:
        self.cursor = cursor
        self.use = use
        self.name: str = cursor.spelling
        self.arguments = list(cursor.get_arguments())


class Function:
    """A function's text.

    Args:
        cursor: its definition.

    Attributes:
        calls: by hash, in the order of the text.
        sources: what is assigned to each variable, by hash.
        uses: what becomes of each variable's value, by hash.
        returns: what is returned.
        stores: assignments to members of structs: (the member, the value; None where it is computed from the old).
        lists: what structs are initialized with.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.name: str = cursor.spelling
        self.parameters = [parameter.hash for parameter in cursor.get_arguments()]
        self.calls: dict[int, Call] = {}
        self.sources: dict[int, list[Cursor]] = {}
        self.uses: dict[int, list[Use]] = {}
        self.returns: list[Cursor] = []
        self.stores: list[tuple[Cursor, Cursor | None]] = []
        self.lists: list[Cursor] = []
        self._read(cursor)

    def _read(self, function: Cursor) -> None:
        nothing = Use()
        # The body alone: BPF_PROG and its like write typeof(name(0)) before it, which calls nothing.
        bodies = [child for child in function.get_children() if child.kind == CursorKind.COMPOUND_STMT]
        pending: list[tuple[Cursor, Use]] = [(body, nothing) for body in bodies]
        while pending:
            cursor, use = pending.pop()
            children = list(cursor.get_children())
            kind = cursor.kind
            uses = [nothing] * len(children)
            if kind in TRANSPARENT:
                target = use.type or pointee(cursor.type)
                uses = [Use(target) if target is not None else use] * len(children)
            elif kind == CursorKind.CALL_EXPR:
                call = self.calls[cursor.hash] = Call(cursor, use)
                # The first child is the function.
                uses = [nothing, *(Use(argument=(call, index)) for index in range(len(children) - 1))]
            elif kind == CursorKind.DECL_REF_EXPR:
                if use is not nothing and cursor.referenced is not None and cursor.referenced.kind in _PLACES:
                    self.uses.setdefault(cursor.referenced.hash, []).append(use)
            elif kind == CursorKind.VAR_DECL:
                if children and children[-1].kind.is_expression():
                    self.sources.setdefault(cursor.hash, []).append(children[-1])
                    uses[-1] = Use(variable=cursor.hash)
            elif kind == CursorKind.RETURN_STMT and children:
                self.returns.append(children[0])
                uses = [Use(returned=True)]
            elif kind == CursorKind.BINARY_OPERATOR and binary_operator(cursor) == ASSIGN:
                uses[1] = self._assignment(*children)
            elif kind in {CursorKind.COMPOUND_ASSIGNMENT_OPERATOR, CursorKind.UNARY_OPERATOR}:
                self._change(cursor, strip(children[0]))
            elif kind == CursorKind.INIT_LIST_EXPR:
                self.lists.append(cursor)
            elif kind == CursorKind.CONDITIONAL_OPERATOR:
                uses = [nothing, use, use]
            elif kind in {CursorKind.StmtExpr, CursorKind.COMPOUND_STMT} and children:
                # The last expression of ({ ... }) is its value; that of a plain block goes nowhere.
                uses[-1] = use
            pending += reversed(list(zip(children, uses, strict=True)))

    def _assignment(self, place: Cursor, value: Cursor) -> Use:
        target = strip(place)
        if target.kind == CursorKind.MEMBER_REF_EXPR:
            self.stores.append((target, value))
        if target.kind == CursorKind.DECL_REF_EXPR and target.referenced is not None:
            self.sources.setdefault(target.referenced.hash, []).append(value)
            return Use(variable=target.referenced.hash)
        return Use()

    def _change(self, operation: Cursor, operand: Cursor) -> None:
        """Notes a member that is computed from what it was, or whose address is taken so that others write to it."""
        if operand.kind != CursorKind.MEMBER_REF_EXPR or not is_number(operand.type):
            return
        if operation.kind == CursorKind.COMPOUND_ASSIGNMENT_OPERATOR or unary_operator(operation) in {
            ADDRESS_OF,
            *STEPS,
        }:
            self.stores.append((operand, None))
