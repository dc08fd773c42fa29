"""Runs work in a process of its own, because it may end the process that it runs in.

libclang does: where a source nests so deep that its stack is too short, no error comes back.
"""

from __future__ import annotations

import os

from skep.base import errors
from skep.base.errors import Diagnostic, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

__all__ = ["apart"]


def apart(work: Callable[[], Any], crashed: Callable[[int], SkepError]) -> Any:
    """What some work returns, or raises.

    Args:
        work: returns what JSON can carry; text may hold bytes that are not UTF-8, as surrogates.
        crashed: makes the error to raise from the number of the signal that ended the work.

    Raises:
        SkepError: as the work does; or that of `crashed`.
    """
    import json
    import signal

    receive, send = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # No handler of ours may run in the child: it would unwind our stack there, or act for us.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pid = os.fork()
        if pid == 0:
            _child(work, receive, send, mask)
    except BaseException:
        os.close(receive)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise
    finally:
        os.close(send)
    try:
        with open(receive, encoding="ascii") as file:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            text = file.read()
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        raise crashed(-status)
    if status:
        raise RuntimeError("work in a process of its own failed: see above")
    kind, content = json.loads(text)
    if kind:
        diagnostics = [Diagnostic(**diagnostic) for diagnostic in content.pop("diagnostics")]
        raise getattr(errors, kind)(**content, diagnostics=diagnostics)
    return content


def _child(work: Callable[[], Any], receive: int, send: int, mask: Collection[int]) -> None:
    """Answers with [name of an error or "", what was returned, or what the error says], and ends."""
    status = 1
    try:
        import json
        import signal

        os.close(receive)
        # Ctrl-C comes to both. libclang would go on to its end before Python heard of it.
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            answer = ["", work()]
        except SkepError as error:
            said = [{name: getattr(each, name) for name in Diagnostic.__slots__} for each in error.diagnostics]
            answer = [type(error).__name__, {"message": error.message, "remedy": error.remedy, "diagnostics": said}]
        with open(send, "w", encoding="ascii") as file:
            json.dump(answer, file)
        status = 0
    except BaseException:  # noqa: BLE001 - a mistake of ours, told before the process ends
        import traceback

        traceback.print_exc()
    finally:
        # Nothing of what the parent does at its end is ours to do.
        os._exit(status)
