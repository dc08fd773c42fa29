"""Everything that skep raises, and `Diagnostic`, the form in which a failure explains itself.

SkepError                       the base; str() is one sentence, .remedy says what to do
├── UsageError                  the request is wrong                                     exit 2
│   ├── SourceNotFoundError     no such file or tool                    (FileNotFoundError)
│   ├── ClosedError             used after it was closed, or in a fork         (ValueError)
│   ├── EntryMissingError       a map has no such entry                          (KeyError)
│   └── MapError                the kernel refuses what is asked of a map         (OSError)
├── ProgramError                the kernel file is wrong                                 exit 1
│   ├── CompileError            the compiler or the annotations reject it
│   ├── ObjectFormatError       not an eBPF object, or a damaged one           (ValueError)
│   ├── LoadError               the kernel refuses a map or a program             (OSError)
│   │   └── VerifierError       ... because its proof failed; .log is the whole log
│   ├── AttachError             it was loaded, but its hook refuses it            (OSError)
│   └── PinError                it cannot be pinned, or a pin is of something else (OSError)
├── UnsupportedError            not possible on this machine                             exit 3
│   ├── HookMissingError        this kernel has not what a program attaches to  (LookupError)
│   ├── PrivilegeError          a capability is missing                   (PermissionError)
│   └── BtfError                the kernel's BTF is missing or unreadable
├── RecordingError              a recording is damaged or of another version (ValueError) exit 1
├── ProfileError                a profile of the guard is damaged or of another version (ValueError) exit 1
└── VmError                     a virtual machine did not do its work                    exit 1

The exit codes are those of the command line. An error that has a builtin as its second parent can be caught as that.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MORE_DESCRIPTORS",
    "NOT_PERMITTED",
    "NO_DESCRIPTORS",
    "AttachError",
    "BtfError",
    "ClosedError",
    "CompileError",
    "Diagnostic",
    "EntryMissingError",
    "HookMissingError",
    "LoadError",
    "MapError",
    "ObjectFormatError",
    "PinError",
    "PrivilegeError",
    "ProfileError",
    "ProgramError",
    "RecordingError",
    "SkepError",
    "SourceNotFoundError",
    "Span",
    "UnsupportedError",
    "UsageError",
    "VerifierError",
    "VmError",
]


NOT_PERMITTED = frozenset({errno.EPERM, errno.EACCES})
"""What the kernel says where a capability is missing."""
NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
"""What the kernel says where a process, or the machine, may have no more file descriptors."""
MORE_DESCRIPTORS = "ulimit -n 1024"
"""The remedy for `NO_DESCRIPTORS`."""


class Span:
    """One place in a source file, and what happened there.

    Args:
        file: path as the compiler was given it.
        line: line number, from 1.
        column: column number, from 1, or None.
        message: what happened there, a short phrase.
        source: the line itself, where it is known.
    """

    __slots__ = ("column", "file", "line", "message", "source")

    def __init__(self, file: str, line: int, column: int | None, message: str, source: str | None = None) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.message = message
        self.source = source


class Diagnostic:
    """A failure that says what to do: the rule, the place, how it came to be, and what to write instead.

    Args:
        id: stable name of the kind of failure, such as ``null-pointer`` or ``compile``.
        severity: ``error`` or ``warning``.
        message: the failure in one sentence.
        file: source file, if the failure has a place.
        line: line in it, from 1.
        column: column in it, from 1.
        path: the steps that led there, first to last.
        suggestion: what to write or do instead.
        source: the line itself, where it is known.
        details: the evidence: the rule, the words of whoever refused it, and what these were about.
    """

    __slots__ = ("column", "details", "file", "id", "line", "message", "path", "severity", "source", "suggestion")

    def __init__(
        self,
        id: str,  # noqa: A002 - the contract's word
        severity: str,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        path: Sequence[Span] = (),
        suggestion: str | None = None,
        source: str | None = None,
        details: Sequence[str] = (),
    ) -> None:
        self.id = id
        self.severity = severity
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        self.path = tuple(path)
        self.suggestion = suggestion
        self.source = source
        self.details = tuple(details)

    def __str__(self) -> str:
        """``file:line:column: message``, with as much of the place as is known."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {self.message}" if place else self.message


