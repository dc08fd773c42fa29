"""Names: the kernel's functions, patterns of names, and the names nearest to one that is not there."""

from __future__ import annotations

import os
import re

from skep.kernel.features import tracefs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from skep.spec.sections import Hook

__all__ = ["advice", "bytes_behind", "did_you_mean", "fitting", "symbol_type", "traceable"]

_KALLSYMS = "/proc/kallsyms"
# What a compiler or a rename puts around a function's name.
_AROUND = re.compile(r"^_+|^(?:do|ksys|vfs)_|\.(?:isra|constprop|part|cold)\b.*")
_OFFSET = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,9}")
# Names compared one by one; the kernel has 200,000.
_MOST = 20_000


def fitting(pattern: str) -> re.Pattern[str]:
    """The names that fit a pattern: ``*`` is anything, ``?`` one character."""
    return re.compile(rf"{re.escape(pattern)}\Z".replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def bytes_behind(text: str) -> int | None:
    """How far behind a function's begin an instruction lies, as targets write it: ``8``, ``0x1f``; None: no number.

    Args:
        text: what stands behind the ``+``.
    """
    if not _OFFSET.fullmatch(text):
        return None
    return int(text, 16 if text[:2] in {"0x", "0X"} else 10)


def did_you_mean(name: str, names: Collection[str]) -> str | None:
    """A remedy with the names nearest to one; None if none is near, or if it is one of them.

    Args:
        name: one that is not there.
        names: those that are there.
    """
    if name in names:
        return None
    from difflib import get_close_matches

    core = _AROUND.sub("", name)
    # What it was renamed to, or what the compiler made of it.
    near = sorted((one for one in names if len(core) > 3 and _AROUND.sub("", one) == core), key=len)[:3]
    if not near:
        # Comparing takes long: only with those that begin, or end, alike.
        alike = [one for one in names if one[:3] == name[:3] or one[-5:] == name[-5:]]
        near = get_close_matches(name, alike[:_MOST], 3, 0.7)
    return f"Did you mean {' or '.join(near)}?" if near else None


def traceable(pattern: str) -> tuple[list[str], list[str]]:
    """The functions of the kernel that fit a pattern and that ftrace can hook: its own, and those of its modules.

    Args:
        pattern: a name, with ``*`` and ``?``.

    Raises:
        OSError: tracefs is not mounted, or may not be read.

    Source: Documentation/trace/ftrace.rst (available_filter_functions).
    """
    names = fitting(pattern)
    own: set[str] = set()
    modules: set[str] = set()
    with open(f"{tracefs()}/available_filter_functions", encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, module = line.rstrip("\n").partition(" ")
            if names.match(name):
                (modules if module else own).add(name)
    # ftrace also lists what is known by no name any more.
    known = set(_functions())
    return sorted(own & known), sorted(modules & known)


def symbol_type(name: str) -> str:
    """The letter that nm(1) gives a symbol of the kernel, such as ``t`` for a function; "" if there is none."""
    with open(_KALLSYMS, "rb") as file:
        found = re.search(rb"^\S+ (\w) " + re.escape(os.fsencode(name)) + rb"(?:\t|$)", file.read(), re.MULTILINE)
    return found[1].decode() if found else ""


def _functions() -> list[str]:
    with open(_KALLSYMS, "rb") as file:
        names = re.findall(rb"^\S+ [tTwW] (\S+)", file.read(), re.MULTILINE)
    return [name.decode("ascii", "replace") for name in names]


def _tracepoints() -> list[str]:
    with open(f"{tracefs()}/available_events", encoding="ascii", errors="replace") as file:
        return file.read().split()


def advice(hook: Hook) -> str | None:
    """A remedy for a hook that this kernel lacks: the names nearest to its target.

    Args:
        hook: one in the kernel, whose target is not there.
    """
    try:
        if "syscall" in hook.kind:
            from skep.base.abi.syscalls import syscalls

            return did_you_mean(hook.target, set(syscalls(os.uname().machine).values()))
        if hook.kind == "tp":
            return did_you_mean(hook.target, {event.replace(":", "/") for event in _tracepoints()})
        if hook.kind in {"raw_tp", "raw_tp.w", "tp_btf"}:
            return did_you_mean(hook.target, {event.partition(":")[2] for event in _tracepoints()})
        if hook.kind.startswith(("kprobe", "kretprobe", "f")):
            return did_you_mean(hook.target.partition("+")[0], set(_functions()))
    except OSError:
        pass
    return None
