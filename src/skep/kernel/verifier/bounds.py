"""Accesses that are not proven to stay inside: of a packet, a map value, the stack, or of what a size is given for."""

from __future__ import annotations

import re

from skep.kernel.verifier.failure import Finding, quoted
from skep.kernel.verifier.names import argument, assigned, dereferenced, indexed, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.kernel.verifier.failure import Failure, Moment
    from skep.kernel.verifier.flow import Origin
    from skep.kernel.verifier.instruction import Instruction
    from skep.kernel.verifier.registers import Value

__all__ = ["memory_bounds", "packet_bounds", "size_argument"]

_PACKET = re.compile(r"off=(-?\d+) size=(\d+), R(\d+)\(id=(\d+),off=(-?\d+),r=(\d+)\)")
_ACCESS = re.compile(r"(?:value_size|mem_size|key_size)=(\d+) off=(-?\d+) size=(\d+)")
# The verifier gives up on packet offsets that may be larger (MAX_PACKET_OFF).
_FARTHEST = 0xFFFF
_MOST_TESTS = 50
# A number at least as far below zero has no lower limit at all.
_NO_LIMIT = 1 << 62
_WHAT = {
    "map-value-bounds": "the map value",
    "memory-bounds": "the memory",
    "stack-bounds": "the stack variable",
    "context-access": "the context",
    "packet-bounds": "the packet",
}


def packet_bounds(failure: Failure) -> Finding:
    """More of the packet is read than was compared with data_end."""
    if failure.message.startswith("math between") or "unbounded" in failure.message:
        return memory_bounds(failure)
    match = _PACKET.search(failure.said)
    if match is None:
        return Finding(
            f"{failure.call}() may not be given the packet itself" if failure.call else failure.message,
            failure.path(failure.at(failure.position, "the packet is given here")),
            "Copy what is needed to the stack first, and give that.",
        )
    offset, size, register, number, _, proven = (int(part) for part in match.groups())
    origin = failure.origin(register)
    end = _end_name(failure)
    name = _packet_name(failure, register, origin)
    value = failure.value(register)
    farthest = value.number("umax", "umax_value") if value is not None else None
    check = f"if ((void *)({name} + 1) > {end})\n    return {failure.neutral};"
    if failure.call:
        given = argument(failure.text, failure.call, register) or name
        check = f"if ((void *){given} + {size} > {end})\n    return {failure.neutral};"
    tests = _packet_tests(failure, origin)
    spans: list[Moment | None] = [failure.at(origin.source.position, "the packet begins here")] if origin.source else []
    moved = next((e for e in reversed(origin.events) if e.kind == "change" and e.instruction.source is not None), None)
    needs = failure.at(
        failure.position,
        f"this needs {offset + size} bytes, and {proven} are proven"
        if not number
        else f"this needs {size} byte{'s' * (size > 1)} at an offset that varies, and {proven} are proven",
    )
    if number and farthest is not None and farthest > _FARTHEST and moved is not None:
        step = _varying(failure, moved.position)
        index = _index_name(failure, moved.position, failure.flow.origin(moved.instruction.source or 0, moved.position))
        return Finding(
            f"{quoted(name)} may lie {farthest} bytes into the packet, and beyond 65535 a comparison proves nothing",
            failure.path(*spans, step, *tests, needs),
            f"Bound the offset before it is added, then compare with {end}:\n"
            f"if ({index or 'offset'} > 1500)\n"
            f"    return {failure.neutral};",
        )
    if moved is not None:
        spans.append(_varying(failure, moved.position) if number else None)
    if not tests:
        message = f"{quoted(name)} is read without a comparison with {end} on this path"
    elif number:
        message = f"{quoted(name)} is not what was compared with {end}: a variable was added after, or to another copy"
    else:
        message = f"{quoted(name)} is read up to byte {offset + size}, and only {proven} were compared with {end}"
    return Finding(
        message,
        failure.path(*spans, *tests, needs),
        f"Compare it before it is read:\n{check}"
        + (f"\nDo that on {quoted(name)} itself, after all that is added to it." if number else ""),
    )


def _packet_name(failure: Failure, register: int, origin: Origin) -> str:
    used = dereferenced(failure.text)
    found = indexed(failure.text)
    if found is not None and found[0] in used:
        return f"&{found[0]}[{found[1]}]"
    return (used[0] if used else None) or failure.named(register, origin) or "pointer"


def _end_name(failure: Failure) -> str:
    """The user's name for data_end."""
    for position in range(failure.position):
        after, place = failure.flow.steps[position].after, failure.place(position)
        if place is not None and ("=pkt_end(" in after or "->data_end" in place.text):
            match = re.search(r"(\w+)\s*=[^=,;]*->data_end\b", place.text)
            return match[1] if match else "data_end"
    return "data_end"


