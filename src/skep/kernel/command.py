"""`Command`: a program to trace, forked at once, started only when everything is attached.

The child waits on a pipe, so that its process id is known before anything is loaded. It does not outlive skep: where
skep has no time to end it (SIGKILL, a second Ctrl-C), the kernel kills it, unless it executes a program that is setuid
or has capabilities of its own. What it started itself lives on, as at any end.

Source: pidfd_open(2), execve(2), PR_SET_PDEATHSIG(2const).
"""

from __future__ import annotations

import os
import select
import signal

from skep._native import ffi, lib
from skep.base.closing import Closing
from skep.base.errors import UsageError
from skep.kernel.privileges import inherit_nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Command", "has_ended", "open_process"]

_IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h


class Command(Closing):
    """A command, forked and stopped: a context manager that ends it if it still runs.

    The kernel kills it when the thread that made it ends: that thread must live as long as the command.

    Args:
        arguments: the program and its arguments.
        stdout: file descriptor that becomes its standard output.
        user: uid, gid to run as; None for our own. It has no capability that was given to skep alone.

    Raises:
        UsageError: there is no such program in PATH.

    `fd` is readable when it has ended.
    """

    def __init__(self, arguments: Sequence[str], *, stdout: int, user: tuple[int, int] | None = None) -> None:
        self.arguments = arguments
        program = _find(arguments[0])
        go, self._go = os.pipe()
        failed, fail = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._go)
            os.close(failed)
            _child(program, arguments, go, fail, stdout, user, parent)
        os.close(go)
        os.close(fail)
        self._failed = failed
        self.fd = os.pidfd_open(self.pid)
        self._poll = select.poll()
        self._poll.register(self.fd, select.POLLIN)
        self.status: int | None = None

    def start(self) -> None:
        """Lets it run.

        Raises:
            UsageError: there is no such program, or it cannot be executed.
        """
        go, self._go = self._go, -1
        try:
            os.write(go, b"\0")
        except BrokenPipeError:
            pass  # it has ended while it waited: it says why, or its status does
        finally:
            os.close(go)
        # The pipe closes by itself when the program is executed.
        reason = os.read(self._failed, 4096).decode("utf-8", "replace")
        if reason:
            self.wait()
            raise UsageError(f"{self.arguments[0]!r} cannot be executed: {reason}", remedy="A command follows --.")

    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status is not None or bool(self._poll.poll(0))

    def wait(self) -> int:
        """Waits for its end, and returns its exit status: negative for a signal."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def end(self) -> None:
        """Ends it if it still runs: SIGTERM, and ten seconds later SIGKILL."""
        if not self.ended():
            os.kill(self.pid, signal.SIGTERM)
            if not self._poll.poll(10_000):
                os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """Ends it if it still runs."""
        if self._go >= 0:
            # Never started: the end of the pipe tells it.
            os.close(self._go)
            self._go = -1
            self.wait()
        self.end()
        os.close(self.fd)
        os.close(self._failed)


def open_process(pid: int) -> int:
    """A file descriptor of a process that runs already, for `has_ended`; it is readable when the process has ended.

    Args:
        pid: of the process.

    Raises:
        UsageError: there is no such process, or it has ended, though its parent has not asked for its status yet.
    """
    try:
        fd = os.pidfd_open(pid)
    except (ProcessLookupError, OverflowError):
        raise UsageError(f"there is no process {pid}") from None
    except OSError:
        raise UsageError(f"{pid} is a thread, not a process", remedy=_of_process(pid)) from None
    if has_ended(fd):
        os.close(fd)
        raise UsageError(f"process {pid} has ended")
    return fd


def _of_process(thread: int) -> str | None:
    """A remedy: the process that a thread is one of; None if it has ended meanwhile."""
    try:
        with open(f"/proc/{thread}/status", encoding="utf-8", errors="replace") as file:
            process = next(line.split()[1] for line in file if line.startswith("Tgid:"))
    except OSError:
        return None
    return f"Its process: -p {process}"


def has_ended(fd: int) -> bool:
    """Whether the process of a file descriptor has ended."""
    waiting = select.poll()
    waiting.register(fd, select.POLLIN)
    return bool(waiting.poll(0))


def _find(name: str) -> str:
    """The program of that name. It is looked for here: a search by execvp(3) would be traced as the command's doing."""
    if "/" in name or not name:
        return name
    paths = [os.path.join(folder, name) for folder in os.get_exec_path()]
    found = next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)
    if found is None:
        raise UsageError(f"{name!r} cannot be executed: it is in no folder of PATH", remedy="A command follows --.")
    return found


def _child(
    program: str, arguments: Sequence[str], go: int, fail: int, stdout: int, user: tuple[int, int] | None, parent: int
) -> None:
    """Never returns: waits for the word, and becomes the command."""
    try:
        # As if it had been started by itself: Python ignores the first two, and we may catch the others.
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number in _IGNORED_BY_PYTHON or callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        # Before the word comes: from then on, what this process does is the command's.
        if user is not None:
            _become(*user)
        inherit_nothing()
        _end_with(parent)
        os.dup2(stdout, 1)
        if os.read(go, 1):
            os.execv(program, list(arguments))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent reports it, and the child ends here
        os.write(fail, (getattr(error, "strerror", None) or str(error)).encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _end_with(parent: int) -> None:
    """Lets the kernel kill this process when its parent has ended; to be said after its user has changed."""
    lib.syscall(lib.SYS_prctl, *(ffi.cast("long", number) for number in (_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)))
    if os.getppid() != parent:
        # It ended before this was said.
        os._exit(127)


def _become(uid: int, gid: int) -> None:
    import pwd

    try:
        entry = pwd.getpwuid(uid)
        os.initgroups(entry.pw_name, gid)
        os.environ |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    except KeyError:
        os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
