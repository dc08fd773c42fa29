"""What is not the program's fault: the kernel lacks a type, a helper, a function or an instruction."""

from __future__ import annotations

import re

from skep.kernel.verifier.failure import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from skep.kernel.verifier.failure import Failure
    from skep.kernel.verifier.flow import Flow

    # The members of a structure, by its name; or the names of all structures, for "".
    Types = Callable[[str], Collection[str]]

__all__ = ["core_relocation", "missing_function", "missing_type", "release_of_function", "release_of_helper", "too_old"]

# The number of the first helper that each release brought (enum bpf_func_id, include/uapi/linux/bpf.h).
_HELPERS = (
    (156, "5.11"),
    (163, "5.12"),
    (164, "5.13"),
    (166, "5.14"),
    (169, "5.15"),
    (176, "5.16"),
    (180, "5.17"),
    (186, "5.18"),
    (194, "5.19"),
    (204, "6.0"),
    (208, "6.1"),
    (210, "6.2"),
    (212, "a later release"),
)
# The release that brought functions of the kernel (kfuncs), by how their names begin.
_FUNCTIONS = (
    ("bpf_task_from_vpid", "6.13"),
    ("bpf_task_", "6.2"),
    ("bpf_cgroup_", "6.2"),
    ("bpf_rcu_read_", "6.2"),
    ("bpf_obj_new", "6.2"),
    ("bpf_obj_drop", "6.2"),
    ("bpf_list_", "6.2"),
    ("bpf_cast_to_kern_ctx", "6.2"),
    ("bpf_rdonly_cast", "6.2"),
    ("bpf_cpumask_", "6.3"),
    ("bpf_rbtree_", "6.3"),
    ("bpf_dynptr_from_", "6.4"),
    ("bpf_dynptr_slice", "6.4"),
    ("bpf_iter_num_", "6.4"),
    ("bpf_refcount_acquire", "6.4"),
    ("bpf_dynptr_", "6.5"),
    ("bpf_iter_task_vma_", "6.7"),
    ("bpf_iter_", "6.7"),
    ("bpf_throw", "6.7"),
    ("bpf_percpu_obj_", "6.7"),
    ("bpf_xdp_metadata_rx_", "6.3"),
    ("bpf_xdp_get_xfrm_state", "6.8"),
    ("bpf_skb_ct_", "6.0"),
    ("bpf_xdp_ct_", "6.0"),
    ("bpf_ct_", "6.0"),
    ("bpf_arena_", "6.9"),
    ("bpf_preempt_", "6.10"),
    ("bpf_wq_", "6.10"),
    ("bpf_session_", "6.10"),
    ("bpf_crypto_", "6.10"),
    ("bpf_get_task_exe_file", "6.12"),
    ("bpf_get_file_xattr", "6.8"),
    ("bpf_path_d_path", "6.12"),
    ("bpf_put_file", "6.12"),
    ("bpf_copy_from_user_str", "6.12"),
    ("bpf_local_irq_", "6.14"),
    ("bpf_res_spin_", "6.15"),
    ("bpf_strcmp", "6.17"),
    ("bpf_str", "6.17"),
)
# A call that libbpf has found no target for.
_UNRESOLVED = "call #0"
_MISSING = re.compile(r"(struct|union|enum) (\w+)(?:(?:\.|::)(\w+))?")


def release_of_helper(number: int) -> str | None:
    """The Linux release that brought a helper; None for those that are older than 5.11.

    Args:
        number: of enum bpf_func_id.
    """
    return next((release for first, release in reversed(_HELPERS) if number >= first), None)


def release_of_function(name: str) -> str | None:
    """The Linux release that brought a function of the kernel, as far as it is known.

    Args:
        name: of the kfunc.
    """
    return next((release for beginning, release in _FUNCTIONS if name.startswith(beginning)), None)


