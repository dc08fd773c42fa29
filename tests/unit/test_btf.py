"""What BTF says about types, against what the C compiler itself computes, and against damage."""

import struct
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skep.base.errors import ObjectFormatError
from skep.base.schema import Field, Type
from skep.spec.btf import ENUM, STRUCT, TYPEDEF, UNION, VAR, Btf
from skep.spec.elf import Elf

# Types that members have, in C. The enums are those whose range needs another type each.
TYPES = """
#define offsetof __builtin_offsetof
typedef unsigned char u8; typedef signed char s8; typedef unsigned short u16; typedef short s16;
typedef unsigned int u32; typedef int s32; typedef unsigned long long u64; typedef long long s64;
typedef __int128 s128; typedef unsigned __int128 u128; typedef u32 deep_1; typedef const volatile deep_1 deep_2;
typedef char name_t[6];
enum small { SMALL_A, SMALL_B = 7 };
enum negative { NEGATIVE_A = -3, NEGATIVE_B = 7 };
enum unsigned_32 { UNSIGNED_32 = 0x80000000u };
enum unsigned_64 { UNSIGNED_64 = 1ULL << 40 };
enum signed_64 { SIGNED_64 = -1LL << 40, SIGNED_64_B = -1 };
"""
SCALARS = [
    "u8",
    "s8",
    "u16",
    "s16",
    "u32",
    "s32",
    "u64",
    "s64",
    "s128",
    "u128",
    "_Bool",
    "char",
    "unsigned char",
    "long",
]
SCALARS += ["deep_2", "float", "double", "enum small", "enum negative", "enum unsigned_32", "enum unsigned_64"]
SCALARS += ["enum signed_64", "void *", "struct unknown *", "const char *"]
BITFIELDS = ["u8", "s8", "u16", "s32", "u32", "u64", "s64", "enum small"]
WIDTHS = {"u8": 8, "s8": 8, "u16": 16, "s32": 32, "u32": 32, "u64": 64, "s64": 64, "enum small": 32}


class Member:
    """A member as C declares it: `inner` for a struct or union, `width` for a bitfield; "" is the name of none."""

    def __init__(
        self,
        declared: str,
        *,
        counts: str = "",
        width: int = 0,
        inner: "list[Member] | None" = None,
        named: bool = True,
    ):
        self.declared = declared
        self.counts = counts
        self.width = width
        self.inner = inner
        self.named = named

    def __repr__(self) -> str:
        return self.render("x")

    def render(self, name: str) -> str:
        if self.inner is None:
            return f"{self.declared} {name}{self.counts}{f':{self.width}' if self.width else ''};"
        members = " ".join(member.render(f"{name}{index}") for index, member in enumerate(self.inner))
        return f"{self.declared} {{ {members} }} {name if self.named else ''}{self.counts if self.named else ''};"

    def leaves(self, name: str, path: str):
        """(path in C, bits of a bitfield) of every member that the kernel file can name."""
        if self.inner is None:
            yield path + name, self.width
            return
        inner = path
        if self.named:
            yield path + name, 0
            inner = f"{path}{name}{'[0]' * self.counts.count('[')}."
        for index, member in enumerate(self.inner):
            yield from member.leaves(f"{name}{index}", inner)


counts = st.sampled_from(["", "", "[1]", "[3]", "[2][3]"])
plain = st.builds(lambda declared, count: Member(declared, counts=count), st.sampled_from([*SCALARS, "name_t"]), counts)
bitfields = st.sampled_from(BITFIELDS).flatmap(
    lambda declared: st.integers(1, WIDTHS[declared]).map(lambda width: Member(declared, width=width))
)


def compound(members):
    words = st.sampled_from(
        ["struct", "union", "struct __attribute__((packed))", "struct __attribute__((aligned(16)))"]
    )
    inner = st.lists(members, min_size=1, max_size=4)
    return st.builds(
        lambda word, inner, count, named: Member(word, counts=count, inner=inner, named=named),
        words,
        inner,
        counts,
        st.booleans(),
    )


members = st.recursive(plain | bitfields, compound, max_leaves=8)
structs = st.lists(st.lists(members, min_size=1, max_size=6), min_size=1, max_size=12)


def compile_c(text: str) -> tuple[Btf, Elf]:
    command = ["clang", "-target", "bpf", "-g", "-O2", "-w", "-x", "c", "-c", "-", "-o", "-"]
    elf = Elf(subprocess.run(command, input=text.encode(), check=True, capture_output=True).stdout, "x.o")
    return Btf(elf.by_name[".BTF"].data, elf.byte_order, "x.o"), elf


