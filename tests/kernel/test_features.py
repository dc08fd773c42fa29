"""`skep feature`: what a kernel has, by trying, agrees with the releases that are stated."""

from __future__ import annotations

import json
import os
import platform
import subprocess

import pytest

from skep import features

RELEASE = tuple(map(int, platform.release().split(".")[:2]))

# What a kernel of a release that has it may be built without, or what a machine may lack.
CONFIGURED = {
    "program types": {"lirc_mode2", "lsm"},
    "hooks": {"kprobe", "hardware events", "fentry", "fexit", "fmod_ret", "lsm", "kprobe.multi"},
    "links": {"kprobe_multi", "netkit", "netfilter"},
    "instructions": {"load-acquire, store-release", "may_goto"},
}
# What is for programs in places that no program type as a whole stands for: iterators, functions, what is configured.
PLACED = {
    "bpf_bprm_opts_set",
    "bpf_d_path",
    "bpf_inode_storage_delete",
    "bpf_inode_storage_get",
    "bpf_override_return",
    # Not where the kernel is locked down.
    "bpf_probe_write_user",
    "bpf_rc_keydown",
    "bpf_rc_pointer_rel",
    "bpf_rc_repeat",
}
PLACED_PREFIXES = ("bpf_ima_", "bpf_seq_", "bpf_get_func_")


@pytest.fixture(scope="module")
def found():
    return features(fresh=True)


def _brought(feature) -> bool:
    """Whether the release that is said to have brought it is this one, or an older one."""
    release = feature.since.removesuffix(" or before")
    return release != "a later release" and tuple(map(int, release.split("."))) <= RELEASE


@pytest.mark.floors("6.12", "6.1")
@pytest.mark.parametrize("group", ["program types", "map types", "hooks", "links", "instructions", "BTF"])
def test_what_is_here_is_what_its_release_says(found, group):
    assert all(feature.state in {"yes", "no"} for feature in found[group])
    for feature in found[group]:
        assert feature.state == "no" or _brought(feature), f"{feature.name} is here, and came with {feature.since}"
        if feature.state == "no" and feature.name not in CONFIGURED.get(group, ()):
            assert not _brought(feature), f"{feature.name} came with {feature.since}, and is not here: {feature.why}"


@pytest.mark.floors("6.12", "6.1")
def test_helpers_are_here_since_the_release_that_is_stated(found):
    states: dict[str, set[str]] = {}
    brought = {}
    for group, features_ in found.items():
        for feature in features_ if group.startswith("helpers of ") else ():
            states.setdefault(feature.name, set()).add(feature.state)
            brought[feature.name] = _brought(feature)

    assert len(states) == 211
    here = {name for name, known in states.items() if "yes" in known}
    assert here <= {name for name in brought if brought[name]}
    missing = {name for name in brought if brought[name]} - here - PLACED
    assert {name for name in missing if not name.startswith(PLACED_PREFIXES)} == set()


@pytest.mark.floors("6.12", "6.1")
def test_program_types_may_call_what_is_theirs(found):
    def state(group, name):
        return next(each.state for each in found[group] if each.name == name)

    assert state("helpers of xdp", "bpf_xdp_adjust_head") == "yes"
    assert state("helpers of xdp", "bpf_probe_read_kernel") == "yes"
    assert state("helpers of xdp", "bpf_skb_load_bytes") == "no"
    assert state("helpers of kprobe", "bpf_get_current_comm") == "yes"
    assert state("helpers of kprobe", "bpf_xdp_adjust_head") == "no"
    # They may be called by a program that may sleep.
    assert state("helpers of syscall", "bpf_copy_from_user") == "yes"
    assert state("helpers of kprobe", "bpf_sk_lookup_tcp") == "no"


def test_functions_are_those_of_the_program_type(found):
    def state(group, name):
        return next(each.state for each in found[group] if each.name == name)

    assert state("functions of xdp", "bpf_dynptr_from_xdp") == "yes"
    assert state("functions of tracepoint", "bpf_dynptr_from_xdp") == "no"
    assert state("functions of tracing", "bpf_task_from_pid") == "yes"
    assert state("functions of xdp", "bpf_iter_num_new") == "yes"


@pytest.mark.floors("6.12", "6.1")
def test_functions_that_a_kernel_does_not_name_are_not_said_to_be_missing(found):
    groups = [features_ for group, features_ in found.items() if group.startswith("functions of ")]

    assert len(groups) == sum(feature.state != "no" for feature in found["program types"])
    for features_ in groups:
        states = {feature.state for feature in features_}
        assert states <= {"yes", "no"} or [feature.state for feature in features_ if "types" in feature.why] == [
            "unknown"
        ]
        assert RELEASE >= (6, 10) or states == {"unknown"}


def test_what_was_found_is_kept(skep, tmp_path):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [*skep, "feature", "ringbuf", "-o", "json"]
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout
        for _ in range(2)
    )
    (kept,) = (tmp_path / "skep" / "features").iterdir()

    assert first == second
    assert {feature["name"] for feature in json.loads(first)["features"]["map types"]} == {"ringbuf", "user_ringbuf"}
    # What is damaged is found out again.
    kept.write_text("{")
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout
    assert again == first


def test_without_privileges_nothing_is_said_to_be_missing(skep):
    command = [
        "setpriv",
        "--inh-caps=-all",
        "--bounding-set=-all",
        *skep,
        "feature",
        "ringbuf",
        "--fresh",
        "-o",
        "json",
    ]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = json.loads(finished.stdout)["features"]["map types"]

    assert finished.returncode == 3
    assert {(feature["state"], "CAP_BPF" in feature["why"]) for feature in found} == {("unknown", True)}
