"""What the verbs' parsers share: a wrong option is an error of skep's own kind, with the nearest right one."""

from __future__ import annotations

import argparse
import os
import re

from skep.base.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

__all__ = ["EVENT", "Parser", "duration", "positive", "terminal_width"]

_LONGEST = 366 * 24 * 3600.0


def terminal_width() -> int:
    """The columns of the terminal on standard output: those that COLUMNS says, if it is set, and 80 if nobody knows.

    Raises:
        OSError: it is no terminal.
    """
    told = os.environ.get("COLUMNS", "")
    size = os.get_terminal_size(1).columns
    return (int(told) if told.isdecimal() else 0) or size or 80


class _Help(argparse.RawDescriptionHelpFormatter):
    """Takes the width from the terminal itself: argparse would import shutil for it (3 ms) with every option."""

    def __init__(self, prog: str) -> None:
        try:
            width = terminal_width() - 2
        except OSError:
            width = 100
        super().__init__(prog, max_help_position=32, width=width)


class _Events(argparse.Action):
    """Collects MAP=TYPE: the types of each map, in order."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - argparse calls it so
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        name, _, type_ = map(str.strip, str(values).partition("="))
        if not name or not type_:
            raise UsageError(f"{option_string} {values}: it takes MAP=TYPE", remedy="--event 'events=struct event'")
        known = getattr(namespace, self.dest)
        setattr(namespace, self.dest, {**known, name: [*known.get(name, []), type_]})


# What add_argument() takes for --event.
EVENT: Any = {
    "action": _Events,
    "default": {},
    "dest": "events",
    "metavar": "MAP=TYPE",
    "help": "the type of the records of a ring, where it cannot be told: 'events=struct event'",
}


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UsageError` and never guesses abbreviations.

    Args:
        verb: for the usage line.
        description: what the verb does.
        epilog: examples.
    """

    def __init__(self, verb: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"skep {verb}",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=_Help,
        )

    def error(self, message: str) -> NoReturn:
        """Raises the error that argparse would print."""
        raise UsageError(message, remedy=f"{self.prog} --help shows what it takes.")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parses all arguments; an unknown option comes back with the nearest known one."""
        parsed, unknown = self.parse_known_args(arguments)
        if unknown:
            raise self.unknown(unknown[0])
        return parsed

    def unknown(self, argument: str) -> UsageError:
        """The error for an argument that nothing takes."""
        from difflib import get_close_matches

        options = re.findall(r"--[\w-]+", self.format_help())
        near = get_close_matches(argument.partition("=")[0], options, 1)
        kind = "option" if argument.startswith("-") else "argument"
        return UsageError(
            f"there is no {kind} {argument}",
            remedy=f"Did you mean {near[0]}?" if near else f"{self.prog} --help shows what it takes.",
        )


def duration(text: str) -> float:
    """A span of time in seconds: ``10``, ``1.5``, ``500ms``, ``10s``, ``5m``, ``1h``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time such as 10s or 500ms")
    seconds = float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2] or "s"]
    if seconds > _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is more than a year")
    return seconds


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or len(text) > 10 or not 1 <= int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {(1 << 31) - 1}")
    return int(text)
