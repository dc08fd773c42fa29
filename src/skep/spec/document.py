"""The `.skep` section: what the source said and the object alone could not tell, carried in the object.

One JSON document, NUL-ended, since linkers put the sections of several objects one after the other:

    {"version": 1, "events": {"MAP": ["struct event"]}, "notes": {"VARIABLE": "its doc comment"}, "digest": "..."}

Beside it, `.skep.types` holds one pointer for each event type, so that the compiler keeps the type in BTF. libbpf knows
neither section and leaves both alone. The document may come from anybody: what does not fit is an error.
"""

from __future__ import annotations

import json

from skep.base.errors import ObjectFormatError
from skep.spec.elf import Elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SECTION", "embedded_digest", "read_document", "wrap_source"]

SECTION = ".skep"
_VERSION = 1


def wrap_source(source: str, document: dict[str, Any]) -> str:
    """The translation unit that is compiled: the source, and its document behind it.

    Args:
        source: absolute path of the source.
        document: as from `skep.spec.reading`.
    """
    lines = [f"#include {_quoted(source)}"]
    names = dict.fromkeys(name for types in document["events"].values() for name in types)
    for number, name in enumerate(names):
        lines.append(f'static {name} *__skep_type_{number} __attribute__((section("{SECTION}.types"), used));')
    text = _quoted(json.dumps(document, separators=(",", ":")))
    lines.append(f'static const char __skep[] __attribute__((section("{SECTION}"), used)) = {text};')
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
    return f'"{escaped}"'


def read_document(data: memoryview, file: str) -> dict[str, Any]:
    """The documents of an object, merged.

    Args:
        data: the section; empty where the object has none.
        file: the object's name, for messages.

    Raises:
        ObjectFormatError: damaged, or of a version that this skep does not know.
    """
    merged: dict[str, Any] = {"events": {}, "notes": {}, "digest": ""}
    for part in bytes(data).split(b"\0"):
        if not part:
            continue
        try:
            document = json.loads(part)
            if document["version"] != _VERSION:
                raise ObjectFormatError(
                    f"{file}: its {SECTION} section has version {document['version']!r}, not {_VERSION}",
                    remedy="Build it again with this skep.",
                )
            events = {str(name): [str(kind) for kind in kinds] for name, kinds in document["events"].items()}
            merged["digest"] += str(document["digest"])
            notes = {str(name): str(text) for name, text in document["notes"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, ObjectFormatError):
                raise
            message = f"{file}: its {SECTION} section is damaged: {error}"
            raise ObjectFormatError(message, remedy="Build it again.") from error
        merged["events"] |= events
        merged["notes"] |= notes
    return merged


def embedded_digest(data: bytes) -> str:
    """The digest of the source that an object was built from; "" where it has none."""
    elf = Elf(data, "object")
    return str(read_document(elf.by_name[SECTION].data, "object")["digest"]) if SECTION in elf.by_name else ""
