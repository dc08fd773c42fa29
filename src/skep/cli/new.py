"""``skep new NAME [--kind KIND]``: starts a kernel file that runs at once."""

from __future__ import annotations

import os
import re
import sys

from skep.base.errors import UsageError
from skep.cli.parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KINDS", "TEMPLATES", "main"]

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
# What each watches, and a command that shows it.
KINDS = {
    "tracepoint": ("a tracepoint: which files are opened", "ls /"),
    "fentry": ("a function of the kernel: which files are removed", "rm -f /tmp/nothing"),
    "uprobe": ("a function of a library: which host names are looked up", "getent ahosts localhost"),
    "tp_btf": ("a tracepoint with the kernel's own structs: which programs are executed", "sh -c 'ls / && true'"),
    "printk": ("a tracepoint, and prints: which processes start a program", "sh -c 'ls / && true'"),
}


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    kinds = "\n".join(f"  {kind:12}watches {what}" for kind, (what, _) in KINDS.items())
    parser = Parser("new", "Starts a kernel file that runs at once.", f"kinds:\n{kinds}")
    parser.add_argument("name", metavar="NAME", help="of the file; .bpf.c is added to it")
    parser.add_argument("--kind", choices=list(KINDS), default="tracepoint", help="what it watches, as below")
    options = parser.parse(arguments)
    path = _path(options.name)
    _copy(os.path.join(TEMPLATES, f"{options.kind}.bpf.c"), path)
    what, command = KINDS[options.kind]

    from shlex import quote

    sudo = "" if os.geteuid() == 0 else "sudo "
    sys.stderr.write(f"skep: {path} watches {what}. Run it:\n  {sudo}skep run {quote(path)} -- {command}\n")
    return 0


def _path(name: str) -> str:
    """Where the file goes. Its name becomes that of the object, which C and the kernel read."""
    folder, stem = os.path.split(name.removesuffix(".bpf.c"))
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", stem):
        better = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_")
        fits = better and not better[0].isdigit()
        raise UsageError(
            f"{stem!r} is no name for a kernel file: it takes letters, digits and _, and starts with no digit",
            remedy=f"For example: skep new {os.path.join(folder, better)}" if fits else "For example: skep new opens",
        )
    return os.path.join(folder, f"{stem}.bpf.c")


def _copy(template: str, path: str) -> None:
    with open(template, encoding="utf-8") as source:
        text = source.read()
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is there already, and nothing is overwritten", remedy="Give another name.") from None
    except FileNotFoundError:
        folder = os.path.dirname(path)
        raise UsageError(f"there is no folder {folder}", remedy=f"Make it first: mkdir -p {folder}") from None
