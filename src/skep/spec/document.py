"""The `.skep` section: what the source said and the object alone could not tell, carried in the object.

One JSON document, NUL-ended, since linkers put the sections of several objects one after the other:

    {"version": 2,
     "events": {"MAP": ["struct event"]},                                    the types of the records that it carries;
                                                                             or PROGRAM: that this iterator writes
     "tags": {"MAP": {"field": "kind", "values": {"struct event": [1]}}},    what tells types of one size apart
     "formats": {"struct event": {"address": "ipv4"}},                       @format of fields
     "notes": {"NAME": "its doc comment"},                                   of programs, maps and variables
     "digest": "..."}

Beside it, `.skep.types` holds one pointer for each event type, named after it: so that the compiler keeps the type in
BTF, and so that it is found there whatever C calls it. libbpf knows neither section and leaves both alone. The document
may come from anybody: what does not fit is an error.
"""

from __future__ import annotations

import json
import os
import re

from skep.base.errors import ObjectFormatError
from skep.spec.elf import Elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = [
    "RESTATED",
    "SECTION",
    "TYPES",
    "Document",
    "Tag",
    "embedded_digest",
    "read_document",
    "type_variable",
    "wrap_source",
]

SECTION = ".skep"
TYPES = ".skep.types"
# The names of types that stand within a function, or have none, end in this: a flavour, as CO-RE calls it.
RESTATED = "___skep"
_VERSION = 2

# What stands for itself in a C string.
_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\?')


class Document:
    """What a source says beyond its code.

    Args:
        events: the names in C of the types of the records that each ring carries, or each iterator writes, by name of
            the ring or the program.
        notes: the doc comments of programs, maps and global variables, by name.
        digest: tells whether the source has changed since (`skep.spec.compiling.source_digest`).
        tags: what tells records of one size apart, by name of the ring: the field, and its values for each type.
        formats: the meanings that @format gives to fields, by name of their struct in C.
        declarations: of the types of `events` that the source itself does not name; only while it is compiled.
    """

    __slots__ = ("declarations", "digest", "events", "formats", "notes", "tags")

    def __init__(
        self,
        events: Mapping[str, list[str]],
        notes: Mapping[str, str],
        digest: str,
        *,
        tags: Mapping[str, Tag] | None = None,
        formats: Mapping[str, Mapping[str, str]] | None = None,
        declarations: Sequence[str] = (),
    ) -> None:
        self.events = events
        self.notes = notes
        self.digest = digest
        self.tags = tags or {}
        self.formats = formats or {}
        self.declarations = declarations

    def overruled_by(self, other: Document) -> Document:
        """What both say; where they differ, what the other says.

        Args:
            other: from the user, or from a package around the object.
        """
        own_tags = {ring: tag for ring, tag in self.tags.items() if ring not in other.events}
        return Document(
            {**self.events, **other.events},
            {**self.notes, **other.notes},
            self.digest,
            tags={**own_tags, **other.tags},
            formats={**self.formats, **other.formats},
        )


class Tag:
    """The field that tells several types of one ring apart.

    Args:
        field: its name; every type has it, at one place.
        values: the constants that programs assign to it, by name of the type in C.
    """

    __slots__ = ("field", "values")

    def __init__(self, field: str, values: Mapping[str, list[int]]) -> None:
        self.field = field
        self.values = values


def wrap_source(source: str, text: bytes, document: Document) -> bytes:
    """The translation unit that is compiled: the source, and its document behind it.

    The text stands in it instead of an `#include`, which cannot name a file with a quote or a backslash in its path.

    Args:
        source: path of the source, for messages and debug information.
        text: its contents.
        document: as from `skep.spec.reading`.
    """
    # The byte order mark is skipped at the start of a file, and an error anywhere else. The empty line ends a last line
    # that ends in a backslash.
    parts = [
        b"#line 1 %s" % _literal(os.fsencode(source)),
        text.removeprefix(b"\xef\xbb\xbf"),
        b"",
        b'#line 1 "<skep>"',
        *(declaration.encode() for declaration in document.declarations),
    ]
    for name in dict.fromkeys(name for names in document.events.values() for name in names):
        attributes = f'__attribute__((__section__("{TYPES}"), __used__))'
        parts.append(f"static __typeof__({name}) *{type_variable(name)} {attributes};".encode())
    content = {
        "version": _VERSION,
        "events": document.events,
        "tags": {ring: {"field": tag.field, "values": tag.values} for ring, tag in document.tags.items()},
        "formats": document.formats,
        "notes": document.notes,
        "digest": document.digest,
    }
    attributes = f'__attribute__((__section__("{SECTION}"), __used__))'
    literal = _literal(json.dumps(content, separators=(",", ":")).encode())
    parts.append(b"static const char __skep[] %s = %s;" % (attributes.encode(), literal))
    return b"\n".join(parts) + b"\n"


