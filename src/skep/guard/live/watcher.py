"""`Watcher`: the kernel's half of the guard: loads watch.bpf.c with what profiles know, and reads what it reports.

Minimum kernel: 5.12 (task storage in tracing programs). Source: kernel/bpf/bpf_task_storage.c, kernel/bpf/bpf_lsm.c.
"""

from __future__ import annotations

import os

import numpy as np

from skep.base.abi.syscalls import syscalls
from skep.base.errors import UsageError
from skep.guard.behaviour import PASSED, UNKNOWN, WAITS, encode
from skep.guard.fingerprints import LINE, fingerprints, place
from skep.guard.items import POWERS
from skep.kernel.command import open_process
from skep.kernel.held import Held
from skep.kernel.scope import check_namespace
from skep.session.api import compile  # noqa: A004 - skep.compile
from skep.stream.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from skep.kernel.link import Links
    from skep.session.loaded import Object
    from skep.stream.batch import Batch

    Array = np.ndarray[Any, Any]

__all__ = ["Subject", "Watcher"]

_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "watch.bpf.c")
_CODES = UNKNOWN + 1
# Calls of which the kernel tells what they are for: of memory only if it is executable, of what is sent only if it says
# to whom.
_TOLD = (
    "open creat openat openat2 truncate unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat chmod "
    "fchmodat chown lchown fchownat mknod mknodat rmdir connect bind socket clone prctl kill tgkill"
)
_TOLD_IF_EXECUTABLE = ("mmap", "mprotect")
_TOLD_IF_ADDRESSED = ("sendto", "sendmsg", "sendmmsg")
_BY_PROCESS, _BY_FILE, _BY_CGROUP = 1, 2, 3


class Subject:
    """Who is watched: a process, whoever executes a file, or who is in a cgroup; and all that they start.

    Args:
        pid: of a running process.
        exe: path of an executable: those that run it, and those that will.
        cgroup: path of a cgroup's folder, with the cgroups in it.

    Raises:
        UsageError: there is no such process, file or cgroup, or not one of the three is given.
    """

    def __init__(self, *, pid: int | None = None, exe: str = "", cgroup: str = "") -> None:
        if (pid is not None) + bool(exe) + bool(cgroup) != 1:
            raise UsageError("a subject is one process, one executable or one cgroup")
        if pid is not None:
            os.close(open_process(pid))
        self.pid, self.exe, self.cgroup = pid, exe, cgroup
        try:
            self.key = self.find()
        except OSError as error:
            raise UsageError(
                f"{exe or cgroup}: {error.strerror}", remedy="The path of an executable, or of a cgroup's folder."
            ) from None

    def __str__(self) -> str:
        return f"process {self.pid}" if self.pid is not None else self.exe or self.cgroup

    def find(self) -> tuple[int, int, int]:
        """What the kernel knows it by now: number, device, and which of the three it is.

        Raises:
            OSError: it is not there now.
        """
        if self.pid is not None:
            return self.pid, 0, _BY_PROCESS
        if self.cgroup:
            return os.stat(self.cgroup).st_ino, 0, _BY_CGROUP
        found = os.stat(self.exe)
        # The kernel writes a device in other bits than stat(2) does (include/linux/kdev_t.h, MKDEV).
        return found.st_ino, os.major(found.st_dev) << 20 | os.minor(found.st_dev), _BY_FILE


