"""One value of a C type, to and from bytes and text: a variable's, or a key's or value's of a map.

A value keeps its type: what does not fit is refused with the range that does. Five meanings change how it is written:
an address of the network and a port in network byte order are given as people write them, a span of time in any unit,
a system call and a signal by their names. Numbers of an array are joined by commas.
"""

from __future__ import annotations

import os
import re
import struct
import sys

from skep.base.encoding import MisfitError, encoder
from skep.base.errors import UsageError
from skep.spec.meanings import meaning_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.base.schema import Type

__all__ = ["Value", "input_meaning"]

_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
# Patterns are compiled where they are used: at import they would cost every start a millisecond.
_NUMBER = r"[+-]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|[1-9][0-9]*|0)"
_FRACTION = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_DURATION = r"([0-9]+)(?:\.([0-9]+))?(ns|us|ms|s|m|h)"
# Longer than any number that a type takes, and short enough for int() and for a pattern that tries again and again.
_LONGEST_NUMBER = 200
# In nanoseconds: the units of what is given, and of what it is given for.
_TIMES = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_UNITS = {"duration_ns": "ns", "duration_us": "us", "duration_ms": "ms"}
_ADDRESSES = {"ipv4": "an IPv4 address", "ipv6": "an IPv6 address", "ip": "an IPv4 or IPv6 address"}
# With the "=", what is too large for 32 bits is refused; natively it would become infinite.
_FLOATS = {4: "=f", 8: "=d"}
_NUMBERS = {"int", "bool", "enum"}


def input_meaning(name: str, type_: Type) -> str | None:
    """The meaning that decides how a value is given: an address, a port in network byte order, or a span of time.

    Only what leaves no doubt counts: `min_latency` may be of any unit, and a wrong guess would set another value than
    was asked for.

    Args:
        name: of the variable; "" for a key or a value, which have none.
        type_: its type.
    """
    if type_.name in {"struct in6_addr", "struct in_addr", "__be32", "__be16"}:
        return {"struct in6_addr": "ipv6", "__be16": "port_be"}.get(type_.name, "ipv4")
    found = meaning_of(name, type_)
    if found in _ADDRESSES:
        return found
    if type_.kind == "int" and name.endswith(("_ns", "_us", "_ms")):
        return f"duration_{name[-2:]}"
    return None


