"""What programs need of a kernel's types, read from objects that the compiler makes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from skep.base.errors import ObjectFormatError
from skep.spec.relocations import needs

SOURCE = """
#include <bpf/bpf_core_read.h>
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct inner { int a; int b; };
typedef struct { int x; int y; } pair_t;
struct outer___mine {
	long first;
	struct inner parts[4];
	union { int plain; int other; };
	struct inner *next;
};
struct holder { pair_t pair; };
#pragma clang attribute pop
enum color { RED, GREEN };

static __attribute__((noinline)) int called(struct holder *holder) { return holder->pair.y; }

SEC("raw_tp/a") int reads(struct outer___mine *ctx) { return ctx->parts[2].b + ctx->other; }
SEC("raw_tp/a") int walks(struct outer___mine *ctx) { return ctx->next->a; }
SEC("raw_tp/a") int asks(struct outer___mine *ctx)
{
	return bpf_core_field_exists(ctx->first) ? ctx->first : 0;
}
SEC("raw_tp/a") int names(void *ctx) { return bpf_core_enum_value(enum color, GREEN); }
SEC("raw_tp/a") int sizes(void *ctx) { return bpf_core_type_size(struct inner); }
SEC("raw_tp/a") int own(void *ctx) { return bpf_core_type_id_local(struct inner); }
SEC("raw_tp/a") int calls(void *ctx) { return called(ctx); }
SEC("raw_tp/a") int nothing(void *ctx) { return 0; }
"""
OUTER, INNER = ("struct", "outer", ""), ("struct", "inner", "")


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param(
            "reads",
            [OUTER, ("struct", "outer", "parts"), ("struct", "inner", "b"), OUTER, ("struct", "outer", "other")],
            id="elements of an array, and members of what has no name",
        ),
        pytest.param("walks", [OUTER, ("struct", "outer", "next"), INNER, ("struct", "inner", "a")], id="a pointer"),
        pytest.param("asks", [], id="what is asked for first may be missing"),
        pytest.param("names", [("enum", "color", ""), ("enum", "color", "GREEN")], id="an enum"),
        pytest.param("sizes", [INNER], id="a type"),
        pytest.param("own", [], id="a type of its own"),
        pytest.param("calls", [("struct", "holder", ""), ("struct", "holder", "pair")], id="a function, and a typedef"),
        pytest.param("nothing", [], id="nothing"),
        pytest.param("absent", [], id="no such program"),
    ],
)
def test_what_a_program_needs(program: str, expected: list[object], build: Callable[..., bytes]) -> None:
    found = needs(build(SOURCE), "x.o", program)

    assert [(need.kind, need.type, need.member) for need in found] == expected


def test_what_a_called_function_needs_stands_where_the_kernel_has_it(build: Callable[..., bytes]) -> None:
    data = build(SOURCE)

    (first, *_) = needs(data, "x.o", "calls")
    # The program itself has two instructions at least.
    assert first.instruction >= 2


def test_an_object_without_types_needs_nothing(build: Callable[..., bytes]) -> None:
    data = build(SOURCE).replace(b".BTF.ext\0", b".BTF.axt\0")

    assert needs(data, "x.o", "reads") == ()


def test_damage_is_told(build: Callable[..., bytes]) -> None:
    with pytest.raises(ObjectFormatError):
        needs(build(SOURCE)[:200], "x.o", "reads")
