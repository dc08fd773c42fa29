"""``skep record SOURCE --to FILE [options] [-- COMMAND ...]``: runs a kernel file and keeps what it sees in a file."""

from __future__ import annotations

from skep.cli.run import main as run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    return run(arguments, "record")