def flatten(fields: tuple[Field, ...], path: str, base: int):
    """The same leaves, from BTF: path -> (offset, field)."""
    for field in fields:
        yield path + field.name, (base + field.offset, field)
        inner, brackets = field.type, ""
        while inner.kind == "array" and inner.element is not None:
            inner, brackets = inner.element, brackets + "[0]"
        yield from flatten(inner.fields, f"{path}{field.name}{brackets}.", base + field.offset)


def expected(number: int, members: list[Member]) -> str:
    """C that computes what it knows: size, and for each leaf offset, size and sign; a bitfield is set to ones."""
    name = f"struct s{number}"
    text = f"{name} {{ {' '.join(member.render(f'm{index}') for index, member in enumerate(members))} }};\n"
    text += f"{name} *keep_{number};\nconst u64 size_{number} = sizeof({name});\n"
    for index, (path, width) in enumerate(
        leaf for i, member in enumerate(members) for leaf in member.leaves(f"m{i}", "")
    ):
        if width:
            text += f"const {name} bits_{number}_{index} = {{ .{path} = -1 }};\n"
        else:
            member = f"(({name} *)0)->{path}"
            text += f"const u64 leaf_{number}_{index}[] = {{ offsetof({name}, {path}), sizeof({member}) }};\n"
    return text


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(structs)
def test_layouts_are_those_that_the_compiler_computes(declared: list[list[Member]]) -> None:
    btf, elf = compile_c(TYPES + "".join(expected(number, members) for number, members in enumerate(declared)))
    data = {symbol.name: bytes(elf.data(symbol)) for symbol in elf.symbols if symbol.section and symbol.size}

    for number, members in enumerate(declared):
        found = btf.find(STRUCT, f"s{number}")
        assert found is not None
        type_ = btf.type(found)
        assert type_.size == int.from_bytes(elf_bytes(elf, f"size_{number}"), "little")
        places = dict(flatten(type_.fields, "", 0))
        leaves = [leaf for index, member in enumerate(members) for leaf in member.leaves(f"m{index}", "")]
        assert set(places) == {path for path, _ in leaves}
        for index, (path, width) in enumerate(leaves):
            offset, field = places[path]
            if width:
                assert field.bits is not None
                assert field.bits[1] == width
                ones = int.from_bytes(elf_bytes(elf, f"bits_{number}_{index}"), "little")
                assert ones == ((1 << width) - 1) << (offset * 8 + field.bits[0])
                assert field.bits[0] + width <= field.size * 8
            else:
                assert field.bits is None
                assert (offset, field.size) == struct.unpack("<QQ", data[f"leaf_{number}_{index}"])


def elf_bytes(elf: Elf, name: str) -> bytes:
    """The value of a constant; one of zeros may lie in .bss, which has no bytes."""
    symbol = next(symbol for symbol in elf.symbols if symbol.name == name)
    return bytes(elf.data(symbol)) or bytes(symbol.size)


@pytest.mark.parametrize("declared", [name for name in SCALARS if "*" not in name and name not in {"float", "double"}])
def test_signs_are_those_that_the_compiler_computes(declared: str) -> None:
    btf, elf = compile_c(f"{TYPES}struct s {{ {declared} x; }}; struct s *keep; const int sign = ({declared})-1 < 0;")

    (field,) = btf.type(btf.find(STRUCT, "s") or 0).fields

    assert field.type.signed == bool(int.from_bytes(elf_bytes(elf, "sign"), "little"))