class Watcher(Held):
    """Programs that watch, in the kernel: a context manager. What is to be watched is watched once it is made.

    Args:
        known: for each profile, the keys of the sequences that it has learned.
        subjects: who is watched, by which profile.
        btf: path of the kernel's BTF; None for /sys/kernel/btf/vmlinux.

    Raises:
        UnsupportedError: in a container, too: the ids of its processes are not the kernel's.
        PrivilegeError, BtfError, LoadError: as for any object.
    """

    def __init__(
        self, known: Sequence[Array], subjects: Iterable[tuple[Subject, int]], *, btf: str | None = None
    ) -> None:
        self._links: Links | None = None
        self._object: Object | None = None
        self._reader: Reader | None = None
        self._places: list[tuple[Subject, int, tuple[int, int, int] | None]] = []
        try:
            self._open(known, subjects, btf)
        except BaseException:
            self._release()
            raise
        self._hold()

    def _open(self, known: Sequence[Array], subjects: Iterable[tuple[Subject, int]], btf: str | None) -> None:
        check_namespace()
        spec = compile(_SOURCE, btf=btf)
        spec.variables["calls"].value = _table(os.uname().machine)
        spec.variables["compat_codes"].value = _compat(os.uname().machine)
        spec.variables["guard"].value = os.getpid()
        spec.variables["seed"].value = int.from_bytes(os.urandom(8), "little") | 1
        salts = [int.from_bytes(os.urandom(8), "little") for _ in known]
        tables = [place(fingerprints(keys, salt)) for keys, salt in zip(known, salts, strict=True)]
        table = np.concatenate(tables)
        self._object = spec.load(btf=btf, sizes={"lines": len(table), "profiles": len(known)})
        lines = self._object.maps["lines"]
        lines.write_array(np.arange(len(table), dtype=np.uint32), table.view([("prints", np.uint64, LINE)])[:, 0])
        profiles = self._object.maps["profiles"]
        rows = np.zeros(len(known), profiles.to_array()[1].dtype)
        rows["salt"] = salts
        rows["first"] = np.cumsum([0, *map(len, tables[:-1])])
        rows["mask"] = [len(each) - 1 for each in tables]
        profiles.write_array(np.arange(len(known), dtype=np.uint32), rows)
        whose = list(subjects)
        for subject, number in whose:
            self._object.maps["subjects"][subject.key] = number
        self._reader = Reader(self._object)
        self._links = self._object.attach()
        # What runs already is found by a walk over all tasks, once new ones are seen.
        self._walk()
        # From here on a process of that number is another one.
        for subject, _ in whose:
            if subject.pid is not None:
                del self._object.maps["subjects"][subject.key]
        # Of executables and cgroups, what the kernel knows them by; None while they are not there.
        self._places = [(each, number, each.key) for each, number in whose if each.pid is None]

    def _walk(self) -> None:
        assert self._object is not None
        assert self._links is not None
        for _ in self._object.walk(self._links):
            pass

    def follow(self) -> None:
        """Looks whether paths lead elsewhere: an upgrade replaces an executable, a restart makes a cgroup anew.

        Who runs there by now is watched from here on, and no longer who gets the old one's number.
        """
        self.check()
        assert self._object is not None
        moved = False
        for index, (subject, number, before) in enumerate(self._places):
            try:
                now = subject.find()
            except OSError:
                now = None
            if now == before:
                continue
            if before is not None:
                self._object.maps["subjects"].pop(before, None)
            if now is not None:
                self._object.maps["subjects"][now] = number
                moved = True
            self._places[index] = subject, number, now
        if moved:
            self._walk()

    def _told(self) -> str:
        return "Watcher"

    def _release(self) -> None:
        for part in (self._links, self._reader, self._object):
            if part is not None:
                part.close()
        self._links = self._reader = self._object = None

    def watch(self, fd: int) -> None:
        """Wakes `batches` when a file descriptor becomes readable."""
        assert self._reader is not None
        self._reader.watch(fd)

    def batches(self, timeout: float | None, ended: Callable[[], bool] = lambda: False) -> Iterator[Batch]:
        """What the kernel reports, as it comes, until so many seconds have passed or the end has come.

        Args:
            timeout: in seconds; None for none.
            ended: asked whenever something came, or a watched file descriptor became readable.
        """
        self.check()
        assert self._reader is not None
        return self._reader.batches(timeout, ended)

    @property
    def memory(self) -> int:
        """Bytes of the table of sequences."""
        self.check()
        assert self._object is not None
        return int(self._object.maps["lines"].info.memory)

    def watched(self) -> int:
        """How many threads are watched now: a walk over all tasks counts them."""
        self.check()
        assert self._object is not None
        seen = self._object.variables["seen"]
        # Who is begun behind the walk by one that ends ahead of it is found by a second one.
        for _ in range(2):
            seen.value = 0
            self._walk()
            if seen.value:
                break
        return int(seen.value)

    def counts(self) -> list[Any]:
        """Of each profile: sequences ``unseen``, reports ``untold``, ``calls`` of ended threads, ``unwatched`` tasks.

        Reports that were held back, or found no room, are two numbers: of sequences, and of what calls are for.
        """
        self.check()
        assert self._object is not None
        return list(self._object.maps["profiles"].values())


def _table(machine: str) -> bytes:
    """By code, what becomes of a call: see NOTHING in watch.bpf.c."""
    table = bytearray(_CODES)
    numbers = {name: number for number, name in syscalls(machine).items()}
    told = ([*_TOLD.split(), *POWERS], _TOLD_IF_EXECUTABLE, _TOLD_IF_ADDRESSED)
    for how, names in enumerate((PASSED, WAITS, *told), 1):
        for name in names:
            if name in numbers:
                table[encode(numbers[name])] = how
    return bytes(table)


def _compat(machine: str) -> bytes:
    """By the code of a 32-bit program's call, that of the call of that name; of 32-bit arm none is known."""
    numbers = {name: number for number, name in syscalls(machine).items()}
    names = syscalls("i386") if machine == "x86_64" else {}
    codes = [encode(numbers.get(names.get(code - 1, ""), -1)) for code in range(_CODES)]
    return np.array(codes, np.uint16).tobytes()
