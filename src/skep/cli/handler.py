"""`--run`: a command gets each alarm as its input, beside the watch, which goes on meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time
from queue import SimpleQueue
from threading import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Handler"]

# Seconds that the command may take to read an alarm; and, when the watch ends, all that still wait.
_PATIENCE = 5.0


class Handler:
    """Runs a command for each alarm, one after the other. That it fails or takes long is told, and ends nothing.

    Args:
        command: the program and its arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._waiting: SimpleQueue[str] = SimpleQueue()
        self._until = float("inf")
        self._thread = Thread(target=self._work)
        self._thread.start()

    def take(self, text: str) -> None:
        """Has the command read an alarm, when it has read those before it."""
        self._waiting.put(text)

    def close(self) -> None:
        """Waits for the command, but not for long: of what it did not get it is told how much."""
        self._until = time.monotonic() + _PATIENCE
        self._waiting.put("")
        self._thread.join()

    def _work(self) -> None:
        left = 0
        while text := self._waiting.get():
            if time.monotonic() < self._until:
                self._run(text)
            else:
                left += 1
        if left:
            self._tell(f"{left} alarms were not handed over; skep guard explain shows them")

    def _run(self, text: str) -> None:
        try:
            done = subprocess.run(self._command, input=text, text=True, timeout=_PATIENCE, stdout=2, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            self._tell(str(error))
        else:
            if done.returncode:
                self._tell(f"ends with status {done.returncode}")

    def _tell(self, what: str) -> None:
        sys.stderr.write(f"skep: --run {self._command[0]}: {what}\n")
