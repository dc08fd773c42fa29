"""``skep feature [WORD]``: tells what this kernel has for eBPF, found by trying."""

from __future__ import annotations

import os
import sys

from skep.base.errors import UsageError
from skep.cli.parser import Parser
from skep.kernel.probes import features

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the verb: 3 if anything that is shown could not be told."""
    parser = Parser("feature", "Tells what this kernel has for eBPF, found by trying; kept until the next boot.")
    parser.add_argument("word", metavar="WORD", nargs="?", default="", help="only what has this in its name: ringbuf")
    parser.add_argument("--fresh", action="store_true", help="tries again what was tried since the last boot")
    parser.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="how to tell it (default: text)"
    )
    options = parser.parse(arguments)
    found = features(fresh=options.fresh)
    shown = [each for group in found.values() for each in group if options.word in each.name]
    if not shown:
        raise UsageError(
            f"there is nothing with {options.word} in its name", remedy="skep feature shows what there is."
        )
    if options.output == "json":
        from skep.view.feature import feature_json as render
    else:
        from skep.view.feature import feature_text as render
    sys.stdout.write(render(os.uname().release, found, options.word))
    return 3 if any(each.state == "unknown" for each in shown) else 0
