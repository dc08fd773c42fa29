"""``skep build SOURCE [-o OBJECT]``: compiles a kernel file to an object that libbpf, bpftool and skep load."""

from __future__ import annotations

import os
import sys

from skep.base.errors import SkepError, UsageError
from skep.cli.parser import EVENT, Parser
from skep.session.api import compile as compile_spec
from skep.session.api import find_source, tool_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    parser = Parser("build", "Compiles a kernel file to an object that runs without a compiler.")
    parser.add_argument("source", help="a .bpf.c file")
    parser.add_argument("-o", "--output", metavar="OBJECT", help="where to (default: the source, as .bpf.o)")
    parser.add_argument("--btf", metavar="FILE", help="type information to compile against, not the running kernel's")
    parser.add_argument("--event", **EVENT)
    options = parser.parse(arguments)
    spec = compile_spec(options.source, btf=options.btf, events=options.events)
    # A tool's object goes to this folder; that of a file, beside it.
    beside = f"{spec.name}.bpf.o" if options.source in tool_names() else options.source.removesuffix(".c") + ".o"
    output = options.output or beside
    if os.path.exists(output) and os.path.samefile(output, find_source(options.source)):
        raise UsageError(f"{output} is the source itself", remedy="Name another file: -o OBJECT")
    try:
        with open(output, "wb") as file:
            file.write(spec.data)
    except OSError as error:
        raise SkepError(f"{output} cannot be written: {error.strerror}") from error
    sys.stderr.write(f"skep: {output}: {len(spec.programs)} programs, {len(spec.maps)} maps\n")
    return 0
