"""Each program of a kernel file judged by itself: loaded with the others off, attached to nothing, and let go of.

Minimum kernel: 5.2 for the verifier's figures (BPF_LOG_STATS). Source: kernel/bpf/verifier.c
(print_verification_stats).
"""

from __future__ import annotations

import re
from functools import cache

from skep.base.errors import (
    Diagnostic,
    LoadError,
    PrivilegeError,
    ProgramError,
    SkepError,
    UnsupportedError,
    UsageError,
    VerifierError,
)
from skep.kernel.alternatives import Plan
from skep.kernel.btf import lacking, members
from skep.kernel.diagnosis import at_line, locate
from skep.kernel.features import missing_capabilities
from skep.kernel.object import Object
from skep.kernel.verifier.environment import missing_type
from skep.kernel.verifier.log import line_costs
from skep.spec.code import layout, read_code
from skep.spec.elf import STT_FUNC, Elf
from skep.spec.lines import line_naming, source_lines
from skep.spec.relocations import needs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from skep.spec.code import Place
    from skep.spec.lines import SourceLine
    from skep.spec.objectspec import ObjectSpec

__all__ = [
    "ACCEPTED",
    "FITS",
    "REFUSED",
    "UNSUPPORTED",
    "UNTRIED",
    "Figures",
    "Verdict",
    "check",
    "check_types",
    "exit_code",
]

ACCEPTED = "accepted"
REFUSED = "refused"
UNSUPPORTED = "unsupported"
"""This kernel lacks what the program needs: another may take it."""
FITS = "fits"
"""A kernel's types have what the program needs of them; the kernel itself was not asked."""
UNTRIED = "untried"
"""This process may not ask, or the kernel file leaves open what loading needs."""

# What the verifier is to write (BPF_LOG_LEVEL2, BPF_LOG_STATS): all paths, or its figures alone.
_ALL_PATHS, _FIGURES = 2, 4
# What libbpf says where a table of programs (BPF_MAP_TYPE_PROG_ARRAY) cannot be filled as it is declared.
_FILLED_LATE = "failed to initialize slot"
# Source lines that are told of each program.
_MOST_LINES = 3


class Figures:
    """What it took to verify a program.

    Args:
        instructions: that the verifier walked, of the million that it walks at most.
        states: that it kept, to see whether it was there before.
        peak_stack: bytes of stack of the functions that call each other deepest.
        microseconds: that it took.
        lines: the source lines that most instructions were walked for, and how many; the costliest first.
    """

    __slots__ = ("instructions", "lines", "microseconds", "peak_stack", "states")

    def __init__(
        self,
        *,
        instructions: int,
        states: int,
        peak_stack: int,
        microseconds: int,
        lines: Sequence[tuple[SourceLine, int]],
    ) -> None:
        self.instructions = instructions
        self.states = states
        self.peak_stack = peak_stack
        self.microseconds = microseconds
        self.lines = lines


class Verdict:
    """What the running kernel says of a program.

    Args:
        name: of the program.
        section: that names its hook.
        word: `ACCEPTED`, `FITS`, `REFUSED`, `UNSUPPORTED` or `UNTRIED`.
        figures: of one that is accepted.
        report: of any other, why.
        log: what the verifier wrote, whole; "" where it was not asked.
    """

    __slots__ = ("figures", "log", "name", "report", "section", "word")

    def __init__(
        self,
        name: str,
        section: str,
        word: str,
        *,
        figures: Figures | None = None,
        report: Diagnostic | None = None,
        log: str = "",
    ) -> None:
        self.name = name
        self.section = section
        self.word = word
        self.figures = figures
        self.report = report
        self.log = log


def check(spec: ObjectSpec, *, btf: str | None = None) -> list[Verdict]:
    """Asks the running kernel of each program. Nothing is attached, and nothing stays loaded.

    Args:
        spec: the kernel file.
        btf: path of the kernel's BTF; None for /sys/kernel/btf/vmlinux.
    """
    return [_judge(spec, name, btf) for name in spec.programs]


def check_types(spec: ObjectSpec, btf: str) -> list[Verdict]:
    """Asks of each program whether a kernel's types have what it needs (CO-RE). Nothing is loaded; needs no root.

    What a program asks for first (`bpf_core_field_exists`) it does not need.

    Args:
        spec: the kernel file.
        btf: path of the kernel's BTF.

    Raises:
        BtfError: the BTF cannot be read.
    """
    return [_fitted(spec, name, btf) for name in spec.programs]


