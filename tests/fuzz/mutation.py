"""Changes of inputs that fit any format: bytes, numbers, text, JSON. A random generator chooses each."""

from __future__ import annotations

import json
from random import Random
from typing import Any

# Text that formats trip over: ends, halves, controls, digits without end.
_TEXTS = ["", "\0", "\n", " ", "%s", "%", "é", "\ud800", "\x1b[31m", '"', "\\", "-1", "0x", "9" * 5000, "a" * 600]
_TEXTS += ["1e999", "nan", "inf", "true", "[", "]", "{", "}", ":", "=", "/", "*", "@event", "///", "١", "\u202e"]  # noqa: RUF001
# Python writes no number as long as this one, which JSON may hold.
_HUGE = "a number of 5000 digits"
# What stands where a value of another kind is expected.
_VALUES: list[Any] = [None, True, False, 0, 1, -1, 1 << 31, 1 << 32, 1 << 64, -(1 << 70), 1.5, 1e308, _HUGE]
_VALUES += [[], {}, [[]]]


def number(random: Random, size: int, old: int, peers: list[int]) -> int:
    """A number of that many bytes: near the old one, at an edge, or one that stands elsewhere.

    Args:
        random: decides.
        size: in bytes.
        old: what stands there.
        peers: what may matter: sizes, counts, numbers of the same kind.
    """
    bits = size * 8
    edge = 1 << random.randrange(bits)
    near = old + random.choice([-64, -24, -8, -2, -1, 1, 2, 8, 24, 64])
    chosen = random.choice([0, 1, (1 << bits) - 1, edge, edge - 1, near, near, old * 2, old ^ edge, *peers[:8]])
    return chosen % (1 << bits)


def put(data: bytearray, offset: int, size: int, value: int, order: str = "little") -> None:
    """Writes a number."""
    data[offset : offset + size] = value.to_bytes(size, order)  # type: ignore[arg-type]


def plain(random: Random, data: bytes) -> bytes:
    """Bytes changed, cut, doubled, moved or put in."""
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 4, 16])):
        start = random.randrange(len(changed) + 1)
        length = min(random.choice([1, 2, 4, 8, 64, 1000]), len(changed) - start)
        match random.randrange(7):
            case 0 if length:
                changed[start] ^= 1 << random.randrange(8)
            case 1 if length:
                changed[start] = random.choice([0, 1, 0x0A, 0x20, 0x25, 0x7F, 0x80, 0xFF])
            case 2:
                del changed[start : start + length]
            case 3:
                changed[start:start] = changed[start : start + length] * random.choice([1, 1, 2, 50])
            case 4:
                changed[start:start] = random.choice(_TEXTS).encode("utf-8", "surrogatepass")
            case 5:
                changed[start : start + length] = random.randbytes(length)
            case 6:
                del changed[start:]
    return bytes(changed)


def text(random: Random, data: bytes) -> bytes:
    """Lines and words changed, as text is: put in, doubled, swapped."""
    if random.random() < 0.3:
        return plain(random, data)
    separator = random.choice([b"\n", b" ", b":", b"=", b"/", b",", b"."])
    parts = data.split(separator)
    for _ in range(random.choice([1, 1, 2, 4])):
        place = random.randrange(len(parts))
        match random.randrange(4):
            case 0:
                parts[place] = random.choice(_TEXTS).encode("utf-8", "surrogatepass")
            case 1:
                parts.insert(place, random.choice(parts))
            case 2 if len(parts) > 1:
                del parts[place]
            case _:
                parts[place] = plain(random, parts[place])
    return separator.join(parts)


def json_value(random: Random, value: Any) -> Any:
    """A JSON value with something in it changed: replaced, removed, doubled, put deeper."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        if random.random() < 0.15:
            return {name: inner for name, inner in value.items() if name != key}
        if random.random() < 0.1:
            return {**value, random.choice([*_TEXTS[:12], *value]): value[key]}
        return {**value, key: json_value(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.85:
        place = random.randrange(len(value))
        inner = random.choice([[], [value[place]] * 2, [json_value(random, value[place])]])
        return value[:place] + inner + value[place + 1 :]
    if isinstance(value, str) and random.random() < 0.5:
        return text(random, value.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
    if isinstance(value, int) and random.random() < 0.5:
        return number(random, 8, value, [])
    return random.choice([random.choice(_VALUES), random.choice(_TEXTS), [value], {"a": value}])


def json_text(random: Random, data: bytes) -> bytes:
    """A JSON document with something in it changed; now and then it is none any more, or is nested without end."""
    chance = random.random()
    if chance < 0.15:
        return plain(random, data)
    if chance < 0.17:
        return random.choice([b"[", b'{"a":', b'{"version":2,"notes":']) * 20_000
    return json_bytes(json_value(random, json.loads(data)), ascii_only=chance < 0.9)


def json_bytes(value: Any, *, ascii_only: bool = True) -> bytes:
    """A JSON value as text, with what Python's own numbers cannot hold."""
    written = json.dumps(value, ensure_ascii=ascii_only).replace(f'"{_HUGE}"', "9" * 5000)
    return written.encode("utf-8", "surrogatepass")
