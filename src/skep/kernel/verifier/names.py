"""The user's own words: which variable a line of C sets, uses, or gives to a call.

A line is all that a log has of the source; what cannot be told from one stays None.
"""

from __future__ import annotations

import re

__all__ = ["argument", "assigned", "dereferenced", "indexed", "plain"]

_PATH = r"[A-Za-z_]\w*(?:(?:->|\.)\w+|\[[^\][]*\])*"
_ASSIGNED = re.compile(rf"(?<![\w.>])({_PATH})\s*(?:[-+*/|&^]|<<|>>)?=(?!=)")
_POINTER = re.compile(rf"({_PATH})->|(?<![\w)\]])\s*\*\s*({_PATH})|({_PATH})\[")
_INDEX = re.compile(rf"({_PATH})\s*\[([^\][]+)\]")
_WORDS = {"if", "while", "for", "return", "sizeof", "switch", "else", "do", "int", "long", "char", "void", "u32", "u64"}
_COMMENT = re.compile(r"/\*.*?(?:\*/|$)|//.*")


def plain(text: str) -> str:
    """A line without its comments.

    Args:
        text: the line.
    """
    return _COMMENT.sub("", text).strip()


def assigned(text: str) -> str | None:
    """The variable that a line sets: ``count`` in ``u64 *count = bpf_map_lookup_elem(...);``.

    Args:
        text: the line.
    """
    match = _ASSIGNED.search(plain(text))
    return match[1] if match and match[1] not in _WORDS else None


def dereferenced(text: str) -> list[str]:
    """The pointers that a line reads or writes through, in its order.

    Args:
        text: the line.
    """
    line = plain(text)
    found = []
    for match in _POINTER.finditer(line):
        name = match[1] or match[2] or match[3]
        declared = match[2] and re.search(r"[\w>]\s*\*\s*$", line[: match.start(2)]) and "=" in line[match.end() :]
        if name not in _WORDS and not declared:
            found.append(name)
    # What `a->b->c` goes through first is `a->b`, and before that `a`.
    return list(dict.fromkeys(found))


def indexed(text: str) -> tuple[str, str] | None:
    """The array that a line indexes, and by what: ``slots``, ``slot`` in ``seen->slots[slot]++;``.

    Args:
        text: the line.
    """
    found = [match.groups() for match in _INDEX.finditer(plain(text)) if not match[2].strip().isdecimal()]
    return (found[-1][0], found[-1][1].strip()) if found else None


def argument(text: str, call: str, number: int) -> str | None:
    """What a line gives to a call.

    Args:
        text: the line.
        call: name of the function.
        number: which argument, from 1.
    """
    line = plain(text)
    match = re.search(rf"\b{re.escape(call)}\s*\(", line)
    if match is None:
        return None
    depth, start, found = 0, match.end(), []
    for place in range(match.end(), len(line)):
        character = line[place]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            if not depth:
                found.append(line[start:place].strip())
                return found[number - 1] if 0 < number <= len(found) else None
            depth -= 1
        elif character == "," and not depth:
            found.append(line[start:place].strip())
            start = place + 1
    # The call goes on in the next line.
    return found[number - 1] if 0 < number <= len(found) else None
