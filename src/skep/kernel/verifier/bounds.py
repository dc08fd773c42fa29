"""Accesses that are not proven to stay inside of a map value, the stack, or a record."""

from __future__ import annotations

import re

from skep.kernel.verifier.failure import Finding, quoted
from skep.kernel.verifier.limits import (
    NOTHING,
    idiom,
    is_signed,
    room_of,
    shown_tests,
    size_argument,
    tests_of_copies,
    too_large,
)
from skep.kernel.verifier.names import argument, assigned, indexed, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.verifier.failure import Failure
    from skep.kernel.verifier.flow import Origin

__all__ = ["added", "index_name", "memory_bounds"]

_ACCESS = re.compile(r"(?:value_size|mem_size|key_size)=(\d+) off=(-?\d+) size=(\d+)")
# What a helper for maps takes in a register.
_TAKES = {2: "key", 3: "value"}
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
    spans += shown_tests(failure, tests, shown)
    copies = [] if tests else tests_of_copies(failure, origin, adding)
    spans += [failure.at(position, f"this compares another copy of {shown}") for position, _ in copies]
    spans.append(failure.at(failure.position, f"{shown} is not proven to stay inside of {what}"))
    array = failure.element
    does = flow.instruction(adding)
    base = does.target if does.source == register else does.source
    room, element = room_of(failure, base or 0, adding), _element(origin)
    if array and (_is_array(failure, array[0], pointer) or not room):
        limit = f"sizeof({array[0]}) / sizeof({array[0]}[0])"
    else:
        limit = str(room // element) if room else "SIZE"
    length = _length(failure) if failure.call else 1
    sizes = failure.value((failure.register or 0) + 1) if failure.call else None
    together = sizes.number("umax", "umax_value") if sizes is not None and "value" not in sizes.facts else None
    most = value.number("umax", "umax_value") if value is not None else None
    if room and most is not None and most < room and together is not None:
        size = argument(failure.text, failure.call, (failure.register or 0) + 1) or "the size"
        return Finding(
            f"{shown} may be up to {most} and {quoted(size)} up to {together}: together they may lie outside of {what}",
            failure.path(*spans),
            f"{what.capitalize()} has {room} bytes: bound both so that the sum fits, each to less than {room // 2};\n"
            f"or make room for the largest sum, {most + together} bytes.",
        )
    if length > element:
        # What a call writes from there on has to fit, too.
        limit = f"{limit.partition(' / ')[0]} - {length}"
    index = name or "index"
    signed = is_signed(value, [*tests, *copies]) or (value is None and _is_result(failure, origin))
    below, beyond = f"{index} < 0 || " if signed else "", ">" if length > element else ">="
    suggestion = f"Compare it before this line:\nif ({below}{index} {beyond} {limit})\n    return {failure.neutral};"
    if signed and index.isidentifier():
        suggestion += f"\nor declare {index} unsigned, so that one comparison bounds it on both sides."
    if copies and not signed:
        suggestion += idiom(index, limit)
    reason = "may be negative" if signed else too_large(value, room, compared=bool(tests))
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
        if NOTHING.search(failure.said):
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


def _element(origin: Origin) -> int:
    """The size of the elements that an index counts, as it is scaled on its way."""
    for event in reversed(origin.events):
        does = event.instruction
        if event.kind == "change" and does.constant and does.operator in {"<<", "*"}:
            return 1 << does.constant if does.operator == "<<" and does.constant < 16 else max(does.constant, 1)
    return 1


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
