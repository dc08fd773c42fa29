"""A verifier log, read: the instructions of the path that failed, their source lines, and the state of registers.

The verifier walks one path after another, and takes what it wrote of a finished path out of the log again (at log level
1, since 5.7); what is left is the path that failed. At level 2 all paths stay; here, a line `from A to B` cuts the path
back to the branch at A, which gives the same.

Source: kernel/bpf/verifier.c (do_check), kernel/bpf/log.c (print_verifier_state). Lines differ between kernels:

- `; text @ file:line` since 6.9, `; text` before;
- the state after an instruction stands behind it since 5.18; before, on a line of its own after comparisons, with a
  space before it.
"""

from __future__ import annotations

import re
from collections import Counter

from skep.spec.lines import SourceLine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Log", "Step", "line_costs", "read_log"]

# Every kind of line that the verifier writes while it walks, the most frequent first.
_LINE = re.compile(
    r"^(?:(?P<index>\d+): \([0-9a-f]{2}\) (?P<text>[^;\n]*?(?=[ \t]*;|[ \t]*$| \d+: ))"
    r"(?:[ \t]*; ?(?P<after>.*))?(?P<inline> \d+: .*)?[ \t]*$"
    r"| (?P<known>(?:frame\d+: ?)?R\d+\w*=.*)$"
    r"|(?P<noise>mark_precise: |regs=|last_idx |parent |frame ?\d+: |propagating |[ \t]|caller:|callee:|returning from "
    r"|to caller at |processed \d|verification time |stack depth |peak_states |mark_read|-- |libbpf: |func#\d+ @"
    r"|Live regs|cur state:|old state:|\d+: safe|from \d+ to \d+: safe|func '|Func#\d+ \('|REG INVARIANTS |fp-).*$"
    r"|; (?P<source>.*)$"
    r"|(?:from (?P<branch>\d+) to (?P<target>\d+)[^:]*|\d+): ?(?P<state>(?:frame\d+: ?)?(?:R\d|fp|cb|refs).*)?$"
    r"|(?P<message>.+)$)",
    re.MULTILINE,
)
_PLACE = re.compile(r"(.*) @ ([^@]+):(\d+)$")
_WALKED = re.compile(r"^(\d{1,7}): \([0-9a-f]{2}\)", re.MULTILINE)
_FRAME = re.compile(r"frame(\d+):")
_FUNCTION = re.compile(r"Validating (\w+)\(\) func#")
# Where Linux 7.3 begins to explain itself: skep.kernel.verifier.report reads that.
REPORT = "\nVerification failed: "


class Step:
    """One instruction on the path.

    Args:
        index: its number in the program.
        text: as the verifier writes it.
        frame: the number of the function call that it is in; 0 is the program itself.
        place: the source line that it was made from, or None.
        after: what is known of registers after it, as the verifier writes it; "" if nothing was written.
    """

    __slots__ = ("after", "frame", "index", "place", "text")

    def __init__(self, index: int, text: str, frame: int, place: SourceLine | None, after: str) -> None:
        self.index = index
        self.text = text
        self.frame = frame
        self.place = place
        self.after = after


