"""Which programs are loaded and attached: pure, with a kernel that says what it takes."""

from __future__ import annotations

import pytest

from skep.base.errors import HookMissingError, ProgramError, UsageError
from skep.kernel.alternatives import Plan
from skep.spec.annotations import read_note
from skep.spec.objectspec import RINGBUF, MapSpec, ObjectSpec, ProgramSpec
from skep.spec.targets import Targets

HASH = 1


def _spec(programs: dict[str, tuple[str, set[str]]], notes: dict[str, str] | None = None) -> ObjectSpec:
    maps = {name: MapSpec(name, HASH, 1, None) for name in ("started", "other", "skep_tree")}
    maps["events"] = MapSpec("events", RINGBUF, 4096, None)
    return ObjectSpec(
        "made_up",
        b"",
        programs={
            name: ProgramSpec(name, section, frozenset(), frozenset(used), read_note((notes or {}).get(name, "")))
            for name, (section, used) in programs.items()
        },
        maps=maps,
        variables={},
        globals={},
        events={},
        formats=(),
        prints=False,
        description="",
    )


def _hooks(*sections: str) -> dict[str, tuple[str, set[str]]]:
    """Programs a, b, c ... on these, which share nothing."""
    return {chr(ord("a") + number): (section, set()) for number, section in enumerate(sections)}


def _takes(*refused: str):
    """A kernel that refuses these kinds, or kinds on targets."""

    def why_not(hook):
        return f"no {hook.kind}" if hook.kind in refused or f"{hook.kind}/{hook.target}" in refused else ""

    return why_not


def _asks_nobody(hook):
    raise AssertionError(f"{hook.kind} on {hook.target} was tried")


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
        pytest.param(UNLINK, ["fexit", "kprobe"], {"removed"}, id="the last kind is not tried"),
        pytest.param(_hooks("tp_btf/sched_switch", "raw_tp/sched_switch"), [], {"b"}, id="tracepoints"),
        pytest.param(
            _hooks("tp_btf/sched_switch", "raw_tracepoint/sched_switch"),
            ["tp_btf"],
            {"a"},
            id="tracepoints under their other name",
        ),
        pytest.param(_hooks("tp_btf/f", "raw_tp.w/f"), [], {"b"}, id="writable tracepoints"),
        pytest.param(_hooks("tracepoint/sched/f", "raw_tp/f"), [], {"a"}, id="tracepoints by their category"),
        pytest.param(_hooks("tp/syscalls/f", "fentry/f"), [], set(), id="no rival: a tracepoint and a function"),
        pytest.param(_hooks("fentry/f", "kprobe/g"), ["fentry"], set(), id="no rival: another function"),
        pytest.param(_hooks("fentry/f", "tp_btf/f"), [], set(), id="no rival: another kind of hook"),
        pytest.param(_hooks("fentry/f", "kretprobe/f"), [], set(), id="no rival: the entry and the return"),
        pytest.param(_hooks("fentry/f", "fentry.s/f"), [], set(), id="no rival: the same kind"),
        pytest.param(_hooks("kprobe/f", "kprobe/f+0x10"), [], set(), id="no rival: another instruction"),
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
        pytest.param(_hooks("fentry.s/f", "kprobe/f"), [], {"b"}, id="a program that may sleep is of its kind"),
        pytest.param(
            _hooks("kprobe/f", "kprobe.multi/f", "fentry/f"), ["fentry"], {"a", "c"}, id="the second best of three"
        ),
        pytest.param(
            _hooks("kprobe/f", "kprobe.multi/f", "fentry/f"),
            ["fentry", "kprobe.multi"],
            {"b", "c"},
            id="the last of three",
        ),
        pytest.param(
            _hooks("kprobe/__x64_sys_unlink", "ksyscall/unlink"), [], {"b"}, id="a system call by name and by function"
        ),
        pytest.param(
            _hooks("kretprobe/__arm64_sys_unlink", "kretsyscall/unlink", "fexit/__x64_sys_unlink"),
            ["fexit"],
            {"b", "c"},
            id="a system call by the functions of several architectures",
        ),
        pytest.param(
            {
                "a": ("tp_btf/x", {"other"}),
                "b": ("raw_tp/x", {"other"}),
                "c": ("raw_tp/y", {"other"}),
                "d": ("tp/z/y", {"other"}),
            },
            [],
            {"a", "d"},
            id="a family uses the kind that has all its hooks",
        ),
    ],
)
def test_one_kind_is_chosen(programs, refused, out):
    plan = Plan(_spec(programs), why_not=_takes(*refused))
    plan.check()

    assert set(plan.left_out) == out
    assert all(plan.left_out.values())
    assert plan.open == {}


