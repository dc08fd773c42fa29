"""Maps whose values live in what they belong to: a task, an inode, a socket, a cgroup.

Their keys are processes (a pid), files (a path, or an open file), sockets, cgroups (a path). The kernel keeps no list
of them: they cannot be walked.

Minimum kernel: 5.2 sk_storage; 5.10 inode_storage; 5.11 task_storage; 6.2 cgrp_storage. Source:
kernel/bpf/bpf_task_storage.c, bpf_inode_storage.c, bpf_cgrp_storage.c, net/core/bpf_sk_storage.c.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from contextlib import contextmanager

from skep.base.encoding import MisfitError
from skep.base.errors import EntryMissingError, UsageError
from skep.kernel.maps.slots import descriptor, open_cgroup
from skep.kernel.maps.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["CgroupStorage", "InodeStorage", "SocketStorage", "TaskStorage"]


class _Storage(Table):
    """A map with a value for each owner that has been given one."""

    def _open(self, owner: Any) -> tuple[int, bool]:
        """A file descriptor of an owner, and whether it is ours to close."""
        return descriptor(owner, self.takes), False

    takes = ""

    @contextmanager
    def _opened(self, owner: Any) -> Iterator[int]:
        try:
            fd, ours = self._open(owner)
        except MisfitError as error:
            raise UsageError(error.told(f"the key of {self.name}")) from None
        except (OSError, OverflowError, ValueError) as error:
            raise UsageError(f"{owner!r} cannot be opened, to be a key of {self.name}: {error}") from None
        try:
            yield fd
        except EntryMissingError:
            raise EntryMissingError(f"map {self.name} has nothing for {owner!r}") from None
        finally:
            if ours:
                os.close(fd)

    def __getitem__(self, key: Any) -> Any:
        """The value of an owner.

        Raises:
            EntryMissingError: it has none (KeyError).
        """
        with self._opened(key) as fd:
            return super().__getitem__(fd)

    def __contains__(self, key: Any) -> bool:
        with self._opened(key) as fd:
            return super().__contains__(fd)

    def _write(self, key: Any, value: Any, flags: int) -> None:
        with self._opened(key) as fd:
            super()._write(fd, value, flags)

    def __delitem__(self, key: Any) -> None:
        """Deletes the value of an owner.

        Raises:
            EntryMissingError: it has none (KeyError).
        """
        with self._opened(key) as fd:
            super().__delitem__(fd)

    # In two steps: the kernel has none for both.
    pop = MutableMapping.pop  # type: ignore[assignment]

    def _types(self) -> str:
        return f"-> {self.value_type.name}"

    def _size(self) -> str:
        return ""


class SocketStorage(_Storage):
    """A map with a value for each socket."""

    takes = "a socket"


class TaskStorage(_Storage):
    """A map with a value for each process, by its pid (of its first thread)."""

    takes = "a pid"

    def _open(self, owner: Any) -> tuple[int, bool]:
        return (os.pidfd_open(owner), True) if isinstance(owner, int) else super()._open(owner)


class InodeStorage(_Storage):
    """A map with a value for each file, by its path, or an open file."""

    takes = "a path, or an open file"

    def _open(self, owner: Any) -> tuple[int, bool]:
        is_path = isinstance(owner, (str, os.PathLike))
        return (os.open(owner, os.O_PATH | os.O_CLOEXEC), True) if is_path else super()._open(owner)


class CgroupStorage(_Storage):
    """A map with a value for each cgroup, by its path."""

    takes = "the path of a cgroup"

    def _open(self, owner: Any) -> tuple[int, bool]:
        is_path = isinstance(owner, (str, os.PathLike))
        return (open_cgroup(os.fspath(owner)), True) if is_path else super()._open(owner)
