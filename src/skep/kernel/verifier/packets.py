"""Accesses to a packet that no comparison with its end covers."""

from __future__ import annotations

import re
from itertools import islice

from skep.kernel.verifier.bounds import added, index_name, memory_bounds
from skep.kernel.verifier.failure import Finding, quoted
from skep.kernel.verifier.names import argument, computed, copied, uncast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.errors import Span
    from skep.kernel.verifier.failure import Failure, Moment
    from skep.kernel.verifier.flow import Origin

__all__ = ["packet_bounds"]

_PACKET = re.compile(r"off=(-?\d+) size=(\d+), R(\d+)\(id=(\d+),off=(-?\d+),r=(\d+)\)")
# The verifier gives up on packet offsets that may be larger (MAX_PACKET_OFF).
_FARTHEST = 0xFFFF
_MOST_TESTS = 50


def packet_bounds(failure: Failure) -> Finding:
    """More of the packet is read than was compared with data_end."""
    if failure.message.startswith("math between") or "unbounded" in failure.message:
        return memory_bounds(failure)
    match = _PACKET.search(failure.said)
    if match is None:
        return _given(failure)
    offset, size, register, number, _, proven = (int(part) for part in match.groups())
    origin = failure.origin(register)
    value = failure.value(register)
    end = _end_name(failure, "data" if value is not None and value.type == "pkt_meta" else "data_end")
    name = _packet_name(failure, register, origin)
    farthest = value.number("umax", "umax_value") if value is not None else None
    check = f"if ({_needed(failure, register, name, size)} > {end})\n    return {failure.neutral};"
    tests = _packet_tests(failure, origin)
    spans: list[Moment | None] = [failure.at(origin.source.position, "the packet begins here")] if origin.source else []
    moved = next((e for e in reversed(origin.events) if e.kind == "change" and e.instruction.source is not None), None)
    needs = failure.at(
        failure.position,
        f"this needs {offset + size} bytes, and {proven} are proven"
        if not number
        else f"this needs {size} byte{'s' * (size > 1)} at an offset that varies, and {proven} are proven",
    )
    if not number and offset + size > _FARTHEST:
        return _endless(name, end, failure.path(*spans, *tests, needs))
    if number and farthest is not None and farthest > _FARTHEST and moved is not None:
        step = _varying(failure, moved.position)
        index = index_name(failure, moved.position, failure.flow.origin(added(failure, moved.position), moved.position))
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
    elif number and proven:
        message = f"more of {quoted(name)} is read than was compared with {end}"
    elif number:
        message = f"{quoted(name)} is not what was compared with {end}: a variable was added after, or to another copy"
    elif not proven:
        message = (
            f"{quoted(name)} is read where the comparison with {end} proves nothing: it stands the wrong way round"
        )
    else:
        message = f"{quoted(name)} is read up to byte {offset + size}, and only {proven} were compared with {end}"
    return Finding(
        message,
        failure.path(*spans, *tests, needs),
        f"Compare it before it is read:\n{check}"
        + (f"\nDo that on {quoted(name)} itself, after all that is added to it." if number else ""),
    )


def _given(failure: Failure) -> Finding:
    """A helper is given the packet, which it does not take."""
    register = failure.register or 0
    given = argument(failure.text, failure.call, register) if failure.call and register else None
    if failure.call == "bpf_perf_event_output":
        advice = (
            "Give it a copy on the stack; or, to send the packet after that, its length in the flags: "
            "BPF_F_CURRENT_CPU | (__u64)length << 32."
        )
    else:
        advice = "Copy what is needed to the stack or into a map value first, and give that."
    what = quoted(given) if given else "the packet itself"
    return Finding(
        f"{failure.call}() may not be given {what}: it takes no address in the packet"
        if failure.call
        else failure.message,
        failure.path(failure.at(failure.position, "the packet is given here")),
        advice,
    )


def _endless(name: str, end: str, path: list[Span]) -> Finding:
    """A loop walks through the packet, and nothing but the end of the packet ends it."""
    return Finding(
        f"{quoted(name)} is more than 65535 bytes into the packet here, where a comparison proves nothing: the loop "
        "has no limit of its own",
        path,
        "Count the rounds to a constant, and compare in each:\n"
        "for (int i = 0; i < 1500; i++) {\n"
        f"    if ((void *)({name} + 1) > {end})\n"
        "        break;",
    )


def _needed(failure: Failure, register: int, name: str, size: int) -> str:
    """What has to be compared with the end: the first byte after what is read."""
    if failure.call:
        return f"(void *){uncast(argument(failure.text, failure.call, register) or name)} + {size}"
    part = copied(failure.text, written=failure.instruction.kind == "store")
    if part is not None:
        return f"(void *){uncast(part[0])} + {part[1]}"
    cast = computed(failure.text)
    if cast is not None:
        return f"(void *){cast[1]} + sizeof({cast[0]})"
    # Of what is read by constants in one line, the farthest.
    places = [int(place) for place in re.findall(rf"(?<![\w.>]){re.escape(name)}\[(\d+)\]", failure.text)]
    return f"(void *)({name} + {max(places, default=0) + 1})"


def _packet_name(failure: Failure, register: int, origin: Origin) -> str:
    given = argument(failure.text, failure.call, register) if failure.call else None
    if given is not None:
        return uncast(given)
    used, found = failure.pointers, failure.element
    if found is not None and (found[0] in used or found[0].startswith("(")):
        return f"&{found[0]}[{found[1]}]"
    return (used[0] if used else None) or failure.named(register, origin) or "pointer"


def _end_name(failure: Failure, member: str) -> str:
    """The user's name for data_end; of what lies before the packet (data_meta), data is the end."""
    for position in range(failure.position):
        place = failure.place(position)
        if place is not None and (match := re.search(rf"(\w+)\s*=[^=,;]*->{member}\b", place.text)):
            return match[1]
    return member


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
            compared = f"R(?:{does.target}|{does.source})"
            found = re.search(rf"\b{compared}(?:_\w+)?=pkt\((?:id=\d+,)?(?:off=\d+,)?r=(\d+)", state)
            proves = f"{found[1]} bytes" if found else "a part"
            spans.append(failure.at(position, f"this comparison proves {proves}"))
    return spans


def _reach(failure: Failure) -> int:
    """The farthest byte of the packet that was compared with its end last, on the path."""
    flow = failure.flow
    compared = (
        position
        for position in range(failure.position - 1, -1, -1)
        if "=pkt_end(" in flow.steps[position].after and flow.instruction(position).kind == "test"
    )
    farthest = 0
    for position in islice(compared, _MOST_TESTS):
        does = flow.instruction(position)
        for register in (does.target, does.source):
            value = flow.value(register, position) if register is not None else None
            if value is not None and value.type == "pkt":
                farthest = max(farthest, value.number("off") or 0)
    return farthest


def _varying(failure: Failure, position: int) -> Moment:
    return failure.at(position, "a number that varies is added: from here on, only a new comparison proves anything")
