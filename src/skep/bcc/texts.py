"""Keys and values as text and back, as BCC's tables write and read them: ``{ 0x1 [ 0x2 0x3 ] "name" }``."""

from __future__ import annotations

import ctypes
import re

from skep.base.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["from_text", "to_text"]

_WORD = re.compile(r'\s*([{}\[\]]|"[^"]*"|[^\s{}\[\]"]+)')
_BYTES = (ctypes.c_char, ctypes.c_ubyte, ctypes.c_byte)


def to_text(value: Any) -> str:
    """A value as text: numbers in hexadecimal, arrays of bytes as what stands before their first 0.

    Args:
        value: of ctypes.
    """
    return _text(type(value), bytes(value))


def _text(kind: Any, data: bytes) -> str:
    if issubclass(kind, ctypes.Structure):
        return f"{{ {' '.join(_text(each, data[at:]) for each, at in _members(kind))} }}"
    if issubclass(kind, ctypes.Array):
        if kind._type_ in _BYTES:
            shown = data[: kind._length_].partition(b"\0")[0].decode("utf-8", "replace")
            return f'"{shown}"'
        size = ctypes.sizeof(kind._type_)
        return f"[ {' '.join(_text(kind._type_, data[number * size :]) for number in range(kind._length_))} ]"
    return hex(int.from_bytes(data[: ctypes.sizeof(kind)], "little"))


def from_text(kind: Any, text: str) -> Any:
    """A value from text.

    Args:
        kind: its ctypes type.
        text: as `to_text` writes it.

    Raises:
        UsageError: it is not that of such a value.
    """
    words = iter([] if _WORD.sub("", text).strip() else _WORD.findall(text))
    try:
        return kind.from_buffer_copy(_data(kind, words))
    except (StopIteration, ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no {kind.__name__}", remedy=f"One that is: {to_text(kind())}") from error


def _data(kind: Any, words: Iterator[str]) -> bytes:
    if issubclass(kind, ctypes.Structure):
        _expect("{", words)
        found = bytearray(ctypes.sizeof(kind))
        for each, at in _members(kind):
            found[at : at + ctypes.sizeof(each)] = _data(each, words)
        _expect("}", words)
        return bytes(found)
    if issubclass(kind, ctypes.Array):
        if kind._type_ in _BYTES:
            return next(words)[1:-1].encode()[: kind._length_].ljust(kind._length_, b"\0")
        _expect("[", words)
        parts = [_data(kind._type_, words) for _ in range(kind._length_)]
        _expect("]", words)
        return b"".join(parts)
    return int(next(words), 0).to_bytes(ctypes.sizeof(kind), "little")


def _expect(sign: str, words: Iterator[str]) -> None:
    if next(words) != sign:
        raise ValueError(sign)


def _members(kind: Any) -> list[tuple[Any, int]]:
    """The members of a struct, and where each lies; what is between them is left out."""
    return [(each, getattr(kind, name).offset) for name, each in kind._fields_ if not name.startswith("__")]
