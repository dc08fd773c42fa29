"""Whole objects that nobody would build: small for what they ask of their reader, where it lets them.

What each has too many of no chance would bring together. Their reader bounds it, or takes it in its stride.
"""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from random import Random

from skep.base.errors import ObjectFormatError
from skep.spec.btf import ARRAY, DATASEC, INT, POINTER, STRUCT, UNION, VAR, VOLATILE
from skep.spec.document import SECTION, TYPES, type_variable
from skep.spec.elf import SHT_REL, SHT_SYMTAB, STT_FUNC, STT_OBJECT
from skep.spec.objectspec import RINGBUF
from tests.fuzz import mutation
from tests.fuzz.readers import btf_ext, objectspec

_PROGBITS, _STRTAB, _EXECUTABLE, _GLOBAL = 1, 3, 4, 16
# Nearly as many symbols as an object may have.
_MANY = 4000


class _Names:
    """A table of strings."""

    def __init__(self) -> None:
        self.data = bytearray(1)

    def add(self, name: str) -> int:
        self.data += name.encode() + b"\0"
        return len(self.data) - len(name.encode()) - 1


class _Btf:
    """A .BTF section: each method gives the number of the type that it adds."""

    def __init__(self) -> None:
        self.names = _Names()
        self.types = bytearray()
        self.count = 0

    def add(self, name: int, kind: int, vlen: int, size_or_type: int, *rest: int) -> int:
        self.types += struct.pack(f"={3 + len(rest)}I", name, kind << 24 | vlen, size_or_type, *rest)
        self.count += 1
        return self.count

    def data(self) -> bytes:
        types, names = bytes(self.types), bytes(self.names.data)
        head = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names))
        return head + types + names


def _elf(*sections: tuple[str, int, int, bytes, int, int]) -> bytes:
    """An object of sections (name, type, flags, content, link, info), numbered from 1; the last holds their names."""
    names = _Names()
    headers, body = [bytes(64)], bytearray()
    for name, kind, flags, content, link, info in [*sections, ("", _STRTAB, 0, b"", 0, 0)]:
        start, held = names.add(name), content if name else bytes(names.data)
        headers.append(struct.pack("=IIQQQQIIQQ", start, kind, flags, 0, 64 + len(body), len(held), link, info, 8, 0))
        body += held
    head = struct.pack(
        "=HHIQQQIHHHHHH", 1, 247, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(headers), len(headers) - 1
    )
    return b"\x7fELF\2\1\1" + bytes(9) + head + bytes(body) + b"".join(headers)


def _symbol(name: int, kind: int, section: int, value: int, size: int) -> bytes:
    return struct.pack("=IBBHQQ", name, kind, 0, section, value, size)


def _constants(btf: _Btf, names: list[str], types: list[int], size: int) -> bytes:
    """An object of `const volatile` variables, all of one size."""
    variables = [btf.add(btf.names.add(name), VAR, 0, type_, 1) for name, type_ in zip(names, types, strict=True)]
    entries = [word for each in variables for word in (each, 0, size)]
    btf.add(btf.names.add(".rodata"), DATASEC, len(variables), 0, *entries)
    strings = _Names()
    symbols = [
        _symbol(strings.add(name), _GLOBAL | STT_OBJECT, 1, index * size, size) for index, name in enumerate(names)
    ]
    return _elf(
        (".rodata", _PROGBITS, 2, bytes(len(names) * size), 0, 0),
        (".BTF", _PROGBITS, 0, btf.data(), 0, 0),
        (".symtab", SHT_SYMTAB, 0, b"".join(symbols), 4, 0),
        (".strtab", _STRTAB, 0, bytes(strings.data), 0, 0),
    )


def _wide() -> bytes:
    """Variables, each of a struct of its own, all of which hold the same 4,000 members."""
    btf = _Btf()
    u8, member = btf.add(btf.names.add("u8"), INT, 0, 1, 8), btf.names.add("member")
    inner = btf.add(0, UNION, _MANY, 1, *[member, u8, 0] * _MANY)
    types = [btf.add(0, VOLATILE, 0, btf.add(0, STRUCT, 1, 1, 0, inner, 0)) for _ in range(_MANY)]
    return _constants(btf, [f"v{index}" for index in range(_MANY)], types, 1)