def too_old(failure: Failure) -> Finding:
    """The kernel does not know a helper, or an instruction."""
    missing = missing_function(failure.flow)
    if missing is not None:
        return _without_function(failure, missing)
    number = re.search(r"unknown#(\d+)|invalid func \w+#(\d+)", failure.said)
    call = re.search(r"\b(bpf_\w+)\s*\(", failure.text)
    path = failure.path(failure.at(failure.position, "called here") if failure.flow.steps else None)
    if "not eliminated" in failure.said:
        return Finding(
            "the program calls a function that this kernel does not have",
            path,
            "Test for it first, so that the call is left out: if (bpf_ksym_exists(function))",
        )
    if number is None:
        return Finding(
            "this kernel does not know an instruction of the program",
            path,
            "Compile for an older instruction set: -mcpu=v3 (Linux 5.12) or -mcpu=v2 (4.14).",
        )
    which = int(number[1] or number[2])
    release = release_of_helper(which)
    name = f"{call[1]}()" if call is not None else f"helper {which}"
    since = f": Linux {release} brought it" if release else ""
    return Finding(
        f"this kernel has no {name}{since}",
        path,
        f"Use a kernel from Linux {release} on, or ask for it at run time, where the call then is left out:\n"
        f"if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_{(call[1] if call else 'bpf_name')[4:]}))"
        if release
        else "Leave the call out.",
    )


def missing_function(flow: Flow) -> int | None:
    """The step that calls a weak function of the kernel (kfunc) that is not there, if there is one.

    Args:
        flow: the path.
    """
    return next((position for position, step in enumerate(flow.steps) if step.text == _UNRESOLVED), None)


def _without_function(failure: Failure, position: int) -> Finding:
    place = failure.place(position)
    match = re.search(r"\b(bpf_\w+)\s*\(", place.text) if place is not None else None
    name = match[1] if match is not None else "function"
    release = release_of_function(name)
    since = f": Linux {release} brought it" if release else ""
    return Finding(
        f"this kernel has no {name}(){since}",
        failure.path(failure.at(position, "called here, though it is not there")),
        f"Test for it first, so that the call is left out:\nif (bpf_ksym_exists({name}))",
        position=position,
    )


def core_relocation(failure: Failure, types: Types | None) -> Finding:
    """The kernel lacks a type, member or function that the program was compiled with."""
    match = _MISSING.search(next((line for line in failure.log.messages if "failed to resolve" in line), ""))
    if match is None:
        function = re.search(r"kfunc reference> .*?(\w+)", failure.said)
        name = function[1] if function else None
        return Finding(
            f"this kernel has no function {name}"
            if name
            else "this kernel lacks a type or member that the program uses",
            suggestion="Test for it first: bpf_core_field_exists(), bpf_core_type_exists(), bpf_ksym_exists() leave "
            "the code out.",
            word=name,
        )
    kind, name, member = match.groups()
    lacks_type = types is not None and kind == "struct" and not types(_flavourless(name))
    message, suggestion = missing_type(kind, name, "" if lacks_type else member or "", types)
    return Finding(message, suggestion=suggestion, word=member or name)


def missing_type(kind: str, name: str, member: str, types: Types | None) -> tuple[str, str]:
    """What to say of a type or member that a kernel lacks: the message, and what to write instead.

    Args:
        kind: ``struct``, ``union`` or ``enum``.
        name: of the type.
        member: of it; "" where it is the type that is missing.
        types: what the kernel's types have, to name what is nearest.
    """
    theirs = _flavourless(name)
    candidates = _nearest(theirs, member, types)
    if member and kind == "enum":
        missing = f"this kernel's enum {theirs} has no {member}"
        test = f"if (bpf_core_enum_value_exists(enum {name}, {member}))"
    elif member:
        missing = f"this kernel's {kind} {theirs} has no member {member}"
        test = f"if (bpf_core_field_exists((({kind} {name} *)0)->{member}))"
    else:
        missing = f"this kernel has no {kind} {theirs}"
        test = f"if (bpf_core_type_exists({kind} {name}))"
    near = f"{candidates} " if candidates else ""
    return missing, f"{near}Read it only where it is there, and what takes its place elsewhere:\n{test}"


def _flavourless(name: str) -> str:
    """A type's name in the kernel: what comes after ___ tells apart those of the program (libbpf's "flavors")."""
    return name.partition("___")[0]


def _nearest(name: str, member: str | None, types: Types | None) -> str:
    if types is None:
        return ""
    from difflib import get_close_matches

    found = get_close_matches(member or name, types(name if member else ""), 3)
    return f"The nearest that it has: {', '.join(found)}." if found else ""
