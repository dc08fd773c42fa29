"""Which of several programs for the same is loaded: pure, with a kernel that says what it takes."""

from __future__ import annotations

import pytest

from skep.kernel.alternatives import left_out
from skep.spec.objectspec import RINGBUF, MapSpec, ObjectSpec, ProgramSpec

HASH = 1


def _spec(programs: dict[str, tuple[str, set[str]]]) -> ObjectSpec:
    maps = {name: MapSpec(name, HASH, 1, None) for name in ("started", "other", "skep_tree")}
    maps["events"] = MapSpec("events", RINGBUF, 4096, None)
    return ObjectSpec(
        "made_up",
        b"",
        programs={
            name: ProgramSpec(name, section, frozenset(), frozenset(used)) for name, (section, used) in programs.items()
        },
        maps=maps,
        variables={},
        counters={},
        events={},
        formats=(),
        prints=False,
        description="",
    )


def _takes(*refused: str):
    """A kernel that refuses these kinds, or kinds on targets."""
    return lambda kind, target: f"no {kind}" if kind in refused or f"{kind}/{target}" in refused else ""


UNLINK = {
    "removed": ("fexit/do_unlinkat", {"events"}),
    "entered": ("kprobe/do_unlinkat", {"started"}),
    "returned": ("kretprobe/do_unlinkat", {"started", "events"}),
}


@pytest.mark.parametrize(
    ("programs", "refused", "out"),
    [
        pytest.param(UNLINK, [], {"entered", "returned"}, id="the better kind, where the kernel takes it"),
        pytest.param(UNLINK, ["fexit"], {"removed"}, id="the other kind, where it does not"),
        pytest.param(UNLINK, ["fexit/do_unlinkat"], {"removed"}, id="the other kind, where that function is missing"),
        pytest.param(
            {"a": ("tp_btf/sched_switch", set()), "b": ("raw_tp/sched_switch", set())}, [], {"b"}, id="tracepoints"
        ),
        pytest.param(
            {"a": ("tp_btf/sched_switch", set()), "b": ("raw_tracepoint/sched_switch", set())},
            ["tp_btf"],
            {"a"},
            id="tracepoints under their other name",
        ),
        pytest.param(
            {"a": ("fentry/f", set()), "b": ("kprobe/g", set())}, ["fentry"], set(), id="no rival: another function"
        ),
        pytest.param(
            {"a": ("fentry/f", set()), "b": ("tp_btf/f", set())}, [], set(), id="no rival: another kind of hook"
        ),
        pytest.param(
            {
                "a": ("fentry/f", {"started"}),
                "b": ("kprobe/f", {"started"}),
                "c": ("fexit/g", {"started"}),
                "d": ("kretprobe/g", {"started"}),
            },
            ["fexit/g"],
            {"a", "c"},
            id="a family that shares a map uses one kind",
        ),
        pytest.param(
            {
                "a": ("fentry/f", {"events", "skep_tree"}),
                "b": ("kprobe/f", {"events", "skep_tree"}),
                "c": ("fexit/g", {"events", "skep_tree"}),
                "d": ("kretprobe/g", {"events", "skep_tree"}),
            },
            ["fexit/g"],
            {"b", "c"},
            id="a ring and the tree of skep.h tie nobody",
        ),
        pytest.param(
            {"a": ("fentry.s/f", set()), "b": ("kprobe/f", set())},
            [],
            {"b"},
            id="a program that may sleep is of its kind",
        ),
    ],
)
def test_one_kind_is_chosen(programs, refused, out):
    found = left_out(_spec(programs), why_not=_takes(*refused))

    assert set(found) == out
    assert all(found.values())


def test_a_program_that_is_not_wanted_is_no_rival():
    found = left_out(_spec(UNLINK), ["removed"], why_not=_takes())

    assert found == {"removed": "not wanted"}
