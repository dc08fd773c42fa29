"""What a call is for, as members of sets: files, how they are changed, peers, listening sockets, children, flags.

The same words for what recordings hold and for what the kernel reports of a watched process.
"""

from __future__ import annotations

from skep.base.abi.errnos import ERRNOS
from skep.guard.paths import general_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

__all__ = ["KINDS", "POWERS", "items_of"]

# Kind -> what it is, for people.
KINDS = {
    "path": "a file",
    "change": "how a file is changed",
    "child": "an executable",
    "peer": "whom it connects or sends to",
    "listen": "where it waits to be called",
    "arguments": "flags, protection, family, request",
    "call": "a call that gives or takes power",
}
# Calls of which the first one by a program that never made it is a fact of its own: credentials and capabilities, other
# processes, the kernel itself, mounts and namespaces, programs without a file.
POWERS = frozenset(
    [
        "setuid",
        "setgid",
        "setreuid",
        "setregid",
        "setresuid",
        "setresgid",
        "setfsuid",
        "setfsgid",
        "setgroups",
        "capset",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "bpf",
        "perf_event_open",
        "init_module",
        "finit_module",
        "delete_module",
        "kexec_load",
        "kexec_file_load",
        "mount",
        "umount2",
        "move_mount",
        "open_tree",
        "fsopen",
        "pivot_root",
        "chroot",
        "unshare",
        "setns",
        "memfd_create",
        "execveat",
        "userfaultfd",
        "keyctl",
        "add_key",
        "request_key",
        "iopl",
        "ioperm",
        "reboot",
        "swapon",
        "swapoff",
        "sethostname",
        "settimeofday",
        "clock_settime",
    ]
)
_CHANGES = {
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), "remove"),
    **dict.fromkeys(("rename", "renameat", "renameat2"), "rename"),
    **dict.fromkeys(("chmod", "fchmodat"), "mode of"),
    **dict.fromkeys(("chown", "lchown", "fchownat"), "owner of"),
    **dict.fromkeys(("truncate", "creat"), "empty"),
}
# include/uapi/asm-generic/fcntl.h: the same on all architectures of skep.
_WRITES, _EMPTIES, _APPENDS = 0o3, 0o1000, 0o2000


def items_of(event: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """The kind and value of each thing that a call was for.

    Args:
        event: with the fields of `BEHAVIOUR`, as far as they are known.
        name: of the call.
    """
    path = general_path(event.get("path") or "")
    if path:
        yield "path", path
        change = _opened(event.get("arguments", "")) if name in {"open", "openat"} else _CHANGES.get(name)
        if change:
            yield "change", f"{change} {path}"
    if event.get("child"):
        yield "child", general_path(event["child"])
    if event.get("peer"):
        yield "listen" if name == "bind" else "peer", event["peer"]
    if event.get("arguments"):
        yield "arguments", f"{name} {event['arguments']}"
    if event.get("ret", 0) < 0:
        yield "result", f"{name} {ERRNOS.get(-event['ret'], event['ret'])}"


def _opened(flags: str) -> str | None:
    """What becomes of a file that is opened with such flags, in hexadecimal; None if it is only read."""
    try:
        number = int(flags, 16)
    except ValueError:
        return None
    if not number & _WRITES:
        return None
    return "empty" if number & _EMPTIES else "append to" if number & _APPENDS else "write"
