"""Reads inputs in a process of its own, with bounds on time and memory, and tells which input it did not survive."""

from __future__ import annotations

import gc
import mmap
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator

from skep.base.errors import SkepError

# Of CPU time, so that a busy machine makes no input slow.
_SECONDS = 1.0
# Of the whole process, Python and libbpf included.
_MEMORY = 512 << 20
_LARGEST_INPUT = 64 << 20


class Find:
    """An input that a reader does not survive.

    Args:
        data: the input.
        reason: what happened: the traceback, or the signal.
    """

    def __init__(self, data: bytes, reason: str) -> None:
        self.data = data
        self.reason = reason

    @property
    def signature(self) -> str:
        """What tells one mistake from another: the kind of error and the last lines of code before it."""
        lines = [line.strip() for line in self.reason.splitlines()]
        places = [line for line in lines if line.startswith('File "')]
        return " < ".join([lines[-1].partition(":")[0], *reversed(places[-2:])])


class Worker:
    """A process that reads inputs one after the other."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 16 + _LARGEST_INPUT)

    @property
    def count(self) -> int:
        """How many inputs the last process has begun to read."""
        return int.from_bytes(self._shared[8:16], "little")

    def run(self, read: Callable[[bytes], None], inputs: Iterator[bytes]) -> Find | None:
        """Reads inputs until there are no more, or one is not survived: that one is returned.

        Args:
            read: the reader. It may raise a SkepError, and nothing else.
            inputs: made in the process that reads them.
        """
        receive, send = os.pipe()
        self._shared[8:16] = bytes(8)
        pid = os.fork()
        if pid == 0:
            os.close(receive)
            self._child(read, inputs, send)
        os.close(send)
        with open(receive, encoding="utf-8", errors="replace") as file:
            said = file.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == 0:
            return None
        if status < 0:
            name = signal.Signals(-status).name
            said += f"more than {_SECONDS} s" if -status == signal.SIGPROF else f"ended by {name}"
        said = said or f"ended with status {status}"
        size = int.from_bytes(self._shared[:8], "little")
        return Find(self._shared[16 : 16 + size], said)

    def _child(self, read: Callable[[bytes], None], inputs: Iterator[bytes], send: int) -> None:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            # What C writes as its last words (a sanitizer's finding) belongs to the reason.
            os.dup2(send, 2)
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            # What the readers before this one have left is no garbage of this one's: to look through it takes long.
            gc.freeze()
            for count, data in enumerate(inputs, 1):
                self._shared[16 : 16 + len(data)] = data
                self._shared[:16] = len(data).to_bytes(8, "little") + count.to_bytes(8, "little")
                signal.setitimer(signal.ITIMER_PROF, _SECONDS)
                try:
                    read(data)
                except SkepError as error:
                    _check(error, data)
                signal.setitimer(signal.ITIMER_PROF, 0)
            status = 0
        except BaseException:  # noqa: BLE001 - a find, whatever it is
            signal.setitimer(signal.ITIMER_PROF, 0)
            os.write(send, traceback.format_exc()[-4000:].encode("utf-8", "replace"))
        finally:
            sys.stdout.flush()
            os._exit(status)


def _check(error: SkepError, data: bytes) -> None:
    """An error can be shown: it is a sentence that a terminal can print, and quotes no more than there is."""
    for text in (str(error), error.remedy or ""):
        text.encode("utf-8", "surrogateescape")
        assert len(text) < 10_000 + 10 * len(data), f"an error of {len(text)} characters"
    assert str(error), "an error without words"
