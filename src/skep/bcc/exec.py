"""A command that waits until it is traced, as BCC's scripts import it from `bcc.exec`."""

from __future__ import annotations

import os
import signal

from skep.base.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cmd_exited", "cmd_ready", "run_cmd"]

# Of the commands that wait: what lets them go.
_waiting: dict[int, int] = {}


def run_cmd(command: Sequence[str]) -> int:
    """Starts a command, which waits until `cmd_ready` lets it go.

    Args:
        command: the program and its arguments.

    Returns:
        Its process id.
    """
    gate, opener = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(opener)
            os.read(gate, 1)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execvp(command[0], list(command))
        finally:
            os._exit(127)
    os.close(gate)
    _waiting[pid] = opener
    return pid


def cmd_ready(pid: int) -> None:
    """Lets a command go.

    Args:
        pid: from `run_cmd`.

    Raises:
        UsageError: none waits of that number.
    """
    opener = _waiting.pop(pid, None)
    if opener is None:
        raise UsageError(f"no command of process {pid} waits")
    os.close(opener)


def cmd_exited(pid: int) -> tuple[bool, int | None]:
    """Whether a command has ended, and its exit code.

    Args:
        pid: from `run_cmd`.
    """
    ended, status = os.waitpid(pid, os.WNOHANG)
    return (True, os.waitstatus_to_exitcode(status)) if ended else (False, None)
