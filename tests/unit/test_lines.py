"""The source line of each instruction, from .BTF.ext."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skep.base.errors import ObjectFormatError
from skep.kernel.verifier.log import read_log
from skep.spec.lines import SourceLine, line_naming, source_lines

ROOT = Path(__file__).parents[1]


def test_lines_are_those_that_the_kernel_says():
    compared = 0
    for part in re.split(r"^=== ", (ROOT / "unit/logs/6.18.log").read_text(), flags=re.MULTILINE)[1:]:
        file, program = part.partition("\n")[0].split()
        data = (ROOT / f"programs/failing/{file}.bpf.o").read_bytes()
        lines = source_lines(data, file, program)
        for step in read_log(part).steps:
            # After a path that was taken back, the kernel does not say the line again.
            if program not in {"never_submitted", "never_ends"} and step.place is not None and step.place.line:
                assert lines[step.index].line == step.place.line, (file, program, step.index)
                assert lines[step.index].text.strip() == step.place.text
                compared += 1

    assert compared > 300


def test_what_is_not_there_has_no_lines():
    data = (ROOT / "programs/failing/maps.bpf.o").read_bytes()

    assert source_lines(data, "maps", "nothing") == {}


def test_a_damaged_section_is_refused():
    data = (ROOT / "programs/failing/maps.bpf.o").read_bytes()
    place = data.index(b"\x9f\xeb\x01\x00", data.index(b"\x9f\xeb\x01\x00") + 1)
    damaged = data[: place + 20] + b"\xff\xff\xff\x7f" + data[place + 24 :]

    with pytest.raises(ObjectFormatError):
        source_lines(damaged, "maps", "not_tested")


def test_the_line_that_names_something_is_found_from_an_instruction_on():
    lines = {
        0: SourceLine("task = mine;", "x", 1),
        1: SourceLine("other;", "x", 2),
        4: SourceLine("task->pid;", "x", 3),
    }

    assert line_naming(lines, "task", 1) is lines[4]
    assert line_naming(lines, "task") is lines[0]
    assert line_naming(lines, "nothing", 1) is lines[1]
    assert line_naming(lines, "nothing", 3) is None