def test_programs_without_a_rival_are_not_tried_before_they_are_loaded():
    plan = Plan(_spec(_hooks("fentry/f", "kprobe/g", "tp/a/b", "xdp")), why_not=_asks_nobody)

    assert plan.left_out == {}


def test_the_reason_is_what_the_kernel_said():
    plan = Plan(_spec(UNLINK), why_not=_takes("fexit"))

    assert plan.left_out == {"removed": "no fexit"}


def test_the_reason_names_what_is_preferred():
    plan = Plan(_spec(UNLINK), why_not=_takes())

    assert plan.left_out["entered"] == "in favour of removed"


def test_what_this_process_may_not_ask_is_taken_for_granted():
    plan = Plan(_spec(UNLINK), why_not=lambda _: "not tried: needs root")

    assert set(plan.left_out) == {"entered", "returned"}
    assert plan.outlook()["removed"] == (None, "not tried: needs root")


def test_a_program_that_is_not_wanted_is_no_rival():
    plan = Plan(_spec(UNLINK), without=["removed"], why_not=_takes())

    assert plan.left_out == {"removed": "not wanted"}


@pytest.mark.parametrize(
    ("wanted", "out"),
    [
        pytest.param(["entered"], {"removed"}, id="the family follows"),
        pytest.param(["removed"], {"entered", "returned"}, id="what is preferred anyway"),
        pytest.param(["removed", "entered"], {"returned"}, id="two rivals"),
    ],
)
def test_what_the_user_wants_is_loaded(wanted, out):
    plan = Plan(_spec(UNLINK), wanted, why_not=_takes())

    assert set(plan.left_out) == out


def test_a_program_with_a_question_mark_is_loaded_only_if_it_is_asked_for():
    spec = _spec(_hooks("?fentry/f", "kprobe/f"))

    assert set(Plan(spec, why_not=_takes()).left_out) == {"a"}
    assert set(Plan(spec, ["a"], why_not=_takes()).left_out) == {"b"}


ONE_OF = {"a": "@oneof group", "b": "@oneof group", "c": "@oneof group"}


@pytest.mark.parametrize(
    ("refused", "wanted", "out"),
    [
        pytest.param([], [], {"b", "c"}, id="the first"),
        pytest.param(["kprobe/old"], [], {"a", "c"}, id="the second, where the first is refused"),
        pytest.param(["kprobe/old", "kprobe/new"], [], {"a", "b"}, id="the last"),
        pytest.param([], ["c"], {"a", "b"}, id="the one that is wanted"),
    ],
)
def test_of_a_group_one_is_loaded(refused, wanted, out):
    spec = _spec(_hooks("kprobe/old", "kprobe/new", "fentry/newest", "kprobe/newest"), ONE_OF)
    plan = Plan(spec, wanted, why_not=_takes(*refused))
    plan.check()

    assert set(plan.left_out) == out


def test_of_a_group_that_the_kernel_has_nothing_of_nothing_is_loaded():
    spec = _spec(_hooks("kprobe/old", "kprobe/new", "fentry/newest", "tp/a/b"), ONE_OF)
    plan = Plan(spec, why_not=_takes("kprobe", "fentry"))
    plan.check()

    assert plan.left_out == {"a": "no kprobe", "b": "no kprobe", "c": "no fentry"}


@pytest.mark.parametrize(
    ("section", "needs"),
    [
        pytest.param("xdp", "needs an interface: --iface NAME", id="xdp"),
        pytest.param("cgroup_skb/egress", "needs a cgroup: --cgroup PATH", id="cgroup"),
        pytest.param("kprobe", "needs a target function: --function NAME", id="a kprobe without its function"),
        pytest.param("kprobe/dummy_kprobe", "needs a target function: --function NAME", id="a placeholder"),
        pytest.param("uprobe", "needs a binary: --binary PATH", id="a uprobe"),
        pytest.param("uprobe//bin/bash", "needs a target function: --function NAME", id="a uprobe without a function"),
        pytest.param("sk_msg", "needs a map of sockets: --attach PROGRAM=MAP", id="a map"),
        pytest.param("sk_reuseport", "nothing in skep attaches this kind yet", id="what nobody attaches"),
    ],
)
def test_what_a_section_leaves_open_is_loaded_and_named(section, needs):
    plan = Plan(_spec(_hooks(section, "tp/a/b")), why_not=_asks_nobody)
    plan.check()

    assert plan.open == {"a": needs}
    assert plan.left_out == {}


@pytest.mark.parametrize("section", ["fentry", "fentry/dummy_fentry", "freplace/f", "iter", "tp_btf"])
def test_what_cannot_be_loaded_without_its_target_is_left_out(section):
    plan = Plan(_spec(_hooks(section, "tp/a/b")), why_not=_asks_nobody)
    plan.check()

    assert set(plan.left_out) == {"a"}


