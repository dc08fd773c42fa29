"""``skep tools [NAME]``: lists the tools that come with skep, or shows the page of one."""

from __future__ import annotations

import os
import sys

from skep.base.errors import UsageError
from skep.cli.parser import Parser
from skep.session.api import tool_folder, tool_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    parser = Parser("tools", "Lists the tools that come with skep, or shows the page of one.")
    parser.add_argument("name", nargs="?", help="a tool")
    options = parser.parse(arguments)
    if options.name is not None:
        sys.stdout.write(_page(options.name))
        return 0
    for name in tool_names():
        # A page starts with the name as its title; its first sentence says what the tool is for.
        sys.stdout.write(f"{name:16}{_page(name).split(chr(10), 3)[2]}\n")
    return 0


def _page(name: str) -> str:
    if name not in tool_names():
        raise UsageError(f"there is no tool {name}", remedy=f"The tools are: {', '.join(tool_names())}.")
    with open(os.path.join(tool_folder(name), f"{name}.md"), encoding="utf-8") as file:
        return file.read()
