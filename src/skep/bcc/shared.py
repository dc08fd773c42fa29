"""Tables that several texts share: by name within a process (BPF_TABLE_PUBLIC), by a pin beyond it (BPF_TABLE_PINNED).

Minimum kernel: 4.4. Source: kernel/bpf/inode.c.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from skep.kernel.pin import open_pin, pin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from skep.kernel.map import Map

__all__ = ["given", "offer", "public", "withdraw"]

# What `Table.shared` says where it is no path.
_PUBLIC, _EXTERN = ":public", ":extern"
_offered: dict[str, tuple[str, Map]] = {}


def public() -> dict[str, str]:
    """What BCC calls the kind of each table that a text of this process has made public, by name."""
    return {name: kind for name, (kind, _) in _offered.items()}


@contextmanager
def given(shared: Mapping[str, str]) -> Iterator[dict[str, Map | int]]:
    """The maps that are there already: those of other texts, and those that are pinned.

    Args:
        shared: how each table is shared, by name.

    Raises:
        PinError: what is pinned there is no map.
    """
    opened: dict[str, int] = {}
    try:
        for name, how in shared.items():
            if not how.startswith(":") and os.path.lexists(how):
                opened[name] = open_pin(how, "map")
        yield {**{name: _offered[name][1] for name, how in shared.items() if how == _EXTERN}, **opened}
    finally:
        for fd in opened.values():
            os.close(fd)


def offer(shared: Mapping[str, str], kinds: Mapping[str, str], maps: Mapping[str, Map]) -> None:
    """Lets others have the tables of a text that was loaded.

    Args:
        shared: how each table is shared, by name.
        kinds: what BCC calls the kind of each.
        maps: the tables.

    Raises:
        PinError, UnsupportedError, PrivilegeError: one cannot be pinned where the text says.
    """
    for name, how in shared.items():
        if how == _PUBLIC:
            _offered[name] = kinds[name], maps[name]
        elif how != _EXTERN and not os.path.lexists(how):
            pin(maps[name].fd, how)


def withdraw(maps: Mapping[str, Map]) -> None:
    """Ends the sharing by name of tables that are about to be closed.

    Args:
        maps: the tables.
    """
    for name, map_ in maps.items():
        if name in _offered and _offered[name][1] is map_:
            del _offered[name]
