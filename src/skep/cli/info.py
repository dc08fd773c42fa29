"""``skep info SOURCE [-o text|json]``: tells what a kernel file is. Needs no root, and loads nothing."""

from __future__ import annotations

import sys

from skep.cli.options import option_names, run_parser
from skep.cli.parser import Parser
from skep.session.api import read_spec
from skep.view.info import info_json, info_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    parser = Parser("info", "Tells what a kernel file is, without loading it: programs, maps, options, events.")
    parser.add_argument("source", metavar="SOURCE", help="a .bpf.c file, a .bpf.o file or a tool")
    parser.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="how to tell it (default: text)"
    )
    parser.add_argument("--btf", metavar="FILE", help="type information to compile against, not the running kernel's")
    options = parser.parse(arguments)
    spec = read_spec(options.source, btf=options.btf)
    show = info_json if options.output == "json" else info_text
    sys.stdout.write(show(spec, option_names(spec, run_parser()[1])))
    return 0
