"""Annotations: `/// @word argument` in the doc comments of a kernel file.

Those of eunomia-bpf work as they stand:

    program   @tchook {"ifindex": 1, "attach_point": "BPF_TC_INGRESS"}   @tcopts {"handle": 1, "priority": 1}
              @ifindex 1   @flags 0   @xdpopts {"old_prog_fd": 0}
              @link false     loaded, and not attached
    map       @sample {"interval": 1000, "type": "log2_hist", "unit": "us", "clear_map": true}
              @intepreter {"stack_trace": {...}}  (so spelt there)
    variable  @cmdarg {"default": 0, "short": "p", "long": "pid", "help": "..."}
    any       @description TEXT   @brief TEXT   @details TEXT   @version TEXT

skep's own:

    program   @oneof GROUP    of the programs of a group one is attached: the first that this kernel takes
              @optional       left out, with a line that says so, where it cannot be attached
              @required       an error, where its hook is missing
              @event TYPE     the type of the records that it writes, for an iterator
    map       @event TYPE     the type of the records that it carries; several for several types
              @required       has to be filled (--fill, --cgroup), as a variable has to be set
    field     @format WORD    what its values mean: a word of `skep.base.meaning`
    variable  @format WORD    the same
              @required       has to be set, or the file is not loaded; a command or a process to trace will do as well

A word stands at the start of a line; its argument is the rest of the line. A JSON object may reach further, and so may
TEXT, which ends where the next word stands and may be a JSON string. In a comment of `///` lines an unknown word is an
error; one between `/**` and `*/` may hold those of other tools.
"""

from __future__ import annotations

import json
import re

from skep.base.errors import Diagnostic, ObjectFormatError
from skep.base.meaning import MEANINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

__all__ = ["Note", "known_words", "mistake", "read_note"]

