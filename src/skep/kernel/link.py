"""`Links`: what keeps programs attached, until it is closed.

Minimum kernel: 5.15 for links over perf events (tracepoints, kprobes, uprobes); before, the file descriptor alone holds
them. Source: tools/lib/bpf/libbpf.c (bpf_program__attach).
"""

from __future__ import annotations

import errno
import os
import warnings

from skep._native import ffi, lib, messages
from skep.base.errors import AttachError, HookMissingError
from skep.kernel.features import mount_tracefs, privilege_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from types import TracebackType
    from typing import Any, Self

    from skep.base.errors import SkepError
    from skep.kernel.program import Program

__all__ = ["Links", "attach"]

# What perf_event_open(2) says of a kprobe on a name that several functions have. Since 6.6.
_AMBIGUOUS = errno.EADDRNOTAVAIL
# What the kernel lacks, not the program.
_MISSING = {errno.ENOENT, errno.ESRCH, errno.ENODEV, _AMBIGUOUS}


class Links:
    """Attached programs: a context manager that detaches them, all at once.

    Args:
        handles: libbpf's links, by name of their program.

    `left_out` holds, by name, why a program is not attached.
    """

    def __init__(self, handles: dict[str, Any]) -> None:
        self._handles = handles
        self.left_out: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        """The names of the attached programs."""
        return iter(list(self._handles))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._handles:
            warnings.warn(
                f"programs {list(self._handles)} were never detached", ResourceWarning, stacklevel=2, source=self
            )
            self.close()

    def close(self) -> None:
        """Detaches: the kernel takes 20 to 250 ms, by kind."""
        handles = list(self._handles.values())
        self._handles = {}
        lib.skep_detach(ffi.new("struct bpf_link *[]", handles), len(handles))


def attach(programs: Iterable[Program], *, needed: Collection[str] = ()) -> Links:
    """Attaches programs to the hooks that their sections name.

    A program whose hook this kernel lacks is left out (open(2) does not exist on arm64), as is one that is @optional,
    whatever its failure. For any other reason all are attached, or none.

    Args:
        programs: loaded ones, whose sections leave nothing open.
        needed: names of those that are not left out for want of their hook.

    Raises:
        PrivilegeError: not permitted.
        HookMissingError: the kernel has none of the hooks, or not that of a program that is needed.
        AttachError: a hook refuses its program.
    """
    programs = list(programs)
    if any(program.spec.hook.kind == "tp" for program in programs):
        mount_tracefs()
    links = Links({})
    failures = []
    try:
        for program in programs:
            messages()
            link = lib.bpf_program__attach(program.handle)
            name = program.spec.name
            if link != ffi.NULL:
                links._handles[name] = link  # noqa: SLF001 - its own maker
                continue
            number = ffi.errno
            links.left_out[name], failure = _failure(program, number, messages())
            _stop(failure, program, needed)
            failures.append(failure)
    except BaseException:
        links.close()
        raise
    if failures and not links._handles:  # noqa: SLF001
        raise failures[0]
    return links


def _stop(failure: SkepError, program: Program, needed: Collection[str]) -> None:
    """Raises a failure, unless its program may be left out."""
    if "optional" in program.spec.note.marks:
        return
    if not isinstance(failure, HookMissingError) or program.spec.name in needed:
        raise failure


def _failure(program: Program, number: int, log: str) -> tuple[str, SkepError]:
    """Why a program cannot be attached: in a few words, and as an error."""
    name, section = program.spec.name, program.spec.section.removeprefix("?")
    in_kernel = not program.spec.hook.in_binary
    # libbpf finds kprobe.multi missing only in the kernel's answer to it.
    if in_kernel and (number in _MISSING or (number == errno.EOPNOTSUPP and ".multi" in program.spec.hook.kind)):
        several = f"this kernel has several functions for {section}"
        reason = several if number == _AMBIGUOUS else f"this kernel has no {section}"
        return reason, HookMissingError(f"program {name} has nothing to attach to: {reason}")
    if number in {errno.EPERM, errno.EACCES}:
        return "not permitted", privilege_error(f"attaching program {name} to {section}")
    detail = log.strip().splitlines()[-1].removeprefix("libbpf: ") if log.strip() else os.strerror(number)
    return detail, AttachError(f"program {name} cannot be attached to {section}: {detail}", number)
