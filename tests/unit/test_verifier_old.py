"""Logs as Linux 5.10 to 5.17 write them: made of those of 6.1, by what the kernels are known to write otherwise.

Source: kernel/bpf/verifier.c of Linux 5.10 (print_verifier_state, check_cond_jmp_op, check_stack_boundary).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skep.kernel.verifier import explain
from skep.spec.lines import source_lines
from tests.failing import FOLDER, LOST, marked, section

_STEP = re.compile(r"(\d+: \([0-9a-f]{2}\) .*?)(?:\s*; (frame\d+: )?(.*))?$")
_VALUE = re.compile(r"\b(R\d+)(?:_\w+)?=(\S+)")
# What has other words now: those of today, and of 5.10.
_WORDS = (
    (r"'scalar'", "'inv'"),
    (r"type=scalar expected=fp,.*", "type=inv expected=fp"),
    (r"\bscalar\b", "inv"),
    (r"alloc_mem", "mem"),
    (r"invalid indirect access to stack (R\d) off=(-\d+) size=(\d+)", r"invalid stack type \1 off=\2 access_size=\3"),
    (r"reg type unsupported for .*\n", ""),
)
# They need what came later: dynptrs with 5.19, functions of the kernel for tracing with 6.2, helpers that may sleep.
_LATER = {name for name in LOST if name[0] in {"kfuncs", "core"}} | {("arguments", "may_sleep")}


def _value_before(text: str) -> str:
    """What is known of a register, as 5.10 writes it."""
    if re.fullmatch(r"-?\d+", text):
        return f"inv{text}"
    text = re.sub(r"\bscalar\(\)", "inv(id=0)", text)
    text = re.sub(r"\b([a-z_]+)\((?!id=|0x)", r"\1(id=0,", text)
    return re.sub(r"\b([su](?:32_)?(?:min|max))=", r"\1_value=", text)


def _as_of_5_10(log: str) -> str:
    """A log of 6.1 as 5.10 would have written it: what is known stands after comparisons, and is all that is known."""
    lines = []
    known: dict[str, dict[str, str]] = {}
    for line in log.splitlines():
        step = _STEP.match(line)
        if step is not None:
            frame = known.setdefault(step[2] or "", {})
            frame |= {name: _value_before(value) for name, value in _VALUE.findall(step[3] or "")}
            if " call " in step[1]:
                frame = known[step[2] or ""] = {
                    name: value for name, value in frame.items() if name not in "R1R2R3R4R5"
                }
            lines.append(step[1])
            if "=pkt_end(" in (step[3] or "") and (proven := re.search(r"pkt\(.*?\br=(\d+)", step[3])):
                # A comparison is known of all copies.
                for name, value in frame.items():
                    frame[name] = re.sub(r"(pkt\(id=0,.*?\br=)0", rf"\g<1>{proven[1]}", value)
            if " if " in step[1] and step[3]:
                lines.append(f" {step[2] or ''}{' '.join(f'{name}_w={value}' for name, value in frame.items())}")
        elif not re.match(r"\d+: (frame\d+: )?R", line):
            lines.append(_VALUE.sub(lambda match: f"{match[1]}={_value_before(match[2])}", line))
    text = "\n".join(lines) + "\n"
    for today, before in _WORDS:
        text = re.sub(today, before, text)
    return text


def _recorded() -> dict[tuple[str, str], str]:
    parts = re.split(r"^=== ", (Path(__file__).parent / "logs" / "6.1.log").read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for part in parts:
        name, _, log = part.partition("\n")
        file, program = name.split()
        found[file, program] = log
    return found


@pytest.mark.parametrize(
    ("file", "program", "log"),
    [pytest.param(*name, log, id=" ".join(name)) for name, log in _recorded().items() if name not in _LATER],
)
def test_a_log_of_5_10_is_explained(file, program, log):
    data = (FOLDER / f"{file}.bpf.o").read_bytes()
    category, line = marked(file, program)
    lost, suggestion = LOST[file, program]
    found = explain(
        _as_of_5_10(log), section=section(file, program), lines=source_lines(data, f"{file}.bpf.o", program)
    )

    assert found.id == category
    if category != "stack-size":
        assert found.line == line
    assert lost in "\n".join([found.message, *(span.message for span in found.path)])
    assert suggestion in str(found.suggestion)
