"""Work in a process of its own, because it may end the process that it runs in.

libclang does: where a source nests so deep that its stack is too short, no error comes back.
"""

from __future__ import annotations

import os
from contextlib import suppress

from skep.base import errors
from skep.base.errors import Diagnostic, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any, Self, TextIO

__all__ = ["Apart"]

_NO_MORE = "\n"


class Apart:
    """A process that does work for this one. It starts when it is asked to, or with its first work.

    Args:
        prepare: what it does first: it does that while we go on.
        crashed: makes the error to raise from the number of the signal that ended it.
    """

    def __init__(self, prepare: Callable[[], object], crashed: Callable[[int], SkepError]) -> None:
        self._prepare = prepare
        self._crashed = crashed
        self._pid = 0
        self._works = False
        # Each line of one is a piece of work; of the other, what came of it.
        self._work: TextIO | None = None
        self._answers: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Has it begin to prepare itself, if it has not."""
        if self._pid:
            return
        import signal

        work, send_work = os.pipe()
        answers, send_answers = os.pipe()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            # No handler of ours may run in the child: it would unwind our stack there, or act for us.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            self._pid = os.fork()
            if self._pid == 0:
                os.close(send_work)
                os.close(answers)
                _child(self._prepare, work, send_answers, mask)
            self._work = open(send_work, "w", encoding="ascii")  # noqa: SIM115 - until it is closed
            self._answers = open(answers, encoding="ascii")  # noqa: SIM115
        except OSError:  # there is no room for another process
            os.close(send_work)
            os.close(answers)
            raise
        finally:
            os.close(work)
            os.close(send_answers)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns, or raises, there.

        Args:
            function: of a module. It returns what JSON can carry; text may hold bytes that are not UTF-8, as
                surrogates.
            arguments: for it, which JSON can carry.

        Raises:
            SkepError: as the function does; or that of `crashed`.
        """
        import json

        self.start()
        assert self._work is not None
        assert self._answers is not None
        self._works = True
        try:
            json.dump([function.__module__, function.__name__, arguments], self._work)
            self._work.write("\n")
            self._work.flush()
        except BrokenPipeError:
            pass  # It has ended: no answer comes.
        answer = self._answers.readline()
        if not answer.endswith("\n"):
            status = self._end()
            if status < 0:
                raise self._crashed(-status)
            raise RuntimeError("work in a process of its own failed: see above")
        self._works = False
        kind, content = json.loads(answer)
        if kind:
            diagnostics = [Diagnostic(**diagnostic) for diagnostic in content.pop("diagnostics")]
            raise getattr(errors, kind)(**content, diagnostics=diagnostics)
        return content

    def close(self) -> None:
        """Ends it, whatever it does."""
        if not self._pid:
            return
        if self._works:
            os.kill(self._pid, 9)
        elif self._work is not None:
            # Said, and not by the end of the pipe: who was forked meanwhile has it, too.
            self._work.write(_NO_MORE)
        self._end()

    def _end(self) -> int:
        """Lets go of a process, which ends where it has not yet, and gives its status."""
        for file in (self._work, self._answers):
            # What was not read goes with it.
            with suppress(BrokenPipeError):
                if file is not None:
                    file.close()
        pid, self._pid, self._works = self._pid, 0, False
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _child(prepare: Callable[[], object], receive: int, send: int, mask: Collection[int]) -> None:
    """Does what it is given until nothing more comes.

    It answers each time with [name of an error or "", what was returned, or what the error says].
    """
    status = 1
    try:
        import json
        import signal
        from importlib import import_module

        # Ctrl-C comes to both. libclang would go on to its end before Python heard of it.
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        unprepared = None
        try:
            prepare()
        except SkepError as error:
            unprepared = error
        with open(receive, encoding="ascii") as work, open(send, "w", encoding="ascii") as answers:
            for line in work:
                if line == _NO_MORE:
                    break
                module, name, arguments = json.loads(line)
                try:
                    if unprepared is not None:
                        raise unprepared
                    answer = ["", getattr(import_module(module), name)(*arguments)]
                except SkepError as error:
                    said = [{name: getattr(each, name) for name in Diagnostic.__slots__} for each in error.diagnostics]
                    told = {"message": error.message, "remedy": error.remedy, "diagnostics": said}
                    answer = [type(error).__name__, told]
                json.dump(answer, answers)
                answers.write("\n")
                answers.flush()
        status = 0
    except BaseException:  # noqa: BLE001 - a mistake of ours, told before the process ends
        import traceback

        traceback.print_exc()
    finally:
        # Nothing of what the parent does at its end is ours to do.
        os._exit(status)
