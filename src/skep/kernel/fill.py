"""Puts entries into maps, before the first program runs."""

from __future__ import annotations

from skep.base.errors import UsageError
from skep.spec.objectspec import PROG_ARRAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from skep.kernel.program import Program
    from skep.spec.fills import Entry

__all__ = ["fill_maps"]


def fill_maps(maps: Mapping[str, Any], programs: Mapping[str, Program], entries: Iterable[Entry]) -> None:
    """Puts entries into maps; in a per-CPU map, each on every CPU.

    Args:
        maps: the object's.
        programs: the object's: those that a program array may hold.
        entries: as `skep.spec.fills.entries` gives them.

    Raises:
        UsageError: there is no such program or cgroup.
        MapError: there is no room, or no such index; or the kernel refuses an entry for another reason.
    """
    for entry in entries:
        map_ = maps[entry.map]
        if entry.target:
            is_program = map_.spec.type == PROG_ARRAY
            map_[entry.key] = _program(programs, entry.target) if is_program else entry.target
        elif not entry.key:
            map_.push(entry.value)
        else:
            map_[entry.key] = [entry.value] * map_.cpus if hasattr(map_, "cpus") else entry.value


def _program(programs: Mapping[str, Program], name: str) -> Program:
    """A program that is loaded."""
    loaded = [known for known, program in programs.items() if program.fd >= 0]
    if name not in loaded:
        known = f"The programs are: {', '.join(loaded)}."
        raise UsageError(f"no program {name} is loaded that a map could hold", remedy=known)
    return programs[name]
