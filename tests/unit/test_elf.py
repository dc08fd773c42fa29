"""Reading ELF objects: what a good one holds, and what is said of every kind of bad one."""

import struct
import sys

import pytest

from skep.base.errors import ObjectFormatError
from skep.spec.elf import SHT_NOBITS, SHT_REL, SHT_SYMTAB, STT_FUNC, STT_OBJECT, Elf

PROGBITS, STRTAB = 1, 3


class Image:
    """An ELF object made by hand: sections, then symbols (name, info, section, value, size)."""

    def __init__(self) -> None:
        self.names = b"\0"
        self.body = b""
        self.headers = [struct.pack("=IIQQQQIIQQ", *[0] * 10)]

    def name(self, text: bytes) -> int:
        self.names += text + b"\0"
        return len(self.names) - len(text) - 1

    def section(self, name: bytes, kind: int, data: bytes, *, link: int = 0, size: int | None = None) -> int:
        length = len(data) if size is None else size
        self.headers.append(
            struct.pack("=IIQQQQIIQQ", self.name(name), kind, 6, 0, 64 + len(self.body), length, link, 0, 8, 0)
        )
        self.body += data
        return len(self.headers) - 1

    def symbols(self, *symbols: tuple[bytes, int, int, int, int]) -> None:
        entries = [(0, 0, 0, 0, 0), *((self.name(name), *rest) for name, *rest in symbols)]
        table = b"".join(
            struct.pack("=IBBHQQ", name, info, 0, section, value, size) for name, info, section, value, size in entries
        )
        self.section(b".symtab", SHT_SYMTAB, table, link=len(self.headers) + 1)

    def bytes(self) -> bytes:
        names = self.section(b".strtab", STRTAB, b"")
        header = list(struct.unpack("=IIQQQQIIQQ", self.headers[names]))
        header[5] = len(self.names)
        self.headers[names] = struct.pack("=IIQQQQIIQQ", *header)
        body = self.body + self.names
        ident = b"\x7fELF\2" + (b"\1" if sys.byteorder == "little" else b"\2") + b"\1" + bytes(9)
        file = struct.pack("=HHIQQQIHHHHHH", 1, 247, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(self.headers), names)
        return ident + file + body + b"".join(self.headers)


def image() -> Image:
    made = Image()
    made.section(b".text", PROGBITS, b"0123456789abcdef")
    made.section(b".bss", SHT_NOBITS, b"", size=1 << 40)
    return made


def test_sections_and_symbols_are_read() -> None:
    made = image()
    made.symbols(
        (b"main", 16 | STT_FUNC, 1, 8, 4), (b"static", STT_FUNC, 1, 0, 8), (b"x", 16 | STT_OBJECT, 2, 1 << 39, 8)
    )

    elf = Elf(made.bytes(), "x.o")

    assert [section.name for section in elf.sections] == ["", ".text", ".bss", ".symtab", ".strtab"]
    assert [section.index for section in elf.sections] == [0, 1, 2, 3, 4]
    assert bytes(elf.by_name[".text"].data) == b"0123456789abcdef"
    assert (elf.by_name[".bss"].size, bytes(elf.by_name[".bss"].data)) == (1 << 40, b"")
    assert [(found.name, found.is_global, found.section) for found in elf.symbols] == [
        ("main", True, 1),
        ("static", False, 1),
        ("x", True, 2),
    ]
    assert [bytes(elf.data(found)) for found in elf.symbols] == [b"89ab", b"01234567", b""]


def test_of_two_sections_of_one_name_the_first_counts() -> None:
    made = image()
    made.section(b".text", PROGBITS, b"other")

    assert Elf(made.bytes(), "x.o").by_name[".text"].index == 1


@pytest.mark.parametrize(
    ("info", "section"),
    [
        pytest.param(STT_OBJECT, 0, id="defined elsewhere"),
        pytest.param(STT_OBJECT, 0xFFF1, id="a number and no place"),
        pytest.param(0, 1, id="a label"),
        pytest.param(3, 1, id="a section"),
        pytest.param(4, 0xFFF1, id="a file"),
    ],
)
def test_symbols_that_are_no_function_or_variable_of_this_object_are_left_out(info: int, section: int) -> None:
    made = image()
    made.symbols((b"x", info, section, 1 << 60, 1 << 60))

    assert Elf(made.bytes(), "x.o").symbols == []


def test_an_object_without_symbols() -> None:
    assert Elf(image().bytes(), "x.o").symbols == []


def patched(offset: int, layout: str, value: int):
    def patch(data: bytes) -> bytes:
        return data[:offset] + struct.pack(f"={layout}", value) + data[offset + struct.calcsize(f"={layout}") :]

    return patch


OTHER = 2 if sys.byteorder == "little" else 1