def _named() -> bytes:
    """Variables whose names are words that skep takes off, again and again."""
    btf = _Btf()
    number = btf.add(0, VOLATILE, 0, btf.add(btf.names.add("u32"), INT, 0, 4, 32))
    return _constants(btf, [f"{'g_' * 240}x{index}" for index in range(_MANY)], [number] * _MANY, 4)


def _members() -> bytes:
    """A type of records with as many members as it may have, all in one place and with long names of many parts."""
    btf = _Btf()
    u64, member = btf.add(btf.names.add("u64"), INT, 0, 8, 64), btf.names.add("a_" * 250 + "ts")
    record = btf.add(btf.names.add("event"), STRUCT, _MANY, 8, *[member, u64, 0] * _MANY)
    kept = btf.add(btf.names.add(type_variable("struct event")), VAR, 0, btf.add(0, POINTER, 0, record), 0)
    btf.add(btf.names.add(TYPES), DATASEC, 1, 0, kept, 0, 8)
    count = btf.add(0, ARRAY, 0, 0, u64, u64, RINGBUF)
    kind = btf.add(0, STRUCT, 1, 8, btf.names.add("type"), btf.add(0, POINTER, 0, count), 0)
    events = btf.add(btf.names.add("events"), VAR, 0, kind, 1)
    btf.add(btf.names.add(".maps"), DATASEC, 1, 0, events, 0, 8)
    document = _document(events={"events": ["struct event"]})
    return _elf((".BTF", _PROGBITS, 0, btf.data(), 0, 0), (SECTION, _PROGBITS, 0, document, 0, 0))


def _calling() -> bytes:
    """Programs, each of which calls the next."""
    strings = _Names()
    code = struct.pack("=BBhi", 0x85, 0x10, 0, 0) * _MANY
    symbols = b"".join(_symbol(strings.add(f"p{index}"), _GLOBAL | STT_FUNC, 1, index * 8, 8) for index in range(_MANY))
    lines = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, 4) + struct.pack("=I", 16)
    return _elf(
        ("tp", _PROGBITS, _EXECUTABLE, code, 0, 0),
        (".BTF", _PROGBITS, 0, _Btf().data(), 0, 0),
        (".symtab", SHT_SYMTAB, 0, symbols, 4, 0),
        (".strtab", _STRTAB, 0, bytes(strings.data), 0, 0),
        (".BTF.ext", _PROGBITS, 0, lines, 0, 0),
    )


def _relocated() -> bytes:
    """Relocations, all of one symbol with a long name."""
    strings = _Names()
    symbols = _symbol(strings.add("n" * 500), STT_OBJECT, 1, 0, 8)
    return _elf(
        ("tp", _PROGBITS, _EXECUTABLE, bytes(100 * _MANY), 0, 0),
        (".BTF", _PROGBITS, 0, _Btf().data(), 0, 0),
        (".symtab", SHT_SYMTAB, 0, symbols, 4, 0),
        (".strtab", _STRTAB, 0, bytes(strings.data), 0, 0),
        (".reltp", SHT_REL, 0, struct.pack("=QQ", 0, 0) * (25 * _MANY), 3, 1),
    )


def _document(**said: object) -> bytes:
    empty = {"version": 2, "events": {}, "tags": {}, "formats": {}, "notes": {}, "digest": ""}
    return json.dumps({**empty, **said}).encode() + b"\0"


def _said(*documents: bytes) -> bytes:
    """Nothing but documents."""
    return _elf((".BTF", _PROGBITS, 0, _Btf().data(), 0, 0), (SECTION, _PROGBITS, 0, b"".join(documents), 0, 0))


def seeds() -> list[bytes]:
    types = [f"struct t{index}" for index in range(10 * _MANY)]
    return [
        _wide(),
        _calling(),
        _named(),
        _members(),
        _relocated(),
        _said(_document(events={"ring": types}), _document(events={"ring": [f"{name}x" for name in types]})),
        _said(*(_document(events={"ring": [name]}) for name in types[:_MANY])),
        _said(*(_document(tags={"ring": {"field": "x", "values": {name: [1]}}}) for name in types[:_MANY])),
        _said(_document(notes={"x": "@event x\n" * 20 * _MANY})),
    ]


def mutated(random: Random, seed: bytes) -> bytes:
    return mutation.plain(random, seed)


def read(data: bytes) -> None:
    # What is said of it is one thing, the lines of its programs another.
    with suppress(ObjectFormatError):
        objectspec.read(data)
    btf_ext.read(data)