class Value:
    """How values of one type are written.

    Args:
        name: what they are called, for messages.
        type: their type.
        meaning: a word of `skep.base.meaning`, or None.
    """

    __slots__ = ("meaning", "name", "type")

    def __init__(self, name: str, type: Type, meaning: str | None) -> None:  # noqa: A002
        self.name = name
        self.type = type
        self.meaning = meaning

    @property
    def takes_text(self) -> bool:
        """Whether it can be given as text at all. Any other value is bytes."""
        kind, size = self.type.kind, self.type.size
        is_float = kind == "float" and size in _FLOATS
        return kind in _NUMBERS | {"text"} or self._is_address or is_float or self.each is not None

    @property
    def each(self) -> Value | None:
        """How each number of an array is written; None for what is no array of numbers. Single bytes are bytes."""
        element = self.type.element
        is_list = self.type.kind == "array" and not self._is_address
        if not is_list or element is None or element.kind not in {"int", "enum"} or element.size == 1:
            return None
        return Value(self.name, element, self.meaning)

    @property
    def _is_address(self) -> bool:
        return (self.meaning == "ipv4" and self.type.size == 4) or (
            self.meaning in {"ipv6", "ip"} and self.type.size == 16
        )

    def read(self, data: bytes) -> Any:
        """The value that the bytes hold: a number, a boolean, text, a list of numbers; else the bytes themselves."""
        kind = self.type.kind
        if self._is_address:
            return _address_text(data, either=self.meaning == "ip")
        if kind == "text":
            return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if kind in _NUMBERS:
            number = int.from_bytes(data, self._byte_order, signed=self.type.signed)
            return bool(number) if kind == "bool" else number
        if kind == "float" and self.takes_text:
            return float(struct.unpack(_FLOATS[self.type.size], data)[0])
        if self.each is not None:
            size = self.each.type.size
            return [self.each.read(data[start : start + size]) for start in range(0, len(data), size)]
        return data

    def write(self, value: object) -> bytes:
        """The bytes of a value: of a number, a boolean, text, an enum's or an address's text, or bytes themselves.

        Raises:
            UsageError: the type does not take that value.
        """
        kind = self.type.kind
        if isinstance(value, str) and self._is_address:
            return self._address(value)
        if kind == "text" and not self._is_address:
            return self._text(value)
        if kind in _NUMBERS:
            return self._number(value)
        if kind == "float" and self.takes_text:
            return self._float(value)
        if isinstance(value, bytes) and len(value) == self.type.size:
            return value
        takes = _ADDRESSES[str(self.meaning)] if self._is_address else f"{self.type.size} bytes"
        raise UsageError(f"{self.name} is a {self.type.name}, which takes {takes}")

    def parse(self, text: str) -> bytes:
        """The bytes of a value given as text.

        Args:
            text: a number (decimal, 0x, 0o, 0b), true or false, an enum's name, an address, a duration such as
                ``10ms``, the name of a system call or of a signal, or the text itself; of an array, the first of its
                numbers, joined by commas: there the bytes are as many as are given.

        Raises:
            UsageError: it is none of those that the type takes, or out of its range.
        """
        kind = self.type.kind
        if not self.takes_text:
            raise UsageError(f"{self.name} is a {self.type.name}, which cannot be given as text")
        if (each := self.each) is not None:
            parts = text.split(",", self.type.count)
            if len(parts) > self.type.count:
                raise UsageError(f"{self.name} takes at most {self.type.count} of them")
            return b"".join(each.parse(part) for part in parts)
        if kind == "bool":
            if text.lower() not in _WORDS:
                raise UsageError(f"{self.name} takes true or false, not {text!r}")
            return self._number(_WORDS[text.lower()])
        if kind in _NUMBERS and len(text) <= _LONGEST_NUMBER and re.fullmatch(_NUMBER, text):
            return self._number(int(text, 0))
        if kind in {"text", "enum"} or self._is_address:
            return self.write(text)
        if self.meaning == "syscall":
            return self._number(self._syscall(text))
        if self.meaning == "signal":
            return self._number(self._signal(text))
        if kind == "float":
            if len(text) > _LONGEST_NUMBER or not re.fullmatch(_FRACTION, text):
                raise UsageError(f"{self.name} takes a number ({self.type.name}), not {text!r}")
            return self._float(float(text))
        return self._number(self._duration(text))

    @property
    def _byte_order(self) -> Any:
        return "big" if self.meaning == "port_be" and self.type.size == 2 else sys.byteorder

    def _address(self, text: str) -> bytes:
        from socket import AF_INET, AF_INET6, inet_pton  # costs 6 ms

        families = {"ipv4": (AF_INET,), "ipv6": (AF_INET6,), "ip": (AF_INET, AF_INET6)}
        for family in families[str(self.meaning)]:
            try:
                return inet_pton(family, text).ljust(self.type.size, b"\0")
            except (OSError, ValueError):  # a NUL, or a character that is not ASCII, is a ValueError
                continue
        raise UsageError(f"{self.name} takes {_ADDRESSES[str(self.meaning)]}, not {text!r}")

    def _duration(self, text: str) -> int:
        unit = _UNITS.get(str(self.meaning), "")
        match = re.fullmatch(_DURATION, text) if unit and len(text) <= _LONGEST_NUMBER else None
        if match is None:
            takes = "a number or a duration such as 10ms" if unit else f"a number ({self.type.name})"
            raise UsageError(f"{self.name} takes {takes}, not {text!r}")
        whole, fraction, given = match[1], match[2] or "", match[3]
        scale: int = _TIMES[unit] * 10 ** len(fraction)
        number, rest = divmod(int(whole + fraction) * _TIMES[given], scale)
        # Rounding could give 0, which often means "no limit".
        if rest:
            raise UsageError(f"{self.name} counts whole {unit}, and {text} is none")
        return number

    def _syscall(self, text: str) -> int:
        from skep.base.abi.syscalls import syscalls
        from skep.base.nearest import nearest

        known = {name: number for number, name in syscalls(os.uname().machine).items()}
        if text not in known:
            remedy = nearest(text, known, "system calls")
            raise UsageError(f"{self.name} takes a system call, by name or number, not {text!r}", remedy=remedy)
        return known[text]

    def _signal(self, text: str) -> int:
        from skep.base.abi.signals import SIGNALS
        from skep.base.nearest import nearest

        known = {name: number for number, name in SIGNALS.items()}
        if text not in known:
            remedy = nearest(text, known, "signals")
            raise UsageError(f"{self.name} takes a signal, by name or number, not {text!r}", remedy=remedy)
        return known[text]

    def _text(self, value: object) -> bytes:
        if not isinstance(value, str):
            raise UsageError(f"{self.name} takes text, not {value!r}")
        data = self.encode(value)
        # Programs read up to the NUL: there has to be one.
        if data[-1:] != b"\0":
            raise UsageError(f"{self.name} takes at most {self.type.size - 1} bytes of text, not {value!r}")
        return data

    def _number(self, value: object) -> bytes:
        data = self.encode(value)
        # Bytes are what they are.
        swapped = self._byte_order != sys.byteorder and not isinstance(value, bytes)
        return data[::-1] if swapped else data

    def _float(self, value: object) -> bytes:
        from math import isfinite

        data = self.encode(value)
        if not isfinite(struct.unpack(_FLOATS[self.type.size], data)[0]):
            raise UsageError(f"{self.name} takes a {self.type.name}, a finite number, not {value!r}")
        return data

    def encode(self, value: object) -> bytes:
        """The bytes of a value, by its type alone: of a struct or an array, too, which are given as in rows.

        Raises:
            UsageError: the type does not take that value.
        """
        try:
            return encoder(self.type)(value)
        except MisfitError as error:
            raise UsageError(error.told(self.name), remedy=error.remedy) from None


def _address_text(data: bytes, *, either: bool) -> str:
    if len(data) == 4 or (either and not any(data[4:])):
        return ".".join(map(str, data[:4]))
    from socket import AF_INET6, inet_ntop  # costs 6 ms

    return inet_ntop(AF_INET6, data)
