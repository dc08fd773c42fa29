"""Runs BCC's scripts as they are: `import bcc` in them is answered by `skep.bcc`, whatever else is installed."""

from __future__ import annotations

import os
import select
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

from skep.base.errors import SkepError, SourceNotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from traceback import TracebackException
    from typing import Any

__all__ = ["run_script"]

_NAME, _OURS = "bcc", "skep.bcc"
_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = os.path.dirname(_HERE) + os.sep


class _Answers:
    """Finds skep's modules under BCC's names: the same modules, not copies.

    A finder and a loader without the classes of importlib.abc, whose import takes as long as all of this.
    """

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        if fullname.partition(".")[0] != _NAME:
            return None
        file = fullname.partition(".")[2]
        if file and not os.path.exists(os.path.join(_HERE, f"{file}.py")):
            raise ImportError(f"skep has no module {fullname} of BCC's", name=fullname)
        return ModuleSpec(fullname, self, is_package=not file)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(_OURS + spec.name.removeprefix(_NAME))
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It has been executed; what the import has made of its spec is undone.
        module.__spec__ = self._own


def run_script(path: str, arguments: Sequence[str], *, show: bool = False) -> int:
    """Runs a script in this process, as ``python script.py`` would.

    Args:
        path: of the script.
        arguments: its own.
        show: prints the C that its first text becomes, and ends there: nothing is loaded.

    Returns:
        Its exit code.

    Raises:
        SourceNotFoundError: it cannot be read.
        SkepError: what it raises of skep's errors.
        SystemExit: it ends so.
    """
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise SourceNotFoundError(f"{path} cannot be read: {error.strerror}") from error
    sys.meta_path.insert(0, _Answers())
    if show:
        from skep.bcc.shown import Shown

        import_module(_OURS).BPF = Shown  # type: ignore[attr-defined]
    main = ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"] = main
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    sys.argv = [path, *arguments]
    try:
        exec(compile(source, path, "exec"), main.__dict__)  # noqa: S102 - what it is for
    except SkepError:
        raise
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _is_unread():
            raise
        import traceback

        told = traceback.TracebackException.from_exception(error)
        _leave_out_ours(told)
        sys.stderr.write("".join(told.format()))
        return 1
    return 0


def _is_unread() -> bool:
    """Whether nobody reads our output any more: that is no mistake of the script's."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _leave_out_ours(told: TracebackException | None) -> None:
    """Leaves the frames of a script in what is told of an exception, and of those that led to it."""
    if told is not None:
        told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(_PACKAGE)]
        _leave_out_ours(told.__cause__)
        _leave_out_ours(told.__context__)
