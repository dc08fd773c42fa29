r"""`--filter`: which records are shown, said in one small language.

    expression   term { "or" term }
    term         factor { "and" factor }
    factor       "not" factor | "(" expression ")" | FIELD | FIELD OPERATOR VALUE
    OPERATOR     == != < <= > >=   of what the field holds
                 =~ !~             a regular expression (Python's) that is found, or not, in what a table shows
    VALUE        a word or "a text" or 'a text', in which a backslash lets a quote stand

A FIELD alone holds if it is neither zero nor empty. What a VALUE can be depends on the field: a number (10, 0x1f, -3),
a span of time (10ms), true or false, an address of the network, or a name: of an enum, an errno, a signal, a system
call, a family, a user. An expression is read once, and becomes one function for each type of record; records of a type
that lacks one of the fields are not shown.
"""

from __future__ import annotations

import re

from skep.base.errors import UsageError
from skep.view.fields import find, number_of, require
from skep.view.filter_values import ORDERS, Never, comparison, truth
from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from skep.base.schema import Schema
    from skep.stream.names import Names
    from skep.view.outputs import View
    from skep.view.selection import Tally

    Test = Callable[[Any], Any]
    Bind = Callable[[Schema, Names], Test]

__all__ = ["Filter", "Filtered"]

_LEXEME = (
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<operator>==|!=|<=|>=|=~|!~|<|>)|(?P<mark>[()])|(?P<word>[^\s()\"'<>=!]+))"
)
_WORDS = frozenset({"and", "or", "not"})
# Deeper nesting is nobody's, and would exhaust the interpreter's own stack.
_DEEPEST = 50


class Filter:
    """An expression.

    Args:
        text: the expression.

    Raises:
        UsageError: it is none; the message points to the place.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.fields: dict[str, int] = {}
        self._tokens = list(self._read())
        self._next = 0
        self._depth = 0
        self._bind = self._expression()
        kind, found, place = self._tokens[self._next]
        if kind != "end":
            raise self._wrong(place, f"'and' or 'or' is expected, not {found}")

    def test(self, schema: Schema, names: Names) -> Test | None:
        """What tells of a row whether the expression holds; None where the records lack a field.

        Args:
            schema: of the rows.
            names: for what values are called.

        Raises:
            UsageError: a field cannot be compared so.
        """
        if any(find(schema, name) is None for name in self.fields):
            return None
        return self._bind(schema, names)

    def check(self, schemas: Sequence[Schema], names: Names) -> None:
        """Makes sure that there may be records for which it holds.

        Args:
            schemas: of the run's records; where none is known yet, nothing is said.
            names: for what values are called.

        Raises:
            UsageError: no records have its fields, they cannot be compared so, or have no room for what is asked for.
        """
        require(self.fields, schemas, "--filter")
        tests = [test for schema in schemas if (test := self.test(schema, names)) is not None]
        if schemas and not tests:
            raise UsageError(f"--filter: no records have all of {', '.join(self.fields)}")
        dead = [test for test in tests if isinstance(test, Never)]
        if dead and len(dead) == len(tests):
            raise dead[0].error

    def _wrong(self, place: int, message: str, remedy: str | None = None) -> UsageError:
        caret = " " * len(escape(self.text[:place])) + "^"
        return UsageError(f"--filter: {message}\n    {escape(self.text)}\n    {caret}", remedy=remedy)

    def _read(self) -> Iterable[tuple[str, str, int]]:
        token = re.compile(_LEXEME, re.DOTALL)
        place, end = 0, len(self.text.rstrip())
        while place < end:
            match = token.match(self.text, place)
            if match is None:
                place += len(self.text[place:]) - len(self.text[place:].lstrip())
                unclosed = self.text[place] in "\"'"
                raise self._wrong(
                    place, "this text does not end" if unclosed else f"{self.text[place]!r} is no operator"
                )
            kind = str(match.lastgroup)
            yield kind, match[kind], match.start(kind)
            place = match.end()
        yield "end", "the end", end

    def _take(self, *wanted: str) -> bool:
        kind, text, _ = self._tokens[self._next]
        if kind in {"text", "end"} or text not in wanted:
            return False
        self._next += 1
        return True

    def _expression(self) -> Bind:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(self._tokens[self._next][2], "this is nested too deeply")
        parts = [self._term()]
        while self._take("or"):
            parts.append(self._term())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else _joined(parts, _either)

    def _term(self) -> Bind:
        parts = [self._factor()]
        while self._take("and"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else _joined(parts, _both)

    def _factor(self) -> Bind:
        negated = False
        while self._take("not"):
            negated = not negated
        if self._take("("):
            inner = self._expression()
            if not self._take(")"):
                raise self._wrong(self._tokens[self._next][2], "')' is expected")
        else:
            inner = self._comparison()
        return _joined([inner], _none) if negated else inner

    def _comparison(self) -> Bind:
        kind, name, place = self._tokens[self._next]
        if kind != "word" or name in _WORDS:
            raise self._wrong(place, f"a field is expected, not {name}")
        self.fields.setdefault(name, place)
        self._next += 1
        kind, operator, _ = self._tokens[self._next]
        if kind != "operator":
            return lambda schema, _: truth(schema, find(schema, name) or 0)
        self._next += 1
        kind, value, where = self._tokens[self._next]
        if kind not in {"word", "text"}:
            raise self._wrong(where, f"a value is expected, not {value}")
        self._next += 1
        if kind == "text":
            value = re.sub(r"\\([\"'])", r"\1", value[1:-1])
        if operator in {"=~", "!~"}:
            try:
                re.compile(value)
            except (re.error, OverflowError, RecursionError) as error:
                at = where + (kind == "text") + (getattr(error, "pos", None) or 0)
                raise self._wrong(at, f"this is no regular expression: {error}") from None

        def bind(schema: Schema, names: Names) -> Test:
            index = find(schema, name) or 0
            try:
                test = comparison(schema, index, operator, value, names)
            except UsageError as error:
                unordered = operator in ORDERS and number_of(schema.fields[index]) is None
                raise self._wrong(place if unordered else where, error.message, error.remedy) from None
            if isinstance(test, Never):
                return Never(self._wrong(where, test.error.message, test.error.remedy))
            return test

        return bind


class Filtered:
    """A view of the records for which an expression holds.

    Args:
        view: where they go.
        names: for what values are called.
        schemas: of the run's records.
        text: the expression.
        tally: counts what it lets through; None where nobody asks.

    Raises:
        UsageError: it is no expression, or there can be no records for which it holds.
    """

    def __init__(
        self, view: View, names: Names, schemas: Sequence[Schema], text: str, tally: Tally | None = None
    ) -> None:
        self._view = view
        self._tally = tally
        self._names = names
        self._filter = Filter(text)
        self._filter.check(schemas, names)
        self._tests = {schema: self._filter.test(schema, names) for schema in schemas}

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The text of those rows for which it holds."""
        if schema not in self._tests:
            self._tests[schema] = self._filter.test(schema, self._names)
        test = self._tests[schema]
        if test is None:
            return ""
        if self._tally is None:
            return self._view.render(schema, filter(test, rows))
        passing = list(filter(test, rows))
        self._tally.passed += len(passing)
        return self._view.render(schema, passing)

    def finish(self) -> str:
        """The text of what was held back."""
        return self._view.finish()


def _joined(parts: list[Bind], join: Callable[[list[Test]], Test]) -> Bind:
    return lambda schema, names: join([part(schema, names) for part in parts])


def _both(tests: list[Test]) -> Test:
    never = next((test for test in tests if isinstance(test, Never)), None)
    return never or (lambda row: all(test(row) for test in tests))


def _either(tests: list[Test]) -> Test:
    living = [test for test in tests if not isinstance(test, Never)]
    return (lambda row: any(test(row) for test in living)) if living else tests[0]


def _none(tests: list[Test]) -> Test:
    return lambda row: not tests[0](row)
