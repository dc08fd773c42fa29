"""What to say of failures that need no walk over the path: the context, the stack, the kernel's memory, the limits."""

from __future__ import annotations

import re

from skep.kernel.verifier.bounds import memory_bounds
from skep.kernel.verifier.failure import Finding, quoted, span_of
from skep.kernel.verifier.names import argument
from skep.kernel.verifier.remedies import ADVICE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.base.errors import Span
    from skep.kernel.verifier.failure import Failure
    from skep.kernel.verifier.flow import Event

__all__ = ["complexity", "context_access", "general", "kernel_struct_access", "read_only", "stack_read"]

_PACKET = re.compile(r"->data(_end|_meta)?\b")
# How sections begin whose programs get packets.
_NETWORK = ("xdp", "tc", "classifier", "action", "cgroup_skb", "lwt", "sk_", "flow_dissector", "netfilter")
# How many of the last steps are looked through for the loop that they are in.
_LONGEST_ROUND = 2000


def general(failure: Failure) -> Finding:
    """What can be said by the category alone."""
    said, advice = ADVICE.get(failure.category.id, ("", ""))
    call = failure.call or "the call"
    register = failure.register
    given = _named(failure, register) if failure.call and register else None
    names = {"call": call, "given": given or "it", "neutral": failure.neutral}
    if call == "bpf_ringbuf_reserve" and failure.category.id == "constant-argument":
        advice += (
            " Records of any length: bpf_ringbuf_output() copies, bpf_ringbuf_reserve_dynptr() (Linux 5.19) does not."
        )
    message = said.format(**names) if said else failure.message
    spans = []
    if register is not None and failure.flow.steps:
        source = failure.origin(register).source
        if source is not None and source.kind not in {"argument", "clobbered"} and not _same_line(failure, source):
            spans.append(failure.at(source.position, "what is used comes from here"))
        elif source is not None and source.kind == "clobbered":
            spans.append(
                failure.at(source.position, f"{source.instruction.name}() leaves no value in registers 1 to 5")
            )
    if failure.flow.steps:
        spans.append(failure.at(failure.position, "refused here"))
    return Finding(message, failure.path(*spans), advice.format(**names) or None)


def _named(failure: Failure, register: int) -> str | None:
    """What the line gives to the call that is refused."""
    given = argument(failure.text, failure.call, register)
    # Releases count the arguments in their messages from 0 or from 1: what is meant is no number.
    if given is not None and given.isdecimal():
        given = argument(failure.text, failure.call, register - 1)
    return given.lstrip("&") if given is not None else None


def _same_line(failure: Failure, event: Event) -> bool:
    return failure.place(event.position) == failure.place(failure.position)


def context_access(failure: Failure) -> Finding:
    """The context is read where it has nothing, or through a pointer that is not it any more."""
    member = re.search(r"\b\w+->(\w+)", failure.text)
    shown = quoted(member[0]) if member else "this part of the context"
    spans = [failure.at(failure.position, "refused here")]
    register = failure.register
    changed = [event for event in failure.origin(register).events if event.kind == "change"] if register else []
    if changed:
        spans.insert(0, failure.at(changed[-1].position, "the pointer to the context is changed here"))
    if "invalid bpf_context access" in failure.said:
        return _not_in_context(failure, shown, failure.path(*spans))
    varies = any(event.instruction.source is not None for event in changed)
    if varies or "variable" in failure.said or "register with" in failure.said or "math between" in failure.said:
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


def _not_in_context(failure: Failure, shown: str, path: Sequence[Span]) -> Finding:
    """The context has nothing there, or nothing that this type of program may read or write."""
    match = re.search(r"off=(-?\d+) size=(\d+)", failure.said)
    where = f"byte {match[1]}, {match[2]} bytes" if match else "there"
    kind = re.split(r"[/.]", failure.section)[0]
    if failure.instruction.kind in {"store", "atomic"}:
        does, advice = "write", "Leave the write out: only some members of this context may be written."
    else:
        does = "read"
        advice = (
            "Read only members that this type of program has, each by its own name and type; a tracepoint's are "
            "in /sys/kernel/tracing/events/.../format, and in a program on types BPF_PROG() gives the arguments "
            "their types."
        )
        if _PACKET.search(failure.text) and kind == "socket":
            advice = f"Read the packet with bpf_skb_load_bytes(skb, offset, &value, sizeof(value)).\n{advice}"
        elif _PACKET.search(failure.text) and kind and not kind.startswith(_NETWORK):
            advice = f'Programs of type {kind} get no packet: that takes SEC("xdp") or SEC("tc").\n{advice}'
    return Finding(
        f"a program of type {kind} may not {does} {shown} ({where})"
        if kind
        else f"{shown} may not be accessed ({where})",
        path,
        advice,
    )


def kernel_struct_access(failure: Failure) -> Finding:
    """A structure of the kernel is read beyond its members, or at an index."""
    found = failure.element
    if found is None or "variable" not in failure.said:
        return general(failure)
    shown = f"{found[0]}[{found[1]}]"
    return Finding(
        f"{quoted(shown)} is read at an offset that varies, which a structure of the kernel does not allow",
        failure.path(failure.at(failure.position, "an index that varies is added to the address")),
        f"Copy it with a helper: bpf_probe_read_kernel(&value, sizeof(value), &{shown});\n"
        "or copy all of the array to the stack first, and index that.",
    )


def read_only(failure: Failure) -> Finding:
    """What a program may only read is written."""
    register = failure.register
    source = failure.origin(register).source if register is not None and failure.flow.steps else None
    found = general(failure)
    if "BPF_ATOMIC" in failure.said:
        found.message = "an atomic operation works on map values and the stack only, and this is neither"
        found.suggestion = (
            "Read it, change it and write it as an ordinary variable; what several CPUs count belongs into a map."
        )
    if source is not None and source.instruction.name == "bpf_dynptr_slice":
        found.suggestion = "Get the slice with bpf_dynptr_slice_rdwr(): that of bpf_dynptr_slice() is for reading only."
    return found


def stack_read(failure: Failure) -> Finding:
    """Bytes of the stack are read before they are written."""
    past = re.search(r"stack R\d+ off=(-?\d+) size=(\d+)", failure.said)
    if past is not None and int(past[1]) + int(past[2]) > 0:
        # Beyond the end of the frame there is nothing that could be set.
        found = memory_bounds(failure)
        found.category = "stack-bounds"
        return found
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
    return Finding(
        "the verifier gave up: there are too many paths, or rounds of loops, to walk",
        [span_of(place, f"{100 * count // total} % of the instructions walked") for place, count in costs],
        "Let the verifier walk the loop once: bpf_loop() (Linux 5.17) or bpf_for() (6.4); or count to a smaller "
        "constant. Branches in a loop multiply: move work into functions that are not static and take numbers (each "
        "is verified once).",
        position=_loop(failure),
    )


def _loop(failure: Failure) -> int | None:
    """The last jump back: it belongs to the line of the loop. None where the last steps have none."""
    steps = failure.flow.steps
    return next(
        (
            position
            for position in range(failure.flow.last - 1, max(failure.flow.last - _LONGEST_ROUND, 0), -1)
            if steps[position + 1].index <= steps[position].index
            and steps[position + 1].frame == steps[position].frame
            and steps[position].text != "exit"
        ),
        None,
    )
