"""Annotations: `/// @word argument` in the doc comments of a kernel file.

Those of eunomia-bpf work as they stand:

    program   @tchook {"ifindex": 1, "attach_point": "BPF_TC_INGRESS"}   @tcopts {"handle": 1, "priority": 1}
              @ifindex 1   @flags 0   @xdpopts {"old_prog_fd": 0}
    map       @sample {"interval": 1000, "type": "log2_hist", "unit": "us", "clear_map": true}
              @intepreter {"stack_trace": {...}}  (so spelt there)
    variable  @cmdarg {"default": 0, "short": "p", "long": "pid", "help": "..."}
    any       @description TEXT   @brief TEXT   @details TEXT   @version TEXT

skep's own:

    program   @oneof GROUP    of the programs of a group one is attached: the first that this kernel takes
              @optional       left out, with a line that says so, where it cannot be attached
              @required       an error, where its hook is missing
    map       @event TYPE     the type of the records that it carries; several for several types
    field     @format WORD    what its values mean: a word of `skep.base.meaning`
    variable  @format WORD    the same

A word stands at the start of a line; its argument is the rest of the line. A JSON object may reach further, and so may
TEXT, which ends where the next word stands. In a comment of `///` lines an unknown word is an error; one between `/**`
and `*/` may hold those of other tools.
"""

from __future__ import annotations

import json
import re

from skep.base.errors import Diagnostic, ObjectFormatError
from skep.base.meaning import MEANINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["Note", "mistake", "read_note"]

# What an argument has to be: by word, for each kind of declaration.
_OBJECT, _NUMBER, _NAME = "a JSON object", "a number", "a name"
_NOTHING, _TEXT, _MEANING = "nothing", "text", "a meaning"
_KNOWN: Mapping[str, Mapping[str, str]] = {
    "program": {
        "tchook": _OBJECT,
        "tcopts": _OBJECT,
        "xdpopts": _OBJECT,
        "ifindex": _NUMBER,
        "flags": _NUMBER,
        "oneof": _NAME,
        "optional": _NOTHING,
        "required": _NOTHING,
    },
    "map": {"event": _TEXT, "sample": _OBJECT, "intepreter": _OBJECT},
    "variable": {"cmdarg": _OBJECT, "format": _MEANING},
    "field": {"format": _MEANING},
}
# What documentation generators know (Doxygen): words of the text.
_HELP = ("description", "brief", "details")
_PROSE = {*_HELP, "version", "param", "return", "returns", "note", "see", "file", "author", "copyright"}
_WORD = re.compile(r"^[ \t]*@(\w+)(?![\w:])[ \t]*", re.MULTILINE)


class Note:
    """The doc comment of one declaration.

    Args:
        text: what it says to people: the text before the annotations, and that of @description, @brief and @details.
        marks: the arguments of each annotation, as text, in the order of the comment.
    """

    __slots__ = ("marks", "text")

    def __init__(self, text: str, marks: Mapping[str, tuple[str, ...]]) -> None:
        self.text = text
        self.marks = marks

    def value(self, word: str) -> Any:
        """The argument of an annotation that stands once: what its JSON holds, or its text; None if it is not there."""
        arguments = self.marks.get(word)
        return None if arguments is None else _value(arguments[-1])

    def object(self, word: str) -> Mapping[str, Any]:
        """The JSON object of an annotation; empty if it is not there.

        Raises:
            ObjectFormatError: the argument is something else.
        """
        found = self.value(word)
        if found is not None and not isinstance(found, dict):
            raise ObjectFormatError(f"the annotation @{word} takes {_OBJECT}, not {found!r}", remedy="Build it again.")
        return found or {}


def read_note(comment: str) -> Note:
    """Takes a doc comment apart.

    Args:
        comment: without the signs that make it a comment.
    """
    parts = _WORD.split(comment)
    marks: dict[str, tuple[str, ...]] = {}
    texts = [parts[0].strip()]
    for word, rest in zip(parts[1::2], parts[2::2], strict=True):
        argument, text = (rest.strip(), "") if word in _PROSE else _split(rest)
        marks[word] = (*marks.get(word, ()), argument)
        if word in _HELP:
            text = str(_value(argument))
        elif word in _PROSE and word != "version":
            text = f"{word}: {argument}"
        texts.append(text)
    return Note("\n".join(text for text in texts if text), marks)


def _split(text: str) -> tuple[str, str]:
    """The argument at the start of a text, and what stands behind it."""
    end = text.find("\n") if "\n" in text else len(text)
    if text.startswith(("{", "[")):
        from contextlib import suppress

        # Where it is no JSON, the rest of the line is what `mistake` complains of.
        with suppress(ValueError, RecursionError):
            _, end = json.JSONDecoder().raw_decode(text)
    return text[:end].strip(), text[end:].strip()


def mistake(note: Note, kind: str) -> Diagnostic | None:
    """What is wrong with the annotations of a declaration, if anything is.

    Args:
        note: its doc comment.
        kind: ``program``, ``map``, ``variable`` or ``field``.
    """
    for word, arguments in note.marks.items():
        if word in _PROSE:
            continue
        takes = _KNOWN[kind].get(word)
        if takes is None:
            return _unknown(word, kind)
        for argument in arguments:
            if not _fits(argument, takes):
                message = f"@{word} takes {takes}, not {argument!r}"
                near = f"The meanings are: {', '.join(sorted(MEANINGS))}." if takes == _MEANING else None
                return Diagnostic("annotation", "error", message, suggestion=near)
    return None


def _unknown(word: str, kind: str) -> Diagnostic:
    from difflib import get_close_matches

    homes = [home for home, words in _KNOWN.items() if word in words]
    if homes:
        message = f"@{word} says nothing of a {kind}"
        return Diagnostic("annotation", "error", message, suggestion=f"It belongs before a {' or a '.join(homes)}.")
    near = get_close_matches(word, [*_KNOWN[kind], *_PROSE], 1)
    known = ", ".join(f"@{each}" for each in _KNOWN[kind])
    remedy = f"Did you mean @{near[0]}?" if near else f"Those of a {kind} are: {known}."
    return Diagnostic("annotation", "error", f"there is no annotation @{word}", suggestion=remedy)


def _value(argument: str) -> Any:
    try:
        return json.loads(argument)
    except (ValueError, RecursionError):
        return argument


def _fits(argument: str, takes: str) -> bool:
    value = _value(argument)
    if takes == _OBJECT:
        return isinstance(value, dict)
    if takes == _NUMBER:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32
    if takes == _NAME:
        return re.fullmatch(r"\w+", argument) is not None
    if takes == _NOTHING:
        return not argument
    if takes == _MEANING:
        return argument in MEANINGS
    return bool(argument)
