"""``skep new NAME [--kind KIND | --like TOOL]``: starts a kernel file that runs at once."""

from __future__ import annotations

import json
import os
import re
import sys

from skep.base.errors import UsageError
from skep.base.nearest import nearest
from skep.cli.parser import Parser
from skep.session.api import open as open_object
from skep.session.api import tool_folder, tool_names
from skep.spec.targets import open_words

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

# Of one that is like a tool: what its hooks are on may have to be said before it can be attached.
_LIKE = '''"""Needs root: sudo {python} -m pytest {test}"""

import pytest

import skep


def test_the_kernel_takes_it({fixture}):
    try:
        taken = {fixture}({call})
    except skep.UnsupportedError as error:
        pytest.skip(str(error))

    assert {holds}
'''


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    kinds = "\n".join(f"  {kind:12}watches {what}" for kind, (what, *_) in KINDS.items())
    parser = Parser("new", "Starts a kernel file that runs at once.", f"kinds:\n{kinds}")
    parser.add_argument("name", metavar="NAME", help="of the file; .bpf.c is added to it")
    parser.add_argument("--kind", choices=list(KINDS), default="tracepoint", help="what it watches, as below")
    parser.add_argument("--like", metavar="TOOL", help="start from a tool of the gallery, with its page and a test")
    parser.add_argument("--test", action="store_true", help="start a test of it, too, for pytest: test_NAME.py")
    options = parser.parse(arguments)
    path = _path(options.name)
    if options.like is not None:
        sys.stderr.write(_like(path, options.like))
        return 0
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


def _like(path: str, tool: str) -> str:
    """Starts from a tool: its source and headers, its page, and a test; what is said of them."""
    if tool not in tool_names():
        raise UsageError(f"there is no tool {tool}", remedy=nearest(tool, tool_names(), "tools"))
    folder, source = os.path.split(path)
    stem = source.removesuffix(".bpf.c")
    of_tool = tool_folder(tool)
    spec = open_object(os.path.join(of_tool, f"{tool}.bpf.o"))
    missing = {variable.name: 1 for variable in spec.variables.values() if variable.is_missing}
    given = f'"{source}", variables={json.dumps(missing)}' if missing else f'"{source}"'
    words = {"fixture": "load", "call": given, "holds": "taken.programs"}
    if not open_words(spec.programs.values()):
        words = {"fixture": "run_command", "call": f'"{source}", ["true"]', "holds": "taken.returncode == 0"}
    test = os.path.join(folder, f"test_{stem}.py")
    texts = {path: _read(of_tool, f"{tool}.bpf.c").replace(f"/* {tool}:", f"/* {stem}:", 1)}
    for name in sorted(os.listdir(of_tool)):
        if name.endswith(".h"):
            texts[os.path.join(folder, name)] = _read(of_tool, name)
    page = _read(of_tool, f"{tool}.md").replace(f"# {tool}\n", f"# {stem}\n", 1)
    texts[os.path.join(folder, f"{stem}.md")] = page.replace(f"skep run {tool} ", f"skep run {source} ")
    texts[test] = _LIKE.format(python=sys.executable, test=test, **words)
    for each, text in texts.items():
        _write(each, text)

    from shlex import quote

    sudo = "" if os.geteuid() == 0 else "sudo "
    return (
        f"skep: {', '.join(texts)}: as {tool}. Test it:\n"
        f"  {sudo}{quote(sys.executable)} -m pytest {quote(test)}\n"
        f"Its options:\n  skep run {quote(path)} --help\n"
    )


def _read(folder: str, name: str) -> str:
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()


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
