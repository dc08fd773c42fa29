"""Pointers that may be NULL, and numbers that are taken for pointers."""

from __future__ import annotations

import re

from skep.kernel.verifier.ended import ended
from skep.kernel.verifier.failure import Finding, quoted
from skep.kernel.verifier.instruction import FRAME_POINTER
from skep.kernel.verifier.names import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.verifier.failure import Failure, Moment
    from skep.kernel.verifier.flow import Event, Origin

__all__ = ["not_a_pointer", "null_pointer"]

# When what a helper gives is NULL.
_NULL_WHEN = {
    "bpf_map_lookup_elem": "the map has no such key",
    "bpf_map_lookup_percpu_elem": "the map has no such key",
    "bpf_ringbuf_reserve": "the ring is full",
    "bpf_dynptr_data": "the dynptr is shorter than that",
    "bpf_dynptr_slice": "the dynptr is shorter than that",
    "bpf_sk_lookup_tcp": "there is no such socket",
    "bpf_sk_lookup_udp": "there is no such socket",
    "bpf_skc_lookup_tcp": "there is no such socket",
    "bpf_task_from_pid": "there is no such task",
    "bpf_per_cpu_ptr": "there is no such CPU",
}
_ARROW = re.compile(r"[A-Za-z_][\w.]*(?:->[A-Za-z_][\w.]*)+")
# A variable that is set to a member of the context, and to nothing else.
_FROM_CONTEXT = re.compile(r"([A-Za-z_]\w*)\s*=\s*(?:\([^()]*\)\s*)*\w+(?:->\w+)?(?:\[\w+\])?\s*;")
# What sections programs have whose arguments are addresses of user space.
_USER = re.compile(r"sys_enter|sys_exit|syscall|^u(ret)?probe|^usdt")


def null_pointer(failure: Failure) -> Finding:
    """A pointer may be NULL, and nothing on the path says that it is not."""
    register = failure.register or 0
    origin = failure.origin(register)
    source = origin.source
    name = failure.named(register, origin)
    what = quoted(name) if name else "what is used here"
    test = f"if (!{name or 'pointer'})\n    return {failure.neutral};"
    if failure.log.function and (source is None or source.kind == "argument"):
        return Finding(
            f"{what} may be NULL here: it is an argument of the global function {failure.log.function}()",
            failure.path(failure.at(0, f"{failure.log.function}() is verified by itself: any argument may be NULL")),
            "Test it in the function:\n"
            f"{test}\n"
            f"Or make {failure.log.function}() static, so that it is verified with what it is called with; since "
            "Linux 6.8 the argument can also be marked __arg_nonnull.",
        )
    spans: list[Moment | None] = []
    call = source.instruction.name if source is not None else ""
    if source is not None and source.kind in {"call", "subprogram"}:
        when = _NULL_WHEN.get(call, "it fails")
        said = f"{call}() gives NULL when {when}" if call else "the function may return NULL"
        spans.append(failure.at(source.position, said))
    elif source is not None and source.kind != "argument":
        spans.append(failure.at(source.position, "read from here, it may be NULL"))
    spans.append(_other_test(failure, origin, name))
    came = f"it comes from {call}()" if call else "it comes from where NULL is possible"
    return Finding(
        f"{what} may be NULL here: {came}, and is not tested on this path",
        failure.path(*spans, failure.at(failure.position, "used without a test: that it is not NULL is not proven")),
        f"Test it before this line:\n{test}",
    )


def _other_test(failure: Failure, origin: Origin, name: str | None) -> Moment | None:
    """A test for NULL on the path that is one of something else."""
    own = {position for position, _ in failure.flow.tests(origin)}
    start = origin.source.position if origin.source is not None else 0
    for position in range(failure.position - 1, start, -1):
        does = failure.flow.instruction(position)
        if does.kind == "test" and does.constant == 0 and does.operator in {"==", "!="} and position not in own:
            value = failure.flow.value(does.target or 0, position)
            source = failure.flow.origin(does.target or 0, position).source if value is None else None
            given = source is not None and source.instruction.name in _NULL_WHEN
            if given or (value is not None and value.type.endswith("_or_null")):
                return failure.at(position, f"this tests another pointer, not {quoted(name) if name else 'this one'}")
    return None


def not_a_pointer(failure: Failure) -> Finding:
    """A number is used as an address: what it came from says which."""
    register = failure.register or 0
    origin = failure.origin(register)
    name = _set_here(failure, origin) or failure.named(register, origin)
    what = quoted(name) if name else "what is read through here"
    return (
        _end_of_packet(failure, register)
        or ended(failure, origin, what, name)
        or _is_null(failure, register, origin, what, name)
        or _address(failure, origin, what, name)
    )


def _set_here(failure: Failure, origin: Origin) -> str | None:
    """The variable that the refused line itself sets from the context, through which it reads then."""
    source = origin.source
    place = failure.place(source.position) if source is not None and source.kind == "load" else None
    if source is None or place is None or place.text != failure.text:
        return None
    base = failure.flow.value(source.instruction.base or 0, source.position)
    match = _FROM_CONTEXT.search(plain(place.text))
    return match[1] if match is not None and base is not None and base.type == "ctx" else None


