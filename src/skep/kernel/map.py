"""`Map`: a map in the kernel."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.spec.objectspec import MapSpec

__all__ = ["Map"]


class Map:
    """A map in the kernel. Its file descriptor belongs to the object.

    Args:
        spec: what the source declares.
        fd: file descriptor.
        max_entries: as the kernel has it: entries, or bytes for a ring buffer.
    """

    __slots__ = ("fd", "max_entries", "spec")

    def __init__(self, spec: MapSpec, fd: int, max_entries: int) -> None:
        self.spec = spec
        self.fd = fd
        self.max_entries = max_entries
