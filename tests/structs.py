"""Structs in C that hypothesis draws, each member with a value; `skep.base.schema` and `encoding` have to know them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TYPES = """
typedef unsigned char u8; typedef signed char s8; typedef unsigned short u16; typedef short s16;
typedef unsigned int u32; typedef int s32; typedef unsigned long long u64; typedef long long s64;
typedef __int128 s128; typedef unsigned __int128 u128; typedef u32 deep_1; typedef const volatile deep_1 deep_2;
enum small { SMALL_A, SMALL_B = 7 };
enum negative { NEGATIVE_A = -3, NEGATIVE_B = 7 };
enum unsigned_32 { UNSIGNED_32 = 0x80000000u };
enum unsigned_64 { UNSIGNED_64 = 1ULL << 40 };
enum signed_64 { SIGNED_64 = -1LL << 40, SIGNED_64_B = -1 };
"""
# Bits and sign of the integers; `char` is signed on x86-64.
INTEGERS = {"u8": (8, False), "s8": (8, True), "char": (8, True), "u16": (16, False), "s16": (16, True)}
INTEGERS |= {"u32": (32, False), "s32": (32, True), "deep_2": (32, False), "u64": (64, False), "s64": (64, True)}
INTEGERS |= {"unsigned long": (64, False), "u128": (128, False), "s128": (128, True)}
ENUMS = {
    "small": {"SMALL_A": 0, "SMALL_B": 7},
    "negative": {"NEGATIVE_A": -3, "NEGATIVE_B": 7},
    "unsigned_32": {"UNSIGNED_32": 0x80000000},
    "unsigned_64": {"UNSIGNED_64": 1 << 40},
    "signed_64": {"SIGNED_64": -1 << 40, "SIGNED_64_B": -1},
}


class Member:
    """A member with its value.

    Args:
        before: what C writes before its name; NAME stands for the names of members within it.
        behind: and behind it; "?" for a member without a name.
        literal: its value in C.
        values: what a row holds of it: one value, or those of the members of an anonymous struct.
    """

    def __init__(self, before: str, behind: str, literal: str, values: list[Any]) -> None:
        self.before = before
        self.behind = behind
        self.literal = literal
        self.values = values

    def __repr__(self) -> str:
        return f"{self.before} x{self.behind} = {self.literal}"


def numbers(declared: str, width: int | None = None) -> st.SearchStrategy[int]:
    bits, signed = INTEGERS[declared]
    bits = width or bits
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)


def in_c(number: int, declared: str) -> str:
    """A number of up to 128 bits: C writes 64 at once, and no negative ones."""
    raw = number & (1 << 128) - 1
    return f"({declared})((unsigned __int128){raw >> 64}ULL << 64 | {raw & (1 << 64) - 1}ULL)"


def integer(declared: str) -> st.SearchStrategy[Member]:
    return numbers(declared).map(lambda number: Member(declared, "", in_c(number, declared), [number]))


def bitfield(declared: str) -> st.SearchStrategy[Member]:
    def of_width(width: int) -> st.SearchStrategy[Member]:
        given = numbers(declared, width)
        return given.map(lambda number: Member(declared, f":{width}", in_c(number, declared), [number]))

    return st.integers(1, INTEGERS[declared][0]).flatmap(of_width)


def array(declared: str) -> st.SearchStrategy[Member]:
    given = st.lists(numbers(declared), min_size=1, max_size=4)
    return given.map(
        lambda held: Member(
            declared, f"[{len(held)}]", f"{{ {', '.join(in_c(each, declared) for each in held)} }}", [tuple(held)]
        )
    )


def text(held: bytes, room: int) -> Member:
    characters = ", ".join(str(byte - 256 if byte > 127 else byte) for byte in held) or "0"
    seen = held.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return Member("char", f"[{len(held) + room}]", f"{{ {characters} }}", [seen])


def floating(declared: str, width: int) -> st.SearchStrategy[Member]:
    given = st.floats(allow_nan=False, allow_infinity=False, width=32 if width == 32 else 64)
    return given.map(lambda number: Member(declared, "", number.hex(), [number]))


leaves = st.one_of(
    st.sampled_from([*INTEGERS]).flatmap(integer),
    st.sampled_from(["u8", "s8", "u16", "s32", "u32", "u64", "s64"]).flatmap(bitfield),
    st.sampled_from(["u8", "s8", "u16", "s32", "u64", "s128", "deep_2"]).flatmap(array),
    st.builds(text, st.binary(max_size=6), st.integers(1, 3)),
    st.booleans().map(lambda value: Member("_Bool", "", str(int(value)), [value])),
    st.booleans().map(lambda value: Member("_Bool", ":1", str(int(value)), [value])),
    floating("float", 32),
    floating("double", 64),
    st.integers(0, (1 << 64) - 1).map(lambda place: Member("void *", "", f"(void *){place}ULL", [place])),
    st.sampled_from([(name, *each) for name, values in ENUMS.items() for each in values.items()]).map(
        lambda each: Member(f"enum {each[0]}", "", each[1], [each[2]])
    ),
)


def within(members: list[Member], word: str, *, named: bool) -> Member:
    """A struct in the struct, or an anonymous one, whose members stand among the others."""
    inner = " ".join(declaration(member, f"NAME_{index}") for index, member in enumerate(members))
    literal = f"{{ {', '.join(member.literal for member in members)} }}"
    values = [value for member in members for value in member.values]
    return Member(f"{word} {{ {inner} }}", "" if named else "?", literal, [tuple(values)] if named else values)


words = st.sampled_from(["struct", "struct __attribute__((packed))", "struct __attribute__((aligned(16)))"])
members = st.recursive(
    leaves,
    lambda inner: st.lists(inner, min_size=1, max_size=4).flatmap(
        lambda chosen: st.builds(lambda word, named: within(chosen, word, named=named), words, st.booleans())
    ),
    max_leaves=8,
)
structs = st.lists(st.lists(members, min_size=1, max_size=6), min_size=1, max_size=12)


def declaration(member: Member, name: str) -> str:
    before = member.before.replace("NAME", name)
    return f"{before};" if member.behind == "?" else f"{before} {name}{member.behind};"