@pytest.mark.parametrize(
    ("declared", "kind", "name"),
    [
        pytest.param("u32 x", "int", "u32", id="a typedef keeps its name"),
        pytest.param("deep_2 x", "int", "deep_2", id="typedefs of qualified typedefs"),
        pytest.param("unsigned long x", "int", "unsigned long", id="a built-in type"),
        pytest.param("__int128 x", "int", "__int128", id="128 bits"),
        pytest.param("_Bool x", "bool", "_Bool", id="bool"),
        pytest.param("float x", "float", "float", id="float"),
        pytest.param("char x", "int", "char", id="one character is a number"),
        pytest.param("char x[9]", "text", "char[9]", id="a char array is text"),
        pytest.param("name_t x", "text", "name_t", id="a typedef of a char array is text"),
        pytest.param("const char x[9]", "text", "char[9]", id="a const char array is text"),
        pytest.param("signed char x[9]", "array", "signed char[9]", id="a signed char array is numbers"),
        pytest.param("u8 x[9]", "array", "u8[9]", id="an array of bytes is numbers"),
        pytest.param("char x[2][9]", "array", "char[2][9]", id="an array of texts, its counts as C writes them"),
        pytest.param("name_t x[2]", "array", "name_t[2]", id="an array of a typedef of a char array"),
        pytest.param("enum small x", "enum", "enum small", id="enum"),
        pytest.param("enum { ONE } x", "enum", "enum {...}", id="enum without a name"),
        pytest.param("struct { int y; } x", "struct", "struct {...}", id="struct without a name"),
        pytest.param("union { int y; } x", "union", "union {...}", id="union without a name"),
        pytest.param("void *x", "pointer", "void *", id="pointer to void"),
        pytest.param("const char *x", "pointer", "char *", id="pointer to a const type"),
        pytest.param("u32 **x", "pointer", "u32 * *", id="pointer to a pointer"),
        pytest.param("struct unknown *x", "pointer", "struct unknown *", id="pointer to a struct without members"),
        pytest.param("union unknown_2 *x", "pointer", "union unknown_2 *", id="pointer to a union without members"),
        pytest.param("struct s *x", "pointer", "struct s *", id="pointer to the struct that holds it"),
        pytest.param("enum small *x", "pointer", "enum small *", id="pointer to an enum"),
        pytest.param("int (*x)(int)", "pointer", "function *", id="pointer to a function"),
        pytest.param("int y; u16 x[]", "array", "u16[0]", id="flexible array"),
    ],
)
def test_types_have_the_names_of_c(declared: str, kind: str, name: str) -> None:
    btf, _ = compile_c(f"{TYPES}struct s {{ {declared}; }}; struct s *keep;")

    field = btf.type(btf.find(STRUCT, "s") or 0).fields[-1]

    assert (field.type.kind, field.type.name) == (kind, name)


def test_enums_name_their_values() -> None:
    text = f"{TYPES} enum twice {{ FIRST = 1, SECOND = 1 }}; struct s {{ enum small a; enum negative b; enum twice c;"
    btf, _ = compile_c(text + " enum unsigned_32 d; }; struct s *keep;")

    fields = btf.type(btf.find(STRUCT, "s") or 0).fields

    assert [field.enum for field in fields] == [
        {0: "SMALL_A", 7: "SMALL_B"},
        {-3: "NEGATIVE_A", 7: "NEGATIVE_B"},
        {1: "FIRST"},
        {0x80000000: "UNSIGNED_32"},
    ]


class Blob:
    """BTF made by hand, type by type."""

    def __init__(self) -> None:
        self.types = b""
        self.strings = b"\0"
        self.count = 0

    def name(self, text: str) -> int:
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text.encode()) - 1

    def add(
        self, kind: int, size_or_type: int, rest: bytes = b"", *, name: str = "", vlen: int = 0, flag: int = 0
    ) -> int:
        offset = self.name(name) if name else 0
        self.types += struct.pack("=III", offset, flag << 31 | kind << 24 | vlen, size_or_type) + rest
        self.count += 1
        return self.count

    def integer(self, size: int = 4) -> int:
        return self.add(1, size, struct.pack("=I", size * 8), name="int")

    def array(self, element: int, count: int) -> int:
        return self.add(3, 0, struct.pack("=III", element, 0, count))

    def struct(self, size: int, *members: tuple[str, int, int], kind: int = STRUCT, flag: int = 0) -> int:
        """Members: name, type, offset in bits."""
        rest = b"".join(
            struct.pack("=III", self.name(name) if name else 0, number, bits) for name, number, bits in members
        )
        return self.add(kind, size, rest, name="s", vlen=len(members), flag=flag)

    def bytes(self) -> bytes:
        sizes = (0, len(self.types), len(self.types), len(self.strings))
        return struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, *sizes) + self.types + self.strings

    def read(self) -> Btf:
        return Btf(memoryview(self.bytes()), "<", "x.o")


