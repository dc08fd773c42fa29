"""Verifier logs -> diagnostics: real ones of three kernels, and lines as other kernels write them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.kernel.verifier import CATEGORIES, explain
from skep.kernel.verifier.categories import find_category
from skep.kernel.verifier.environment import release_of_function, release_of_helper
from skep.kernel.verifier.log import read_log
from skep.kernel.verifier.registers import read_state
from tests.failing import ABSENT, LOST, UNPLACED, marked, section

LOGS = Path(__file__).parent / "logs"


def _recorded(release: str) -> dict[tuple[str, ...], str]:
    parts = re.split(r"^=== ", (LOGS / f"{release}.log").read_text(), flags=re.MULTILINE)[1:]
    return {tuple(name.split()): text for name, _, text in (part.partition("\n") for part in parts)}


RECORDED = [
    pytest.param(release, *name, log, id=f"{release} {' '.join(name)}")
    for release in ("6.18", "6.12", "6.1")
    for name, log in _recorded(release).items()
]


@pytest.mark.parametrize(("release", "file", "program", "log"), RECORDED)
def test_a_recorded_log_is_explained(release, file, program, log):
    found = explain(log, section=section(file, program))
    if (file, program) in ABSENT.get(release, ()):
        assert found.id == "kernel-too-old"
        return
    category, line = marked(file, program)
    lost, suggestion = LOST[file, program]

    assert found.id == category
    # Before 6.9 a log does not name lines, and some failures have none.
    if found.line is not None and (file, program) not in UNPLACED:
        assert (found.file, found.line) == (f"{file}.bpf.c", line)
    else:
        assert release == "6.1" or category == "stack-size" or (file, program) in UNPLACED
    assert lost in "\n".join([found.message, *(span.message for span in found.path)])
    assert suggestion in str(found.suggestion)


def test_every_program_that_fails_is_recorded_for_every_kernel():
    assert all(set(_recorded(release)) == set(LOST) for release in ("6.18", "6.12", "6.1"))


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("struct task_struct *t = (void *)ctx->args[1]; return t->pid;", "BPF_CORE_READ(t, pid)"),
        ("struct task_struct *t = (void *)ctx->args[1];", "bpf_probe_read_kernel(&value, sizeof(value), t)"),
    ],
)
def test_what_is_read_from_the_context_is_named_by_what_holds_it(line, read):
    found = explain(
        f"0: R1=ctx() R10=fp0\n; {line} @ x.bpf.c:6\n0: (79) r1 = *(u64 *)(r1 +8) ; R1=scalar()\n"
        "1: (61) r0 = *(u32 *)(r1 +1264)\nR1 invalid mem access 'scalar'\n",
        section="raw_tp/sched_switch",
    )

    assert found.message.startswith("`t` is a plain number")
    assert read in str(found.suggestion)


LOOKUP = """\
0: R1=ctx() R10=fp0
; u64 *count = bpf_map_lookup_elem(&counts, &key); @ x.bpf.c:16
5: (85) call bpf_map_lookup_elem#1
; *count += 1; @ x.bpf.c:18
6: (79) r1 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


def test_the_steps_to_a_failure_are_places_in_the_source():
    found = explain(LOOKUP)

    assert [(span.line, span.source) for span in found.path] == [
        (16, "u64 *count = bpf_map_lookup_elem(&counts, &key);"),
        (18, "*count += 1;"),
    ]
    assert "verifier: R0 invalid mem access 'map_value_or_null'" in found.details
    assert "instruction: 6: r1 = *(u64 *)(r0 +0)" in found.details


@pytest.mark.parametrize(
    ("section", "leaves"), [("xdp", "XDP_PASS"), ("?tc", "TC_ACT_OK"), ("tp/x/y", "0"), ("cgroup_skb/egress", "1")]
)
def test_the_suggestion_returns_what_lets_things_go_on(section, leaves):
    assert f"if (!count)\n    return {leaves};" in str(explain(LOOKUP, section=section).suggestion)


@pytest.mark.parametrize(
    ("log", "category"),
    [
        # 5.10: states stand before the instruction, scalars are called inv.
        ("0: (79) r1 = *(u64 *)(r1 +8)\n1: (71) r0 = *(u8 *)(r1 +0)\nR1 invalid mem access 'inv'\n", "not-a-pointer"),
        (
            (
                "; bpf_map_update_elem(&counts, &key, &value, 0);\n9: (85) call bpf_map_update_elem#2\n"
                "invalid indirect read from stack off -16+4 size 16\n"
            ),
            "uninitialised-stack",
        ),
        ("back-edge from insn 9 to 3\n", "infinite-loop"),
        ("3: (85) call unknown#195896080\ninvalid func unknown#195896080\n", "core-relocation"),
        ("unreachable insn 4\n", "malformed-program"),
        ("R1 type=inv expected=fp\n", "argument-type"),
        ("math between pkt pointer and register with unbounded min value is not allowed\n", "packet-bounds"),
        ("R0 unbounded memory access, make sure to bounds check any such access\n", "memory-bounds"),
        ("invalid stack type R2 off=-4 access_size=8\n", "stack-bounds"),
        ("9: (85) call bpf_skb_load_bytes#26\ninvalid stack type R3 off=-64 access_size=0\n", "size-argument"),
        ("variable stack access var_off=(0xffffffffffffffe0; 0x1f) off=-32 size=1\n", "stack-bounds"),
        ("R2 unbounded indirect variable offset stack access\n", "stack-bounds"),
        (
            "R0 max value is outside of the array range\ninvalid access to map value, value_size=8 off=8 size=8\n",
            "map-value-bounds",
        ),
        ("expected prog array map for tail call\n", "map-mismatch"),
        ("The sequence of 8193 jumps is too complex.\n", "complexity"),
        ("bpf_spin_unlock is missing\n", "spin-lock"),
        ("something that no kernel said yet\n", "verifier"),
    ],
)
def test_words_of_other_kernels_are_known(log, category):
    assert explain(log).id == category


