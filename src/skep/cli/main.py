"""Finds the verb, runs it, and turns errors into one message and an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from io import TextIOWrapper

from skep.base.errors import MORE_DESCRIPTORS, NO_DESCRIPTORS, SkepError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["VERBS", "main"]

VERBS = {
    "run": "run a kernel file and show what it sees",
    "record": "run a kernel file and keep what it sees in a file",
    "replay": "show a recording as if its records came now",
    "query": "ask a recording in SQL",
    "unpin": "remove what run --pin has pinned",
    "build": "compile a kernel file to an object that runs without a compiler",
    "check": "tell of each program whether the kernel takes it, and what that costs",
    "feature": "tell what this kernel has for eBPF, found by trying",
    "info": "tell what a kernel file is, without loading it",
    "new": "start a kernel file that runs at once",
    "tools": "list the tools that come with skep, or show the page of one",
    "bcc": "run a BCC script as it is, without BCC and without kernel headers",
    "guard": "learn how a program behaves, and tell when it behaves otherwise",
    "doctor": "tell what skep needs of this machine, and what of it is there",
    "completion": "print what makes a shell complete all this",
}
"""The verbs, each a module of its name, and what they do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs skep.

    Args:
        arguments: the command line without the program's name; None for the process's own.

    Returns:
        The exit code: 0 fine, 1 the program failed, 2 wrong usage, 3 not permitted or not supported here.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None:
        # Started with a closed standard output.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    try:
        if not given or given[0] in {"-h", "--help"}:
            _help()
            return 0
        if given[0] not in VERBS:
            raise UsageError(f"there is no verb {given[0]!r}", remedy=f"The verbs are: {', '.join(VERBS)}.")
        if os.isatty(2):
            from skep.base.progress import tell

            tell()
        # What a traced process chose is shown in any locale; what that cannot write is escaped.
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        code = _module(given[0], ours=arguments is None).main(given[1:])
        sys.stdout.flush()
    except SkepError as error:
        sys.stderr.write(_complaint(error))
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _drop_output()
        return 0
    except OSError as error:
        # Ours have their own kinds (SkepError): this is the disk, or standard output.
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        remedy = f"{MORE_DESCRIPTORS}\n" if error.errno in NO_DESCRIPTORS else ""
        sys.stderr.write(f"skep: {where}{error.strerror or error}\n{remedy}")
        return 1
    except KeyboardInterrupt:
        return 130
    return int(code)


def _module(verb: str, *, ours: bool) -> ModuleType:
    """What runs a verb. Ctrl-C meanwhile ends skep at once: in the midst of an import, an exception may get lost.

    No garbage is looked for meanwhile, which would take a tenth of a start, nor ever in what was imported.
    """
    ended_by_us = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ended_by_us:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    collects = gc.isenabled()
    gc.disable()
    try:
        return import_module(f"skep.cli.{verb}")
    finally:
        # Of whoever calls this within a program of his own, nothing is frozen.
        if ours:
            gc.freeze()
        if collects:
            gc.enable()
        if ended_by_us:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _complaint(error: SkepError) -> str:
    """What is said of an error: what has a place is shown in its source."""
    shown = [found for found in error.diagnostics if found.severity == "error"]
    if not shown:
        return f"skep: {error}\n" + (f"{error.remedy}\n" if error.remedy else "")
    from skep.view.diagnostic import diagnostic_lines

    title = error.message.partition("\n")[0]
    lines = [_seen_from_here(line) for found in shown for line in diagnostic_lines(found)]
    # Of one that is about a single place, that is all that there is to say.
    if shown[0].message == error.message:
        lines[0] = f"skep: {lines[0]}"
    else:
        lines.insert(0, f"skep: {title}")
    if error.remedy and not any(found.suggestion for found in shown):
        lines += ["instead:", *(f"  {line}" for line in error.remedy.splitlines())]
    return "\n".join(lines) + "\n"


def _seen_from_here(line: str) -> str:
    """A line that begins with a file: one in the current folder, or below it, is told as the user would."""
    try:
        return line.removeprefix(f"{os.getcwd()}/")
    except FileNotFoundError:
        return line


def _drop_output() -> None:
    """Standard output has failed: what is still to be written would fail, and be complained of, again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _help() -> None:
    verbs = "\n".join(f"  {verb:12}{text}" for verb, text in VERBS.items())
    sys.stdout.write(
        "Write only the kernel side: skep runs eBPF kernel files.\n\n"
        "  skep run opensnoop -- ls /      what does ls open?\n"
        "  skep run opensnoop -p 1234      what does a running process open?\n"
        "  skep run my.bpf.c -o json       any kernel file, one JSON object a line\n\n"
        f"{verbs}\n\nskep VERB --help tells more of a verb, skep run SOURCE --help of a kernel file.\n"
    )
