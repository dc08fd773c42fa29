"""The processes from one up to the first: who they are, while they live.

Source: proc_pid_stat(5), proc_pid_cmdline(5), time_namespaces(7).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["lineage"]

# Places in proc_pid_stat(5), counted from behind the name.
_PARENT, _STARTED = 1, 19
# Levels, and characters of a command line.
_MOST = 32
_LONGEST = 200


def lineage(pid: int, parent: int, comm: str, tid: int, born: int) -> list[dict[str, Any]]:
    """A process and those above it, the process first: pid, name, executable and command line.

    Args:
        pid: of the process.
        parent: its parent's, as it was when it was seen: the process may have ended.
        comm: its name then.
        tid: of the thread that was seen.
        born: when that was, in nanoseconds since the machine started: another one may have its number by now.
    """
    fields = _stat(tid)
    # In the clock's ticks, as the clock of whoever reads shows them.
    lives = len(fields) > _STARTED and int(fields[_STARTED]) == (born + _shift()) // (10**9 // os.sysconf("SC_CLK_TCK"))
    found = [{"pid": pid, "comm": comm, **(_described(pid) if lives else {"exe": "", "command": ""})}]
    number = (lives and _parent(pid)) or parent
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
    fields = _stat(pid)
    return int(fields[_PARENT]) if fields else 0


def _stat(pid: int) -> list[str]:
    """What follows a task's name in its line of numbers; nothing if it is gone."""
    # The name may hold anything, parentheses too.
    return _read(pid, "stat").rpartition(")")[2].split()


def _shift() -> int:
    """Nanoseconds by which this process's time namespace lies after the machine's start."""
    for line in _read(os.getpid(), "timens_offsets").splitlines():
        clock, seconds, nanoseconds = line.split()
        if clock == "boottime":
            return int(seconds) * 10**9 + int(nanoseconds)
    return 0


def _read(pid: int, file: str) -> str:
    try:
        with open(f"/proc/{pid}/{file}", encoding="utf-8", errors="backslashreplace") as opened:
            return opened.read()
    except OSError:
        return ""
