"""What the recorded tools see: `provoke.py NAME` says that it is there, waits for a line, does it, waits to be ended.

Each does the same every time: names, sizes, counts and results are part of what was recorded.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

NAME = "golden"
_LIBC = ctypes.CDLL(None, use_errno=True)


def opens() -> None:
    """Opens what is there, and what is not; makes a file."""
    for path, flags in (("/no/such/file", os.O_RDONLY), ("/etc/hostname", os.O_RDONLY), ("/", os.O_WRONLY)):
        with contextlib.suppress(OSError):
            os.close(os.open(path, flags))


def executes() -> None:
    """Starts programs."""
    subprocess.run(["/bin/true", "one", "two words"], check=True)
    subprocess.run(["/bin/false"], check=False)
    subprocess.run(["/bin/sh", "-c", "exit 3"], check=False)


def kills() -> None:
    """Sends signals, one of them to nobody."""
    os.kill(os.getpid(), 0)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGUSR1)
    with contextlib.suppress(ProcessLookupError):
        os.kill(4194303, signal.SIGTERM)


def stats() -> None:
    """Asks for what is there, and for what is not."""
    for path in ("/etc/hostname", "/no/such/file"):
        with contextlib.suppress(OSError):
            os.stat(path)


def syncs() -> None:
    """Writes what is in memory."""
    os.sync()
    os.sync()


def removes() -> None:
    """Makes a file and removes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "golden-file"
        path.write_bytes(b"x" * 5000)
        path.unlink()


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


def connects() -> None:
    """Connects to itself, over IPv4 and IPv6, and to where nobody listens."""
    for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
        with (
            socket.create_server((host, 4711), family=family) as server,
            socket.create_connection(server.getsockname()) as client,
        ):
            server.accept()[0].close()
            client.recv(1)
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", 9)).close()


def shares() -> None:
    """Makes shared memory, and removes it."""
    number = _LIBC.shmget(0, 8192, 0o1600)
    _LIBC.shmat.restype = ctypes.c_void_p
    _LIBC.shmdt(ctypes.c_void_p(_LIBC.shmat(number, None, 0o10000)))
    _LIBC.shmctl(number, 0, None)


def privileges() -> None:
    """Does what needs capabilities."""
    os.chroot("/")
    _LIBC.setpriority(0, 0, -1)


def mounts() -> None:
    """Mounts a file system, in a namespace of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = f"exec 2>/dev/null; mount -t tmpfs -o size=1m golden {folder}; umount {folder}"
        subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", command], check=True)


def passes() -> None:
    """Sends a descriptor to another socket."""
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right, open("/dev/null", "rb") as file:
        socket.send_fds(left, [b"x"], [file.fileno()])
        for fd in socket.recv_fds(right, 10, 1)[1]:
            os.close(fd)


if __name__ == "__main__":
    action = globals()[sys.argv[1]]
    Path("/proc/self/comm").write_text(NAME)
    sys.stdout.write("here\n")
    sys.stdout.flush()
    sys.stdin.readline()
    action()
    sys.stdin.readline()
