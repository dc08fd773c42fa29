"""What provokes the events that BCC's tools are for: each a small thing, done again and again by a child of the run.

Used by `tests/bcc/all`: `python workloads.py NAME` does it until it is ended. Everything stays on this machine: files
are in a folder of its own, traffic is on loopback.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

FILE = Path(tempfile.gettempdir()) / "skep-workload"
_LIBC = ctypes.CDLL(None, use_errno=True)


def opens() -> None:
    """Opens a file, reads and writes it, and one that is not there."""
    FILE.write_bytes(b"x" * 100_000)
    FILE.read_bytes()
    with contextlib.suppress(OSError):
        Path("/no/such/file").read_bytes()


def executes() -> None:
    """Starts a program, which ends."""
    subprocess.run(["/bin/true", "one", "two"], check=True)


def kills() -> None:
    """Sends a signal."""
    with subprocess.Popen(["/bin/sleep", "5"]) as child:
        os.kill(child.pid, signal.SIGTERM)


def removes() -> None:
    """Makes a file, writes to it, renames and removes it."""
    path = FILE.with_suffix(".gone")
    path.write_bytes(b"x" * 5000)
    path.rename(FILE.with_suffix(".moved"))
    FILE.with_suffix(".moved").unlink()


def stats() -> None:
    """Asks for a file, and for a file system."""
    os.stat(FILE.parent)
    with contextlib.suppress(OSError):
        os.stat("/no/such/file")
    os.statvfs("/tmp")


def syncs() -> None:
    """Writes what is in memory."""
    os.sync()


def connects() -> None:
    """Connects to a server of its own, talks to it, and closes; and one that nobody listens for."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        with peer:
            client.sendall(b"x" * 10_000)
            peer.recv(10_000, socket.MSG_WAITALL)
            peer.sendall(b"y" * 3000)
            client.recv(3000, socket.MSG_WAITALL)
            time.sleep(0.01)
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", 9)).close()


def mounts() -> None:
    """Mounts a file system, in a namespace of its own, and unmounts it."""
    folder = FILE.with_suffix(".mount")
    folder.mkdir(exist_ok=True)
    script = f"mount -t tmpfs none {folder} && umount {folder}"
    subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True)


def threads() -> None:
    """Starts a thread, which waits for a lock."""
    lock = threading.Lock()
    lock.acquire()
    thread = threading.Thread(target=lambda: lock.acquire(timeout=0.05))
    thread.start()
    thread.join()


def spins() -> None:
    """Needs the CPU for a while; two at a time, they wait for each other."""
    with subprocess.Popen([sys.executable, "-c", "for i in range(2_000_000): pass"]):
        for _ in range(2_000_000):
            pass


def shares() -> None:
    """Makes shared memory, and removes it."""
    number = _LIBC.shmget(0, 4096, 0o1600)
    address = _LIBC.shmat(number, None, 0o10000)
    if address != -1:
        _LIBC.shmdt(ctypes.c_void_p(address))
    _LIBC.shmctl(number, 0, None)


def passes() -> None:
    """Sends a descriptor to another socket."""
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right, open("/dev/null", "rb") as file:
        socket.send_fds(left, [b"x"], [file.fileno()])
        _, fds, _, _ = socket.recv_fds(right, 10, 1)
        for fd in fds:
            os.close(fd)


def resolves() -> None:
    """Looks up a name."""
    with contextlib.suppress(OSError):
        socket.getaddrinfo("localhost", 80)


def allocates() -> None:
    """Takes memory, and touches it."""
    with mmap.mmap(-1, 64 << 20) as memory:
        for place in range(0, len(memory), 4096):
            memory[place] = 1


def shells() -> None:
    """Types a line into a shell."""
    import pty

    child, terminal = pty.fork()
    if not child:
        os.execv("/bin/bash", ["bash", "--norc", "-i"])
    time.sleep(0.3)
    os.write(terminal, b"echo workload\nexit\n")
    with contextlib.suppress(OSError):
        while os.read(terminal, 4096):
            pass
    os.close(terminal)
    os.waitpid(child, 0)


def disks() -> None:
    """Writes to a disk, which is a file, and reads from it past the cache."""
    disk = os.environ.get("SKEP_DISK", "")
    fd = os.open(disk, os.O_RDWR | os.O_DIRECT)
    with mmap.mmap(-1, 65536) as memory:
        os.pwritev(fd, [memory], 0)
        os.fsync(fd)
        os.preadv(fd, [memory], 65536)
    os.close(fd)


