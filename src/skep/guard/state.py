"""What the guard keeps: a profile for each name, and beside it the alarms of its watches, one JSON object a line.

The file of alarms is touched while a watch goes on: its time says until when somebody watched, and so how long the gap
is to the next watch, though the guard was killed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from contextlib import suppress

from skep.base.errors import ProfileError, SourceNotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Log", "ago", "clock", "find_alarm", "folder", "known_names", "place_of"]

_SUFFIX = ".profile"
# Bytes of a file of alarms, a thousand or so: with more it makes way for a new one, and is kept until that is full.
_FULL = 4 << 20


def folder() -> str:
    """Where profiles are kept: those of root are the machine's."""
    if os.geteuid() == 0:
        return "/var/lib/skep/guard"
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "skep", "guard")


def place_of(name: str) -> str:
    """The path of a profile: that of a name, or a path as it is.

    Args:
        name: of a program; or a path, which has a slash or is a file here.

    Raises:
        UsageError: it is empty.
    """
    if not name:
        raise UsageError("a profile has a name", remedy="That of a program, or the path of a file.")
    if "/" in name or os.path.isfile(name):
        return name
    return os.path.join(folder(), name.removesuffix(_SUFFIX) + _SUFFIX)


def known_names() -> list[str]:
    """The names of the profiles that are kept."""
    try:
        files = os.listdir(folder())
    except FileNotFoundError:
        return []
    return sorted(file.removesuffix(_SUFFIX) for file in files if file.endswith(_SUFFIX))


class Log:
    """The alarms of a profile.

    Args:
        profile: its path.
    """

    def __init__(self, profile: str) -> None:
        self.path = profile.removesuffix(_SUFFIX) + ".alarms"
        self._older = f"{self.path}.old"
        self._name = os.path.basename(profile).removesuffix(_SUFFIX)
        # The number of the last alarm that was added.
        self._number = 0

    def watched_until(self) -> float | None:
        """Until when somebody watched, in seconds since 1970; None if nobody has."""
        try:
            return os.stat(self.path).st_mtime
        except FileNotFoundError:
            return None

    def touch(self) -> None:
        """Says that somebody watches now."""
        # Whoever has alarms has secrets: names of files, and who is called.
        os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600))
        os.utime(self.path)

    def alarms(self) -> dict[str, dict[str, Any]]:
        """All alarms that are kept, by their name, as they were when their episodes ended.

        Raises:
            ProfileError: they are damaged; a last line that was cut short is none.
        """
        # What an alarm has become may stand in the newer one.
        return _read_all(self._older) | _read_all(self.path)

    def name_of(self, alarm: dict[str, Any]) -> str:
        """What `explain` takes: the alarm's name, behind its folder if that is not the one of all profiles."""
        home = os.path.dirname(self.path)
        return alarm["alarm"] if home == folder() else os.path.join(home or ".", alarm["alarm"])

    def add(self, alarm: dict[str, Any]) -> None:
        """Adds an alarm, or what it has become; one without a name gets the next, though it could not be kept.

        Raises:
            OSError: it cannot be kept: the disk is full, or the file cannot be written.
            ProfileError: what is kept is damaged.
        """
        new = not alarm["alarm"]
        if new:
            self._number += 1
            alarm["alarm"] = f"{self._name}-{self._number}"
        descriptor = self._open_alone()
        try:
            if os.fstat(descriptor).st_size > _FULL:
                os.replace(self.path, self._older)
                full, descriptor = descriptor, self._open_alone()
                os.close(full)
            if new:
                numbers = [name.rpartition("-")[2] for name in self.alarms()]
                self._number = max([self._number, *(int(each) + 1 for each in numbers if each.isdecimal())])
                alarm["alarm"] = f"{self._name}-{self._number}"
            line = (json.dumps(alarm) + "\n").encode()
            # Who was killed while it wrote has left a line without an end.
            size = os.lseek(descriptor, 0, os.SEEK_END)
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                os.ftruncate(descriptor, _whole(descriptor, size))
            if os.write(descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
        finally:
            os.close(descriptor)

    def _open_alone(self) -> int:
        """The file, which no other watch of the same profile has until it is closed."""
        while True:
            descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                    return descriptor
            # It was full, and has made way while we waited.
            os.close(descriptor)


def _read_all(path: str) -> dict[str, dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as file:
            *lines, _ = file.read().split("\n")
        return dict(map(_read, filter(None, lines)))
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, IsADirectoryError):
        raise ProfileError(f"{path} is damaged", remedy="Move it away: the next watch begins a new one.") from None


def _read(line: str) -> tuple[str, dict[str, Any]]:
    """An alarm and its name."""
    alarm = json.loads(line)
    return str(alarm["alarm"]), alarm | {"reports_lost": int(alarm["reports_lost"])}


def _whole(descriptor: int, size: int) -> int:
    """How much of a file is whole lines."""
    return os.pread(descriptor, size, 0).rfind(b"\n") + 1


def find_alarm(name: str) -> dict[str, Any]:
    """An alarm by its name.

    Raises:
        SourceNotFoundError: there is none of that name.
    """
    profile = name.rpartition("-")[0]
    found = Log(place_of(profile)).alarms().get(os.path.basename(name)) if profile else None
    if found is None:
        raise SourceNotFoundError(f"there is no alarm {name}", remedy="skep guard status tells how many each has.")
    return found


def ago(seconds: float) -> str:
    """A stretch of time for people."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def clock(seconds: float) -> str:
    """A time of day for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
