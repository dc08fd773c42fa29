"""Stacks of calls as people read them: the names of their functions, which `skep.stream.stacks` has found."""

from __future__ import annotations

from skep.base.abi.errnos import ERRNOS
from skep.stream.places import error_of, in_kernel, places_of
from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.base.schema import Field
    from skep.stream.names import Names

__all__ = ["Frame", "frames_of", "stack_of"]

_EFAULT = 14
# How the kernel comes from where it was to the program that asked for the stack: no part of what is asked about.
_MACHINERY = ("bpf_prog_", "bpf_trace_run", "bpf_trampoline_", "__bpf_trace_", "__bpf_tramp", "__traceiter_")


class Frame(str):
    """The name of a function in a stack; `is_kernel` tells where it is."""

    __slots__ = ("is_kernel",)
    is_kernel: bool


def frames_of(fields: tuple[Field, ...], index: int, names: Names) -> Callable[[Any], list[Frame]]:
    """What makes of a row the functions of a stack, innermost first, without those of eBPF itself. They are printable.

    Args:
        fields: of the record.
        index: of the stack among them.
        names: looked into at each row, so that what becomes known later is used.
    """
    places = places_of(fields, index, names)
    is_number, name = fields[index].type.kind == "int", fields[index].name

    def frames(row: Any) -> list[Frame]:
        if is_number and (name, row[index]) not in names.stacks:
            return _absent(row[index])
        found = [(names.frames.get(place) or f"[unknown {place[1]:#x}]", in_kernel(place)) for place in places(row)]
        others = (at for at, (name, is_kernel) in enumerate(found) if not (is_kernel and name.startswith(_MACHINERY)))
        begin = next(others, 0)
        return [_frame(frame, is_kernel=is_kernel) for frame, is_kernel in found[begin:]]

    return frames


def _frame(name: str, *, is_kernel: bool = False) -> Frame:
    frame = Frame(escape(name))
    frame.is_kernel = is_kernel
    return frame


def _absent(number: int) -> list[Frame]:
    """What is shown of a stack that is not known."""
    error = error_of(number)
    if error == _EFAULT:
        return []  # there is none: a thread of the kernel has no stack in user space
    return [_frame(f"[lost: {ERRNOS.get(error, error)}]" if error else f"[stack {number}]")]


def stack_of(fields: tuple[Field, ...], names: Names) -> Callable[[Any], list[Frame]]:
    """What makes of a row all of its stacks as one, innermost first: the kernel's, then what called it in user space.

    Args:
        fields: of the record.
        names: as for `frames_of`.
    """
    stacks = [frames_of(fields, index, names) for index, field in enumerate(fields) if field.is_stack]

    def whole(row: Any) -> list[Frame]:
        found = sorted((frames(row) for frames in stacks), key=lambda frames: not (frames and frames[0].is_kernel))
        return [frame for frames in found for frame in frames]

    return whole