# What an argument has to be: by word, for each kind of declaration.
_OBJECT, _NUMBER, _NAME, _BOOLEAN = "a JSON object", "a number", "a name", "true or false"
_NOTHING, _TEXT, _MEANING, _LETTER, _VALUE = "nothing", "text", "a meaning", "a letter", "a value"
_MAP = {"event": _TEXT, "sample": _OBJECT, "intepreter": _OBJECT, "required": _NOTHING}
_VARIABLE = {"cmdarg": _OBJECT, "format": _MEANING, "required": _NOTHING}
_KNOWN: Mapping[str, Mapping[str, str]] = {
    "program": {
        "tchook": _OBJECT,
        "tcopts": _OBJECT,
        "xdpopts": _OBJECT,
        "ifindex": _NUMBER,
        "flags": _NUMBER,
        "link": _BOOLEAN,
        "event": _TEXT,
        "oneof": _NAME,
        "optional": _NOTHING,
        "required": _NOTHING,
    },
    "map": _MAP,
    "variable": _VARIABLE,
    "field": {"format": _MEANING},
    # It may be declared together with a map or a variable, whose comment it then has.
    "struct": _MAP | _VARIABLE,
}
# What the members of an object have to be.
_MEMBERS: Mapping[str, Mapping[str, str | tuple[str, ...]]] = {
    "tchook": {"ifindex": _NUMBER, "attach_point": ("BPF_TC_INGRESS", "BPF_TC_EGRESS", "BPF_TC_CUSTOM")},
    "tcopts": {"handle": _NUMBER, "priority": _NUMBER},
    "xdpopts": {"old_prog_fd": _NUMBER},
    "sample": {
        "interval": _NUMBER,
        "type": ("log2_hist", "linear_hist", "default_kv"),
        "unit": _TEXT,
        "clear_map": _BOOLEAN,
    },
    "intepreter": {"stack_trace": _OBJECT},
    "cmdarg": {"default": _VALUE, "short": _LETTER, "long": _TEXT, "help": _TEXT},
}
# Words of the text: eunomia-bpf's, and those that documentation generators know (Doxygen).
_HELP = ("description", "brief", "details")
_PROSE = {*_HELP, "version", "param", "return", "returns", "retval", "note", "warning", "todo", "see", "sa", "since"}
_PROSE |= {"deprecated", "file", "author", "copyright"}
_WORD = re.compile(r"^[ \t]*@(\w+)(?![\w:])[ \t]*", re.MULTILINE | re.ASCII)


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
    marks: dict[str, list[str]] = {}
    texts = [parts[0].strip()]
    for word, rest in zip(parts[1::2], parts[2::2], strict=True):
        argument, text = (rest.strip(), "") if word in _PROSE else _split(rest)
        marks.setdefault(word, []).append(argument)
        if word in _HELP:
            value = _value(argument)
            text = value if isinstance(value, str) else argument
        elif word in _PROSE and word != "version":
            text = f"{word}: {argument}"
        texts.append(text)
    marked = {word: tuple(arguments) for word, arguments in marks.items()}
    return Note("\n".join(text for text in texts if text), marked)


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
        kind: ``program``, ``map``, ``variable``, ``field`` or ``struct``.
    """
    for word, arguments in note.marks.items():
        if word in _PROSE:
            continue
        takes = _KNOWN[kind].get(word)
        if takes is None:
            return _unknown(word, kind)
        for argument in arguments:
            wrong = _misfit(word, argument, takes)
            if wrong is not None:
                return wrong
    return None


def known_words(kind: str) -> Collection[str]:
    """The annotations of a kind of declaration, those that only describe it included.

    Args:
        kind: ``program``, ``map`` or ``variable``.
    """
    return [*_KNOWN[kind], *_HELP]


def _unknown(word: str, kind: str) -> Diagnostic:
    from difflib import get_close_matches

    homes = [home for home, words in _KNOWN.items() if word in words and home != "struct"]
    if homes:
        message = f"@{word} says nothing of a {kind}"
        return Diagnostic("annotation", "error", message, suggestion=f"It belongs before a {' or a '.join(homes)}.")
    near = get_close_matches(word, [*_KNOWN[kind], *_PROSE], 1)
    known = ", ".join(f"@{each}" for each in _KNOWN[kind])
    remedy = f"Did you mean @{near[0]}?" if near else f"Those of a {kind} are: {known}."
    return Diagnostic("annotation", "error", f"there is no annotation @{word}", suggestion=remedy)


def _misfit(word: str, argument: str, takes: str) -> Diagnostic | None:
    """What is wrong with an argument, if anything is."""
    # These are their text, whatever JSON would make of it.
    value: Any = argument if takes in {_TEXT, _NAME, _NOTHING, _MEANING} else _value(argument)
    if not _fits(value, takes):
        meanings = f"The meanings are: {', '.join(sorted(MEANINGS))}." if takes == _MEANING else None
        return Diagnostic("annotation", "error", f"@{word} takes {takes}, not {argument!r}", suggestion=meanings)
    for member, given in value.items() if takes == _OBJECT else ():
        wanted = _MEMBERS[word].get(member)
        if wanted is None:
            from difflib import get_close_matches

            near = get_close_matches(member, _MEMBERS[word], 1)
            remedy = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(_MEMBERS[word])}."
            return Diagnostic("annotation", "error", f"@{word} has no {member!r}", suggestion=remedy)
        if not _fits(given, wanted):
            what = wanted if isinstance(wanted, str) else f"one of {', '.join(wanted)}"
            return Diagnostic("annotation", "error", f"{member!r} of @{word} takes {what}, not {given!r}")
    return None


def _value(argument: str) -> Any:
    try:
        return json.loads(argument)
    except (ValueError, RecursionError):
        return argument


def _fits(value: object, takes: str | tuple[str, ...]) -> bool:
    if isinstance(takes, tuple):
        return value in takes
    if takes == _OBJECT:
        return isinstance(value, dict)
    if takes == _NUMBER:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32
    if takes == _BOOLEAN:
        return isinstance(value, bool)
    if takes == _VALUE:
        return value is None or isinstance(value, bool | int | float | str)
    if takes == _NOTHING:
        return value == ""
    if not isinstance(value, str):
        return False
    if takes == _NAME:
        return re.fullmatch(r"\w+", value, re.ASCII) is not None
    if takes == _MEANING:
        return value in MEANINGS
    if takes == _LETTER:
        return len(value) == 1 and value.isascii() and value.isalnum()
    return bool(value)
