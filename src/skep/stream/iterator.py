"""Reads iterators: what their programs write, as batches of records or of lines.

Each reading is a walk of its own, from the start. Records stand back to back, with nothing between them; lines end in a
newline.

Minimum kernel: 5.8. Source: kernel/bpf/bpf_iter.c (bpf_seq_read).
"""

from __future__ import annotations

import errno
import os
import sys
from array import array
from itertools import accumulate

from skep._native import lib
from skep.base.errors import SkepError
from skep.stream.batch import Batch
from skep.stream.kinds import Kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.kernel.link import Links
    from skep.spec.events import EventSpec, TagSpec
    from skep.spec.objectspec import ObjectSpec

__all__ = ["read_iterators", "split"]

# The kernel gives the 32 KiB of its own buffer at most.
_READ = 64 * 1024
# So often in a row the kernel may ask to try again: it does so after a million things of which nothing was written.
_TRIES = 1000


def read_iterators(spec: ObjectSpec, links: Links) -> Iterator[Batch]:
    """Walks over what the attached iterators of an object are for, once, one after the other.

    Args:
        spec: the object's.
        links: what is attached.

    Raises:
        SkepError: a program ends the walk with an error.
    """
    for name in links:
        if spec.programs[name].hook.kind == "iter":
            # One that writes nothing runs for what else it does.
            yield from _read(name, links[name].fds[0], spec.events.get(name))


def _read(name: str, link: int, event: EventSpec | None) -> Iterator[Batch]:
    fd = lib.bpf_iter_create(link)
    if fd < 0:
        raise SkepError(f"iterator {name} cannot be read: {os.strerror(-fd)}")
    rest = b""
    try:
        while data := _some(name, fd):
            if event is not None:
                records, ends, rest = split(rest + data, event)
                yield from _batches(records, ends, event)
        if rest and event is not None:
            # A line without an end, or a record without its tail.
            yield from _batches(rest, [len(rest)], event)
    finally:
        os.close(fd)


def _some(name: str, fd: int) -> bytes:
    for _ in range(_TRIES):
        try:
            return os.read(fd, _READ)
        except BlockingIOError:
            continue
        except OSError as error:
            what = "more than 32 KiB for one thing" if error.errno == errno.E2BIG else error.strerror
            raise SkepError(f"iterator {name} cannot be read on: {what}") from error
    remedy = "A program that returns 1 is run for the same thing again."
    raise SkepError(f"iterator {name} never goes on", remedy=remedy)


def split(data: bytes, event: EventSpec) -> tuple[bytes, list[int], bytes]:
    """Takes what was read apart.

    Args:
        data: what was read, from the start of a record.
        event: what is written.

    Returns:
        The records that are whole, back to back; where each ends; and what is left.

    Raises:
        SkepError: nobody knows where a record ends.
    """
    schema = event.schemas[0]
    if schema.is_text:
        *lines, rest = data.split(b"\n")
        return b"".join(lines), list(accumulate(map(len, lines))), rest
    if schema.is_raw:
        return data, [len(data)], b""
    if event.tag is None:
        whole = len(data) // schema.size * schema.size
        return data[:whole], list(range(schema.size, whole + 1, schema.size)), data[whole:]
    return _by_tag(data, event.map, event.tag)


def _by_tag(data: bytes, name: str, tag: TagSpec) -> tuple[bytes, list[int], bytes]:
    ends: list[int] = []
    start, field = 0, tag.field
    while start + field.offset + field.size <= len(data):
        place = start + field.offset
        number = int.from_bytes(data[place : place + field.size], sys.byteorder)
        if number not in tag.schemas:
            raise SkepError(f"iterator {name} writes a record whose {field.name} is {number}: no type has that")
        end = start + tag.schemas[number].size
        if end > len(data):
            break
        ends.append(end)
        start = end
    return data[:start], ends, data[start:]


def _batches(records: bytes, ends: list[int], event: EventSpec) -> Iterator[Batch]:
    if not ends:
        return
    schema = event.schemas[0]
    batch = Batch(
        memoryview(records),
        len(ends),
        stride=schema.size if event.tag is None and len(records) == schema.size * len(ends) else None,
        offsets=memoryview(array("I", [0, *ends])),
        schema=schema,
        lost=0,
        source=event.map,
        cpu=None,
    )
    yield from Kinds(event).runs(batch)
