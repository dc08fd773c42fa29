"""Pointers that were valid until something on the path ended that: a release, a call that moves the packet, a write."""

from __future__ import annotations

import re

from skep.kernel.verifier.failure import Finding
from skep.kernel.verifier.instruction import FRAME_POINTER
from skep.kernel.verifier.lifetimes import RELEASERS, releases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.verifier.failure import Failure
    from skep.kernel.verifier.flow import Event, Origin

__all__ = ["ended"]

# After these, packet pointers are no longer valid (bpf_helper_changes_pkt_data, net/core/filter.c).
_MOVES_PACKET = re.compile(
    r"bpf_skb_(vlan_push|vlan_pop|store_bytes|change_proto|change_head|change_tail|pull_data|adjust_room|set_tunnel)"
    r"|bpf_clone_redirect|bpf_l[34]_csum_replace|bpf_xdp_adjust_|bpf_msg_(pull|push|pop)_data|bpf_lwt_|bpf_tcp_check"
    r"|bpf_csum_update|bpf_store_hdr_opt|bpf_reserve_hdr_opt|bpf_sk_assign"
)
# What gives a pointer into what a dynptr stands for.
_SLICES = ("bpf_dynptr_data", "bpf_dynptr_slice")
# include/uapi/linux/bpf.h: struct bpf_dynptr, in bytes.
_DYNPTR = 16


def ended(failure: Failure, origin: Origin, what: str, name: str | None) -> Finding | None:
    """It was a pointer until something ended that; None if it was not.

    Args:
        failure: the refusal.
        origin: of the value.
        what: it is called in a sentence.
        name: of the user's variable, if it has one.
    """
    source = origin.source
    if source is None:
        return None
    made = source.instruction.name
    is_packet = source.kind == "load" and _holds(failure, source.position, source.instruction.target, "pkt")
    is_slice = source.kind == "call" and made.startswith(_SLICES)
    is_handed_out = source.kind == "call" and releases(made) is not None
    for position in range(failure.position - 1, source.position, -1):
        call = failure.flow.instruction(position).name
        if is_packet and _MOVES_PACKET.match(call):
            again = (
                "read data and data_end from the context again, and compare again:\n"
                "data = (void *)(long)ctx->data;\n"
                "data_end = (void *)(long)ctx->data_end;\n"
                f"{name or 'pointer'} = data;\n"
                f"if ((void *)({name or 'pointer'} + 1) > data_end)\n"
                f"    return {failure.neutral};"
            )
            return _moved(failure, source, position, what, "taken from the packet here", again)
        # A packet's dynptr may be written to beyond its first piece: the kernel then has to move it.
        if is_slice and (_MOVES_PACKET.match(call) or call == "bpf_dynptr_write"):
            again = f"call {made}() again, and test again that what it gives is not NULL."
            return _moved(failure, source, position, what, f"{made}() gives it", again)
        if (is_slice or is_handed_out) and (call in RELEASERS or call.endswith("_release")):
            return Finding(
                f"{what} is used after {call}() gave it back",
                failure.path(
                    failure.at(source.position, f"{made}() hands it out"),
                    failure.at(position, f"{call}() takes it back: from here on it is nobody's"),
                    failure.at(failure.position, "it is used again"),
                ),
                f"Use {what} only before {call}(): move this line up, or copy what is needed to a variable first.",
                category="use-after-release",
            )
    return _overwritten(failure, source, what) if is_slice else None


def _moved(failure: Failure, source: Event, position: int, what: str, taken: str, again: str) -> Finding:
    """A call came between that may move the packet."""
    call = failure.flow.instruction(position).name
    return Finding(
        f"{what} is no longer valid here: {call}() may have moved the packet",
        failure.path(
            failure.at(source.position, taken),
            failure.at(position, f"{call}() may move the packet: pointers into it, and checks of them, end"),
            failure.at(failure.position, "the old pointer is used"),
        ),
        f"After {call}() {again}",
        category="stale-packet-pointer",
    )


def _overwritten(failure: Failure, source: Event, what: str) -> Finding | None:
    """The dynptr of which it is a slice was written to, or given to what may write it."""
    flow = failure.flow
    dynptr = flow.value(1, source.position)
    start = dynptr.number("off") if dynptr is not None and dynptr.type == "fp" else None
    if start is None:
        return None
    frame = flow.steps[source.position].frame
    for position in range(failure.position - 1, source.position, -1):
        does = flow.instruction(position)
        if flow.steps[position].frame != frame:
            continue
        stores = does.kind == "store" and does.base == FRAME_POINTER and start <= does.offset < start + _DYNPTR
        is_call = does.kind in {"call", "subprogram"}
        if stores or (is_call and any(_is_at(failure, number, position, start) for number in range(1, 6))):
            return Finding(
                f"{what} is no longer valid here: its dynptr was set anew or written over",
                failure.path(
                    failure.at(source.position, f"{source.instruction.name}() gives it"),
                    failure.at(position, "the dynptr is written here: what was taken of it before ends"),
                    failure.at(failure.position, "it is used again"),
                ),
                f"Use {what} only before the dynptr is written, or call {source.instruction.name}() again after it.",
                category="use-after-release",
            )
    return None


def _is_at(failure: Failure, register: int, position: int, offset: int) -> bool:
    value = failure.flow.value(register, position)
    return value is not None and value.type == "fp" and value.number("off") == offset


def _holds(failure: Failure, position: int, register: int | None, kind: str) -> bool:
    """Whether a step gave a register a pointer of some kind; by its state, or by what the line says."""
    after = failure.flow.steps[position].after
    if after:
        return re.search(rf"\bR{register}(_\w+)?={kind}\(", after) is not None
    place = failure.place(position)
    return place is not None and re.search(r"->data\b|->data_end\b|data_meta", place.text) is not None