class SkepError(Exception):
    """Base of everything that skep raises.

    Args:
        message: one sentence.
        remedy: what the user can do about it.
        diagnostics: the places in the source, where there are any.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None, diagnostics: Sequence[Diagnostic] = ()) -> None:
        # Not super(): OSError, the second parent of some, would take the message for an errno.
        Exception.__init__(self, message)
        self.message = message
        self.remedy = remedy
        self.diagnostics = tuple(diagnostics)

    def __str__(self) -> str:
        return self.message

    @property
    def diagnostic(self) -> Diagnostic | None:
        """The first diagnostic, or None."""
        return self.diagnostics[0] if self.diagnostics else None


class UsageError(SkepError):
    """The request is wrong: an unknown option, a value of the wrong type, a command that does not exist."""

    exit_code = 2


class SourceNotFoundError(UsageError, FileNotFoundError):
    """No such file, and no tool of that name."""


class ClosedError(UsageError, ValueError):
    """Something of the kernel's is used after it was closed, or in a fork of the process that it belongs to."""


class EntryMissingError(UsageError, KeyError):
    """A map has no such entry, or is empty."""


class MapError(UsageError, OSError):
    """The kernel refuses what is asked of a map: it is full, frozen, or of another kind.

    Args:
        message: one sentence.
        number: the errno.
        remedy: what the user can do about it.
    """

    def __init__(self, message: str, number: int, *, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.errno = number


class ProgramError(SkepError):
    """The kernel file is wrong, or the kernel refuses it."""


class CompileError(ProgramError):
    """The compiler rejects the source; `diagnostics` holds its messages, file, line and column each."""


class ObjectFormatError(ProgramError, ValueError):
    """Not an eBPF object, or a damaged one."""


class LoadError(ProgramError, OSError):
    """The kernel refuses to create a map or to load a program.

    Args:
        message: one sentence.
        number: the errno.
        log: what libbpf and the kernel said.
        remedy: what the user can do about it.
        diagnostics: the places in the source, where there are any.
    """

    def __init__(
        self,
        message: str,
        number: int,
        *,
        log: str = "",
        remedy: str | None = None,
        diagnostics: Sequence[Diagnostic] = (),
    ) -> None:
        super().__init__(message, remedy=remedy, diagnostics=diagnostics)
        self.errno = number
        self.log = log


class VerifierError(LoadError):
    """The verifier could not prove a program safe; `log` is its whole log, `diagnostic` what it means."""


class AttachError(ProgramError, OSError):
    """A loaded program cannot be attached to its hook.

    Args:
        message: one sentence.
        number: the errno.
        remedy: what the user can do about it.
    """

    def __init__(self, message: str, number: int, *, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.errno = number


class PinError(ProgramError, OSError):
    """Something cannot be pinned there, or what is pinned there is of another kind than what is asked for.

    Args:
        message: one sentence.
        number: the errno.
        remedy: what the user can do about it.
    """

    def __init__(self, message: str, number: int, *, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.errno = number


class UnsupportedError(SkepError):
    """Not possible on this machine: the kernel lacks it, or it is not permitted."""

    exit_code = 3


class HookMissingError(UnsupportedError, LookupError):
    """This kernel does not have what a program attaches to."""


class PrivilegeError(UnsupportedError, PermissionError):
    """A capability is missing; `remedy` names it, or gives the sudo line."""


class BtfError(UnsupportedError):
    """The kernel's BTF (type information) is missing or unreadable."""


class ProfileError(SkepError, ValueError):
    """A profile of the guard is damaged, or was written by another version."""


class RecordingError(SkepError, ValueError):
    """A recording is none, is damaged, or was written by another version."""


class VmError(SkepError):
    """A virtual machine could not be started, or did not do its work."""