def test_enums_of_64_bits_have_both_halves_of_their_values() -> None:
    blob = Blob()
    unsigned = blob.add(19, 8, struct.pack("=III", blob.name("BIG"), 5, 256), name="u", vlen=1)
    signed = blob.add(19, 8, struct.pack("=III", blob.name("LOW"), 0xFFFFFFFE, 0xFFFFFFFF), name="s", vlen=1, flag=1)
    btf = blob.read()

    assert (btf.type(unsigned).enum, btf.type(unsigned).signed) == ({256 << 32 | 5: "BIG"}, False)
    assert (btf.type(signed).enum, btf.type(signed).signed) == ({-2: "LOW"}, True)


def test_an_enum_of_64_bits_whose_values_were_cut_to_32_names_none() -> None:
    """As clang 15 and older write it."""
    blob = Blob()
    number = blob.add(ENUM, 8, struct.pack("=II", blob.name("BIG"), 0), name="e", vlen=1)

    assert blob.read().type(number).enum == {}


def test_a_longer_header_is_honoured() -> None:
    blob = Blob()
    number = blob.integer()
    data = bytearray(blob.bytes())
    data[4:8] = struct.pack("=I", 32)
    data[24:24] = bytes(8)

    assert Btf(memoryview(bytes(data)), "<", "x.o").type(number).name == "int"


def circle_of_typedefs(blob: Blob) -> int:
    return blob.add(TYPEDEF, 2, name="a") and blob.add(TYPEDEF, 1, name="b")


def circle_of_pointers(blob: Blob) -> int:
    return blob.add(2, 2) and blob.add(2, 1)


def struct_in_itself(blob: Blob) -> int:
    return blob.struct(8, ("", 1, 0), ("", 1, 0))


def array_of_itself(blob: Blob) -> int:
    return blob.array(1, 1)


def tower(blob: Blob, size: int, kind: int, name: str = "a") -> int:
    """Each storey holds the one below twice, in the same place: 2^60 members at the top."""
    number = blob.integer()
    for storey in range(60):
        number = blob.struct(size, (name and f"a{storey}", number, 0), (name and f"b{storey}", number, 0), kind=kind)
    return number


def tower_of_nothing(blob: Blob) -> int:
    number = blob.struct(0)
    for _ in range(60):
        number = blob.struct(0, ("a", number, 0), ("b", number, 0))
    return number


def long_chain(blob: Blob) -> int:
    number = blob.integer()
    for _ in range(1000):
        number = blob.add(TYPEDEF, number, name="t")
    return number


def wide_struct(blob: Blob) -> int:
    number = blob.integer()
    return blob.struct(4, *[("m", number, 0)] * 5000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(circle_of_typedefs, "holds itself", id="typedefs in a circle"),
        pytest.param(circle_of_pointers, "circle", id="pointers in a circle"),
        pytest.param(struct_in_itself, "holds itself", id="a struct without a name that holds itself twice"),
        pytest.param(array_of_itself, "holds itself", id="an array of itself"),
        pytest.param(lambda blob: tower(blob, 4, UNION), "more than 4096 members", id="unions that hold another twice"),
        pytest.param(lambda blob: tower(blob, 4, STRUCT), "more than 4096 members", id="structs that overlap"),
        pytest.param(
            lambda blob: tower(blob, 4, UNION, ""), "more than 4096 members", id="unions without a name, that overlap"
        ),
        pytest.param(tower_of_nothing, "more than 4096 members", id="structs without size"),
        pytest.param(long_chain, "holds itself", id="a chain of 1000 typedefs"),
        pytest.param(wide_struct, "more than 4096 members", id="5000 members in one place"),
        pytest.param(
            lambda blob: blob.struct(3, ("m", blob.integer(), 0)), "smaller", id="a struct smaller than its member"
        ),
        pytest.param(
            lambda blob: blob.struct(1 << 30, ("m", blob.array(blob.integer(), 0xFFFFFFFF), 0)),
            "smaller",
            id="an array larger than its struct",
        ),
        pytest.param(
            lambda blob: blob.struct(8, ("m", blob.integer(), 33 << 24), flag=1),
            "33 bits",
            id="a bitfield wider than its type",
        ),
        pytest.param(
            lambda blob: blob.struct(8, ("m", blob.struct(8), 3 << 24), flag=1), "3 bits", id="a bitfield of a struct"
        ),
        pytest.param(
            lambda blob: blob.struct(8, ("m", 77, 0)), "type 77 does not exist", id="a type that does not exist"
        ),
        pytest.param(lambda blob: blob.add(1, 3, bytes(4)), "3 bytes", id="an integer of three bytes"),
        pytest.param(lambda blob: blob.add(1, 1 << 31, bytes(4)), "bytes", id="an integer of two gigabytes"),
        pytest.param(lambda blob: blob.add(16, 5), "5 bytes", id="a float of five bytes"),
        pytest.param(lambda blob: blob.add(31, 0), "kind 31 is unknown", id="a kind that does not exist"),
        pytest.param(lambda blob: blob.add(TYPEDEF, 0, name="n" * 600), "a name has no end", id="a name of 600 bytes"),
        pytest.param(
            lambda blob: blob.add(STRUCT, 0, vlen=9), "do not fill their section", id="members that are missing"
        ),
    ],
)
def test_hostile_types_are_refused_at_once(make, message: str) -> None:
    blob = Blob()
    number = make(blob)

    with pytest.raises(ObjectFormatError, match=message):
        blob.read().type(number)


