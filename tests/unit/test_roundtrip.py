"""From C to a row: the values that the compiler writes into an object are those that BTF and a schema read there."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from skep.base.encoding import encoder
from skep.base.schema import Schema, Type, decoder
from skep.spec.btf import STRUCT, Btf
from skep.spec.elf import Elf
from tests.structs import TYPES, Member, declaration, structs


def read(source: str) -> tuple[Btf, Elf]:
    command = ["clang", "-target", "bpf", "-g", "-O2", "-w", "-x", "c", "-c", "-", "-o", "-"]
    finished = subprocess.run(command, input=(TYPES + source).encode(), check=True, capture_output=True)
    elf = Elf(finished.stdout, "x.o")
    return Btf(elf.by_name[".BTF"].data, elf.byte_order, "x.o"), elf


def row(btf: Btf, elf: Elf, number: int) -> Any:
    """What the compiler wrote, as a row; which is written again to the same bytes, given in any way."""
    type_ = btf.type(btf.find(STRUCT, f"s{number}") or 0)
    symbol = next(symbol for symbol in elf.symbols if symbol.name == f"v{number}")
    # One of zeros may lie in .bss, which has no bytes.
    data = bytes(elf.data(symbol)) or bytes(symbol.size)
    held = Schema("s", type_.size, type_.fields).decode(data)
    encode, decode = encoder(type_), decoder(type_)
    # Of a flexible array, a row holds nothing.
    whole = data[: type_.size]
    cleared = encode(held)
    # What stands behind the NUL of a text is not in a row; all else is.
    assert decode(cleared) == held
    assert cleared == whole or "text" in kinds(type_)
    assert encode(tuple(held)) == encode(named(type_, held)) == cleared
    return held


def kinds(type_: Type) -> set[str]:
    inner = [field.type for field in type_.fields] + ([type_.element] if type_.element else [])
    return {type_.kind}.union(*map(kinds, inner))


def named(type_: Type, value: Any) -> Any:
    """A row as dicts."""
    if type_.fields:
        return {field.name: named(field.type, item) for field, item in zip(type_.fields, value, strict=True)}
    if type_.kind == "array" and type_.element:
        return [named(type_.element, item) for item in value]
    return value


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(structs)
def test_what_the_compiler_writes_is_what_a_row_holds(declared: list[list[Member]]) -> None:
    btf, elf = read(
        "".join(
            f"struct s{number} {{ {' '.join(declaration(each, f'm{index}') for index, each in enumerate(held))} }};\n"
            f"const struct s{number} v{number} = {{ {', '.join(each.literal for each in held)} }};\n"
            for number, held in enumerate(declared)
        )
    )

    for number, held in enumerate(declared):
        assert row(btf, elf, number) == tuple(value for member in held for value in member.values)


@pytest.mark.parametrize(
    ("members", "literal", "held"),
    [
        pytest.param(
            "union { u32 whole; u8 bytes[4]; } x;", "{ 0x04030201 }", ((0x04030201, (1, 2, 3, 4)),), id="union"
        ),
        pytest.param("union { u32 a; s16 b; };", "{ 0x1ffff }", (0x1FFFF, -1), id="anonymous union"),
        pytest.param("u16 a[2][3];", "{ { 1, 2, 3 }, { 4, 5, 6 } }", (((1, 2, 3), (4, 5, 6)),), id="array of arrays"),
        pytest.param("char a[2][4];", '{ "ab", "cd" }', (("ab", "cd"),), id="array of texts"),
        pytest.param(
            "struct { u8 a; u32 b; } x[2];", "{ { 1, 2 }, { 3, 4 } }", (((1, 2), (3, 4)),), id="array of structs"
        ),
        pytest.param("enum small a[3];", "{ SMALL_B, SMALL_A, 7 }", ((7, 0, 7),), id="array of enums"),
        pytest.param("double a[2];", "{ 0.5, -2 }", ((0.5, -2.0),), id="array of floats"),
        pytest.param("_Bool a[2];", "{ 1, 0 }", ((True, False),), id="array of booleans"),
        pytest.param("u8 a; u32 b[];", "1", (1, ()), id="flexible array"),
        pytest.param("u32 a:3, :5, b:4;", "5, 9", (5, 9), id="bits that nobody names"),
        pytest.param("u32 a:3, :0; u32 b:4;", "5, 9", (5, 9), id="bits that start anew"),
        pytest.param("struct s0 *next; u32 a;", "0, 1", (0, 1), id="a pointer to the struct itself"),
    ],
)
def test_what_the_compiler_writes_of_the_rest_of_c(members: str, literal: str, held: tuple[Any, ...]) -> None:
    btf, elf = read(f"struct s0 {{ {members} }};\nconst struct s0 v0 = {{ {literal} }};\n")

    assert row(btf, elf, 0) == held
