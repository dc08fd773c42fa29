"""``skep doctor [-o text|json]``: tells what skep needs here, what is there, and what to do about the rest."""

from __future__ import annotations

import os
import sys

from skep.base.errors import SourceNotFoundError
from skep.cli.parser import Parser
from skep.kernel.doctor import examine
from skep.session.api import open as open_object
from skep.session.api import tool_folder, tool_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.session.api import Spec

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the verb: 0 if every tool of the gallery runs here, 3 if not."""
    parser = Parser("doctor", "Tells what skep needs of this machine, what is there, and what to do about the rest.")
    parser.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="how to tell it (default: text)"
    )
    options = parser.parse(arguments)
    report = examine({name: _built(name) for name in tool_names()})
    if options.output == "json":
        from skep.view.doctor import doctor_json as render
    else:
        from skep.view.doctor import doctor_text as render
    sys.stdout.write(render(report))
    return 0 if report.works else 3


def _built(name: str) -> Spec | None:
    try:
        return open_object(os.path.join(tool_folder(name), f"{name}.bpf.o"))
    except SourceNotFoundError:
        return None
