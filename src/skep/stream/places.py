"""Where the functions of a stack are looked up: from what a record holds of it to places in processes and files.

A field with the meaning `stack` is the number of a stack in a map, an array of addresses (bpf_get_stack), or one of
build ids with places in their files (struct bpf_stack_build_id, include/uapi/linux/bpf.h). A place is a process, 0 for
the kernel, or the build id of a file; and an address, or an offset in the file.
"""

from __future__ import annotations

from skep.base.abi.errnos import HIGHEST_ERRNO
from skep.base.meaning import PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from skep.base.schema import Field
    from skep.stream.names import Names

    Place = tuple[int | str, int]

__all__ = ["KERNEL", "error_of", "in_kernel", "length_of", "places_of", "process_of"]

KERNEL = 1 << 63
"""Addresses from here on are the kernel's, on every machine with 64 bits."""

# What the length of an array of addresses, in bytes, is called behind the array's name.
_LENGTHS = ("_sz", "_size", "_len", "_length", "_bytes")
# BPF_STACK_BUILD_ID_VALID, BPF_STACK_BUILD_ID_IP
_VALID, _ADDRESS = 1, 2


def in_kernel(place: Place) -> bool:
    """Whether a place is one of the kernel."""
    return place[0] == 0 and place[1] >= KERNEL


def error_of(number: int) -> int:
    """The errno that bpf_get_stackid() or bpf_get_stack() has returned; 0 for the number, or length, of a stack."""
    for bits in (0, 32, 64):
        negative = number - (1 << bits) if bits else number
        if -HIGHEST_ERRNO <= negative < 0:
            return -negative
    return 0


def process_of(fields: tuple[Field, ...]) -> int | None:
    """The position of the field that says whose stacks those of a record are; None where none does."""
    found = (index for word in PROCESS for index, field in enumerate(fields) if field.meaning == word)
    return next(found, None)


def places_of(fields: tuple[Field, ...], index: int, names: Names) -> Callable[[Any], list[Place]]:
    """What makes of a row the places of a stack, innermost first.

    Args:
        fields: of the record.
        index: of the stack among them.
        names: with the stacks that have numbers, looked into at each row.
    """
    field, process = fields[index], process_of(fields)
    element = field.type.element
    if element is None:
        known, name = names.stacks, field.name
        read: Callable[[Any], Iterable[Any]] = lambda row: known.get((name, row[index]), ())  # noqa: E731
    else:
        length = length_of(fields, field.name)
        read = lambda row: _sent(row[index], None if length is None else row[length], element.size)  # noqa: E731
    if element is not None and element.fields:
        return lambda row: _in_files(read(row), 0 if process is None else row[process])
    return lambda row: _in_memory(read(row), 0 if process is None else row[process])


def length_of(fields: tuple[Field, ...], name: str) -> int | None:
    """The position of the field that says how many bytes of a stack's array were written; None where none does.

    Args:
        fields: of the record.
        name: of the stack.
    """
    called = {name + ending for ending in _LENGTHS}
    return next((at for at, field in enumerate(fields) if field.name in called and field.type.kind == "int"), None)


def _sent(entries: Sequence[Any], size: int | None, each: int) -> Sequence[Any]:
    # What lies behind a stack in its array may be an older one, if the record says how long this one is.
    if size is None:
        return entries
    return entries[: 0 if error_of(size) else size // each]


def _in_memory(addresses: Iterable[int], process: int) -> list[Place]:
    places: list[Place] = []
    for address in addresses:
        if not address:
            break
        places.append(_place(address, process, caller=bool(places)))
    return places


def _in_files(entries: Iterable[Any], process: int) -> list[Place]:
    places: list[Place] = []
    # The offset in the file, and the address where there is no build id, share their place.
    for status, build_id, at, _ in entries:
        if status == _VALID:
            places.append((bytes(octet & 0xFF for octet in build_id).hex(), at - bool(places)))
        elif status == _ADDRESS:
            places.append(_place(at, process, caller=bool(places)))
        else:
            break
    return places


def _place(address: int, process: int, *, caller: bool) -> Place:
    # Of a caller it is where the call returns to: behind the call, which may be the last of its function.
    return (0 if address >= KERNEL else process, address - caller)
