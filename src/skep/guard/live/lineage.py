"""The processes from one up to the first: who they are, while they live.

Source: proc_pid_stat(5), proc_pid_cmdline(5).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["lineage"]

# Levels, and characters of a command line.
_MOST = 32
_LONGEST = 200


def lineage(pid: int, parent: int, comm: str) -> list[dict[str, Any]]:
    """A process and those above it, the process first: pid, name, executable and command line.

    Args:
        pid: of the process.
        parent: its parent's, as it was when it was seen: the process may have ended.
        comm: its name then.
    """
    found = [{"pid": pid, "comm": comm, **_described(pid)}]
    number = _parent(pid) or parent
    while number and len(found) < _MOST:
        found.append({"pid": number, "comm": _read(number, "comm").strip(), **_described(number)})
        number = _parent(number)
    return found


def _described(pid: int) -> dict[str, str]:
    try:
        exe = os.readlink(f"/proc/{pid}/exe")
    except OSError:  # of the kernel's own, or gone
        exe = ""
    return {"exe": exe, "command": _read(pid, "cmdline").replace("\0", " ").strip()[:_LONGEST]}


def _parent(pid: int) -> int:
    """A process's parent; 0 if it has none, or is gone."""
    # The name before it may hold anything, parentheses too.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _read(pid: int, file: str) -> str:
    try:
        with open(f"/proc/{pid}/{file}", encoding="utf-8", errors="backslashreplace") as opened:
            return opened.read()
    except OSError:
        return ""
