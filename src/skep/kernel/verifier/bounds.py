"""Accesses that are not proven to stay inside: of a map value, the stack, a record, or of what a size is given for."""

from __future__ import annotations

import re

from skep.kernel.verifier.failure import Finding, quoted
from skep.kernel.verifier.names import argument, assigned, indexed, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.kernel.verifier.failure import Failure, Moment
    from skep.kernel.verifier.flow import Origin
    from skep.kernel.verifier.instruction import Instruction
    from skep.kernel.verifier.registers import Value

__all__ = ["added", "index_name", "memory_bounds", "size_argument"]

_ACCESS = re.compile(r"(?:value_size|mem_size|key_size)=(\d+) off=(-?\d+) size=(\d+)")
_MOST_TESTS = 50
# A size of 0, as kernels say it from 5.13 on, and before.
_NOTHING = re.compile(r"zero-sized|size=0\b")
# What a helper for maps takes in a register.
_TAKES = {2: "key", 3: "value"}
# A number at least as far below zero has no lower limit at all.
_NO_LIMIT = 1 << 62
# What a number of 32 bits is at most, without any comparison.
_WIDEST = 0xFFFFFFFF
_WHAT = {
    "map-value-bounds": "the map value",
    "memory-bounds": "the memory",
    "stack-bounds": "the stack variable",
    "uninitialised-stack": "the stack variable",
    "context-access": "the context",
    "packet-bounds": "the packet",
}


