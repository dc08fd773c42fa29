"""Takes out of names what differs from run to run: numbers of processes, digests, temporary names."""

from __future__ import annotations

import re
from itertools import pairwise

__all__ = ["general_path", "role_of"]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DIGEST = re.compile(r"(?<![0-9a-zA-Z])(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}(?![0-9a-zA-Z])")
# Of mkstemp(3), tempfile and their like: six or more characters of which some are digits or capitals among small
# letters.
_RANDOM = re.compile(r"(?<![0-9a-zA-Z])(tmp|temp)?[0-9a-zA-Z_]{6,}(?![0-9a-zA-Z])")
_NUMBER = re.compile(r"[0-9]+")
# A number this short belongs to a name, unless it is all of it: libssl.so.3, python3.11, tty1.
_LONG_NUMBER = re.compile(r"[0-9]{3,}")


def general_path(path: str) -> str:
    """A path with `*` for what is random in it.

    Args:
        path: as the program gave it: ``/proc/1234/fd/7``, ``/tmp/tmpa8_x2kq1/out``.

    Returns:
        ``/proc/*/fd/*``, ``/tmp/*/out``. Giving it again changes nothing.
    """
    return "/".join(map(_general_part, path.split("/")))


def role_of(comm: str) -> str:
    """A thread's name without its numbers: ``worker-12`` is one of ``worker-*``."""
    return _NUMBER.sub("*", comm)


def _general_part(part: str) -> str:
    if part.isdecimal():
        return "*"
    part = _UUID.sub("*", part)
    part = _DIGEST.sub("*", part)
    part = _RANDOM.sub(lambda match: "*" if _looks_random(match[0]) else match[0], part)
    return _LONG_NUMBER.sub("*", part)


def _looks_random(word: str) -> bool:
    """Whether it changes often between small letters, capitals and digits, as drawn letters do and names do not."""
    if word.startswith("tmp") and len(word) >= 9:
        return True
    kinds = [(character.isdecimal(), character.isupper()) for character in word]
    changes = sum(left != right for left, right in pairwise(kinds))
    return changes >= 3 and changes * 3 >= len(word) and not word.islower()