class Log:
    """What a log says.

    Attributes:
        steps: the path that failed, in order.
        messages: what the verifier complains of, after the last step.
        start: what is known of registers before the first step.
        function: the global function that was verified by itself, or "".
        place: the source line that was named last.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.messages: list[str] = []
        self.start = ""
        self.function = ""
        self.place: SourceLine | None = None

    def costs(self) -> Sequence[tuple[SourceLine, int]]:
        """The source lines that most steps of the path were made from, the costliest first."""
        counts: dict[tuple[str | None, int | str | None], int] = {}
        places: dict[tuple[str | None, int | str | None], SourceLine] = {}
        for step in self.steps:
            if (place := step.place) is not None:
                # Before 6.9 a log gives the text alone.
                line = place.file, place.line if place.line is not None else place.text
                counts[line] = counts.get(line, 0) + 1
                places.setdefault(line, place)
        return [(places[line], counts[line]) for line in sorted(counts, key=lambda each: -counts[each])]


def line_costs(text: str, lines: Mapping[int, SourceLine]) -> Sequence[tuple[SourceLine, int]]:
    """The source lines that most instructions were walked for, the costliest first.

    Args:
        text: a log of all paths (level 2), as the kernel wrote it.
        lines: the source line of each instruction.
    """
    counts: dict[tuple[str | None, int | None], tuple[SourceLine, int]] = {}
    for index, walked in Counter(_WALKED.findall(text)).items():
        line = lines.get(int(index))
        if line is not None:
            _, before = counts.get((line.file, line.line), (line, 0))
            counts[line.file, line.line] = line, before + walked
    return sorted(counts.values(), key=lambda each: -each[1])


def read_log(text: str, lines: Mapping[int, SourceLine] | None = None) -> Log:
    """Reads a log.

    Args:
        text: as the kernel wrote it; it may be cut short at either end.
        lines: the source line of each instruction, from .BTF.ext (`skep.spec.lines`). Where the log took a path back,
            it does not say again which line the next path begins on: these do.
    """
    log = Log()
    lines = lines or {}
    steps = log.steps
    known: dict[str, SourceLine] = {}
    place: SourceLine | None = None
    frame, called, jumped = 0, -1, False
    for match in _LINE.finditer(text.partition(REPORT)[0]):
        kind = match.lastgroup
        if kind == "known":
            # Elsewhere it is the state of an earlier step, or of the caller.
            if jumped:
                steps[-1].after = match["known"]
            jumped = False
            continue
        jumped = match["index"] is not None and match["text"].startswith("if ")
        if match["index"] is not None:
            index, instruction = int(match["index"]), match["text"]
            if called >= 0:
                # The step after a call is in the function called, unless that is verified by itself.
                frame += index != called
                called = -1
            if log.messages:
                log.messages = []
            step = Step(index, instruction, frame, lines.get(index, place), match["after"] or "")
            steps.append(step)
            if instruction.startswith("call pc"):
                called = index + 1
            elif instruction == "exit" and frame:
                frame -= 1
            if match["inline"]:
                frame = _frame_of(match["inline"])
                step.after = match["inline"].partition(": ")[2]
        elif kind == "noise":
            continue
        elif kind == "source":
            place = _place(match["source"], known, place)
        elif kind == "message":
            function = _FUNCTION.match(match["message"])
            if function is not None:
                # A function of its own: whatever came before is another path.
                log.function, log.start = function[1], ""
                steps.clear()
                log.messages = []
                frame, called, place = 0, -1, None
            else:
                log.messages.append(match["message"])
        else:
            branch, state = match["branch"], match["state"]
            called = -1
            if branch is not None:
                _cut(steps, int(branch))
                place = None
            if state is None:
                continue
            frame = _frame_of(state)
            if not steps:
                log.start = log.start or state
            elif not steps[-1].after or branch is not None:
                steps[-1].after = state
    log.place = place
    return log


def _frame_of(state: str) -> int:
    match = _FRAME.search(state)
    return int(match[1]) if match else 0


def _place(source: str, known: dict[str, SourceLine], before: SourceLine | None) -> SourceLine | None:
    """The place that a line `; ...` names. What the compiler cannot place has line 0, and belongs to what is before."""
    if source in known:
        return known[source]
    match = _PLACE.match(source)
    if match is None:
        place = SourceLine(source.strip()) if source.strip() else before
    elif match[3] == "0" or not match[1].strip():
        place = before
    else:
        place = SourceLine(match[1].strip(), match[2], int(match[3]))
    if place is not None and place is not before:
        known[source] = place
    return place


def _cut(steps: list[Step], branch: int) -> None:
    """Takes back what was walked after a branch: another path begins there."""
    for position in range(len(steps) - 1, -1, -1):
        if steps[position].index == branch:
            del steps[position + 1 :]
            return
