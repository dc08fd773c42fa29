"""`const volatile` globals as options: their values, to and from text.

A variable keeps its C type: what does not fit is refused with the range that does.
"""

from __future__ import annotations

import operator
import re
import sys

from skep.base.errors import UsageError
from skep.spec.annotations import Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.base.schema import Type

__all__ = ["VariableSpec"]

_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_NUMBER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|[1-9][0-9]*|0)")
# Longer than any number that a type takes, and short enough for int().
_LONGEST_NUMBER = 200
# In nanoseconds, for variables that hold a span of time: the units of what is given, and of the variable.
_TIMES = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_DURATION = re.compile(r"([0-9]+)(?:\.([0-9]+))?(ns|us|ms|s|m|h)")
_UNITS = {"_ns": 1, "_us": 1_000, "_ms": 1_000_000}


class VariableSpec:
    """One global that may be set before load.

    Args:
        name: as in C.
        section: the section that holds it.
        offset: in that section, in bytes.
        type: its type.
        data: its value, as in the object.
        note: its doc comment.
    """

    __slots__ = ("data", "name", "note", "offset", "section", "type")

    def __init__(
        self,
        name: str,
        section: str,
        offset: int,
        type: Type,  # noqa: A002
        data: bytes,
        note: Note | None = None,
    ) -> None:
        self.name = name
        self.section = section
        self.offset = offset
        self.type = type
        self.data = data
        self.note = note or Note("", {})

    @property
    def help(self) -> str:
        """What its doc comment says of it."""
        return str(self.note.object("cmdarg").get("help") or self.note.text)

    @property
    def is_option(self) -> bool:
        """Whether it can be given as text, and is not skep's own to set (`skep_...`)."""
        return self.type.kind in {"int", "bool", "enum", "text"} and not self.name.startswith("skep_")

    @property
    def value(self) -> int | bool | str | bytes:
        """The value: an integer, a boolean, the text up to the first NUL; for any other type its bytes.

        An enum may be set by name. Text keeps room for the NUL behind it.

        Raises:
            UsageError: the type does not take that value.
        """
        if self.type.kind == "text":
            return self.data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if self.type.kind not in {"int", "bool", "enum"}:
            return self.data
        number = int.from_bytes(self.data, sys.byteorder, signed=self.type.signed)
        return bool(number) if self.type.kind == "bool" else number

    @value.setter
    def value(self, value: int | bool | str | bytes) -> None:
        kind = self.type.kind
        if kind == "text":
            self.data = self._text(value)
        elif kind == "enum" and isinstance(value, str):
            self.data = self._number(self._enumerator(value))
        elif kind in {"int", "bool", "enum"}:
            self.data = self._number(value)
        elif isinstance(value, bytes) and len(value) == len(self.data):
            self.data = value
        else:
            raise UsageError(f"{self.name} is a {self.type.name}, which takes {len(self.data)} bytes")

    def parse(self, text: str) -> None:
        """Sets the value from text.

        Args:
            text: a number (decimal, 0x, 0o, 0b), true or false, an enum's name, a duration such as ``10ms`` where the
                name ends in _ns, _us or _ms, or the text itself.

        Raises:
            UsageError: it is none of those that the type takes, or out of its range.
        """
        kind = self.type.kind
        if kind == "text":
            self.value = text
        elif kind == "bool":
            if text.lower() not in _WORDS:
                raise UsageError(f"{self.name} takes true or false, not {text!r}")
            self.value = _WORDS[text.lower()]
        elif kind not in {"int", "enum"}:
            raise UsageError(f"{self.name} is a {self.type.name}, which cannot be given as text")
        elif _NUMBER.fullmatch(text) and len(text) <= _LONGEST_NUMBER:
            self.value = int(text, 0)
        elif kind == "enum":
            self.value = self._enumerator(text)
        else:
            self.value = self._duration(text)

    def _enumerator(self, name: str) -> int:
        names = {known: number for number, known in (self.type.enum or {}).items()}
        if name not in names:
            raise UsageError(f"{self.name} takes one of {', '.join(names)}, or a number, not {name!r}")
        return names[name]

    def _duration(self, text: str) -> int:
        unit = next((ending for ending in _UNITS if self.name.endswith(ending)), "")
        match = _DURATION.fullmatch(text) if unit and len(text) <= _LONGEST_NUMBER else None
        if match is None:
            takes = "a number or a duration such as 10ms" if unit else f"a number ({self.type.name})"
            raise UsageError(f"{self.name} takes {takes}, not {text!r}")
        whole, fraction, given = match[1], match[2] or "", match[3]
        scale: int = _UNITS[unit] * 10 ** len(fraction)
        number, rest = divmod(int(whole + fraction) * _TIMES[given], scale)
        # Rounding could give 0, which often means "no limit".
        if rest:
            raise UsageError(f"{self.name} counts whole {unit[1:]}, and {text} is none")
        return number

    def _text(self, value: object) -> bytes:
        if not isinstance(value, str):
            raise UsageError(f"{self.name} takes text, not {value!r}")
        try:
            data = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise UsageError(f"{self.name} takes text, and half a character is none: {value!r}") from None
        if len(data) >= self.type.size or b"\0" in data:
            raise UsageError(f"{self.name} takes at most {self.type.size - 1} bytes of text without NUL, not {value!r}")
        return data.ljust(self.type.size, b"\0")

    def _number(self, value: Any) -> bytes:
        bits = 1 if self.type.kind == "bool" else self.type.size * 8
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.type.signed else (0, (1 << bits) - 1)
        try:
            # It takes the integers of NumPy too, and no number with a fraction.
            number = operator.index(value)
        except TypeError:
            number = None
        if number is None or not low <= number <= high:
            raise UsageError(f"{self.name} takes a {self.type.name}, {low} to {high}")
        return number.to_bytes(self.type.size, sys.byteorder, signed=self.type.signed)