@pytest.mark.parametrize(
    ("change", "message", "remedy"),
    [
        pytest.param(lambda _: b"", "x.o is not an ELF object", ".bpf.c", id="nothing"),
        pytest.param(lambda _: b"int main;", "x.o is not an ELF object", ".bpf.c", id="text"),
        pytest.param(lambda data: data[:20], "cut short", "Build it again", id="the beginning of a header"),
        pytest.param(lambda data: data[:64], "cut short", "Build it again", id="a header and nothing else"),
        pytest.param(patched(4, "B", 1), "not a 64-bit ELF object", "None", id="32 bits"),
        pytest.param(patched(5, "B", 7), "not a 64-bit ELF object", "None", id="a byte order that does not exist"),
        pytest.param(
            lambda data: patched(18, "H", 247 << 8)(patched(5, "B", OTHER)(data)),
            "this machine is",
            "clang -target bpf",
            id="the other byte order",
        ),
        pytest.param(patched(18, "H", 62), "an object for x86-64, not for eBPF", "clang -target bpf", id="x86"),
        pytest.param(patched(18, "H", 999), "an object for machine 999, not", "clang -target bpf", id="any machine"),
        pytest.param(patched(40, "Q", 1 << 63), "cut short", "Build it again", id="section headers beyond the end"),
        pytest.param(patched(58, "H", 32), "headers of 32 bytes", "Build it again", id="section headers of 32 bytes"),
        pytest.param(patched(60, "H", 0), "0 section headers", "Build it again", id="no sections"),
        pytest.param(patched(60, "H", 0xFFFF), "cut short", "Build it again", id="more sections than there are"),
        pytest.param(patched(62, "H", 77), "no names", "Build it again", id="names in a section that does not exist"),
        pytest.param(patched(62, "H", 1), "table of names", "Build it again", id="names in a section that holds none"),
    ],
)
def test_what_is_no_object_for_this_machine_is_refused_with_the_reason(change, message: str, remedy: str) -> None:
    with pytest.raises(ObjectFormatError) as raised:
        Elf(change(image().bytes()), "x.o")

    assert message in str(raised.value)
    assert remedy in str(raised.value.remedy)


def overlapping(made: Image) -> None:
    for _ in range(3):
        made.headers.append(struct.pack("=IIQQQQIIQQ", 0, PROGBITS, 6, 0, 0, 200, 0, 0, 8, 0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(overlapping, "its sections overlap", id="sections over each other"),
        pytest.param(
            lambda made: made.section(b".x", PROGBITS, b"", size=1 << 63),
            "reaches past its end",
            id="a section of 2^63 bytes",
        ),
        pytest.param(
            lambda made: made.symbols((b"x", STT_OBJECT, 1, 12, 8)), "x does not fit", id="a symbol across the end"
        ),
        pytest.param(
            lambda made: made.symbols(*[(b"x", STT_OBJECT, 1, 0, 16)] * 2),
            "x does not fit",
            id="symbols over each other",
        ),
        pytest.param(
            lambda made: made.symbols((b"n" * 600, STT_OBJECT, 1, 0, 1)), "table of names", id="a name of 600 bytes"
        ),
        pytest.param(
            lambda made: made.section(b".symtab", SHT_SYMTAB, b"12345"), "table of symbols", id="half a symbol"
        ),
        pytest.param(
            lambda made: made.section(b".symtab", SHT_SYMTAB, bytes(24), link=99),
            "table of symbols",
            id="symbols without names",
        ),
        pytest.param(
            lambda made: made.symbols(*[(b"", STT_OBJECT, 1, 0, 0)] * 70_000), "more than 4096", id="too many symbols"
        ),
    ],
)
def test_a_damaged_object_is_refused_with_the_reason(change, message: str) -> None:
    made = image()
    change(made)

    with pytest.raises(ObjectFormatError, match=message):
        Elf(made.bytes(), "x.o")


@pytest.mark.parametrize(
    ("size", "message"),
    [
        pytest.param(80, "more relocations than", id="one for less than four bytes"),
        pytest.param(15, "cut short", id="half of one"),
    ],
)
def test_relocations_that_fit_nothing_are_refused(size: int, message: str) -> None:
    made = image()
    made.symbols((b"x", STT_OBJECT, 1, 0, 1))
    made.section(b".rel", SHT_REL, bytes(size))
    header = list(struct.unpack("=IIQQQQIIQQ", made.headers[-1]))
    made.headers[-1] = struct.pack("=IIQQQQIIQQ", *header[:7], 1, *header[8:])

    elf = Elf(made.bytes(), "x.o")

    with pytest.raises(ObjectFormatError, match=message):
        elf.references({1})


def test_names_that_are_not_utf_8_do_no_harm() -> None:
    made = image()
    made.symbols((b"\xff", STT_OBJECT, 1, 0, 1))

    assert Elf(made.bytes(), "x.o").symbols[0].name == "\ufffd"