def memory_bounds(failure: Failure) -> Finding:
    """An index is not proven to stay inside of what it is added to."""
    flow, does = failure.flow, failure.instruction
    pointer = failure.register if _has_register(failure) else does.target
    access = _ACCESS.search(failure.said)
    what = _WHAT.get(failure.category.id, "the memory")
    adding = failure.position if does.kind == "change" and does.source is not None else None
    if adding is None and pointer is not None:
        for event in reversed(failure.origin(pointer).events):
            if event.kind == "change" and event.instruction.source is not None and _varies(failure, event.position):
                adding = event.position
                break
    if adding is None:
        return _constant(failure, what, access)
    register = added(failure, adding)
    origin, value = flow.origin(register, adding), flow.value(register, adding)
    name = index_name(failure, adding, origin)
    shown = quoted(name) if name else "the index"
    tests = flow.tests(origin)
    spans = (
        [failure.at(origin.source.position, f"{shown} comes from here, and may be any value")] if origin.source else []
    )
    spans += _shown_tests(failure, tests, shown)
    copies = [] if tests else _tests_of_copies(failure, origin, adding)
    spans += [failure.at(position, f"this compares another copy of {shown}") for position, _ in copies]
    spans.append(failure.at(failure.position, f"{shown} is not proven to stay inside of {what}"))
    array = failure.element
    room, element = _room(failure, pointer or 0, adding), _element(origin)
    if array and (_is_array(failure, array[0], pointer) or not room):
        limit = f"sizeof({array[0]}) / sizeof({array[0]}[0])"
    else:
        limit = str(room // element) if room else "SIZE"
    length = _length(failure) if failure.call else 1
    if length > element:
        # What a call writes from there on has to fit, too.
        limit = f"{limit.partition(' / ')[0]} - {length}"
    index = name or "index"
    signed = _is_signed(value, [*tests, *copies]) or (value is None and _is_result(failure, origin))
    below, beyond = f"{index} < 0 || " if signed else "", ">" if length > element else ">="
    suggestion = f"Compare it before this line:\nif ({below}{index} {beyond} {limit})\n    return {failure.neutral};"
    if signed and index.isidentifier():
        suggestion += f"\nor declare {index} unsigned, so that one comparison bounds it on both sides."
    if copies and not signed:
        suggestion += _idiom(index, limit)
    reason = "may be negative" if signed else _too_large(value, room, compared=bool(tests))
    if copies and not signed:
        reason = "was compared in another register: the compiler kept two copies, and the limit is known of one only"
    return Finding(f"{shown} {reason}, so this may lie outside of {what}", failure.path(*spans), suggestion)


def _is_result(failure: Failure, origin: Origin) -> bool:
    """Whether it is what a helper returned, which is negative for an error, and the verifier says just that."""
    source = origin.source
    return "min value is negative" in failure.said and source is not None and source.kind == "call"


def _is_array(failure: Failure, name: str, pointer: int | None) -> bool:
    """Whether sizeof(name) is all of what is indexed: a member, an array on the stack, or a global one."""
    if "->" in name or "." in name or failure.category.id == "stack-bounds":
        return True
    source = failure.origin(pointer).source if pointer is not None else None
    return source is not None and source.kind == "set"


def _length(failure: Failure) -> int:
    """How many bytes a call reads or writes at the address that is refused."""
    register = failure.register or 0
    value = failure.value(register + 1)
    return (value.number("value") or 1) if value is not None and value.type == "scalar" else 1


def _has_register(failure: Failure) -> bool:
    return re.search(r"\bR\d+\b", failure.said) is not None


def _varies(failure: Failure, position: int) -> bool:
    does = failure.flow.instruction(position)
    value = failure.flow.value(does.source or 0, position)
    return value is None or value.type != "scalar" or "value" not in value.facts


def _constant(failure: Failure, what: str, access: re.Match[str] | None) -> Finding:
    """The offset is a constant: it is simply too far; or a size that is given beside it is too large."""
    if failure.call and failure.register is not None:
        given = failure.value(failure.register + 1)
        if given is not None and given.type == "scalar" and "value" not in given.facts:
            return size_argument(failure, failure.register + 1)
        if _NOTHING.search(failure.said):
            found = size_argument(failure, failure.register + 1)
            found.category = "size-argument"
            return found
    span = failure.at(failure.position, f"outside of {what}")
    stack = re.search(r"stack (?:type )?R\d+ off=(-?\d+) (?:access_)?size=(\d+)", failure.said)
    if access is not None:
        size, offset, length = (int(part) for part in access.groups())
        array = failure.element
        return Finding(
            f"bytes {offset} to {offset + length - 1} are used, and {what} has only {size}",
            failure.path(span),
            f"{what.capitalize()} has {size} bytes: make its type larger, or use a smaller offset or size."
            if array is None
            else f"On this path the index is too large. Compare it before this line:\n"
            f"if ({array[1]} >= sizeof({array[0]}) / sizeof({array[0]}[0]))\n    return {failure.neutral};",
        )
    if stack is not None:
        offset, length = int(stack[1]), int(stack[2])
        takes = _TAKES.get(failure.register or 0) if failure.call.startswith("bpf_map_") else None
        shown = argument(failure.text, failure.call, failure.register or 1) if failure.call else None
        name = (shown or "").lstrip("&") or "the variable"
        return Finding(
            f"{length} bytes are used at {quoted(name)}, which has room for {max(-offset, 0)}"
            if shown
            else f"{length} bytes at offset {offset} of the stack are outside of the frame",
            failure.path(span),
            f"Declare {name} with the type of the map's {takes}, which has {length} bytes."
            if takes and shown
            else (f"Give the size of the variable: sizeof({name})." if shown else "Stay inside of the variable."),
        )
    return Finding(f"this lies outside of {what}", failure.path(span), "Use an offset inside of it.")


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
    room = _room(failure, register - 1)
    value = failure.value(register)
    tests = failure.flow.tests(origin)
    copies = [] if tests else _tests_of_copies(failure, origin, failure.position)
    signed = _is_signed(value, [*tests, *copies])
    spans: list[Moment | None] = []
    if origin.source is not None:
        spans.append(failure.at(origin.source.position, f"{shown} comes from here, and may be any value"))
    spans += _shown_tests(failure, tests, shown)
    spans += [failure.at(position, f"this compares another copy of {shown}") for position, _ in copies]
    spans.append(failure.at(failure.position, f"{call}() gets a size that is not bounded"))
    index = name or "size"
    limit = str(room) if room else (f"sizeof({memory})" if memory else "SIZE")
    if _NOTHING.search(failure.said):
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
        suggestion += _idiom(index, limit)
    if copies and not signed:
        reason = "was compared in another register: the compiler kept two copies, and the limit is known of one only"
    elif signed and not tests and origin.source is not None and origin.source.kind == "call":
        reason = f"may be negative: that is how {origin.source.instruction.name}() tells of an error"
    elif signed:
        reason = "may be negative: it is compared as a signed number, on one side only"
    else:
        reason = _too_large(value, room, compared=bool(tests))
    return Finding(f"{shown} {reason}, and {call}() takes it as a size", failure.path(*spans), suggestion)


def _too_large(value: Value | None, room: int | None, *, compared: bool) -> str:
    most = value.number("umax", "umax_value") if value is not None else None
    if most is not None and room is not None and room < most < _WIDEST:
        return f"may be up to {most}, which is too large"
    return "may be too large" if compared else "is not compared with a limit"


def _element(origin: Origin) -> int:
    """The size of the elements that an index counts, as it is scaled on its way."""
    for event in reversed(origin.events):
        does = event.instruction
        if event.kind == "change" and does.constant and does.operator in {"<<", "*"}:
            return 1 << does.constant if does.operator == "<<" and does.constant < 16 else max(does.constant, 1)
    return 1


def _room(failure: Failure, register: int, position: int | None = None) -> int | None:
    """How many bytes are behind a pointer that is given."""
    value = failure.flow.value(register, failure.position if position is None else position)
    if value is None:
        return None
    if value.type == "fp":
        return -(value.number("off") or 0) or None
    size = value.number("vs", "sz", "mem_size")
    return size - (value.number("off") or 0) if size is not None else None


def _shown_tests(failure: Failure, tests: Sequence[tuple[int, Instruction]], shown: str) -> list[Moment]:
    return [failure.at(position, f"{shown} is compared here") for position, _ in tests[-3:]]


def _is_signed(value: Value | None, tests: Sequence[tuple[int, Instruction]]) -> bool:
    """Whether it may be negative although it was compared."""
    smallest = value.number("smin", "smin_value") if value is not None else None
    if smallest is not None and smallest >= 1 << 63:
        smallest -= 1 << 64
    if smallest is not None and -_NO_LIMIT < smallest < 0:
        return True
    return any(does.operator.startswith("s") for _, does in tests) and (smallest is None or smallest < 0)


def _tests_of_copies(failure: Failure, origin: Origin, last: int) -> list[tuple[int, Instruction]]:
    """Comparisons of what has the same origin but is not what is used: the compiler made a copy before."""
    if origin.source is None or origin.source.kind == "argument":
        return []
    found: list[tuple[int, Instruction]] = []
    for position in range(last - 1, origin.source.position, -1):
        does = failure.flow.instruction(position)
        if does.kind == "test" and does.target is not None and len(found) < _MOST_TESTS:
            other = failure.flow.origin(does.target, position).source
            if other is not None and other.position == origin.source.position:
                found.append((position, does))
    return found


def _idiom(index: str, limit: str) -> str:
    return (
        f"\nThe compiler is to blame, not the test: keep it from copying before the comparison,\n"
        f'asm volatile("" : "+r"({index}));\nor bound it where it is used: {index} &= {limit} - 1 (for a power of two).'
    )


def added(failure: Failure, position: int) -> int:
    """The register that holds the number, where a number and a pointer are added.

    Args:
        failure: what is refused.
        position: of the step that adds them.
    """
    does = failure.flow.instruction(position)
    # `index + pointer` as well as `pointer + index`.
    value = failure.flow.value(does.source or 0, position)
    return (does.target if value is not None and value.type not in {"scalar", ""} else does.source) or 0


def index_name(failure: Failure, position: int, origin: Origin) -> str | None:
    """The user's name for what is added to a pointer.

    Args:
        failure: what is refused.
        position: of the step that adds it.
        origin: of what is added.
    """
    place = failure.place(position)
    found = indexed(place.text) if place is not None else None
    if found is None:
        found = failure.element
    if found is not None:
        return found[1]
    source = origin.source
    at = failure.place(source.position) if source is not None and source.kind != "argument" else None
    added = _added(place.text) if place is not None else None
    return added or (assigned(at.text) if at is not None else None)


def _added(text: str) -> str | None:
    """The last term of a sum: ``*length`` in ``last = data + *length;``."""
    match = re.search(r"(?<![=<>!])\+?=(?!=)([^;]*);", plain(text))
    terms = match[1].rpartition("+") if match is not None else ("", "", "")
    found = terms[2].strip() if terms[1] or (match is not None and "+=" in match[0]) else ""
    return found if found and found.count("(") == found.count(")") and not found.isdecimal() else None