def files() -> None:
    """Works with a file of a file system on such a disk."""
    _works(Path(os.environ["SKEP_MOUNT"]) / "ext4" / "file")


def btrfs() -> None:
    """The same on btrfs."""
    _works(Path(os.environ["SKEP_MOUNT"]) / "btrfs" / "file")


def xfs() -> None:
    """The same on XFS."""
    _works(Path(os.environ["SKEP_MOUNT"]) / "xfs" / "file")


def _works(path: Path) -> None:
    with open(path, "wb") as file:
        file.write(b"x" * 1_000_000)
        file.flush()
        os.fsync(file.fileno())
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.read()


def secrets() -> None:
    """Talks TLS with itself over loopback."""
    folder, place = os.environ["SKEP_SECRETS"], "127.0.0.1:4433"
    files = ["-key", f"{folder}/key", "-cert", f"{folder}/certificate"]
    with subprocess.Popen(["openssl", "s_server", "-quiet", "-accept", place, *files]) as server:
        for _ in range(100):
            time.sleep(0.3)
            asked = b"the question of the workload\n"
            subprocess.run(["openssl", "s_client", "-connect", place], input=asked, check=False, capture_output=True)
        server.terminate()


def privileges() -> None:
    """Does what needs a capability."""
    os.chroot("/")
    _LIBC.setpriority(0, 0, -1)
    _LIBC.setpriority(0, 0, 0)


def collects() -> None:
    """Collects garbage."""
    gc.collect()


def reads() -> None:
    """Reads a file past the cache."""
    with open(os.path.realpath(sys.executable), "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.read(1 << 20)


def leaks() -> None:
    """Takes memory, and never gives it back."""
    for _ in range(100):
        _LIBC.malloc(1000)


def inverts() -> None:
    """Two locks, one in the other, both ways round, by two threads."""
    one, other = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)

    def both(first: object, second: object) -> None:
        _LIBC.pthread_mutex_lock(first)
        _LIBC.pthread_mutex_lock(second)
        _LIBC.pthread_mutex_unlock(second)
        _LIBC.pthread_mutex_unlock(first)

    for locks in ((one, other), (other, one)):
        thread = threading.Thread(target=both, args=locks)
        thread.start()
        thread.join()


def holds() -> None:
    """Holds a map."""
    attributes = struct.pack("5I", 2, 4, 4, 1, 0)  # BPF_MAP_TYPE_ARRAY, sizes of key and value, entries, flags
    fd = _LIBC.syscall(321, 0, attributes, len(attributes))  # bpf(BPF_MAP_CREATE), on x86-64
    time.sleep(5)
    os.close(fd)


def exhausts() -> None:
    """Takes more memory than a cgroup of its own may have."""
    group = Path("/sys/fs/cgroup/skep-workload")
    with contextlib.suppress(OSError):
        Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("+memory")
    group.mkdir(exist_ok=True)
    (group / "memory.max").write_text("20M")
    taken = f"open('{group}/cgroup.procs', 'w').write('0'); x = b'x' * (100 << 20)"
    subprocess.run([sys.executable, "-c", taken], check=False)
    group.rmdir()


def compacts() -> None:
    """Has the kernel put its free memory together."""
    Path("/proc/sys/vm/compact_memory").write_text("1")


def loses() -> None:
    """Talks to itself, in a network of its own that loses packets once there is a connection: that comes at once."""
    talk = """
import socket, subprocess
subprocess.run("ip link set lo up".split(), check=True)
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
subprocess.run("tc qdisc add dev lo root netem loss 40%".split(), check=True)
for _ in range(20):
    client.sendall(b"x" * 100_000); left = 100_000
    while left: left -= len(peer.recv(left))
"""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(["unshare", "--net", "python3", "-c", talk], check=False, timeout=10)


WORKLOADS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        opens,
        executes,
        kills,
        removes,
        stats,
        syncs,
        connects,
        mounts,
        threads,
        spins,
        shares,
        passes,
        resolves,
        allocates,
        shells,
        disks,
        files,
        secrets,
        privileges,
        collects,
        inverts,
        leaks,
        reads,
        holds,
        exhausts,
        compacts,
        loses,
        btrfs,
        xfs,
    )
}

if __name__ == "__main__":
    while True:
        WORKLOADS[sys.argv[1]]()
        time.sleep(0.1)
