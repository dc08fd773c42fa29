"""`Tree`: the tasks that descend from a command or a running process, followed in the kernel.

A program on the fork of every task (scope.bpf.c) enters a child before it first runs, so nothing it does is missed. The
map of ids is read by skep to filter events, and by kernel files that include skep.h to filter before any work.

Minimum kernel: 5.5 (tp_btf). Source: kernel/fork.c (trace_sched_process_fork).
"""

from __future__ import annotations

import os

from skep._native import ffi, lib
from skep.base.closing import Closing
from skep.base.errors import LoadError, UnsupportedError, UsageError
from skep.kernel.btf import build
from skep.kernel.object import Object
from skep.spec.objectspec import TREE, ObjectSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Tree", "check_namespace"]

_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scope.bpf.c")
# The pid namespace in which the kernel counts (include/linux/proc_ns.h, PROC_PID_INIT_INO).
_INITIAL_NAMESPACE = "pid:[4026531836]"


def check_namespace(instead: str = "") -> None:
    """Refuses where process ids are not those that the kernel reports.

    Args:
        instead: what else may be done, behind a semicolon.

    Raises:
        UnsupportedError: skep runs in a container.
    """
    if os.readlink("/proc/self/ns/pid") != _INITIAL_NAMESPACE:
        raise UnsupportedError(
            "skep runs in a container: the process ids that it sees are not those that the kernel reports",
            remedy=f"Run it on the host, or in a container with --pid=host{instead}.",
        )


class Tree(Closing):
    """A process tree, followed from now to `close`: a context manager.

    Args:
        btf: path of the kernel's BTF; None for /sys/kernel/btf/vmlinux.

    Raises:
        UnsupportedError: skep runs in a container, where process ids are not those that the kernel reports.
        PrivilegeError, BtfError, LoadError: as for any object.
    """

    def __init__(self, *, btf: str | None = None) -> None:
        check_namespace("; or trace everything with --system")
        self._object = Object(ObjectSpec.read(build(_SOURCE, btf=btf), "scope.bpf.o"), btf=btf)
        self._links = None
        try:
            self._links = self._object.attach()
        except BaseException:
            self.close()
            raise
        self.fd = self._object.maps[TREE].fd

    def close(self) -> None:
        """Stops following."""
        if self._links is not None:
            self._links.close()
            self._links = None
        self._object.close()

    def add(self, pid: int) -> None:
        """Enters a process with all its threads; those of its children that live already stay outside.

        Raises:
            UsageError: there is no such process.
        """
        self._enter(pid, pid)
        # A thread that starts now is entered by its parent, which the line above made ours.
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except FileNotFoundError:
            raise UsageError(f"there is no process {pid}") from None
        for thread in threads:
            self._enter(int(thread), pid)

    def _enter(self, thread: int, process: int) -> None:
        key, value = ffi.new("uint32_t *", thread), ffi.new("uint32_t *", process)
        if lib.bpf_map_update_elem(self.fd, key, value, 0):
            raise LoadError(f"process {process} cannot be followed: {os.strerror(ffi.errno)}", ffi.errno)

    def __contains__(self, number: int) -> bool:
        """Is that thread or process id in the tree?"""
        return not lib.bpf_map_lookup_elem(self.fd, ffi.new("uint32_t *", number), ffi.new("uint32_t *"))

    def living(self) -> list[int]:
        """The processes of the tree that have not ended."""
        return sorted(pid for pid in set(self._processes()) if os.path.exists(f"/proc/{pid}"))

    @property
    def missed(self) -> int:
        """Tasks that were not followed, because the tree has more than 16,384."""
        return int(self._object.variables["missed"].value)

    def _processes(self) -> Iterable[int]:
        key, following, value = ffi.NULL, ffi.new("uint32_t *"), ffi.new("uint32_t *")
        while not lib.bpf_map_get_next_key(self.fd, key, following):
            if not lib.bpf_map_lookup_elem(self.fd, following, value):
                yield value[0]
            key = ffi.new("uint32_t *", following[0])
