"""Chooses among programs that are there for the same: a kernel function or a tracepoint, hooked in different kinds.

fentry and fexit come before kprobe and kretprobe, tp_btf before raw_tp: they are cheaper, and typed. Which of them
this kernel takes is decided before anything is loaded, by trial, since libbpf refuses a whole object when the function
of one fentry program is missing.

Programs that share a map are one family and use one kind: an entry that one kind records is not left to another kind's
return. A map that only carries records to user space ties nobody. Programs without a rival stay.
"""

from __future__ import annotations

import os

from skep._native import ffi, lib, messages
from skep.spec.objectspec import TREE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from skep.spec.objectspec import ObjectSpec, ProgramSpec

__all__ = ["left_out"]

# Kinds of sections, better ones first: (the better, the other).
_RIVALS = (({"fentry", "fexit"}, {"kprobe", "kretprobe"}), ({"tp_btf"}, {"raw_tp", "raw_tracepoint"}))
# enum bpf_prog_type and bpf_attach_type, include/uapi/linux/bpf.h
_PROG_TYPE_TRACING = 26
_ATTACH_TYPES = {"tp_btf": 23, "fentry": 24, "fexit": 25}
# r0 = 0; exit: what every one of these hooks accepts.
_TRIAL = bytes.fromhex("b7000000000000009500000000000000")


def left_out(
    spec: ObjectSpec, without: Collection[str] = (), *, why_not: Callable[[str, str], str] | None = None
) -> Mapping[str, str]:
    """The programs that are not to be loaded, each with the reason.

    Args:
        spec: the object.
        without: programs that the user does not want.
        why_not: why this kernel takes no program of a kind on a target, "" if it does; None: it is tried.
    """
    tried = why_not or _why_not
    reasons = dict.fromkeys(without, "not wanted")
    hooks = {name: _hook(program) for name, program in spec.programs.items() if name not in reasons}
    for better, other in _RIVALS:
        for family in _families(spec, hooks, better, other):
            first = [name for name in family if hooks[name][0] in better]
            second = [name for name in family if hooks[name][0] in other]
            why = next((why for name in first if (why := tried(*hooks[name]))), "")
            for name in first if why else second:
                reasons[name] = why or f"in favour of {', '.join(first)}"
    return reasons


def _hook(program: ProgramSpec) -> tuple[str, str]:
    """(kind, target) of a section: ``fentry.s/do_unlinkat`` is a fentry on do_unlinkat."""
    kind, _, target = program.section.partition("/")
    return kind.partition(".")[0], target


def _families(
    spec: ObjectSpec, hooks: Mapping[str, tuple[str, str]], better: Collection[str], other: Collection[str]
) -> list[list[str]]:
    """Programs that have a rival, tied by what they hook and by the maps that they share."""
    contested = {target for kind, target in hooks.values() if kind in better}
    contested &= {target for kind, target in hooks.values() if kind in other}
    # These tie nobody: maps that only carry records, and the one that every file with skep.h shares.
    loose = {name for name, map_ in spec.maps.items() if map_.is_stream} | {TREE}
    families: list[tuple[list[str], set[str]]] = []
    for name, (kind, target) in hooks.items():
        if target not in contested or kind not in {*better, *other}:
            continue
        names, ties = [name], {target, *(spec.programs[name].symbols & spec.maps.keys() - loose)}
        for family in [family for family in families if family[1] & ties]:
            families.remove(family)
            names = family[0] + names
            ties |= family[1]
        families.append((names, ties))
    return [names for names, _ in families]


def _why_not(kind: str, target: str) -> str:
    """Loads a program that does nothing, on that target."""
    number = lib.libbpf_find_vmlinux_btf_id(target.encode(), _ATTACH_TYPES[kind])
    messages()
    if number < 0:
        return f"this kernel has no {target} for {kind}"
    options = ffi.new("struct bpf_prog_load_opts *")
    options.sz = ffi.sizeof("struct bpf_prog_load_opts")
    options.expected_attach_type = _ATTACH_TYPES[kind]
    options.attach_btf_id = number
    instructions = ffi.cast("struct bpf_insn *", ffi.from_buffer(_TRIAL))
    fd = lib.bpf_prog_load(_PROG_TYPE_TRACING, b"trial", b"GPL", instructions, len(_TRIAL) // 8, options)
    messages()
    if fd < 0:
        return f"this kernel takes no {kind} programs ({os.strerror(-fd)})"
    os.close(fd)
    return ""
