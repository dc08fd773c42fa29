"""Values of every shape, from Python through a map to a program and back: each side reads what the other wrote.

hypothesis draws structs; all of them are members of one value, so that one object holds them. The program folds what it
reads of each number into a checksum, and writes every number back with 1 added, as C reads and writes them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skep._native import ffi, lib
from skep.base.schema import Field, Type, decoder
from skep.session.api import Spec
from tests.structs import TYPES, Member, declaration, structs

SOURCE = """
#define SEC(name) __attribute__((section(name), used))
#define MAP(name, type_) \\
	struct { int (*type)[2]; int (*max_entries)[1]; u32 *key; typeof(type_) *value; } name SEC(".maps")
static void *(*lookup)(void *, const void *) = (void *)1;
struct all { %(members)s };
MAP(given, struct all);
MAP(returned, struct all);
MAP(checksum, u64);

%(functions)s
SEC("raw_tp/sys_enter")
int copies(void *ctx)
{
	u32 key = 0;
	struct all *in = lookup(&given, &key), *out = lookup(&returned, &key);
	u64 sum = 0, *total = lookup(&checksum, &key);

	if (!in || !out || !total)
		return 1;
%(calls)s
	*total = sum;
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""
BARRIER = '\nasm volatile("" ::: "memory");\n'
_NUMBERS = {"int", "enum", "bool", "pointer"}


def leaves(type_: Type, value: Any, path: str) -> Iterator[tuple[str, Field | Type, Any]]:
    """The innermost members: how C gets at each, and what Python read. Of those that share bytes, the first."""
    if type_.fields:
        taken = 0
        for index, field in enumerate(type_.fields):
            skipped, width = field.bits or (0, field.size * 8)
            bits = (1 << width) - 1 << field.offset * 8 + skipped
            if taken & bits or not field.size:
                continue
            taken |= bits
            inner = f"{path}.{field.name}"
            if field.bits is not None:
                yield inner, field, value[index]
            else:
                yield from leaves(field.type, value[index], inner)
    elif type_.kind == "array" and type_.element is not None:
        for index in range(type_.count):
            yield from leaves(type_.element, value[index], f"{path}[{index}]")
    else:
        yield path, type_, value


def statement(path: str, held: Field | Type) -> str:
    type_ = held.type if isinstance(held, Field) else held
    if type_.kind not in _NUMBERS:
        return f"__builtin_memcpy(&out->{path}, &in->{path}, sizeof(in->{path}));"
    if type_.kind == "bool":
        return f"sum = sum * 31 + in->{path}; out->{path} = !in->{path};"
    if type_.kind == "pointer":
        return f"sum = sum * 31 + (u64)in->{path}; out->{path} = (void *)((u64)in->{path} + 1);"
    wide = "u128" if type_.size == 16 else "u64"
    high = f" + (u64)((u128)in->{path} >> 64)" if type_.size == 16 else ""
    return f"sum = sum * 31 + (u64)in->{path}{high}; out->{path} = ({wide})in->{path} + 1;"


def added(held: Field | Type, value: Any) -> Any:
    """What C makes of a number and 1."""
    type_ = held.type if isinstance(held, Field) else held
    if type_.kind not in _NUMBERS:
        return value
    if type_.kind == "bool":
        return not value
    width = held.bits[1] if isinstance(held, Field) and held.bits else type_.size * 8
    number = value + 1 & (1 << width) - 1
    return number - (1 << width) if type_.signed and number >> width - 1 else number


def folded(found: list[tuple[str, Field | Type, Any]]) -> int:
    total = 0
    for _, held, value in found:
        type_ = held.type if isinstance(held, Field) else held
        if type_.kind in _NUMBERS:
            high = value >> 64 if type_.size == 16 else 0
            total = (total * 31 + value + high) & (1 << 64) - 1
    return total


def build(declared: list[list[Member]], functions: str = "", calls: str = "") -> Spec:
    inner = (" ".join(declaration(each, f"m{index}") for index, each in enumerate(held)) for held in declared)
    members = " ".join(f"struct {{ {each} }} s{number};" for number, each in enumerate(inner))
    source = TYPES + SOURCE % {"members": members, "functions": functions, "calls": calls}
    # The program writes to all members, also to those that are const.
    command = ["clang", "-target", "bpf", "-g", "-O2", "-w", "-Dconst=", "-x", "c", "-c", "-", "-o", "-"]
    return Spec.read(subprocess.run(command, input=source.encode(), check=True, capture_output=True).stdout, "values.o")


def functions(type_: Type) -> tuple[str, str]:
    """Functions that do it for a few members each, since the stack is small; and the calls of all of them."""
    nothing = decoder(type_)(bytes(type_.size))
    lines = [statement(place.lstrip("."), held) for place, held, _ in leaves(type_, nothing, "")]
    parts = [lines[start : start + 8] for start in range(0, len(lines), 8)]
    defined = "".join(
        f"static __attribute__((noinline)) u64 part_{number}(struct all *in, struct all *out, u64 sum)\n"
        f"{{\n{BARRIER.join(part)}\nreturn sum;\n}}\n"
        for number, part in enumerate(parts)
    )
    return defined, "".join(f"sum = part_{number}(in, out, sum);\n" for number in range(len(parts)))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(structs, st.randoms(use_true_random=False))
def test_values_of_every_shape_reach_the_program_and_come_back(declared: list[list[Member]], random: Random) -> None:
    type_ = build(declared).maps["given"].value
    assert type_ is not None
    with build(declared, *functions(type_)).load() as loaded:
        given_map, returned = loaded.maps["given"], loaded.maps["returned"]
        # Any bytes are some value.
        value = decoder(type_)(random.randbytes(type_.size))
        given_map[0] = value
        options = ffi.new("struct bpf_test_run_opts *", {"sz": ffi.sizeof("struct bpf_test_run_opts")})
        assert not lib.bpf_prog_test_run_opts(loaded.programs["copies"].fd, options), os.strerror(ffi.errno)

        assert options.retval == 0
        assert repr(given_map[0]) == repr(value)
        found = list(leaves(type_, value, ""))
        assert loaded.maps["checksum"][0] == folded(found)
        back = [each for _, _, each in leaves(type_, returned[0], "")]
        assert repr(back) == repr([added(held, each) for _, held, each in found])
