"""skep: write only the kernel side.

One eBPF source file becomes a running, typed, readable data source:

    import skep

    spec = skep.compile("opensnoop.bpf.c")
    with spec.load() as obj, obj.attach():
        for event in obj.events(timeout=5):
            print(event.comm, event.filename)

`import skep` imports nothing else: each name is fetched from its room when it is first used (PEP 562).
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.base.errors import (
        AttachError,
        BtfError,
        ClosedError,
        CompileError,
        Diagnostic,
        EntryMissingError,
        HookMissingError,
        LoadError,
        MapError,
        ObjectFormatError,
        PinError,
        PrivilegeError,
        ProfileError,
        ProgramError,
        SkepError,
        SourceNotFoundError,
        UnsupportedError,
        UsageError,
        VerifierError,
        VmError,
    )
    from skep.base.schema import Field, Schema, Type
    from skep.session.api import Spec, compile, open  # noqa: A004 - skep.open, skep.compile
    from skep.session.loaded import Object
    from skep.session.run import Run
    from skep.stream.batch import Batch

_ROOMS = {
    "skep.base.errors": (
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
        "SkepError",
        "SourceNotFoundError",
        "UnsupportedError",
        "UsageError",
        "VerifierError",
        "VmError",
    ),
    "skep.base.schema": ("Field", "Schema", "Type"),
    "skep.session.api": ("Spec", "compile", "open"),
    "skep.session.loaded": ("Object",),
    "skep.session.run": ("Run",),
    "skep.stream.batch": ("Batch",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "AttachError",
    "Batch",
    "BtfError",
    "ClosedError",
    "CompileError",
    "Diagnostic",
    "EntryMissingError",
    "Field",
    "HookMissingError",
    "LoadError",
    "MapError",
    "Object",
    "ObjectFormatError",
    "PinError",
    "PrivilegeError",
    "ProfileError",
    "ProgramError",
    "Run",
    "Schema",
    "SkepError",
    "SourceNotFoundError",
    "Spec",
    "Type",
    "UnsupportedError",
    "UsageError",
    "VerifierError",
    "VmError",
    "compile",
    "open",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'skep' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
