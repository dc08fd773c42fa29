"""Programs on interfaces, cgroups and places in the network stack: what they need, and what answers it."""

from __future__ import annotations

import pytest

from skep.base.errors import UsageError
from skep.kernel.link import MODULES
from skep.kernel.link.cgroup import _TYPES
from skep.spec.annotations import read_note
from skep.spec.objectspec import ProgramSpec
from skep.spec.sections import parse
from skep.spec.targets import Targets, hook_of, open_words


def program(section: str, note: str = "") -> ProgramSpec:
    return ProgramSpec("a", section, frozenset(), frozenset(), read_note(note))


def hook(section: str, note: str = "", **said) -> str:
    """The hook, as it is shown, or what it needs."""
    found = hook_of(program(section, note), Targets(**said), {})
    return found.needs or str(found)


@pytest.mark.parametrize(
    ("section", "said", "expected"),
    [
        ("xdp", {"iface": "eth0"}, "xdp/eth0"),
        ("xdp.frags", {"attach": {"a": "eth1"}, "iface": "eth0"}, "xdp.frags/eth1"),
        ("tc", {"attach": {"a": "egress"}, "iface": "eth0"}, "tc/egress/eth0"),
        ("classifier", {"attach": {"a": "tcx/ingress"}, "iface": "eth0"}, "tcx/ingress/eth0"),
        ("tc", {"attach": {"a": "tcx/ingress"}}, "needs an interface: --iface NAME"),
        ("socket", {"cgroup": "/sys/fs/cgroup/a"}, "needs an interface: --iface NAME"),
        ("cgroup/connect4", {"cgroup": "/sys/fs/cgroup/a"}, "cgroup/connect4//sys/fs/cgroup/a"),
        ("cgroup/skb", {"attach": {"a": "./b"}, "cgroup": "/a"}, "cgroup/skb/./b"),
        ("cgroup/skb", {"attach": {"a": "cgroup_skb/egress"}, "cgroup": "/a"}, "cgroup_skb/egress//a"),
        ("sockops", {"iface": "eth0"}, "needs a cgroup: --cgroup PATH"),
        ("lsm_cgroup/socket_bind", {"cgroup": "/a"}, "lsm_cgroup/socket_bind"),
        ("netfilter", {}, "needs a place in the network stack: --attach PROGRAM=ipv4/local_in, or another"),
        ("netfilter", {"attach": {"a": "ipv6/forward/-5"}}, "netfilter/ipv6/forward/-5"),
        ("netfilter/ipv4/local_in", {}, "netfilter/ipv4/local_in"),
    ],
)
def test_what_is_said_fills_what_a_section_leaves_open(section, said, expected):
    assert hook(section, **said) == expected


@pytest.mark.parametrize(
    ("note", "said", "expected"),
    [
        ("@ifindex 3", {}, "tc/3"),
        ('@tchook {"ifindex": 4, "attach_point": "BPF_TC_EGRESS"}', {}, "tc/4"),
        ('@tchook {"attach_point": "BPF_TC_EGRESS"}', {}, "needs an interface: --iface NAME"),
        ("@ifindex 3", {"iface": "eth0"}, "tc/eth0"),
    ],
)
def test_annotations_answer_unless_the_user_does(note, said, expected):
    assert hook("tc", note, **said) == expected


@pytest.mark.parametrize(
    ("section", "target"),
    [("xdp", "tcx/egress"), ("cgroup/connect4", "cgroup_skb/egress"), ("cgroup/connect4", "eth0"), ("xdp", "a/b")],
)
def test_a_target_of_another_kind_is_refused(section, target):
    with pytest.raises(UsageError, match="cannot be attached there"):
        hook(section, attach={"a": target})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"direction": "in"}, "--direction in: it takes ingress or egress"),
        ({"xdp_mode": "skb"}, "--xdp-mode skb: it takes native or generic"),
    ],
)
def test_words_of_few_values_take_no_other(said, message):
    with pytest.raises(UsageError, match=message):
        Targets(**said)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("xdp", {"iface", "xdp-mode"}),
        ("tc", {"iface", "direction"}),
        ("action", {"iface", "direction"}),
        ("tcx/egress", {"iface"}),
        ("socket", {"iface"}),
        ("cgroup/skb", {"cgroup", "direction"}),
        ("cgroup/connect4", {"cgroup"}),
        ("netfilter", set()),
    ],
)
def test_a_file_has_the_options_that_its_hooks_take(section, words):
    assert open_words([program(section)]) == words


def test_every_kind_of_a_cgroup_has_its_number():
    # cgroup/skb has those of the direction that is chosen.
    assert {kind for kind, module in MODULES.items() if module == "cgroup"} == _TYPES.keys() | {"cgroup/skb"}


@pytest.mark.parametrize("kind", MODULES)
def test_every_kind_that_is_attached_is_one_of_a_section(kind):
    assert parse(kind).kind == kind
    assert parse(kind).lacks is not None