def test_a_helper_that_a_kernel_lacks_is_named_with_its_release():
    found = explain("; bpf_loop(10, round, 0, 0); @ x.bpf.c:9\n3: (85) call unknown#181\ninvalid func unknown#181\n")

    assert found.id == "kernel-too-old"
    assert found.message == "this kernel has no bpf_loop(): Linux 5.17 brought it"
    assert release_of_helper(14) is None
    assert release_of_helper(211) == "6.2"
    assert release_of_function("bpf_task_from_pid") == "6.2"


def test_a_member_that_a_kernel_lacks_is_named_with_what_is_near():
    log = (
        "; return task->stat; @ x.bpf.c:9\n3: <invalid CO-RE relocation>\n"
        "failed to resolve CO-RE relocation <byte_off> [6] struct task_struct.stat (0:1 @ offset 24)\n"
    )
    found = explain(log, types={"task_struct": ["__state", "state", "pid"]}.__getitem__)

    assert found.id == "core-relocation"
    assert found.message == "this kernel's struct task_struct has no member stat"
    assert "state" in str(found.suggestion)
    assert "bpf_core_field_exists(((struct task_struct *)0)->stat)" in str(found.suggestion)


def test_the_report_of_linux_7_3_is_read():
    log = f"""{LOOKUP.rpartition("processed")[0]}
Verification failed: Register Type Safety: Invalid dereference

Reason:
  R0 may be NULL here (a nullable map value pointer). The program could dereference NULL on this
  path.

At:
  hook @ x.bpf.c:18:9
  Source context:
        17 |
    >>> 18 |         *count += 1;
           |         ^-- error: invalid dereference
  Instruction context:
    >>> 6 | (79) r1 = *(u64 *)(r0 +0)

Causal path:
  hook @ x.bpf.c:16:15
  Source context:
    >>> 16 |         u64 *count = bpf_map_lookup_elem(&counts, &key);
           |         ^-- update: R0 changed from uninitialized value to nullable map value

Suggestion:
  Check the pointer for NULL before dereferencing it.

processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
    found = explain(log)

    assert (found.id, found.line) == ("null-pointer", 18)
    assert "if (!count)" in str(found.suggestion)
    assert any(detail.startswith("reason: R0 may be NULL here (a nullable") for detail in found.details)
    # What no category is known by is the kernel's own to explain.
    unknown = explain(log.replace("R0 invalid mem access 'map_value_or_null'", "words of the future"))
    assert unknown.message.startswith("R0 may be NULL here")
    assert str(unknown.suggestion) == "Check the pointer for NULL before dereferencing it."


def test_a_path_that_was_taken_back_is_forgotten():
    log = read_log(
        "0: (15) if r1 == 0x0 goto pc+2\n1: (b7) r0 = 1\n2: (95) exit\n\nfrom 0 to 3: R1=0 R10=fp0\n3: (b7) r0 = 2\n"
    )

    assert [step.index for step in log.steps] == [0, 3]


def test_states_are_read():
    state = read_state(
        "R0=map_value_or_null(id=1,map=counts,ks=4,vs=8) R1_w=scalar(smin=umin=1,var_off=(0x0; 0xff)) R2=inv7 R10=fp0"
    )

    assert {name: value.type for name, value in state.items()} == {
        "R0": "map_value_or_null",
        "R1": "scalar",
        "R2": "scalar",
        "R10": "fp",
    }
    assert state["R0"].number("vs") == 8
    assert state["R1"].number("smin") == state["R1"].number("umin") == 1
    assert state["R2"].number("value") == 7


def test_an_empty_log_is_nothing_known():
    assert explain("").id == "verifier"


@given(st.text())
def test_no_log_breaks_it(log):
    assert explain(log).id in CATEGORIES


_LINES = [line for part in _recorded("6.18").values() for line in part.splitlines()]


@given(st.lists(st.sampled_from(_LINES), max_size=40))
def test_no_mixture_of_lines_breaks_it(lines):
    assert explain("\n".join(lines)).id in CATEGORIES


def test_no_line_of_a_state_is_taken_for_a_reason():
    assert find_category(read_log(LOOKUP).messages)[0].id == "null-pointer"
    assert read_log(LOOKUP).messages == ["R0 invalid mem access 'map_value_or_null'"]
