"""What to say of failures that need no walk over the path: arguments, return values, the context, the machine."""

from __future__ import annotations

import re

from skep.kernel.verifier.failure import Finding, quoted
from skep.kernel.verifier.names import argument, assigned
from skep.kernel.verifier.pointers import invalidated
from skep.kernel.verifier.remedies import ADVICE, INSTEAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.verifier.failure import Failure

__all__ = ["argument_type", "complexity", "context_access", "general", "helper", "return_value", "stack_read"]


def general(failure: Failure) -> Finding:
    """What can be said by the category alone."""
    said, advice = ADVICE.get(failure.category.id, ("", ""))
    call = failure.call or "the call"
    register = failure.register
    given = argument(failure.text, call, register) if failure.call and register else None
    names = {"call": call, "given": given or "it", "neutral": failure.neutral}
    message = said.format(**names) if said else failure.message
    spans = []
    if register is not None and failure.flow.steps:
        source = failure.origin(register).source
        if source is not None and source.kind not in {"argument", "clobbered"} and source.position != failure.position:
            spans.append(failure.at(source.position, "what is used comes from here"))
        elif source is not None and source.kind == "clobbered":
            spans.append(
                failure.at(source.position, f"{source.instruction.name}() leaves no value in registers 1 to 5")
            )
    if failure.flow.steps:
        spans.append(failure.at(failure.position, "refused here"))
    return Finding(message, failure.path(*spans), advice.format(**names) or None)


def argument_type(failure: Failure) -> Finding:
    """An argument is of another type than the function takes."""
    register = failure.register or 1
    call = failure.call or "the function"
    given = argument(failure.text, call, register)
    shown = quoted(given) if given else f"argument {register}"
    match = re.search(r"type=(\w+) expected=(.+)", failure.said)
    has, wants = (match[1].replace("inv", "scalar"), match[2]) if match else ("", "")
    origin = failure.origin(register) if failure.flow.steps else None
    spans = []
    if origin is not None and origin.source is not None and origin.source.kind != "argument":
        spans.append(failure.at(origin.source.position, f"{shown} comes from here"))
        gone = invalidated(failure, origin, shown, given) if has == "scalar" else None
        if gone is not None:
            return gone
    spans.append(failure.at(failure.position, f"{call}() takes {_expected(wants)} here" if wants else "refused here"))
    if not match:
        return Finding(f"{shown} is not what {call}() takes: {failure.message}", failure.path(*spans), None)
    name = re.sub(r"^\((?:\w+ )*\w* ?\*+\)\s*", "", given or "value")
    if "ctx" in wants.split(", ")[0]:
        advice = f"Give {call}() the program's own context, as it came: its first argument, nothing added to it."
    elif has == "scalar" and wants.startswith(("fp", "map_value", "mem", "pkt")):
        advice = (
            "Give the address of a variable on the stack: copy the value there first,\n"
            f"__u64 copy = {name};\n"
            f"and give {call}() &copy."
        )
    elif has == "fp" and wants.startswith("map_ptr"):
        advice = f"Give {call}() the map itself: &name_of_the_map."
    elif has == "map_value" and "ptr_" in wants:
        advice = f"Give {call}() a pointer that the kernel gave, not one of your own."
    elif has == "scalar":
        advice = f"Give {call}() the pointer as it came, before anything was computed with it: {_expected(wants)}."
    else:
        advice = f"Give {call}() {_expected(wants)}; copy the data to the stack, if it lies elsewhere."
    return Finding(f"{shown} is {_described(has)}, and {call}() takes {_expected(wants)}", failure.path(*spans), advice)


_NAMES = {
    "scalar": "a number",
    "fp": "an address on the stack",
    "ctx": "the context",
    "map_ptr": "a map",
    "map_value": "a map value",
    "pkt": "an address in the packet",
    "pkt_end": "the end of the packet",
    "mem": "memory",
    "sock": "a socket",
    "ringbuf_mem": "a record of a ring",
    "map_key": "a map key",
}


def _described(kind: str) -> str:
    return _NAMES.get(kind.removesuffix("_or_null"), f"a pointer of type {kind}")


def _expected(kinds: str) -> str:
    if kinds.startswith("fp") and "map_value" in kinds:
        return "an address of memory: on the stack, in a map value, in a packet"
    shown = [_described(kind) for kind in re.split(r",\s*", kinds) if kind.strip()]
    return " or ".join(dict.fromkeys(shown[:3]))


def helper(failure: Failure) -> Finding:
    """A helper is not there for this type of program, or not at all."""
    match = re.search(r"(\w+)#(\d+)", failure.message) or re.search(r"function (\w+)( )is not allowed", failure.message)
    name = (match[1] if match else "") or failure.call or "this"
    kind = re.split(r"[/.]", failure.section)[0] or "this type"
    advice = next((text for pattern, text in INSTEAD if re.match(pattern, name)), "")
    return Finding(
        f"{name}() may not be called by programs of type {kind}"
        if kind != "this type"
        else f"{name}() may not be called by programs of this type",
        failure.path(failure.at(failure.position, f"{name}() is called here") if failure.flow.steps else None),
        f"{advice} Leave the call out, or attach to a hook whose programs may call it.".lstrip(),
    )


