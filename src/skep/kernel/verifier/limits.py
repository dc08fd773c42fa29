"""Whether a number is bounded: what was compared, on which side, in which copy; and sizes that are given to calls."""

from __future__ import annotations

import re
from itertools import islice

from skep.kernel.verifier.failure import Finding, quoted
from skep.kernel.verifier.names import argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.kernel.verifier.failure import Failure, Moment
    from skep.kernel.verifier.flow import Origin
    from skep.kernel.verifier.instruction import Instruction
    from skep.kernel.verifier.registers import Value

__all__ = [
    "NOTHING",
    "idiom",
    "is_signed",
    "room_of",
    "shown_tests",
    "size_argument",
    "tests_of_copies",
    "too_large",
]

_MOST_TESTS = 50
# A size of 0, as kernels say it from 5.13 on, and before.
NOTHING = re.compile(r"zero-sized|size=0\b")
# A number at least as far below zero has no lower limit at all.
_NO_LIMIT = 1 << 62
# What a number of 32 bits is at most, without any comparison.
_WIDEST = 0xFFFFFFFF


def size_argument(failure: Failure, register: int | None = None) -> Finding:
    """A size that a helper is given is not proven to fit.

    Args:
        failure: what is refused.
        register: that holds the size; None for the one that the verifier names.
    """
    register = register or failure.register or 2
    origin = failure.origin(register)
    call = failure.call or "the function"
    name = argument(failure.text, call, register) or failure.assigned(origin.source)
    shown = quoted(name) if name else "the size"
    memory = argument(failure.text, call, register - 1)
    room = room_of(failure, register - 1)
    value = failure.value(register)
    tests = failure.flow.tests(origin)
    copies = [] if tests else tests_of_copies(failure, origin, failure.position)
    signed = is_signed(value, [*tests, *copies])
    spans: list[Moment | None] = []
    if origin.source is not None:
        spans.append(failure.at(origin.source.position, f"{shown} comes from here, and may be any value"))
    spans += shown_tests(failure, tests, shown)
    spans += [failure.at(position, f"this compares another copy of {shown}") for position, _ in copies]
    spans.append(failure.at(failure.position, f"{call}() gets a size that is not bounded"))
    index = name or "size"
    limit = str(room) if room else (f"sizeof({memory})" if memory else "SIZE")
    if NOTHING.search(failure.said):
        return Finding(
            f"{shown} may be 0 here, and {call}() needs at least one byte",
            failure.path(*spans),
            f"Test it before this line:\nif ({index} == 0 || {index} > {limit})\n    return {failure.neutral};",
        )
    declared = ""
    if not re.fullmatch(r"[A-Za-z_][\w>.-]*", index):
        # What is computed in the call itself gets a name.
        declared, index = f"__u64 size = {index};\n", "size"
    if signed:
        suggestion = (
            f"Bound it on both sides before this line:\n{declared}if ({index} < 0 || {index} > {limit})\n"
            f"    return {failure.neutral};\n"
            f"or declare {index} unsigned (u32 or u64), so that one comparison bounds it."
        )
    else:
        suggestion = f"Bound it before this line:\n{declared}if ({index} > {limit})\n    {index} = {limit};"
    if copies and not signed:
        suggestion += idiom(index, limit)
    if copies and not signed:
        reason = "was compared in another register: the compiler kept two copies, and the limit is known of one only"
    elif signed and not tests and origin.source is not None and origin.source.kind == "call":
        reason = f"may be negative: that is how {origin.source.instruction.name}() tells of an error"
    elif signed:
        reason = "may be negative: it is compared as a signed number, on one side only"
    else:
        reason = too_large(value, room, compared=bool(tests))
    return Finding(f"{shown} {reason}, and {call}() takes it as a size", failure.path(*spans), suggestion)


def too_large(value: Value | None, room: int | None, *, compared: bool) -> str:
    """What is wrong with a number that has no upper limit that fits.

    Args:
        value: what is known of it.
        room: how much fits; None where that is not known.
        compared: whether it was compared with something.
    """
    most = value.number("umax", "umax_value") if value is not None else None
    if most is not None and room is not None and room < most < _WIDEST:
        return f"may be up to {most}, which is too large"
    return "may be too large" if compared else "is not compared with a limit"


def room_of(failure: Failure, register: int, position: int | None = None) -> int | None:
    """How many bytes are behind a pointer that is given."""
    value = failure.flow.value(register, failure.position if position is None else position)
    if value is None:
        return None
    if value.type == "fp":
        return -(value.number("off") or 0) or None
    size = value.number("vs", "sz", "mem_size")
    return size - (value.number("off") or 0) if size is not None else None


def shown_tests(failure: Failure, tests: Sequence[tuple[int, Instruction]], shown: str) -> list[Moment]:
    """The last comparisons of a value, as steps of the path.

    Args:
        failure: what is refused.
        tests: the comparisons.
        shown: the user's name for the value.
    """
    return [failure.at(position, f"{shown} is compared here") for position, _ in tests[-3:]]


def is_signed(value: Value | None, tests: Sequence[tuple[int, Instruction]]) -> bool:
    """Whether it may be negative although it was compared."""
    smallest = value.number("smin", "smin_value") if value is not None else None
    if smallest is not None and smallest >= 1 << 63:
        smallest -= 1 << 64
    if smallest is not None and -_NO_LIMIT < smallest < 0:
        return True
    return any(does.operator.startswith("s") for _, does in tests) and (smallest is None or smallest < 0)


def tests_of_copies(failure: Failure, origin: Origin, last: int) -> list[tuple[int, Instruction]]:
    """Comparisons of what has the same origin but is not what is used: the compiler made a copy before."""
    if origin.source is None or origin.source.kind == "argument":
        return []
    tests = (
        (position, does)
        for position in range(last - 1, origin.source.position, -1)
        if (does := failure.flow.instruction(position)).kind == "test"
    )
    found: list[tuple[int, Instruction]] = []
    for position, does in islice(tests, _MOST_TESTS):
        # The compiler may have turned the comparison around.
        for register in (does.target, does.source):
            other = failure.flow.origin(register, position).source if register is not None else None
            if other is not None and other.position == origin.source.position:
                found.append((position, does))
                break
    return found


def idiom(index: str, limit: str) -> str:
    """How to keep the compiler from comparing another copy.

    Args:
        index: the user's name for the value.
        limit: what it has to be smaller than.
    """
    return (
        f"\nThe compiler is to blame, not the test: keep it from copying before the comparison,\n"
        f'asm volatile("" : "+r"({index}));\nor bound it where it is used: {index} &= {limit} - 1 (for a power of two).'
    )
