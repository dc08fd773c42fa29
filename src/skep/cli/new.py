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
# What each watches, a command that shows it, and what an event of that command has.
KINDS = {
    "tracepoint": ("a tracepoint: which files are opened", "ls /", 'comm="ls"'),
    "fentry": ("a function of the kernel: which files are removed", "rm -f /tmp/nothing", 'comm="rm"'),
    "uprobe": (
        "a function of a library: which host names are looked up",
        "getent ahosts localhost",
        'host="localhost"',
    ),
    "tp_btf": (
        "a tracepoint with the kernel's own structs: which programs are executed",
        "sh -c 'ls / && true'",
        'comm="ls"',
    ),
    "printk": (
        "a tracepoint, and prints: which processes start a program",
        "sh -c 'ls / && true'",
        'message=lambda text: text.endswith("starts a program")',
    ),
}
_TEST = '''"""Needs root: sudo {python} -m pytest {test}"""


def test_a_command_is_seen(run_command, assert_event):
    run = run_command("{source}", {command})

    assert_event(run.events, {fields})
'''


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    kinds = "\n".join(f"  {kind:12}watches {what}" for kind, (what, *_) in KINDS.items())
    parser = Parser("new", "Starts a kernel file that runs at once.", f"kinds:\n{kinds}")
    parser.add_argument("name", metavar="NAME", help="of the file; .bpf.c is added to it")
    parser.add_argument("--kind", choices=list(KINDS), default="tracepoint", help="what it watches, as below")
    parser.add_argument("--test", action="store_true", help="start a test of it, too, for pytest: test_NAME.py")
    options = parser.parse(arguments)
    path = _path(options.name)
    with open(os.path.join(TEMPLATES, f"{options.kind}.bpf.c"), encoding="utf-8") as template:
        _write(path, template.read())
    what, command, fields = KINDS[options.kind]

    from shlex import quote, split

    sudo = "" if os.geteuid() == 0 else "sudo "
    said = f"skep: {path} watches {what}. Run it:\n  {sudo}skep run {quote(path)} -- {command}\n"
    if options.test:
        folder, source = os.path.split(path)
        test = os.path.join(folder, f"test_{source.removesuffix('.bpf.c')}.py")
        words = {"python": sys.executable, "test": test, "source": source, "command": split(command), "fields": fields}
        _write(test, _TEST.format(**words))
        said += f"Test it:\n  {sudo}{quote(sys.executable)} -m pytest {quote(test)}\n"
    sys.stderr.write(said)
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


def _write(path: str, text: str) -> None:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is there already, and nothing is overwritten", remedy="Give another name.") from None
    except FileNotFoundError:
        folder = os.path.dirname(path)
        raise UsageError(f"there is no folder {folder}", remedy=f"Make it first: mkdir -p {folder}") from None