def context_access(failure: Failure) -> Finding:
    """The context is read where it has nothing, or through a pointer that is not it any more."""
    member = re.search(r"\b\w+->(\w+)", failure.text)
    shown = quoted(member[0]) if member else "this part of the context"
    spans = [failure.at(failure.position, "refused here")]
    register = failure.register
    if register is not None:
        origin = failure.origin(register)
        changed = [event for event in origin.events if event.kind == "change"]
        if changed:
            spans.insert(0, failure.at(changed[-1].position, "the pointer to the context is changed here"))
    if "invalid bpf_context access" in failure.said:
        match = re.search(r"off=(-?\d+) size=(\d+)", failure.said)
        where = f"byte {match[1]}, {match[2]} bytes" if match else "there"
        kind = re.split(r"[/.]", failure.section)[0]
        written = failure.instruction.kind in {"store", "atomic"}
        does = "write" if written else "read"
        advice = (
            "Leave the write out: only some members of this context may be written."
            if written
            else "Read only members that this type of program has, each by its own name and type; a tracepoint's are "
            "in /sys/kernel/tracing/events/.../format, and in a program on types BPF_PROG() gives the arguments "
            "their types."
        )
        return Finding(
            f"a program of type {kind} may not {does} {shown} ({where})"
            if kind
            else f"{shown} may not be accessed ({where})",
            failure.path(*spans),
            advice,
        )
    if "variable" in failure.said or "register with" in failure.said or "math between" in failure.said:
        return Finding(
            f"{shown} is read at an offset that varies, which the context does not allow",
            failure.path(*spans),
            "Read each member by a constant: unroll the loop, or switch over the index, and copy the members to the "
            "stack if they have to be indexed.",
        )
    return Finding(
        "the pointer to the context was changed before it was used",
        failure.path(*spans),
        "Use the context as it came. Give helpers ctx itself, and read members by ctx->member, so that the offset "
        "stands in the instruction.",
    )


def return_value(failure: Failure) -> Finding:
    """R0 is not one of the values that the hook knows."""
    allowed = re.search(r"should have been in (?:\[(-?\w+), (-?\w+)\]|\((0x[\da-f]+); (0x[\da-f]+)\))", failure.said)
    origin = failure.origin(0) if failure.flow.steps else None
    spans = []
    if origin is not None and origin.source is not None and origin.source.kind != "argument":
        spans.append(failure.at(origin.source.position, "the value that is returned comes from here"))
    spans.append(failure.at(failure.position, "returned here"))
    if allowed is None:
        return Finding(
            "what is returned here is not a number that is known",
            failure.path(*spans),
            "Return a number, and set it on every path.",
        )
    if allowed[1] is not None:
        first, last = allowed[1], allowed[2]
    else:
        base, mask = int(allowed[3], 0), int(allowed[4], 0)
        first, last = str(base), str(base | mask)
    one = f"{first} only" if first == last else f"{first} to {last}"
    line = failure.text
    name = assigned(line) or (match[1] if (match := re.search(r"return\s+(\w+)\s*;", line)) else None)
    bound = (
        f"\nif ({name} < {first} || {name} > {last})\n    {name} = {first};" if name and not name.isdecimal() else ""
    )
    return Finding(
        f"this returns what the hook does not know: it takes {one}", failure.path(*spans), f"Return {one}.{bound}"
    )


def stack_read(failure: Failure) -> Finding:
    """Bytes of the stack are read before they are written."""
    register = failure.register or 2
    given = argument(failure.text, failure.call, register) if failure.call else None
    name = (given or "").lstrip("&") or None
    match = re.search(r"off (-?\d+)\+(\d+) size (\d+)", failure.said)
    shown = quoted(name) if name else "a variable on the stack"
    if match is not None and name:
        message = f"byte {match[2]} of the {match[3]} of {shown} is not set"
    else:
        message = f"{shown} is read before it is set"
    reader = f"{failure.call}() reads all of it" if failure.call else "read here"
    variable = name or "variable"
    return Finding(
        message,
        failure.path(failure.at(failure.position, f"{reader}, and nothing on this path wrote all its bytes")),
        "Set all of it first, the padding between members included:\n"
        f"__builtin_memset(&{variable}, 0, sizeof({variable}));",
    )


def complexity(failure: Failure) -> Finding:
    """A million instructions were not enough."""
    costs = failure.log.costs()[:3]
    total = max(len(failure.flow.steps), 1)
    from skep.kernel.verifier.failure import span_of

    return Finding(
        "the verifier gave up: there are too many paths, or rounds of loops, to walk",
        [span_of(place, f"{100 * count // total} % of the instructions walked") for place, count in costs],
        "Let the verifier walk the loop once: bpf_loop() (Linux 5.17) or bpf_for() (6.4); or count to a smaller "
        "constant. Branches in a loop multiply: move work into functions that are not static and take numbers (each "
        "is verified once).",
    )
