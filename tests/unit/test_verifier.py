"""Verifier logs -> diagnostics: logs as kernels before and after 6.9 write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.kernel.verifier import explain

NEW = """\
0: R1=ctx() R10=fp0
; *count += 1; @ rejected.bpf.c:18
6: (79) r1 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
OLD = NEW.replace(" @ rejected.bpf.c:18", "")


@pytest.mark.parametrize(
    ("log", "file", "line"),
    [
        pytest.param(NEW, "rejected.bpf.c", 18, id="since 6.9 the log names the line"),
        pytest.param(OLD, None, None, id="before 6.9 it has the source text alone"),
    ],
)
def test_the_reason_and_the_place_are_found(log, file, line):
    found = explain(log)

    assert found.message == (
        "the verifier rejects this line: R0 invalid mem access 'map_value_or_null'\n    *count += 1;"
    )
    assert (found.file, found.line) == (file, line)


def test_a_log_without_source_still_gives_its_reason():
    assert explain("0: (95) exit\nR0 !read_ok\n").message == "the verifier says: R0 !read_ok"


@pytest.mark.parametrize(
    "reason",
    [
        "cannot call GPL-restricted function from non-GPL compatible program",
        "cannot call GPL only function from proprietary program",
    ],
)
def test_a_licence_that_is_missing_is_the_remedy(reason):
    assert "LICENSE[]" in str(explain(f"0: (85) call bpf_probe_read#4\n{reason}\n").suggestion)


def test_an_empty_log_gives_no_reason():
    assert explain("").message == "the verifier says: no reason given"


@given(st.text())
def test_no_log_breaks_it(log):
    assert explain(log).id == "verifier"
