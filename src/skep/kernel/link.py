"""`Links`: what keeps programs attached, until it is closed.

Minimum kernel: 5.15 for links over perf events (tracepoints, kprobes, uprobes); before, the file descriptor alone holds
them. Source: tools/lib/bpf/libbpf.c (bpf_program__attach).
"""

from __future__ import annotations

import errno
import os
import warnings

from skep._native import ffi, lib, messages
from skep.base.errors import AttachError, HookMissingError, UsageError
from skep.kernel.features import mount_tracefs, privilege_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Any, Self

    from skep.kernel.program import Program

__all__ = ["Links", "attach"]

# Sections whose hooks are found through tracefs.
TRACEPOINTS = ("tp/", "tracepoint/")
# Sections whose hooks lie in a binary, not in the kernel.
_USER_SPACE = ("uprobe", "uretprobe", "usdt")


class Links:
    """Attached programs: a context manager that detaches them, all at once.

    Args:
        handles: libbpf's links, by name of their program.

    `left_out` holds, by name, why a program is not attached.
    """

    def __init__(self, handles: dict[str, Any]) -> None:
        self._handles = handles
        self.left_out: dict[str, HookMissingError] = {}

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


def attach(programs: Iterable[Program]) -> Links:
    """Attaches programs to the hooks that their sections name.

    A program whose hook this kernel lacks is left out (open(2) does not exist on arm64). For any other reason all are
    attached, or none.

    Args:
        programs: loaded ones.

    Raises:
        PrivilegeError: not permitted.
        HookMissingError: the kernel has none of the hooks.
        AttachError: a hook refuses its program, or libbpf needs to be told more than the section says.
    """
    # A section that starts with ? is not loaded unless it is asked for (libbpf 1.0).
    programs = [program for program in programs if program.fd >= 0]
    if any(program.spec.section.startswith(TRACEPOINTS) for program in programs):
        mount_tracefs()
    links = Links({})
    try:
        for program in programs:
            messages()
            link = lib.bpf_program__attach(program.handle)
            if link != ffi.NULL:
                links._handles[program.spec.name] = link  # noqa: SLF001 - its own maker
                continue
            number = ffi.errno
            links.left_out[program.spec.name] = _missing_hook(program, number, messages())
    except BaseException:
        links.close()
        raise
    if not links._handles:  # noqa: SLF001
        raise next(iter(links.left_out.values()), UsageError("no program is left to attach"))
    return links


def _missing_hook(program: Program, number: int, log: str) -> HookMissingError:
    """The reason to leave a program out. Any other failure is raised."""
    name, section = program.spec.name, program.spec.section
    in_kernel = not section.startswith(_USER_SPACE)
    if in_kernel and number in {errno.ENOENT, errno.ESRCH, errno.ENODEV}:
        return HookMissingError(f"program {name} has nothing to attach to: this kernel has no {section}")
    if number in {errno.EPERM, errno.EACCES}:
        raise privilege_error(f"attaching program {name} to {section}")
    if number == errno.EOPNOTSUPP:
        message = f"program {name}: section {section!r} leaves open what to attach to"
        raise AttachError(message, number, remedy="Name it in the section.")
    detail = log.strip().splitlines()[-1].removeprefix("libbpf: ") if log.strip() else os.strerror(number)
    raise AttachError(f"program {name} cannot be attached to {section}: {detail}", number)
