"""How pointers go through the functions of a source: `Frame`, one call of a function, within those that lead to it.

A record may be reserved in one function, kept in a `void *`, filled in a second and sent by a third. So a frame joins
what a function's text says of its parameters and variables (`skep.spec.function`) to what its caller says of the
arguments and of the result. Order and conditions are not followed: what may be counts.
"""

from __future__ import annotations

from clang.cindex import Cursor, CursorKind, TypeKind
from clang.cindex import Type as ClangType

from skep.spec.function import Use
from skep.spec.syntax import ADDRESS_OF, pointee, strip, unary_operator, unwrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from skep.spec.function import Call, Function

__all__ = ["Frame"]

# Calls within calls that are followed.
_DEEPEST = 8


class Frame:
    """One call of a function, within those that lead to it.

    Args:
        function: that is called.
        functions: all of the source, by name.
        caller: the frame that calls it; None for a program.
        call: the call.
    """

    def __init__(
        self,
        function: Function,
        functions: Mapping[str, Function],
        caller: Frame | None = None,
        call: Call | None = None,
    ) -> None:
        self.function = function
        self._functions = functions
        self.caller = caller
        self.call = call
        self.depth: int = 0 if caller is None else caller.depth + 1
        self._inner: dict[int, Frame | None] = {}

    @property
    def program(self) -> str:
        """The name of the program that all the calls begin in."""
        return self.function.name if self.caller is None else self.caller.program

    def into(self, call: Cursor) -> Frame | None:
        """The frame of a call of this function's; None if the function is not of this source, or too deep down."""
        known = self.function.calls.get(call.hash)
        if known is None or known.name not in self._functions or self.depth == _DEEPEST:
            return None
        if call.hash not in self._inner:
            self._inner[call.hash] = Frame(self._functions[known.name], self._functions, self, known)
        return self._inner[call.hash]

    def origins(
        self, expression: Cursor, enough: Callable[[Cursor], bool] = lambda _: False
    ) -> Iterator[tuple[Cursor, Frame]]:
        """The expressions, each with its frame, that a value may come from, through variables, arguments and calls.

        Args:
            expression: of this function.
            enough: whether an expression on the way tells what is asked already.
        """
        seen: set[tuple[int, int]] = set()
        waiting: list[tuple[Cursor, Frame]] = [(expression, self)]
        while waiting:
            origin, frame = waiting.pop()
            last = strip(origin)
            further: list[tuple[Cursor, Frame]] = []
            # What leads back to where it was comes from nowhere else.
            if not enough(origin) and (id(frame), last.hash) not in seen:
                seen.add((id(frame), last.hash))
                further = list(frame.steps(last))
            if not further:
                yield origin, frame
            waiting += reversed(further)

    def steps(self, expression: Cursor) -> Iterable[tuple[Cursor, Frame]]:
        """What the value of an expression comes from, one step back; nothing, if it starts there.

        Args:
            expression: of this function, without casts.
        """
        children = list(expression.get_children())
        if expression.type.get_canonical().kind in {TypeKind.CONSTANTARRAY, TypeKind.RECORD}:
            # What it holds is not what its address leads to.
            return []
        if expression.kind == CursorKind.DECL_REF_EXPR and expression.referenced is not None:
            return self._given(expression.referenced.hash)
        if expression.kind == CursorKind.CONDITIONAL_OPERATOR:
            return [(child, self) for child in children[1:]]
        if expression.kind in {CursorKind.StmtExpr, CursorKind.COMPOUND_STMT}:
            return [(child, self) for child in children[-1:]]
        inner = self.into(expression) if expression.kind == CursorKind.CALL_EXPR else None
        return [] if inner is None else [(returned, inner) for returned in inner.function.returns]

    def _given(self, variable: int) -> Iterable[tuple[Cursor, Frame]]:
        """What a variable is assigned, or a parameter given."""
        parameters = self.function.parameters
        found = [(source, self) for source in self.function.sources.get(variable, ())]
        if self.caller is not None and self.call is not None and variable in parameters:
            found += [(argument, self.caller) for argument in self.call.arguments[parameters.index(variable) :][:1]]
        return found

    def becomes(self, use: Use) -> list[ClangType]:
        """The types that a pointer is made to lead to, wherever it goes."""
        found: list[ClangType] = []
        seen: set[tuple[int, int]] = set()
        waiting: list[tuple[Use, Frame]] = [(use, self)]
        while waiting:
            use, frame = waiting.pop()
            home, variable = frame, use.variable
            if use.type is not None:
                found.append(use.type)
            elif use.argument is not None:
                call, index = use.argument
                inner = frame.into(call.cursor)
                if inner is not None and index < len(inner.function.parameters):
                    home, variable = inner, inner.function.parameters[index]
            elif use.returned and frame.caller is not None and frame.call is not None:
                waiting.append((frame.call.use, frame.caller))
            if variable is not None and (id(home), variable) not in seen:
                seen.add((id(home), variable))
                waiting += [(each, home) for each in reversed(home.function.uses.get(variable, ()))]
        return found

    def leads_to(self, pointer: Cursor) -> list[ClangType]:
        """The types of what a pointer may lead to, as casts and declarations on its way say."""
        origins = list(self.origins(pointer, lambda expression: _cast(expression) is not None))
        found = [type_ for origin, frame in origins for type_ in frame.target(origin)]
        # What nothing is known to come into may be told by what it is made to be.
        return found or self._made_of(strip(pointer))

    def target(self, pointer: Cursor) -> list[ClangType]:
        """The types of what a pointer leads to, by this expression and by what becomes of it.

        Args:
            pointer: of this function, as `origins` gives it.
        """
        cast, last = _cast(pointer), strip(pointer)
        if cast is not None:
            return [cast]
        if last.kind == CursorKind.UNARY_OPERATOR and unary_operator(last) == ADDRESS_OF:
            return [next(last.get_children()).type]
        if last.kind == CursorKind.CALL_EXPR and last.hash in self.function.calls:
            call = self.function.calls[last.hash]
            return _value(call) or self.becomes(call.use)
        if last.type.get_canonical().kind == TypeKind.CONSTANTARRAY:
            # An array of bytes may be room for something else.
            room = last.type.get_canonical().element_type.get_size() == 1
            return (self._made_of(last) if room else []) or [last.type]
        return self._made_of(last)

    def _made_of(self, variable: Cursor) -> list[ClangType]:
        if variable.kind != CursorKind.DECL_REF_EXPR or variable.referenced is None:
            return []
        return self.becomes(Use(variable=variable.referenced.hash))


def _cast(pointer: Cursor) -> ClangType | None:
    """What a pointer leads to by the outermost cast that the source writes, or by its own type."""
    *wrapped, last = unwrapped(pointer)
    casts = [link.type for link in wrapped if link.kind == CursorKind.CSTYLE_CAST_EXPR]
    return next((target for target in map(pointee, [*casts, last.type]) if target is not None), None)


def _value(call: Call) -> list[ClangType]:
    """The type of the values of the map that a call looks into."""
    if call.name != "bpf_map_lookup_elem" or not call.arguments:
        return []
    map_ = next(iter(strip(call.arguments[0]).get_children()), None)
    fields = [] if map_ is None else [field for field in map_.type.get_fields() if field.spelling == "value"]
    return [target for target in (pointee(field.type) for field in fields) if target is not None]
