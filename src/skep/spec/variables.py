"""`const volatile` globals as options: their values, to and from text.

A variable keeps its C type: what does not fit is refused with the range that does.
"""

from __future__ import annotations

import re
import sys

from skep.base.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.schema import Type

__all__ = ["VariableSpec"]

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
# Multipliers to nanoseconds, for variables that hold a span of time.
_TIMES = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_UNITS = {"_ns": 1, "_us": 1_000, "_ms": 1_000_000}


class VariableSpec:
    """One global that may be set before load.

    Args:
        name: as in C.
        section: the section that holds it.
        offset: in that section, in bytes.
        type: its type.
        data: its value, as in the object.
        help: its doc comment.
    """

    __slots__ = ("data", "help", "name", "offset", "section", "type")

    def __init__(self, name: str, section: str, offset: int, type: Type, data: bytes, help: str) -> None:  # noqa: A002
        self.name = name
        self.section = section
        self.offset = offset
        self.type = type
        self.data = data
        self.help = help

    @property
    def is_option(self) -> bool:
        """Can it be given as text? (What starts with `skep_` is skep's own to set.)"""
        return self.type.kind in {"int", "bool", "enum", "text"} and not self.name.startswith("skep_")

    @property
    def value(self) -> int | bool | str:
        """The value: an integer, a boolean, or the text up to the first NUL."""
        if self.type.kind == "text":
            return self.data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        number = int.from_bytes(self.data, sys.byteorder, signed=self.type.signed)
        return bool(number) if self.type.kind == "bool" else number

    @value.setter
    def value(self, value: int | bool | str) -> None:
        if self.type.kind == "text":
            self.data = self._text(value)
        elif self.type.kind in {"int", "bool", "enum"}:
            self.data = self._number(value)
        else:
            raise UsageError(f"{self.name} is a {self.type.name}, which cannot be set as one value")

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
            if text.lower() not in _TRUE | _FALSE:
                raise UsageError(f"{self.name} takes true or false, not {text!r}")
            self.value = text.lower() in _TRUE
        elif kind == "enum" and not _is_number(text):
            names = {name: number for number, name in (self.type.enum or {}).items()}
            if text not in names:
                raise UsageError(f"{self.name} takes one of {', '.join(names)}, not {text!r}")
            self.value = names[text]
        else:
            self.value = self._duration(text) if self._unit and not _is_number(text) else self._integer(text)

    @property
    def _unit(self) -> int:
        return next((scale for ending, scale in _UNITS.items() if self.name.endswith(ending)), 0)

    def _integer(self, text: str) -> int:
        if not _is_number(text):
            raise UsageError(f"{self.name} takes a number ({self.type.name}), not {text!r}")
        return int(text, 0)

    def _duration(self, text: str) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text)
        if match is None:
            raise UsageError(f"{self.name} takes a number or a duration such as 10ms, not {text!r}")
        return round(float(match[1]) * _TIMES[match[2]] / self._unit)

    def _text(self, value: int | bool | str) -> bytes:
        data = str(value).encode("utf-8", "surrogateescape")
        if len(data) >= self.type.size or b"\0" in data:
            raise UsageError(f"{self.name} takes at most {self.type.size - 1} bytes of text without NUL, not {value!r}")
        return data.ljust(self.type.size, b"\0")

    def _number(self, value: int | bool | str) -> bytes:
        try:
            return int(value).to_bytes(self.type.size, sys.byteorder, signed=self.type.signed)
        except (OverflowError, ValueError):
            bits = self.type.size * 8
            low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.type.signed else (0, (1 << bits) - 1)
            raise UsageError(f"{self.name} takes a {self.type.name}, {low} to {high}, not {value!r}") from None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|[1-9][0-9]*|0+)", text) is not None
