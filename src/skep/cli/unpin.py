"""``skep unpin FOLDER``: removes what ``skep run --pin FOLDER`` has pinned."""

from __future__ import annotations

import sys

from skep.cli.parser import Parser
from skep.kernel.pin import unpin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    parser = Parser("unpin", "Removes what skep run --pin FOLDER has pinned: its programs are detached.")
    parser.add_argument("folder", metavar="FOLDER", help="that --pin was given")
    options = parser.parse(arguments)
    removed = unpin(options.folder)
    sys.stderr.write(f"skep: {options.folder}: removed {', '.join(removed)}\n")
    return 0
