"""``skep bcc SCRIPT [ARGUMENT ...]``: runs a BCC script as it is, without BCC and without kernel headers."""

from __future__ import annotations

import argparse

from skep.cli.parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EXAMPLES = """\
  skep bcc opensnoop.py -p 181           what BCC's opensnoop shows
  skep bcc --show-c opensnoop.py         the C that its text becomes
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    parser = Parser(
        "bcc",
        "Runs a BCC script as it is: import bcc in it is skep's, and needs no BCC, no LLVM and no kernel headers.",
        f"examples:\n{_EXAMPLES}",
    )
    parser.add_argument(
        "--show-c", action="store_true", help="print the C that the script's text becomes, load nothing"
    )
    parser.add_argument("script", metavar="SCRIPT", help="a Python file that imports bcc")
    parser.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="the script's own")
    options = parser.parse_args(arguments)
    from skep.bcc.scripts import run_script

    return run_script(options.script, options.arguments, show=options.show_c)
