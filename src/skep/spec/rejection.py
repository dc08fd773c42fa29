"""What a compiler says of a source that it rejects, as an error: each message with its place, and what to do."""

from __future__ import annotations

import os
import re
from itertools import takewhile

from skep.base.errors import CompileError, Diagnostic, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SMALLER_STACK", "is_conflict", "rejection"]

SMALLER_STACK = (
    "Move large variables into a map: a BPF_MAP_TYPE_PERCPU_ARRAY with one entry is the usual scratch buffer. "
    "Or make them smaller, or let functions not call each other while they hold them."
)
"""What to do where 512 bytes of stack are not enough: to clang for one function, to the verifier for several."""


_MESSAGE = re.compile(r"^(.+?):(\d+):(\d+): (?:fatal )?(error|warning|note): (.*)\n+(.*)", re.MULTILINE)
# What clang says of itself: how many messages there were, and that it does not know where code came from.
_ASIDE = re.compile(
    r"^(?:\d+ (?:warnings?|errors?)(?: and \d+ errors?)? generated\."
    r"|fatal error: too many errors emitted.*|.+: note: could not determine the original source location .*)\n?",
    re.MULTILINE,
)
# A message that is the one before it, once more.
_REPEATED = re.compile(r"^(.+:\d+:\d+: error: .*\n(?:.*\n){0,3}?)\1+", re.MULTILINE)
# The packages of headers, by how their names begin.
_PACKAGES = {
    "bpf/": "libbpf-dev",
    "linux/": "linux-libc-dev",
    "asm/": "linux-libc-dev",
    "asm-generic/": "linux-libc-dev",
}
# Where a name is declared that a source uses without including its header: how the name begins.
_HEADERS = {
    r"bpf_(hton|ntoh|cpu_to_be|be)\w+": "<bpf/bpf_endian.h>",
    r"BPF_CORE_\w+|BPF_PROBE_\w+|bpf_core_\w+": "<bpf/bpf_core_read.h>",
    r"BPF_\w*(PROG|PROBE|SYSCALL)\w*|PT_REGS_\w+": "<bpf/bpf_tracing.h>",
    r"bpf_usdt_\w+": "<bpf/usdt.bpf.h>",
    r"skep_\w+": '"skep.h"',
}


def rejection(source: str, output: bytes, ours: str) -> CompileError:
    """The error that says why a source does not compile.

    Args:
        source: path of the .bpf.c file, absolute.
        output: what the compiler wrote to its standard error.
        ours: the folder of skep's own headers.
    """
    text = output.decode("utf-8", "replace")
    # Where one of our headers adds to one that is not there, the file that includes ours asks for it.
    asked = rf"In file included from (.+):(\d+):\n{re.escape(ours)}/.+:\d+(:\d+: fatal error: .* file not found)"
    text = re.sub(asked, r"\1:\2\3", text)
    # Of files that include each other without end, one round says all.
    text = re.sub(r"((?:In file included from .+\n){1,4}?)\1+", r"\1", text)
    text = _REPEATED.sub(r"\1", _ASIDE.sub("", text))
    diagnostics = sorted(_diagnostics(text, os.path.dirname(source)), key=lambda found: found.severity != "error")
    return CompileError(
        f"{os.path.basename(source)} does not compile\n{text.strip()}",
        remedy=_remedy(text),
        diagnostics=diagnostics,
    )


def _diagnostics(text: str, folder: str) -> Iterator[Diagnostic]:
    """Each error and warning, with its line, and the notes that belong to it as the path that led there."""
    found = [
        (
            match[4],
            # Files that the source includes are named as seen from its folder.
            Span(
                os.path.normpath(os.path.join(folder, match[1])),
                int(match[2]),
                int(match[3]),
                match[5],
                _text(match[6]),
            ),
        )
        for match in _MESSAGE.finditer(text)
    ]
    for number, (severity, span) in enumerate(found):
        if severity == "note":
            continue
        notes = takewhile(lambda each: each[0] == "note", found[number + 1 :])
        yield Diagnostic(
            "compile",
            severity,
            span.message,
            file=span.file,
            line=span.line,
            column=span.column,
            source=span.source,
            path=[note for _, note in notes],
        )


def _text(line: str) -> str:
    """A line of the source as clang shows it; from 16 on, it writes the number before."""
    return re.sub(r"^ *\d+ \| ", "", line)


def _remedy(text: str) -> str | None:
    """What to do about headers, about names that are not declared or are taken, and about too little stack."""
    if "error: Looks like the BPF stack limit " in text:
        return SMALLER_STACK
    if re.search(r"error: unknown type name '(?:__)?[us](?:8|16|32|64)'", text):
        return 'vmlinux.h has the kernel\'s types, and comes before all other headers: #include "vmlinux.h"'
    nested = re.search(r"^(.+?):\d+:\d+: error: #include nested too deeply", text, re.MULTILINE)
    if nested is not None:
        return f"{os.path.basename(nested[1])} includes itself: a header begins with #pragma once."
    if re.search(r"error: (?:typedef )?redefinition .*(?:\n.*){1,3}/vmlinux\.h:\d+:\d+: note: prev", text):
        return "The kernel has a type of that name, in vmlinux.h: give yours another."
    unknown = re.search(r"error: (?:implicit declaration|call to undeclared|use of undeclared).* '(\w+)'", text)
    if unknown is not None:
        header = next((header for names, header in _HEADERS.items() if re.fullmatch(names, unknown[1])), None)
        return header and f"{unknown[1]} is declared in {header}: #include {header}"
    # The line of the source stands below the message.
    match = re.search(r"^(.+?):\d+:\d+: fatal error: '(.+)' file not found\n.*?([\"<])\2[\">]", text, re.MULTILINE)
    if match is None:
        return None
    asking, name, mark = match.groups()
    for beginning, package in _PACKAGES.items():
        if name.startswith(beginning):
            return f"sudo apt install {package}"
    if mark == '"':
        return f"Put {name} beside {os.path.basename(asking)}, or name its folder in the environment: CPATH=FOLDER"
    return f"{name} is no header for eBPF: no library runs in the kernel. vmlinux.h has the kernel's types."


def is_conflict(output: bytes, folder: str) -> bool:
    """Does a source declare something otherwise than a header in a folder does?

    Args:
        output: what the compiler wrote to its standard error.
        folder: of the headers.
    """
    places = re.findall(rb"^(.+?):\d+:\d+: (?:(?:fatal )?error|note: previous|note: expanded)", output, re.MULTILINE)
    return any(os.fsdecode(place).startswith(folder + os.sep) for place in places)