def type_variable(name: str) -> str:
    """The variable of `.skep.types` that points to the type which C calls by that name."""
    # Two types never share one: what no name in C may hold stands as its number, and so does the mark before numbers.
    return "__skep_" + re.sub(rb"[^0-9A-Za-z]", lambda match: b"_%02x" % ord(match[0]), name.encode()).decode()


def _literal(text: bytes) -> bytes:
    """A C string. A question mark is escaped since `??/` and the like mean other characters (trigraphs)."""
    return b'"%s"' % b"".join(b"%c" % byte if byte in _PLAIN else b"\\%03o" % byte for byte in text)


def read_document(data: memoryview, file: str) -> Document:
    """The documents of an object, merged.

    Args:
        data: the section; empty where the object has none.
        file: the object's name, for messages.

    Raises:
        ObjectFormatError: damaged, or of a version that this skep does not know.
    """
    events: dict[str, dict[str, None]] = {}
    tags: dict[str, tuple[str, dict[str, list[int]]]] = {}
    formats: dict[str, Mapping[str, str]] = {}
    notes: dict[str, str] = {}
    digest = ""
    for part in bytes(data).split(b"\0"):
        if not part:
            continue
        try:
            content = json.loads(part)
        except (ValueError, RecursionError) as error:
            raise _damaged(file, str(error)) from error
        if not isinstance(content, dict) or "version" not in content:
            raise _damaged(file, "it has no version")
        if content["version"] != _VERSION:
            raise ObjectFormatError(
                f"{file}: its {SECTION} section has another version than {_VERSION}",
                remedy="Build it again with this skep.",
            )
        if not _is_document(content):
            raise _damaged(file, "something is missing, or of the wrong type")
        for ring, names in content["events"].items():
            events.setdefault(ring, {}).update(dict.fromkeys(names))
        for ring, tag in content["tags"].items():
            if ring not in tags or tags[ring][0] != tag["field"]:
                tags[ring] = tag["field"], {}
            tags[ring][1].update(tag["values"])
        formats |= content["formats"]
        notes |= content["notes"]
        digest += content["digest"]
    return Document(
        {ring: list(names) for ring, names in events.items()},
        notes,
        digest,
        tags={ring: Tag(field, values) for ring, (field, values) in tags.items()},
        formats=formats,
    )


def _damaged(file: str, why: str) -> ObjectFormatError:
    return ObjectFormatError(f"{file}: its {SECTION} section is damaged: {why}", remedy="Build it again.")


def _is_document(content: dict[str, Any]) -> bool:
    events, tags, formats, notes = (content.get(key) for key in ("events", "tags", "formats", "notes"))
    return (
        isinstance(events, dict)
        and all(isinstance(names, list) and all(map(_is_text, names)) for names in events.values())
        and isinstance(tags, dict)
        and all(map(_is_tag, tags.values()))
        and isinstance(formats, dict)
        and all(map(_is_texts, formats.values()))
        and _is_texts(notes)
        and _is_text(content.get("digest"))
    )


def _is_tag(tag: object) -> bool:
    return (
        isinstance(tag, dict)
        and _is_text(tag.get("field"))
        and isinstance(tag.get("values"), dict)
        and all(
            isinstance(values, list) and all(type(value) is int for value in values)
            for values in tag["values"].values()
        )
    )


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _is_text(value: object) -> bool:
    """A string without halves of characters, which JSON can name and no terminal can print."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def embedded_digest(data: bytes) -> str:
    """The digest of the source that an object was built from; "" where it has none."""
    elf = Elf(data, "object")
    return read_document(elf.by_name[SECTION].data, "object").digest if SECTION in elf.by_name else ""