def test_types_that_have_too_many_members_together_are_refused() -> None:
    blob = Blob()
    inner = blob.struct(4, *[("m", blob.integer(), 0)] * 4000)
    numbers = [blob.struct(4, ("", inner, 0)) for _ in range(3)]
    btf = blob.read()

    with pytest.raises(ObjectFormatError, match="more than 8192 members"):
        list(map(btf.type, numbers))


def test_too_many_types_are_refused() -> None:
    blob = Blob()
    blob.types = struct.pack("=III", 0, TYPEDEF << 24, 0) * 70_000

    with pytest.raises(ObjectFormatError, match="more than 65536 types"):
        blob.read()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda data: data[:23], "unpack", id="half a header"),
        pytest.param(lambda data: b"\0\0" + data[2:], "no magic number", id="another magic number"),
        pytest.param(lambda data: data[:-1], "cut short", id="strings that are cut short"),
        pytest.param(lambda data: data[:12] + b"\xff" * 4 + data[16:], "cut short", id="types of four gigabytes"),
        pytest.param(lambda data: data[:4] + b"\xff" * 4 + data[8:], "cut short", id="a header of four gigabytes"),
        pytest.param(
            lambda data: data[:24] + b"\xff" * 4 + data[28:], "outside of its strings", id="a name beyond them"
        ),
        pytest.param(lambda data: data[:-1] + b"x", "no end", id="strings without an end"),
    ],
)
def test_a_damaged_section_is_refused(change, message: str) -> None:
    blob = Blob()
    blob.integer()

    with pytest.raises(ObjectFormatError, match=message):
        Btf(memoryview(change(blob.bytes())), "<", "x.o")


def test_nothing_but_format_errors_comes_out_of_changed_bytes() -> None:
    data = bytes(
        compile_c(f"{TYPES}struct s {{ enum small a; name_t b[3]; int c:3; struct s *d; }} keep;")[1]
        .by_name[".BTF"]
        .data
    )

    @settings(max_examples=300, deadline=1000)
    @given(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), min_size=1, max_size=3))
    def change(changes: list[tuple[int, int]]) -> None:
        changed = bytearray(data)
        for place, value in changes:
            changed[place] = value
        try:
            btf = Btf(memoryview(bytes(changed)), "<", "x.o")
        except ObjectFormatError:
            return
        for number in range(30):
            try:
                type_ = btf.type(number)
            except ObjectFormatError:
                continue
            assert isinstance(type_, Type)

    change()


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        pytest.param("const volatile int x = 1;", True, id="const volatile"),
        pytest.param("const int x = 1;", False, id="const"),
        pytest.param("volatile const char x[4] = {1};", True, id="an array, whose elements are"),
        pytest.param("const volatile int x[2][2] = {1};", True, id="an array of arrays"),
        pytest.param("const char x[4] = {1};", False, id="an array of const elements"),
        pytest.param("typedef const volatile int option; option x = 1;", True, id="a typedef that is"),
        pytest.param("typedef char text[4]; const volatile text x = {1};", True, id="a typedef of an array"),
    ],
)
def test_is_volatile_tells_options_from_constants(declared: str, *, expected: bool) -> None:
    btf, _ = compile_c(declared + "const void *use(void) { return (const void *)&x; }")

    assert btf.is_volatile(btf.raw(btf.find(VAR, "x") or 0).size_or_type) is expected


def test_find_gives_the_first_of_a_name() -> None:
    blob = Blob()
    first, _ = blob.struct(1), blob.struct(2)

    assert blob.read().find(STRUCT, "s") == first
    assert blob.read().find(ENUM, "s") is None
