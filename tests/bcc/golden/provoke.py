"""What the recorded tools see: `provoke.py NAME` says that it is there, waits for a line, does it, waits to be ended.

Each does the same every time: names, sizes, counts and results are part of what was recorded.
"""

from __future__ import annotations

import contextlib
import os
import pty
import socket
import subprocess
import sys
import threading
from pathlib import Path

NAME = "golden"


def executes() -> None:
    """Starts programs."""
    subprocess.run(["/bin/true", "one", "two words"], check=True)
    subprocess.run(["/bin/false"], check=False)
    subprocess.run(["/bin/sh", "-c", "exit 3"], check=False)


def syncs() -> None:
    """Writes what is in memory."""
    os.sync()
    os.sync()


def calls() -> None:
    """Makes system calls."""
    for _ in range(7):
        os.getppid()
    for _ in range(3):
        with contextlib.suppress(OSError):
            os.unlink("/no/such/file")
    os.getpriority(os.PRIO_PROCESS, 0)


def resolves() -> None:
    """Looks up names that need no network."""
    for name in ("localhost", "127.0.0.1"):
        socket.getaddrinfo(name, 80)


def threads() -> None:
    """Starts a thread."""
    thread = threading.Thread(target=os.getppid)
    thread.start()
    thread.join()


def types() -> None:
    """Types a line into a shell."""
    child, terminal = pty.fork()
    if not child:
        os.execv("/bin/bash", ["bash", "--norc", "-i"])
    os.write(terminal, b"echo golden\nexit\n")
    with contextlib.suppress(OSError):
        while os.read(terminal, 4096):
            pass
    os.close(terminal)
    os.waitpid(child, 0)


if __name__ == "__main__":
    action = globals()[sys.argv[1]]
    Path("/proc/self/comm").write_text(NAME)
    sys.stdout.write("here\n")
    sys.stdout.flush()
    sys.stdin.readline()
    action()
    sys.stdin.readline()
