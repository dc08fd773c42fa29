"""Attach by registering a struct of operations whose members are programs (struct_ops): congestion control, schedulers.

The struct is a variable in section ``.struct_ops`` or ``.struct_ops.link``, registered with its first program, and its
other programs with it. Where the kernel has links for structs, it goes with our process at the latest.

Minimum kernel: 5.6; a link of its own since 6.4. Source: kernel/bpf/bpf_struct_ops.c (bpf_struct_ops_link_create).
"""

from __future__ import annotations

import errno
import os

from skep._native import ffi, lib, messages
from skep.base.errors import NOT_PERMITTED, AttachError, UnsupportedError
from skep.kernel.features import privilege_error
from skep.kernel.link.common import Attachment, link_create

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from skep.base.errors import SkepError
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach", "map_flags"]

# BPF_F_LINK of enum bpf_map_flags: a struct that is registered by a link, not by being written.
_STRUCT_LINK = 1 << 13
_STRUCT_OPS = 44  # enum bpf_attach_type
_FENTRY = 24  # ... of which targets are functions


def map_flags(structs: Collection[str], read: Collection[str]) -> int:
    """The flags of the maps that structs of operations are: what a link registers goes with it, even if we are killed.

    Args:
        structs: the names of those that loaded programs are in.
        read: the names of what libbpf makes a map of.

    Raises:
        UnsupportedError: libbpf leaves a struct out.
    """
    for name in sorted(set(structs) - set(read)):
        raise UnsupportedError(
            f"libbpf {ffi.string(lib.libbpf_version_string()).decode()} does not read struct {name}: of the sections "
            ".struct_ops and .struct_ops.link it reads one",
            remedy='Put all structs into SEC(".struct_ops.link").',
        )
    return _STRUCT_LINK if _takes_links() else 0


def _takes_links() -> bool:
    """Whether this kernel has links for structs of operations."""
    found = lib.libbpf_find_vmlinux_btf_id(b"bpf_struct_ops_link_create", _FENTRY) >= 0
    messages()
    return bool(found)


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Registers the struct of a program."""
    if program.struct is None:
        return Attachment()  # by the first program of its struct
    link = lib.bpf_map__attach_struct_ops(program.struct)
    number = ffi.errno
    messages()
    if link == ffi.NULL:
        raise _failure(program, number)
    map_ = lib.bpf_map__fd(program.struct)
    # libbpf before 1.3 only writes it: what it calls a link is the map.
    if lib.bpf_link__fd(link) != map_ or not _takes_links():
        return Attachment(link)
    lib.bpf_link__destroy(link)
    messages()
    try:
        fd = link_create(map_, 0, _STRUCT_OPS)
    except OSError as error:
        raise _failure(program, error.errno or 0) from None
    return Attachment(fds=(fd,))


def _failure(program: Program, number: int) -> SkepError:
    what = f"struct {program.spec.struct}"
    if number in NOT_PERMITTED:
        return privilege_error(f"registering {what}", "CAP_NET_ADMIN")
    # Structs for tests of the kernel's own are loaded, and run by their tests alone.
    if number == errno.EOPNOTSUPP:
        return UnsupportedError(f"this kernel registers no struct of the type of {program.spec.struct}")
    if number == errno.EEXIST:
        from skep.kernel.holders import structs

        others = structs(lib.bpf_map__fd(program.struct))
        told = f"; of its type there is {' and '.join(others)}" if others else ""
        return AttachError(f"{what} cannot be registered: one of its name is registered already{told}", number)
    reasons = {
        errno.EBUSY: "it is registered already",
        errno.EINVAL: "the kernel finds it incomplete or wrong",
    }
    return AttachError(f"{what} cannot be registered: {reasons.get(number, os.strerror(number))}", number)