def _end_of_packet(failure: Failure, register: int) -> Finding | None:
    """It is data_end, or what was computed from it; None if it is not."""
    value = failure.value(register)
    if "'pkt_end'" not in failure.said and (value is None or value.type != "pkt_end"):
        return None
    return Finding(
        "the end of the packet is read through: it is only for comparisons",
        failure.path(failure.at(failure.position, "read through here")),
        "Count from the beginning of the packet, by a number that is compared with a limit, and compare the result:\n"
        "if (offset > 1500 || data + offset + 1 > data_end)\n"
        f"    return {failure.neutral};",
        category="packet-bounds",
    )


def _is_null(failure: Failure, register: int, origin: Origin, what: str, name: str | None) -> Finding | None:
    value = failure.value(register)
    if value is None or value.type != "scalar" or (value.number("value") != 0):
        return None
    if origin.source is None or origin.source.kind == "set":
        return None
    spans = [failure.at(position, "on this path it is NULL") for position, _ in failure.flow.tests(origin)]
    return Finding(
        f"{what} is NULL on this path",
        failure.path(*spans[-1:], failure.at(failure.position, "used where it is known to be NULL")),
        f"Leave before this line where {what} is NULL:\nif (!{name or 'pointer'})\n    return {failure.neutral};",
        category="null-pointer",
    )


def _address(failure: Failure, origin: Origin, what: str, name: str | None) -> Finding:
    """It is an address that the verifier knows nothing of, or only a number."""
    source = origin.source
    spans: list[Moment | None] = []
    kind = source.kind if source is not None else ""
    changed = [event for event in origin.events if event.kind == "change"]
    if source is not None:
        spans.append(failure.at(source.position, _made(failure, source.position, kind)))
    spoiled = next((event for event in changed if event.instruction.operator not in {"+", "-"}), None)
    if spoiled is not None and kind != "load":
        spans.append(failure.at(spoiled.position, f"after {spoiled.instruction.operator}= it is a number, no pointer"))
    last = failure.at(failure.position, "read through as if it were a pointer that the verifier knows")
    user = source is not None and _is_user(failure, source)
    return Finding(
        f"{what} is a plain number to the verifier here, so it cannot be read through",
        failure.path(*spans, last),
        _reading(failure, name, user=user, call=source.instruction.name if source is not None else ""),
    )


def _made(failure: Failure, position: int, kind: str) -> str:
    does = failure.flow.instruction(position)
    if kind == "call":
        return f"{does.name}() returns a number: an address that is not tracked"
    if kind in {"load", "fill"}:
        base = failure.flow.value(does.base or 0, position)
        if base is not None and base.type == "ctx":
            return "an address out of the context is a number: what it points to is not known to be there"
        if base is not None and base.type == "fp":
            return "read from the stack, where a helper wrote it: a number"
        return "read from memory, it is a number"
    if kind == "set":
        return "set to a number here"
    return "it comes from here"


def _is_user(failure: Failure, source: Event) -> bool:
    """Whether an address is one of user space, as far as can be told: the arguments of system calls are."""
    place = failure.place(source.position)
    if place is not None and re.search(r"__user\b|_user(_str)?\(", place.text):
        return True
    if source.kind not in {"load", "fill"}:
        return False
    base = failure.flow.value(source.instruction.base or 0, source.position)
    if source.instruction.base == FRAME_POINTER or (base is not None and base.type == "fp"):
        # A helper wrote it there: who reads from user space with one finds addresses of user space.
        calls = (failure.flow.instruction(position).name for position in range(source.position - 1, -1, -1))
        return next((call for call in calls if call.startswith("bpf_probe_read")), "").startswith("bpf_probe_read_user")
    from_context = source.kind == "load" and (base is None or base.type == "ctx")
    return from_context and _USER.search(failure.section) is not None


def _reading(failure: Failure, name: str | None, *, user: bool, call: str) -> str:
    """How to read it."""
    chains = _ARROW.findall(plain(failure.text))
    chain = next((each for each in chains if name is None or each.startswith(f"{name}->")), None)
    pointer = name or (failure.pointers or ["pointer"])[0]
    if user:
        return (
            "Copy it from user space with a helper:\n"
            f"bpf_probe_read_user(&value, sizeof(value), {pointer});\n"
            f"or, for a string, bpf_probe_read_user_str(text, sizeof(text), {pointer});"
        )
    if chain is not None:
        lines = [f"Read it with a helper: BPF_CORE_READ({', '.join(chain.split('->'))})"]
    else:
        lines = [f"Read it with a helper: bpf_probe_read_kernel(&value, sizeof(value), {pointer});"]
    if call == "bpf_get_current_task":
        lines.append("bpf_get_current_task_btf() (Linux 5.11) gives a pointer that can be read directly.")
    elif failure.section.startswith(("raw_tp", "raw_tracepoint", "kprobe", "kretprobe", "ksyscall")):
        lines.append("In a program on types (tp_btf, fentry, fexit) its arguments can be read directly.")
    elif failure.section.startswith(("xdp", "tc", "classifier", "tcx")):
        lines.append(
            "A packet is read through data and data_end of the context: data = (void *)(long)ctx->data, with no "
            "number in between that the verifier would lose it in."
        )
    return "\n".join(lines)
