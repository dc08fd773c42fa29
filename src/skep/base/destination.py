"""`Destination`: a file that is there whole or not at all. Until then what is written is in FILE.part.

What a run that was killed has written is worth something: it stays in FILE.part, and the next run does not touch it.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from skep.base.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO, Self

__all__ = ["Destination", "check_place"]


# What is said of the disk, not of anything else.
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def check_place(path: str) -> None:
    """Lets a file be put only where nothing is, or a file: root would put it in the place of /dev/null, too.

    Args:
        path: where it will be.

    Raises:
        UsageError: there is something else.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        what = "is a folder" if os.path.isdir(path) else "is no file that could be replaced"
        raise UsageError(f"{path} {what}", remedy="Give the name of a file.")


class Destination:
    """A file that is being written: a context manager.

    Args:
        path: where it will be. What is there is replaced.

    Raises:
        UsageError: it cannot be written, or FILE.part is there.

    `file` is FILE.part. It is removed at the end where `keep` is False and nothing was put in place.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.part = f"{path}.part"
        self.keep = False
        check_place(path)
        try:
            # What was traced is nobody else's business.
            fd = os.open(self.part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise UsageError(
                f"{self.part} is there: a run is writing it, or was killed",
                remedy="It can be read as far as it was written (skep replay). Move it away, or give another name.",
            ) from None
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"{path} cannot be written: {why}") from None
        self.file: BinaryIO = os.fdopen(fd, "w+b")

    def __enter__(self) -> Self:
        return self

    def second(self) -> BinaryIO:
        """Another file, for what is made of the first and takes the place instead of it."""
        with suppress(FileNotFoundError):
            os.unlink(self._second)
        return os.fdopen(os.open(self._second, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb")

    @property
    def _second(self) -> str:
        return f"{self.path}.new"

    def commit(self, second: BinaryIO | None = None) -> None:
        """Puts what was written in its place.

        Args:
            second: the other file, if there is one: it is put there, and the first is removed.

        Raises:
            OSError: the disk is full, or the folder may not be written to any more.
        """
        file, name = (self.file, self.part) if second is None else (second, self._second)
        file.flush()
        os.fsync(file.fileno())
        os.replace(name, self.path)
        if second is not None:
            os.unlink(self.part)
        self.keep = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, OSError) and error.filename is None and error.errno in _DISK:
            error.filename = self.part
        with suppress(OSError):  # what could not be written was told when it was tried
            self.file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._second)
        if not self.keep:
            with suppress(FileNotFoundError):
                os.unlink(self.part)