def _fitted(spec: ObjectSpec, name: str, btf: str) -> Verdict:
    section = spec.programs[name].section
    missing = next(lacking(needs(spec.data, spec.name, name), btf), None)
    if missing is None:
        return Verdict(name, section, FITS)
    message, suggestion = missing_type(
        missing.kind, missing.type, missing.member, lambda type_name: members(type_name, btf)
    )
    lines = source_lines(spec.data, spec.name, name)
    line = line_naming(lines, missing.member or missing.type, missing.instruction)
    return Verdict(name, section, UNSUPPORTED, report=at_line("core-relocation", message, suggestion, line))


def exit_code(spec: ObjectSpec, verdicts: Iterable[Verdict]) -> int:
    """What the command line says of verdicts: 1 where a program is refused, 3 where one that is needed is not accepted.

    Args:
        spec: the kernel file.
        verdicts: of its programs.
    """
    words = {verdict.name: verdict.word for verdict in verdicts}
    if REFUSED in words.values():
        return ProgramError.exit_code
    # What another program takes the place of is not needed.
    left_out = Plan(spec).left_out
    spared = {name for name in left_out if words[name] == UNSUPPORTED}
    return UnsupportedError.exit_code if {words[name] for name in words.keys() - spared} - {ACCEPTED, FITS} else 0


def _judge(spec: ObjectSpec, name: str, btf: str | None) -> Verdict:
    section = spec.programs[name].section
    try:
        try:
            log = _load(spec, name, btf, _FIGURES)
        except VerifierError:
            # Once more, with the path that leads there.
            log = _load(spec, name, btf)
        return Verdict(name, section, ACCEPTED, figures=_figures(spec, name, log, _walked(spec, name, btf)), log=log)
    except SkepError as error:
        log = error.log if isinstance(error, LoadError) else ""
        return Verdict(name, section, _word(error), report=locate(error, spec, name), log=log)


def _load(spec: ObjectSpec, name: str, btf: str | None, log_level: int = 0) -> str:
    """Loads one program, and pins nothing; what the verifier wrote."""
    others = [other for other in spec.programs if other != name]
    try:
        # What is pinned would stay.
        with Object(spec, btf=btf, wanted=[name], without=others, log_level=log_level, pin_root="") as loaded:
            if name in loaded.left_out:
                raise UsageError(f"program {name} cannot be loaded as it stands: {loaded.left_out[name]}")
            return loaded.log
    except LoadError as error:
        # Tables of programs are filled once these are loaded: that another is missing there is our own doing.
        if _FILLED_LATE in error.log:
            return error.log
        raise


def _walked(spec: ObjectSpec, name: str, btf: str | None) -> str:
    """All that the verifier walked, or as much of it as the log has room for."""
    try:
        return _load(spec, name, btf, _ALL_PATHS)
    except LoadError as error:
        return error.log


def _word(error: SkepError) -> str:
    if isinstance(error, UsageError) or (isinstance(error, PrivilegeError) and missing_capabilities()):
        return UNTRIED
    return UNSUPPORTED if error.exit_code == UnsupportedError.exit_code else REFUSED


def _figures(spec: ObjectSpec, name: str, log: str, walked: str) -> Figures:
    depths = re.search(r"^stack depth ([\d+]+)", log, re.MULTILINE)
    frames = [int(depth) for depth in depths[1].split("+")] if depths else []
    return Figures(
        instructions=_number(r"^processed (\d+) insns", log),
        states=_number(r"total_states (\d+)", log),
        peak_stack=_deepest(spec, name, frames),
        microseconds=_number(r"^verification time (\d+) usec", log),
        lines=line_costs(walked, source_lines(spec.data, spec.name, name))[:_MOST_LINES],
    )


def _number(pattern: str, log: str) -> int:
    match = re.search(pattern, log, re.MULTILINE)
    return int(match[1]) if match else 0


def _deepest(spec: ObjectSpec, name: str, frames: Sequence[int]) -> int:
    """The stack of the functions that call each other deepest: the verifier writes that of each."""
    elf = Elf(spec.data, spec.name)
    functions = read_code(elf)
    main = next((each.section, each.value) for each in elf.symbols if (each.type, each.name) == (STT_FUNC, name))
    order = layout(main, functions)
    if len(frames) != len(order):
        return sum(frames)
    own = dict(zip(order, frames, strict=True))

    # The kernel accepts it, so that no function calls itself and none is deeper than eight calls.
    @cache
    def depth(place: Place) -> int:
        return own[place] + max((depth(callee) for callee in functions[place].calls if callee in own), default=0)

    return depth(main)
