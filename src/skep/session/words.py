"""What is said with skep's own words (`--pid`, `--cgroup` ...) put into the variables and maps that hold it."""

from __future__ import annotations

import os

from skep.base.errors import UsageError
from skep.kernel.places import find_cgroup, find_disk, find_interface
from skep.spec.words import candidates, questions, words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from skep.spec.objectspec import ObjectSpec

__all__ = ["absent_tasks", "fill_words"]


def fill_words(spec: ObjectSpec, words: Mapping[str, str]) -> Mapping[str, Mapping[object, object]]:
    """Sets the variables that words fill (`skep.spec.words.words_of`).

    Args:
        spec: the kernel file, not loaded yet.
        words: word -> what is said, such as ``{"uid": "root", "iface": "eth0", "cgroup": "/sys/fs/cgroup/a"}``.

    Returns:
        What the maps among them are to hold: the `fill` of `Spec.load` and of `Run`.

    Raises:
        UsageError: there is no such user, interface, disk or cgroup, a variable does not take the value, or
            it cannot be told which variable is meant.
    """
    filled = words_of(spec)
    fill: dict[str, Mapping[object, object]] = {}
    for word, text in words.items():
        if word not in filled:
            asked = questions(spec).get(word, f"{spec.name} has nothing that it could fill")
            raise UsageError(f"--{word} {text}: {asked}", remedy="Say which variable is meant: --set NAME=VALUE.")
        named, numbered = _RESOLVERS.get(word, _itself)(text)
        for name in filled[word]:
            variable = spec.variables.get(name)
            if variable is None:
                fill[name] = {0: named}
            elif variable.type.kind == "bool":
                variable.value = True
            else:
                variable.parse(named if variable.type.kind == "text" else numbered)
    return fill


def absent_tasks(spec: ObjectSpec) -> list[str]:
    """What is said of processes and threads that variables ask for, and that are not there.

    Args:
        spec: the kernel file, its variables set.
    """
    found = candidates(spec)
    asked = [each for word in ("pid", "tid") for each in found[word] if each.data != each.default]
    return [
        f"{variable.name}: there is no process or thread {variable.value}"
        for variable in asked
        if not os.path.exists(f"/proc/{variable.value}")
    ]


def _itself(text: str) -> tuple[str, str]:
    return text, text


def _user(text: str) -> tuple[str, str]:
    if text.isdecimal():
        return text, text
    from pwd import getpwnam

    try:
        return text, str(getpwnam(text).pw_uid)
    except (KeyError, ValueError):
        raise UsageError(f"there is no user {text}") from None


def _interface(text: str) -> tuple[str, str]:
    name, number = find_interface(text)
    return name, str(number)


def _disk(text: str) -> tuple[str, str]:
    return text, str(find_disk(text))


def _cgroup(text: str) -> tuple[str, str]:
    return text, str(find_cgroup(text))


# Word -> what finds (the name, the number) of what is said.
_RESOLVERS = {"uid": _user, "iface": _interface, "disk": _disk, "cgroup": _cgroup}
