"""Why an object was not loaded: what the messages of libbpf and of the verifier mean, and what to do.

Source: tools/lib/bpf/libbpf.c (bpf_object__load), which returns one errno for many causes.
"""

from __future__ import annotations

import errno
import os
import re

from skep.base.errors import (
    MORE_DESCRIPTORS,
    NO_DESCRIPTORS,
    BtfError,
    HookMissingError,
    LoadError,
    SkepError,
    UnsupportedError,
    VerifierError,
)
from skep.kernel.features import CONFIDENTIALITY, UNLOCK, lockdown, privilege_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from skep.spec.objectspec import ObjectSpec

__all__ = ["first_message", "not_loaded"]

# File descriptors that libbpf has open at once beside those of maps and programs, while it tries what the kernel can.
_TRIALS = 4
# What the verifier says of helpers that a locked down kernel does not have (kernel/trace/bpf_trace.c).
_LOCKED = re.compile(r"(?:unknown func|cannot use helper) (bpf_probe_(?:read|write)\w*)#")


def not_loaded(
    spec: ObjectSpec, number: int, log: str, verified: str, entries: Mapping[str, int], btf: str | None
) -> SkepError:
    """The error for an object that libbpf could not load.

    Args:
        spec: what it is.
        number: the errno.
        log: what libbpf said.
        verified: what the verifier said.
        entries: how large the maps were to be, by name.
        btf: path of the kernel's BTF; None for /sys/kernel/btf/vmlinux.
    """
    program = re.search(r"prog '(\w+)': BPF program load failed", log)
    section = spec.programs[program[1]].section if program and program[1] in spec.programs else ""
    what = f"program {program[1]} ({section})" if program else spec.name
    missing = re.search(r"failed to find kernel BTF type ID of '(\w+)'", log)
    extern = re.search(r"extern \((func|var) ksym\) '(\w+)': not found", log)
    struct = re.search(r"struct_ops init_kern: (struct \w+) is not found", log)
    member = re.search(r"struct_ops init_kern (\w+): Cannot find member (\w+) in kernel BTF", log)
    created = re.search(r"map '([^']+)': failed to create: |Error in bpf_create_map_xattr\(([^)]+)\)", log)
    no_btf = re.search(r"kernel BTF is missing|Error loading vmlinux BTF|failed to load BTF from|valid kernel BTF", log)
    # Without descriptors libbpf takes what it tries for missing in the kernel, and goes on without: without the map of
    # globals, say, which its words in the verifier's log tell. What is explained otherwise has another cause.
    rejected = program and verified and "is referenced but wasn't created" not in verified
    explained = number == errno.EPERM or rejected or extern or struct or member or missing or created
    if not explained and _lacks_descriptors(len(entries) + len(spec.programs) + _TRIALS):
        number = errno.EMFILE
    if number in NO_DESCRIPTORS:
        return LoadError(f"{what} cannot be loaded: {os.strerror(number)}", number, log=log, remedy=MORE_DESCRIPTORS)
    if program and verified and (number != errno.EPERM or re.search(r"processed \d+ insns", verified)):
        return _rejected(spec, program[1], number, verified, btf)
    if number == errno.EPERM:
        on_network = program and program[1] in spec.programs and spec.programs[program[1]].hook.on_network
        return privilege_error(f"loading {what}", *(["CAP_NET_ADMIN"] if on_network else []))
    if no_btf:
        return BtfError(
            "this kernel has no BTF (type information), which these programs need",
            remedy="Give the BTF of exactly this kernel with --btf FILE.",
        )
    if extern:
        used = f"function {extern[2]}, which the kernel file calls"
        read = f"variable {extern[2]}, which the kernel file reads"
        error = UnsupportedError(f"this kernel has no {used if extern[1] == 'func' else read}")
        return _located(error, spec, uses=extern[2])
    if struct:
        return HookMissingError(f"this kernel has no {struct[1]}, which the kernel file registers")
    if member:
        return HookMissingError(f"this kernel has no member {member[2]} in the type of struct {member[1]}")
    if missing:
        error = HookMissingError(f"this kernel has no {missing[1]}, which the kernel file attaches to")
        return _located(error, spec, refused[1] if (refused := re.search(r"prog '(\w+)': ", log)) else "")
    if created:
        name = created[1] or created[2]
        counted = f"{entries[name]} {'bytes' if spec.maps[name].is_ring else 'entries'}" if name in spec.maps else ""
        size = counted if entries.get(name) else ""
        message = f"map {name}{size and f' of {size}'} cannot be created: {os.strerror(number)}"
        # A ring of more than 2 GiB is an invalid one: its size is a power of two.
        too_large = number in {errno.E2BIG, errno.ENOMEM} or (number == errno.EINVAL and entries.get(name, 0) > 1 << 31)
        if number == errno.EINVAL and name in spec.maps and (missing_maps := _lacks_maps(spec.maps[name].type)):
            return UnsupportedError(f"map {name} cannot be created: this kernel has no {missing_maps}")
        remedy = f"Ask for fewer: --map {name}.max_entries=N." if too_large else None
        return LoadError(message, number, log=log, remedy=remedy)
    why = first_message(log) or os.strerror(number)
    failed = LoadError(f"{what} cannot be loaded: {why}", number, log=log + verified)
    return _located(failed, spec, program[1]) if program else failed