def _packet_tests(failure: Failure, origin: Origin) -> list[Moment]:
    """The comparisons with data_end on the path, and what each proves."""
    spans = []
    start = origin.source.position if origin.source is not None else 0
    for position in range(start, failure.position):
        does = failure.flow.instruction(position)
        if does.kind != "test" or does.source is None:
            continue
        state = failure.flow.steps[position].after
        # Kernels before 5.18 say only at branches what registers hold.
        ends = (does.target, does.source) if not state else ()
        values = (failure.flow.value(each, position) for each in ends if each is not None)
        if "=pkt_end(" in state or any(value is not None and value.type == "pkt_end" for value in values):
            found = re.search(r"=pkt\((?:id=\d+,)?(?:off=\d+,)?r=(\d+)", state)
            proves = f"{found[1]} bytes" if found else "a part"
            spans.append(failure.at(position, f"this comparison proves {proves}"))
    return spans


def _varying(failure: Failure, position: int) -> Moment:
    return failure.at(position, "a number that varies is added: from here on, only a new comparison proves anything")


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
    register = flow.instruction(adding).source or 0
    origin = flow.origin(register, adding)
    # `index + pointer` as well as `pointer + index`.
    value = flow.value(register, adding)
    if value is not None and value.type not in {"scalar", ""}:
        register = flow.instruction(adding).target or 0
        origin, value = flow.origin(register, adding), flow.value(register, adding)
    name = _index_name(failure, adding, origin)
    shown = quoted(name) if name else "the index"
    tests = flow.tests(origin)
    spans = (
        [failure.at(origin.source.position, f"{shown} comes from here, and may be any value")] if origin.source else []
    )
    spans += _shown_tests(failure, tests, shown)
    copies = [] if tests else _tests_of_copies(failure, origin, adding)
    spans += [failure.at(position, f"this compares another copy of {shown}") for position, _ in copies]
    spans.append(failure.at(failure.position, f"{shown} is not proven to stay inside of {what}"))
    array = indexed(failure.text)
    room, element = _room(failure, pointer or 0, adding), _element(origin)
    if array and ("->" in array[0] or "." in array[0] or failure.category.id == "stack-bounds" or not room):
        limit = f"sizeof({array[0]}) / sizeof({array[0]}[0])"
    else:
        limit = str(room // element) if room else "SIZE"
    index = name or "index"
    signed = _is_signed(value, [*tests, *copies])
    below = f"{index} < 0 || " if signed else ""
    suggestion = f"Compare it before this line:\nif ({below}{index} >= {limit})\n    return {failure.neutral};"
    if signed:
        suggestion += f"\nor declare {index} unsigned, so that one comparison bounds it on both sides."
    if copies and not signed:
        suggestion += _idiom(index, limit)
    reason = "may be negative" if signed else ("may be too large" if tests else "is not compared with a limit")
    if copies and not signed:
        reason = "was compared in another register: the compiler kept two copies, and the limit is known of one only"
    return Finding(f"{shown} {reason}, so this may lie outside of {what}", failure.path(*spans), suggestion)


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
    span = failure.at(failure.position, f"outside of {what}")
    stack = re.search(r"stack R\d+ off=(-?\d+) (?:access_)?size=(\d+)", failure.said)
    if access is not None:
        size, offset, length = (int(part) for part in access.groups())
        return Finding(
            f"bytes {offset} to {offset + length - 1} are used, and {what} has only {size}",
            failure.path(span),
            f"{what.capitalize()} has {size} bytes: make its type larger, or use a smaller offset or size.",
        )
    if stack is not None:
        offset, length = int(stack[1]), int(stack[2])
        shown = argument(failure.text, failure.call, failure.register or 1) if failure.call else None
        name = (shown or "").lstrip("&") or "the variable"
        return Finding(
            f"{length} bytes are used at {quoted(name)}, which has room for {max(-offset, 0)}"
            if shown
            else f"{length} bytes at offset {offset} of the stack are outside of the frame",
            failure.path(span),
            f"Give the size of the variable: sizeof({name})." if shown else "Stay inside of the variable.",
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
    if "zero-sized" in failure.said:
        return Finding(
            f"{shown} may be 0 here, and {call}() needs at least one byte",
            failure.path(*spans),
            f"Test it before this line:\nif ({index} == 0 || {index} > {limit})\n    return {failure.neutral};",
        )
    declared = ""
    if not re.fullmatch(r"[A-Za-z_][\w>.-]*", index):
        # What is computed in the call itself gets a name.
        declared, index = f"__u64 size = {index};\n", "size"
    suggestion = f"Bound it before this line:\n{declared}if ({index} > {limit})\n    {index} = {limit};"
    if signed:
        suggestion = f"Declare {index} unsigned (u32 or u64): as a signed number it may be negative.\n{suggestion}"
    if copies and not signed:
        suggestion += _idiom(index, limit)
    if copies and not signed:
        reason = "was compared in another register: the compiler kept two copies, and the limit is known of one only"
    elif signed:
        reason = "may be negative: it is compared as a signed number, on one side only"
    else:
        reason = "may be too large" if tests else "is not compared with a limit"
    return Finding(f"{shown} {reason}, and {call}() takes it as a size", failure.path(*spans), suggestion)


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


def _index_name(failure: Failure, position: int, origin: Origin) -> str | None:
    place = failure.place(position)
    found = indexed(place.text) if place is not None else None
    if found is None:
        found = indexed(failure.text)
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
