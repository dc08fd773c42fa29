"""How what a kernel has is shown."""

from __future__ import annotations

import json

import pytest

from skep.base.abi.helpers import HELPERS
from skep.base.abi.maps import MAP_TYPES
from skep.base.errors import UsageError
from skep.cli.feature import main
from skep.kernel.attempts import KINDS
from skep.kernel.attempts import LINKS as TRIED_LINKS
from skep.kernel.probes import Feature
from skep.kernel.releases import HOOKS, INSTRUCTIONS, LINKS, MAPS
from skep.view.feature import feature_json, feature_text

FOUND = {
    "map types": [Feature("hash", "yes", "", "3.19"), Feature("arena", "no", "Invalid argument", "6.9")],
    "helpers of xdp": [Feature("bpf_a", "yes", "", "5.11"), Feature("bpf_map_b", "yes", "", "6.1")],
    "helpers of kprobe": [Feature("bpf_a", "no", "", "5.11"), Feature("bpf_map_b", "yes", "", "6.1")],
    "helpers of tracing": [Feature("bpf_a", "yes", "", "5.11"), Feature("bpf_map_b", "yes", "", "6.1")],
    "functions of xdp": [Feature("bpf_map_c", "unknown", "needs CAP_BPF", "")],
}


def test_the_page_counts_what_programs_may_call():
    assert feature_text("6.1", FOUND).splitlines() == [
        "map types of 6.1",
        "  NAME   HERE  SINCE  WHY",
        "  hash   yes   3.19",
        "  arena  no    6.9    Invalid argument",
        "",
        "What programs may call (skep feature WORD tells which)",
        "  PROGRAM TYPE  HELPERS  FUNCTIONS",
        "  xdp                 2  ?",
        "  kprobe              1  ?",
        "  tracing             2  ?",
        "  ?: could not be told: needs CAP_BPF",
    ]


def test_a_word_tells_who_may_call_it():
    assert feature_text("6.1", FOUND, "bpf_").splitlines() == [
        "helpers",
        "  NAME       SINCE  PROGRAM TYPES",
        "  bpf_a      5.11   all but kprobe",
        "  bpf_map_b  6.1    all",
        "",
        "functions",
        "  NAME       SINCE  PROGRAM TYPES",
        "  bpf_map_c         ?",
    ]


def test_json_holds_what_has_the_word():
    assert json.loads(feature_json("6.1", FOUND, "arena")) == {
        "kernel": "6.1",
        "features": {"map types": [{"name": "arena", "state": "no", "why": "Invalid argument", "since": "6.9"}]},
    }


def test_a_word_that_nothing_has(monkeypatch):
    monkeypatch.setattr("skep.cli.feature.features", lambda **_: FOUND)

    with pytest.raises(UsageError, match="nothing with xyz"):
        main(["xyz"])


def test_each_that_is_tried_has_its_release():
    assert set(MAPS) == set(MAP_TYPES.values()) - {"unspec"}
    assert set(HOOKS) == set(KINDS) - {"bpf_printk", "run counts"}
    assert set(LINKS) == set(TRIED_LINKS)
    assert all(len(bytes.fromhex(code)) % 8 == 0 for _, code in INSTRUCTIONS.values())
    assert HELPERS[1] == "bpf_map_lookup_elem"
    assert HELPERS[211] == "bpf_cgrp_storage_delete"