def _lacks_maps(type_: int) -> str:
    """What the maps of a type are, if this kernel has none of them; "" if it has."""
    from skep.base.abi.maps import MAP_TYPES
    from skep.kernel.probes import try_map
    from skep.kernel.releases import MAPS

    name = MAP_TYPES.get(type_, "")
    if name not in MAPS:
        return f"maps of type {type_}"
    try:
        try_map(name)
    except OSError:
        return f"maps of type {name} (Linux {MAPS[name].since})"
    return ""


def _located(error: SkepError, spec: ObjectSpec, program: str = "", *, uses: str = "") -> SkepError:
    from skep.kernel.diagnosis import locate

    locate(error, spec, program, uses=uses)
    return error


def _lacks_descriptors(needed: int) -> bool:
    """Whether this process may not have so many more file descriptors."""
    try:
        return os.sysconf("SC_OPEN_MAX") - len(os.listdir("/proc/self/fd")) < needed
    except OSError as error:
        return error.errno in NO_DESCRIPTORS


def _rejected(spec: ObjectSpec, program: str, number: int, log: str, btf: str | None) -> SkepError:
    """What the verifier says of a program."""
    from skep.kernel.btf import members
    from skep.kernel.verifier import CATEGORIES, explain
    from skep.spec.lines import source_lines

    section = spec.programs[program].section if program in spec.programs else ""
    lines = source_lines(spec.data, spec.name, program)
    try:
        found = explain(log, section=section, lines=lines, types=lambda name: members(name, btf))
    except SkepError:
        # To name what is nearest the kernel's types are written to the cache. Where that has no room, the rest is told.
        found = explain(log, section=section, lines=lines)
    if found.id == "capability":
        return privilege_error(f"loading program {program} ({section})")
    refused = _LOCKED.search(log)
    is_locked = refused is not None and lockdown() == CONFIDENTIALITY
    if refused is not None and is_locked:
        found.message = f"this kernel is locked down (confidentiality), and has no {refused[1]}()"
        found.suggestion = UNLOCK
    found.message = found.message or f"the kernel says no more than its errno: {number} ({os.strerror(number)})"
    message = f"program {program} cannot be loaded: the verifier rejects it\n{found}"
    error = VerifierError(message, number, log=log, remedy=found.suggestion, diagnostics=[found])
    if is_locked or CATEGORIES[found.id].is_lacking:
        # It is the kernel that lacks something.
        error.exit_code = UnsupportedError.exit_code
    return error


def first_message(log: str) -> str:
    """The first thing that libbpf said: what follows are its consequences.

    Args:
        log: all that it said.
    """
    lines = [line.removeprefix("libbpf: ") for line in log.splitlines() if line.startswith("libbpf: ")]
    lines = [line for line in lines if not line.startswith("elf: skipping")]
    return lines[0] if lines else ""
