"""What to say of calls: what a function takes, who may call it, and what is returned."""

from __future__ import annotations

import re

from skep.kernel.verifier.advice import general
from skep.kernel.verifier.ended import ended
from skep.kernel.verifier.failure import Finding, quoted
from skep.kernel.verifier.names import argument, assigned, uncast
from skep.kernel.verifier.remedies import INSTEAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.verifier.failure import Failure

__all__ = ["argument_type", "callback", "dynptr", "helper", "reference_release", "return_value"]


# How the verifier names a function that may not be called.
_HELPER = re.compile(r"(\w+)#\d+|function (\w+) is not allowed|progs cannot use (\w+)")


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
        gone = ended(failure, origin, shown, given) if has == "scalar" else None
        if gone is not None:
            return gone
    spans.append(failure.at(failure.position, f"{call}() takes {_expected(wants)} here" if wants else "refused here"))
    if not match:
        return Finding(f"{shown} is not what {call}() takes: {failure.message}", failure.path(*spans), None)
    name = uncast(given or "value")
    if "ctx" in wants.split(", ")[0]:
        advice = f"Give {call}() the program's own context, as it came: its first argument, nothing added to it."
    elif has == "scalar" and wants.startswith(("fp", "map_value", "mem", "pkt")):
        advice = (
            "Give the address of a variable on the stack: copy the value there first,\n"
            f"__u64 copy = {name};\n"
            f"and give {call}() &copy."
        )
    elif has == "fp" and wants == "map_value" and call in {"bpf_snprintf", "bpf_strncmp"}:
        advice = f"Let it lie in read-only memory: static const char {name}[] = ...; a constant never changes."
    elif has == "fp" and wants == "map_value":
        advice = f"Let it be a member of a map's value, and give {call}() its address there: &value->member."
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
    match = _HELPER.search(failure.message)
    name = (match[match.lastindex or 0] if match else "") or failure.call or "this"
    kind = re.split(r"[/.]", failure.section)[0] or "this type"
    advice = next((text for pattern, text in INSTEAD if re.match(pattern, name)), "")
    return Finding(
        f"{name}() may not be called by programs of type {kind}"
        if kind != "this type"
        else f"{name}() may not be called by programs of this type",
        failure.path(failure.at(failure.position, f"{name}() is called here") if failure.flow.steps else None),
        f"{advice} Leave the call out, or attach to a hook whose programs may call it.".lstrip(),
        word=name,
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


def callback(failure: Failure) -> Finding:
    """A function is called back that may not be, or returns what may not be."""
    if "should have been in" not in failure.said:
        return general(failure)
    found = return_value(failure)
    found.message = found.message.replace("the hook", "its caller")
    found.suggestion = f"{found.suggestion} For loops over maps and rounds 0 goes on, and 1 stops."
    return found


def dynptr(failure: Failure) -> Finding:
    """A dynptr is not in the state that a call needs, or cannot be made of what is given."""
    found = general(failure)
    kind = re.search(r"Unsupported reg type (\w+)", failure.said)
    if kind is not None:
        found.message = f"{failure.call}() makes a dynptr of a map value, and this is {_described(kind[1])}"
        found.suggestion = (
            "Keep the bytes in a map value, or in a global variable, which is one: static char bytes[64];"
        )
    return found


def reference_release(failure: Failure) -> Finding:
    """What is given back is not what was handed out."""
    found = general(failure)
    register = failure.register or 1
    origin = failure.origin(register) if failure.flow.steps else None
    name = failure.assigned(origin.source) if origin is not None else None
    if "zero offset" in failure.said and name is not None:
        given = argument(failure.text, failure.call, register)
        found.message = f"{quoted(given or 'this')} is not the address that was handed out: something was added to it"
        found.suggestion = f"Give {failure.call}() {name} itself."
    return found
