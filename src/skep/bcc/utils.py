"""What BCC's scripts import from `bcc.utils`."""

from __future__ import annotations

import sys

from skep.bcc.refusing import answer_for
from skep.kernel.features import online_cpus, possible_cpus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = [
    "ArgString",
    "StrcmpRewrite",
    "as_bytes",
    "as_text",
    "detect_language",
    "get_online_cpus",
    "get_possible_cpus",
    "printb",
]

# What else scripts ask of the module.
__getattr__ = answer_for("bcc.utils", {})


def as_bytes(given: str | bytes | ArgString) -> bytes:
    """A name as bytes: scripts give it as either.

    Args:
        given: text or bytes.
    """
    return given.encode("utf-8", "surrogateescape") if isinstance(given, str) else bytes(given)


def as_text(given: str | bytes | ArgString) -> str:
    """A name as text.

    Args:
        given: text or bytes.
    """
    return as_bytes(given).decode("utf-8", "surrogateescape")


def printb(s: bytes, file: Any = None, nl: int = 1) -> None:
    """Writes bytes as they are, and lets them be seen at once.

    Args:
        s: what is written.
        file: a text file; None for standard output.
        nl: whether a newline follows.
    """
    stream = sys.stdout if file is None else file
    # What was printed as text before comes before.
    stream.flush()
    buffer: Any = getattr(stream, "buffer", stream)
    buffer.write(s + (b"\n" if nl else b""))
    stream.flush()


class ArgString:
    """An argument of a script, as text and as bytes.

    Args:
        arg: the text.
    """

    def __init__(self, arg: str) -> None:
        self.s = arg

    def __bytes__(self) -> bytes:
        return self.s.encode("utf-8", "surrogateescape")

    def __str__(self) -> str:
        return self.s


def get_online_cpus() -> list[int]:
    """The numbers of the CPUs that are online."""
    return online_cpus()


def get_possible_cpus() -> list[int]:
    """The numbers of the CPUs that this machine may ever have."""
    return possible_cpus()


def detect_language(candidates: Iterable[str], pid: int) -> str | None:
    """Which of some languages a process is written in, by the names of its program and libraries.

    Args:
        candidates: names of languages, as ``java``, ``python``, ``ruby``, ``php``, ``node``, ``perl``, ``tcl``.
        pid: of the process.
    """
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            names = {line.partition("/")[2].rpartition("/")[2].strip() for line in file}
    except OSError:
        return None
    return next((word for word in candidates if any(name.startswith((word, f"lib{word}")) for name in names)), None)


class StrcmpRewrite:
    """Compares strings in C that scripts generate: ``STRCMP("text", pointer)``."""

    @staticmethod
    def rewrite_expr(
        expr: str,
        bin_cmp: bool,
        is_user: Any,
        probe_user_list: Iterable[str],
        streq_functions: str,
        probeid: int,
    ) -> dict[str, Any]:
        """Puts a call of a function of its own in place of each comparison.

        Args:
            expr: an expression of C.
            bin_cmp: whether the text is the initializer of an array, without its quotes.
            is_user: whether pointers lead to the memory of a process.
            probe_user_list: pointers of which the same is known.
            streq_functions: functions that were made before.
            probeid: number of the next function.

        Returns:
            The expression as ``expr``, all functions as ``streq_functions``, the next number as ``probeid``.
        """
        import re

        functions, number = [streq_functions], probeid

        def replace(found: re.Match[str]) -> str:
            nonlocal number
            text, pointer = found[1], found[2].strip()
            is_of_user = bool(is_user) or pointer in probe_user_list
            read = "bpf_probe_read_user" if is_of_user else "bpf_probe_read_kernel"
            initial = text[1:-1] if bin_cmp else text
            functions.append(_EQUAL.format(number=number, initial=initial, read=read))
            number += 1
            return f"streq_{number - 1}({text}, {pointer})"

        expr = re.sub(r"STRCMP\((\"(?:[^\"\\]|\\.)*\"),(.+?)\)", replace, expr)
        return {"expr": expr, "streq_functions": "".join(functions), "probeid": number}


_EQUAL = """
static inline bool streq_{number}(char const *text, uintptr_t pointer) {{
    char wanted[] = {initial}, found[sizeof(wanted)];
    {read}(&found, sizeof(found), (void *)pointer);
    for (int place = 0; place < sizeof(wanted) - 1; place++)
        if (wanted[place] != found[place])
            return false;
    return true;
}}
"""
