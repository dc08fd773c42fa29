"""``skep info SOURCE [-o text|json]``: tells what a kernel file is, and what of it can be attached here.

Needs no root, and loads nothing of the file; root sees more, since it may try what this kernel takes.
"""

from __future__ import annotations

import sys

from skep.cli.options import option_names, run_parser
from skep.cli.parser import EVENT, Parser
from skep.session.api import read_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    parser = Parser("info", "Tells what a kernel file is, without loading it: programs, maps, options, events.")
    parser.add_argument("source", metavar="SOURCE", help="a .bpf.c file, a .bpf.o file, a package.json or a tool")
    parser.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="how to tell it (default: text)"
    )
    parser.add_argument("--btf", metavar="FILE", help="type information to compile against, not the running kernel's")
    parser.add_argument("--event", **EVENT)
    options = parser.parse(arguments)
    spec = read_spec(options.source, btf=options.btf, events=options.events)
    names = option_names(spec, run_parser()[1])
    outlook = None
    if options.btf is None:
        from skep.kernel.alternatives import Plan

        outlook = Plan(spec).outlook()
    if options.output == "json":
        from skep.view.info import info_json

        sys.stdout.write(info_json(spec, names, outlook))
    else:
        from skep.view.page import info_text

        sys.stdout.write(info_text(spec, names, outlook))
    return 0
