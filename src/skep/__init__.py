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
        RecordingError,
        SkepError,
        SourceNotFoundError,
        UnsupportedError,
        UsageError,
        VerifierError,
        VmError,
    )
    from skep.base.schema import Field, Schema, Type
    from skep.kernel.link import Links
    from skep.kernel.link.link import Link, LinkInfo
    from skep.kernel.map import Map
    from skep.kernel.maps.info import MapInfo
    from skep.kernel.pin import unpin
    from skep.kernel.probes import Feature, features
    from skep.kernel.program import Program, TestRun
    from skep.kernel.variable import Variable
    from skep.session.api import Spec, compile, open  # noqa: A004 - skep.open, skep.compile
    from skep.session.loaded import Object
    from skep.session.run import Run
    from skep.session.streaming import Batches, Events
    from skep.spec.targets import Targets
    from skep.stream.batch import Batch
    from skep.stream.recording import Recording

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
        "RecordingError",
        "SkepError",
        "SourceNotFoundError",
        "UnsupportedError",
        "UsageError",
        "VerifierError",
        "VmError",
    ),
    "skep.base.schema": ("Field", "Schema", "Type"),
    "skep.kernel.link": ("Links",),
    "skep.kernel.link.link": ("Link", "LinkInfo"),
    "skep.kernel.map": ("Map",),
    "skep.kernel.maps.info": ("MapInfo",),
    "skep.kernel.pin": ("unpin",),
    "skep.kernel.probes": ("Feature", "features"),
    "skep.kernel.program": ("Program", "TestRun"),
    "skep.kernel.variable": ("Variable",),
    "skep.session.api": ("Spec", "compile", "open"),
    "skep.session.loaded": ("Object",),
    "skep.session.run": ("Run",),
    "skep.session.streaming": ("Batches", "Events"),
    "skep.spec.targets": ("Targets",),
    "skep.stream.batch": ("Batch",),
    "skep.stream.recording": ("Recording",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "AttachError",
    "Batch",
    "Batches",
    "BtfError",
    "ClosedError",
    "CompileError",
    "Diagnostic",
    "EntryMissingError",
    "Events",
    "Feature",
    "Field",
    "HookMissingError",
    "Link",
    "LinkInfo",
    "Links",
    "LoadError",
    "Map",
    "MapError",
    "MapInfo",
    "Object",
    "ObjectFormatError",
    "PinError",
    "PrivilegeError",
    "ProfileError",
    "Program",
    "ProgramError",
    "Recording",
    "RecordingError",
    "Run",
    "Schema",
    "SkepError",
    "SourceNotFoundError",
    "Spec",
    "Targets",
    "TestRun",
    "Type",
    "UnsupportedError",
    "UsageError",
    "Variable",
    "VerifierError",
    "VmError",
    "compile",
    "features",
    "open",
    "unpin",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'skep' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