def test_link_false_is_loaded_and_not_attached():
    spec = _spec(_hooks("tp/a/b"), {"a": "@link false"})

    assert Plan(spec, why_not=_asks_nobody).open == {"a": "@link false"}
    assert Plan(spec, ["a"], why_not=_asks_nobody).open == {}


def test_a_section_that_only_a_newer_libbpf_knows_is_left_out():
    plan = Plan(_spec(_hooks("netfilter", "kprobe.session/f", "tp/a/b")), why_not=_asks_nobody)
    plan.check()

    # A newer libbpf may know them.
    assert all("has no section" in why for why in plan.left_out.values())


@pytest.mark.parametrize("section", ["usdt.s//bin/a:b:c", "uprobe.multi.s//bin/a:b", "uprobe.session.s//bin/a:b"])
def test_libbpf_is_told_of_programs_that_may_sleep(section):
    assert Plan(_spec(_hooks(section)), why_not=_asks_nobody).left_out == {}


@pytest.mark.parametrize(
    ("sections", "iface", "remedy"),
    [
        pytest.param(
            ["xdp", "xdp.frags"],
            "eth0",
            "Leave one out: --without b, or attach it elsewhere: --attach b=INTERFACE.",
            id="an interface",
        ),
        pytest.param(["flow_dissector", "flow_dissector"], None, "Leave one out: --without b.", id="a namespace"),
    ],
)
def test_of_several_programs_for_a_place_with_room_for_one_the_user_chooses(sections, iface, remedy):
    spec = _spec(_hooks(*sections, "tc", "tc"))

    with pytest.raises(UsageError, match=r"programs a and b are both for .*, which runs one at a time") as caught:
        Plan(spec, targets=Targets(iface=iface)).check()
    assert caught.value.remedy == remedy
    Plan(spec, without=["a"], targets=Targets(iface=iface)).check()


def test_a_program_that_an_array_holds_takes_no_place():
    plan = Plan(_spec(_hooks("xdp", "xdp", "tp/a/b")), targets=Targets(iface="eth0"), called=["b", "c"])
    plan.check()

    assert plan.open == {"b": "a program array holds it"}


def test_programs_for_several_interfaces_are_in_nobodys_way():
    plan = Plan(_spec(_hooks("xdp", "xdp")), targets=Targets(iface="eth0", attach={"b": "eth1"}))
    plan.check()

    assert (plan.left_out, plan.open) == ({}, {})
    Plan(_spec(_hooks("xdp", "xdp"))).check()


def test_a_section_that_names_no_hook_is_an_error_with_the_nearest():
    spec = _spec(_hooks("kprobbe/f", "tp/a/b"))

    with pytest.raises(ProgramError, match=r"program a: section kprobbe/f names no hook. Did you mean kprobe\?"):
        Plan(spec).check()
    Plan(spec, without=["a"]).check()


@pytest.mark.parametrize(
    ("wanted", "notes"),
    [pytest.param(["a"], {}, id="wanted"), pytest.param([], {"a": "@required"}, id="@required")],
)
def test_what_is_needed_is_not_left_out_for_want_of_its_hook(wanted, notes):
    plan = Plan(_spec(_hooks("fentry/f", "tp/a/b"), notes), wanted, why_not=_takes("fentry"))
    plan.check()
    assert plan.refuse()

    with pytest.raises(HookMissingError, match="program a has nothing to attach to: no fentry"):
        plan.check()


def test_where_the_kernel_has_none_of_the_hooks_nothing_is_run():
    plan = Plan(_spec(_hooks("fentry/f", "fexit/g")), why_not=_takes("fentry", "fexit"))
    plan.check()
    assert plan.refuse()

    with pytest.raises(HookMissingError, match="program a "):
        plan.check()


def test_only_what_is_found_at_load_is_refused_then():
    plan = Plan(_spec(_hooks("kprobe/f", "fentry/g")), why_not=_takes("kprobe"))

    assert not plan.refuse()
    assert plan.outlook() == {"a": (False, "no kprobe"), "b": (True, "")}


@pytest.mark.parametrize(
    ("wanted", "without", "message", "remedy"),
    [
        pytest.param(["entred"], [], "there is no program entred", "Did you mean entered?", id="misspelt"),
        pytest.param([], ["xyz"], "there is no program xyz", "The programs are: removed, entered, returned.", id="far"),
        pytest.param(["removed"], ["removed"], "wanted, and not wanted", None, id="both"),
    ],
)
def test_a_wrong_request_is_refused(wanted, without, message, remedy):
    with pytest.raises(UsageError, match=message) as caught:
        Plan(_spec(UNLINK), wanted, without)

    assert caught.value.remedy == remedy
