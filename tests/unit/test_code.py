"""What programs use, themselves and through the functions that they call."""

from __future__ import annotations

from skep.spec.code import Code, used_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.spec.objectspec import ObjectSpec

MAPS = "".join(
    f"struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, u64); }} "
    f'{name} SEC(".maps");\n'
    for name in ("a", "b", "c")
)
LOOK = "static __attribute__((noinline)) int {0}(void *ctx) {{ u32 k = 0; "
LOOK += "return bpf_map_lookup_elem(&{1}, &k) ? bpf_get_smp_processor_id() : (int)(long)ctx; }}\n"


def used(spec: ObjectSpec) -> dict[str, set[str]]:
    return {name: set(program.symbols) & {"a", "b", "c"} for name, program in spec.programs.items()}


def test_a_program_uses_what_its_own_functions_use_and_no_others(spec_of: Callable[..., ObjectSpec]) -> None:
    spec = spec_of(
        MAPS
        + LOOK.format("of_a", "a")
        + LOOK.format("of_b", "b")
        + "__attribute__((noinline)) int through(void *ctx) { return of_b(ctx) + 1; }\n"
        + 'SEC("tp/x/one") int one(void *ctx) { return of_a(ctx); }\n'
        + 'SEC("tp/x/two") int two(void *ctx) { return through(ctx); }\n'
        + 'SEC("tp/x/three") int three(void *ctx) { u32 k = 0; bpf_map_delete_elem(&c, &k); return of_a(ctx); }\n'
        + 'SEC("tp/x/none") int none(void *ctx) { return 0; }\n'
    )

    assert used(spec) == {"one": {"a"}, "two": {"b"}, "three": {"a", "c"}, "none": set()}
    assert {name: sorted(program.helpers) for name, program in spec.programs.items()} == {
        "one": [1, 8],
        "two": [1, 8],
        "three": [1, 3, 8],
        "none": [],
    }


def test_a_function_given_to_a_helper_is_used(spec_of: Callable[..., ObjectSpec]) -> None:
    spec = spec_of(
        MAPS
        + "static int each(u32 index, void *data) { return bpf_map_delete_elem(&b, &index); }\n"
        + 'SEC("tp/x/loop") int loop(void *ctx) { bpf_loop(3, each, 0, 0); return 0; }\n'
        + 'SEC("tp/x/none") int none(void *ctx) { return 0; }\n'
    )

    assert used(spec) == {"loop": {"b"}, "none": set()}


def test_a_function_in_the_section_of_its_program_is_none_of_the_others_there(
    spec_of: Callable[..., ObjectSpec],
) -> None:
    spec = spec_of(
        MAPS
        + 'SEC("tc") '
        + LOOK.format("of_a", "a")
        + 'SEC("tc") int one(void *ctx) { return of_a(ctx); }\n'
        + 'SEC("tc") int two(void *ctx) { u32 k = 0; return bpf_map_delete_elem(&b, &k); }\n'
    )

    assert used(spec) == {"one": {"a"}, "two": {"b"}}


def test_functions_that_call_each_other_are_used_once() -> None:
    first = Code(frozenset({1}), frozenset({"a"}), ((1, 8),))
    second = Code(frozenset({2}), frozenset({"b"}), ((1, 0), (9, 9)))

    found = used_from((1, 0), {(1, 0): first, (1, 8): second})

    assert found.helpers == {1, 2}
    assert found.names == {"a", "b"}
    assert found.calls == ((1, 0), (1, 8))


def test_no_more_functions_are_followed_than_a_kernel_takes() -> None:
    chain = {(1, at): Code(frozenset({at}), frozenset(), ((1, at + 1),)) for at in range(1000)}

    assert used_from((1, 0), chain).helpers == set(range(256))
