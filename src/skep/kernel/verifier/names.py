"""The user's own words: which variable a line of C sets, uses, or gives to a call.

A line is all that a log has of the source; what cannot be told from one stays None.
"""

from __future__ import annotations

import re

__all__ = ["argument", "assigned", "computed", "copied", "dereferenced", "indexed", "plain", "uncast"]

_PATH = r"[A-Za-z_]\w*(?:(?:->|\.)\w+|\[[^\][]*\])*"
_ASSIGNED = re.compile(rf"(?<![\w.>])({_PATH})\s*(?:[-+*/|&^]|<<|>>)?=(?!=)")
# What `((u8 *)data)` is: a name, cast.
_CAST = rf"\(\([^()]*\*\s*\)\s*{_PATH}\)"
_POINTER = re.compile(rf"({_PATH})->|(?<![\w)\]])\s*\*\s*({_PATH})|({_PATH}|{_CAST})\[")
_INDEX = re.compile(rf"({_PATH}|{_CAST})\s*\[([^\][]+)\]")
# A pointer that is computed and cast where it is read: `*(u16 *)(data + 12)`.
_COMPUTED = re.compile(r"\*\s*\(([^()*]+)\*\s*\)\s*(\((?:[^()]|\([^()]*\))*\)|[A-Za-z_]\w*)")
_SETS = re.compile(r"(?<![-+*/|&^=<>!])=(?!=)")
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


def dereferenced(text: str, *, written: bool | None = None) -> list[str]:
    """The pointers that a line reads or writes through, in its order.

    Args:
        text: the line.
        written: whether those that are written through come first (True), or those that are read through (False).
    """
    line = plain(text)
    found = []
    for match in _POINTER.finditer(line):
        name = match[1] or match[2] or match[3]
        declared = match[2] and re.search(r"[\w>]\s*\*\s*$", line[: match.start(2)]) and "=" in line[match.end() :]
        if name not in _WORDS and not declared:
            bare = name.strip("()").rpartition(")")[2] if name.startswith("(") else name
            found.append((_is_other_side(line, match.start(), written), bare.strip()))
    # What `a->b->c` goes through first is `a->b`, and before that `a`.
    return list(dict.fromkeys(name for _, name in sorted(found, key=lambda each: each[0])))


def indexed(text: str, *, written: bool | None = None) -> tuple[str, str] | None:
    """The array that a line indexes, and by what: ``slots``, ``slot`` in ``seen->slots[slot]++;``.

    Args:
        text: the line.
        written: as for `dereferenced`.
    """
    line = plain(text)
    found = [
        (_is_other_side(line, match.start(), written), match[1], match[2].strip())
        for match in _INDEX.finditer(line)
        if not match[2].strip().isdecimal()
    ]
    if not found:
        return None
    side = min(other for other, _, _ in found)
    return next((array, index) for other, array, index in reversed(found) if other == side)


def computed(text: str) -> tuple[str, str] | None:
    """The type and the address that a line reads through a cast: ``u16``, ``data + 12`` in ``*(u16 *)(data + 12)``.

    Args:
        text: the line.
    """
    match = _COMPUTED.search(plain(text))
    return (match[1].strip(), match[2]) if match else None


def copied(text: str, *, written: bool) -> tuple[str, str] | None:
    """What a line copies with memcpy(): the address that it writes to or reads from, and how many bytes.

    Args:
        text: the line.
        written: whether the address is the one that is written to.
    """
    call = next((name for name in ("__builtin_memcpy", "memcpy") if f"{name}(" in text), None)
    place, size = (argument(text, call, number) for number in (1 if written else 2, 3)) if call else (None, None)
    return (place, size) if place and size else None


def uncast(text: str) -> str:
    """An expression without the type that it is cast to.

    Args:
        text: such as ``(void *)ip``.
    """
    return re.sub(r"^\((?:\w+ )*\w* ?\*+\)\s*", "", text)


def _is_other_side(line: str, place: int, written: bool | None) -> bool:  # noqa: FBT001
    """Whether a place is on the other side of an assignment than what is asked for."""
    match = _SETS.search(line)
    return match is not None and written is not None and (place < match.start()) != written


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
