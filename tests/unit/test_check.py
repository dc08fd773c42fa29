"""What `skep check` shows of verdicts, and what it reads of logs."""

from __future__ import annotations

import json

import pytest

from skep.base.errors import Diagnostic, Span, UsageError
from skep.cli.check import main
from skep.kernel.checking import Figures, Verdict
from skep.kernel.verifier.log import line_costs
from skep.spec.lines import SourceLine
from skep.view.check import against_text, check_json, check_text, describe_check, matrix_text

LINE = SourceLine("\tcount += 1;", "x.bpf.c", 7, 2)
REPORT = Diagnostic(
    "null-pointer",
    "error",
    "`count` may be NULL here",
    file="x.bpf.c",
    line=7,
    column=2,
    source="\tcount += 1;",
    path=[Span("x.bpf.c", 5, 2, "looked up here", "count = lookup();")],
    suggestion="if (!count)\n    return 0;",
)


def _accepted(name, instructions):
    figures = Figures(instructions=instructions, states=3, peak_stack=16, microseconds=99, lines=[(LINE, 8)])
    return Verdict(name, "xdp", "accepted", figures=figures)


REFUSED = Verdict("bad", "tc", "refused", report=REPORT)


def test_one_kernel_is_a_table_and_the_reasons():
    assert check_text("x.bpf.c", "6.12", [_accepted("good", 120), REFUSED]).splitlines() == [
        "x.bpf.c on 6.12",
        "  PROGRAM  INSTRUCTIONS  STATES  STACK (B)  TIME (us)  VERDICT",
        "  good              120       3         16         99  accepted",
        "  bad                                                  refused: null-pointer",
        "",
        "What costs most",
        "  PROGRAM  INSTRUCTIONS  LINE",
        "  good                8  7: count += 1;",
        "",
        "bad (tc): refused",
        "x.bpf.c:7:2: `count` may be NULL here [null-pointer]",
        "     7 | count += 1;",
        "       | ^",
        "how it came to be:",
        "     5 | count = lookup();",
        "         looked up here",
        "instead:",
        "  if (!count)",
        "      return 0;",
    ]


def test_json_is_one_line_a_kernel():
    found = describe_check("x.bpf.c", "6.12", [_accepted("good", 120), REFUSED])
    good, bad = json.loads(check_json([found, found]).splitlines()[1])["programs"]

    assert good == {
        "name": "good",
        "section": "xdp",
        "verdict": "accepted",
        "instructions": 120,
        "states": 3,
        "peak_stack": 16,
        "time_us": 99,
        "lines": [{"file": "x.bpf.c", "line": 7, "source": "count += 1;", "instructions": 8}],
    }
    assert bad["report"]["category"] == "null-pointer"
    assert bad["report"]["path"][0]["line"] == 5


def test_what_has_changed_is_said_of_each_program():
    before = describe_check("old.bpf.o", "6.12", [_accepted("same", 10), _accepted("more", 100), _accepted("gone", 1)])
    after = describe_check("x.bpf.o", "6.12", [_accepted("same", 10), _accepted("more", 150), REFUSED])

    assert against_text(before, after).splitlines() == [
        "old.bpf.o -> x.bpf.o on 6.12",
        "  PROGRAM  INSTRUCTIONS        STATES  STACK (B)  TIME (us)  VERDICT",
        "  same     10                       3         16         99  accepted",
        "  more     100 -> 150 (+50 %)       3         16         99  accepted",
        "  gone     1                        3         16         99  accepted -> not there",
        "  bad                                                        not there -> refused: `count` may be",
        "                                                             NULL here",
    ]


def test_several_kernels_are_a_matrix_with_each_reason_once():
    newer = describe_check("x.bpf.c", "6.12", [_accepted("good", 120), REFUSED])
    older = describe_check("x.bpf.c", "6.1", [Verdict("good", "xdp", "unsupported", report=REPORT), REFUSED])

    assert matrix_text([older, newer]).splitlines() == [
        "x.bpf.c",
        "  PROGRAM  6.1                        6.12",
        "  good     unsupported: null-pointer  accepted, 120 instructions",
        "  bad      refused: null-pointer      refused: null-pointer",
        "",
        "good on 6.1: x.bpf.c:7: `count` may be NULL here",
        "  if (!count)",
        "      return 0;",
        "",
        "bad on 6.1, 6.12: x.bpf.c:7: `count` may be NULL here",
        "  if (!count)",
        "      return 0;",
    ]


def test_the_lines_that_most_instructions_were_walked_for():
    other = SourceLine("return 0;", "x.bpf.c", 9)
    log = "func#0 @0\n0: R1=ctx() R10=fp0\n; count @ x.bpf.c:7\n0: (b7) r1 = 1\n1: (07) r1 += 1 ; R1=2\n2: (95) exit\n"
    again = "from 0 to 1: R1=1\n1: (07) r1 += 1\nmark_precise: frame0: last_idx 1 first_idx 0\n2: (95) exit\n"

    assert line_costs(log + again, {0: LINE, 1: LINE, 2: other}) == [(LINE, 3), (other, 2)]
    assert line_costs("1234567890: (07) x\n", {}) == []


def test_a_kernel_that_is_not_there_is_a_question_of_its_name(tmp_path):
    with pytest.raises(UsageError, match=r"--kernel 5\.4") as caught:
        main(["opensnoop", "--kernel", "6.1", "--kernel", "5.4"])

    assert "6.1" in str(caught.value.remedy)


@pytest.mark.parametrize("asked", [["--kernel", "6.1"], ["--btf", "vmlinux"]])
def test_a_log_is_the_running_kernels(asked):
    with pytest.raises(UsageError, match="--log FILE takes what the running kernel says"):
        main(["opensnoop", *asked, "--log", "log"])
