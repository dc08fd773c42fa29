"""``skep tools [NAME]``: lists the tools that come with skep, area by area, or shows the page of one."""

from __future__ import annotations

import os
import sys

from skep.base.errors import UsageError
from skep.cli.parser import Parser
from skep.session.api import tool_folder, tool_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AREAS", "area_of", "main"]

AREAS = ("files and disks", "processes", "CPU", "network", "programs and libraries", "building blocks")
"""What tools look at; the last are there to be built on."""
_AREA = "**Area**: "


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    parser = Parser("tools", "Lists the tools that come with skep, or shows the page of one.")
    parser.add_argument("name", nargs="?", help="a tool")
    options = parser.parse(arguments)
    if options.name is not None:
        sys.stdout.write(_page(options.name))
        return 0
    areas: dict[str, list[str]] = {area: [] for area in AREAS}
    for name in tool_names():
        page = _page(name).splitlines()
        # A page starts with the name as its title; its first sentence says what the tool is for.
        areas[area_of(page)].append(f"    {name:18}{page[2]}\n")
    for area, lines in areas.items():
        sys.stdout.write(f"{area}\n{''.join(lines)}")
    return 0


def area_of(page: Sequence[str]) -> str:
    """What a tool looks at, as its page says.

    Args:
        page: its lines.
    """
    stated = next((line.removeprefix(_AREA) for line in page if line.startswith(_AREA)), "")
    return stated if stated in AREAS else AREAS[-1]


def _page(name: str) -> str:
    if name not in tool_names():
        raise UsageError(f"there is no tool {name}", remedy=f"The tools are: {', '.join(tool_names())}.")
    with open(os.path.join(tool_folder(name), f"{name}.md"), encoding="utf-8") as file:
        return file.read()
