"""Packages of eunomia-bpf: a JSON file that holds an object, and beside it what its source said.

    {"bpf_object": base64 of zlib of the object,
     "bpf_object_size": its size,                                     missing in the oldest
     "meta": {"bpf_skel": {"obj_name": "opensnoop_bpf",
                           "doc": {"brief": "...", "details": "...", "description": "..."},
                           "progs": [{"name": "...", "link": true, "tchook": {...}}],
                           "maps": [{"name": "...", "sample": {...}, "export_config": ...}],
                           "data_sections": [{"variables": [{"name": "...", "description": "...", "cmdarg": {...}}]}]},
              "export_types": [{"name": "event"}],                    {"structs": [{"name": "event"}]} in the oldest
              "enable_multiple_export_types": false}}

Its compiler writes every annotation of a doc comment into the JSON, by its word. Here they become doc comments again,
so that a package and its source give the same spec. Where several maps may be exported, a ring carries what its
`export_config` says; else the only ring carries the first of `export_types`. Members that are listed one by one have no
name in C: such a ring is left to the inference, as in an object that says nothing.

The package may come from anybody: whatever does not fit raises `ObjectFormatError`.
"""

from __future__ import annotations

import binascii
import json
import re
import zlib

from skep.base.errors import ObjectFormatError
from skep.spec.annotations import known_words, mistake, read_note
from skep.spec.btf import STRUCT, TYPEDEF, UNION, Btf
from skep.spec.document import Document
from skep.spec.elf import Elf
from skep.spec.objectspec import ObjectSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

__all__ = ["Package", "read_package"]

# Objects are a hundredth of this, if they are not made to fill the memory of whoever unpacks them.
_LARGEST_OBJECT = 1 << 26


class Package:
    """What a package holds.

    Args:
        name: what its makers call it.
        data: the object.
        document: what its source said.
    """

    __slots__ = ("data", "document", "name")

    def __init__(self, name: str, data: bytes, document: Document) -> None:
        self.name = name
        self.data = data
        self.document = document


def read_package(text: bytes, file: str) -> Package:
    """Reads a package.

    Args:
        text: the whole file, from anybody.
        file: its name, for messages.

    Raises:
        ObjectFormatError: not a package in JSON, or a damaged one, or one that holds no eBPF object.
    """
    return _Reader(file).read(text)


class _Reader:
    """Reads one package: what it complains of begins with the file's name."""

    def __init__(self, file: str) -> None:
        self._file = file

    def read(self, text: bytes) -> Package:
        content = self._parse(text)
        if "bpf_object" not in content:
            raise ObjectFormatError(
                f"{self._file} is no package of eunomia-bpf: it has no bpf_object",
                remedy="Give the package.json that ecc writes.",
            )
        meta = self._get(content, "meta", dict)
        skeleton = self._get(meta, "bpf_skel", dict)
        data = self._object(content)
        notes = dict(self._notes(skeleton))
        document = Document(self._events(meta, skeleton, data), notes, "")
        return Package(self._name(skeleton), data, document)

    def _parse(self, text: bytes) -> Mapping[str, Any]:
        if self._file.endswith(".tar"):
            raise ObjectFormatError(
                f"{self._file} is a tar archive, which skep does not read",
                remedy="Unpack it and give the package.json in it: it needs no other file on a kernel with BTF.",
            )
        try:
            content = json.loads(text)
            # JSON can name halves of characters, which no terminal can print.
            json.dumps(content, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            if self._file.endswith((".yaml", ".yml")):
                raise ObjectFormatError(
                    f"{self._file} is a package in YAML, which skep does not read",
                    remedy="Build it as JSON: ecc without -y.",
                ) from error
            raise self._damaged(f"its JSON cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise self._damaged("it is no JSON object")
        return content

    def _damaged(self, why: str) -> ObjectFormatError:
        return ObjectFormatError(f"{self._file} is a damaged package: {why}", remedy="Build it again.")

    def _get(self, place: Mapping[str, Any], key: str, kind: type) -> Any:
        """What stands there; of that kind, empty if nothing does."""
        value = place.get(key)
        if value is None:
            return kind()
        if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
            raise self._damaged(f"{key} is {_brief(value)}")
        return value

    def _entries(self, place: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
        entries: list[Any] = self._get(place, key, list)
        for entry in entries:
            if not isinstance(entry, dict):
                raise self._damaged(f"{key} holds {_brief(entry)}")
        return entries

    def _object(self, content: Mapping[str, Any]) -> bytes:
        size = self._get(content, "bpf_object_size", int)
        if not 0 <= size <= _LARGEST_OBJECT:
            raise self._damaged(f"bpf_object_size is {_brief(size)}")
        unpacker = zlib.decompressobj()
        try:
            packed = binascii.a2b_base64(self._get(content, "bpf_object", str), strict_mode=True)
            data = unpacker.decompress(packed, (size or _LARGEST_OBJECT) + 1)
        except (ValueError, zlib.error) as error:
            raise self._damaged(f"its object cannot be unpacked: {error}") from error
        if size and len(data) != size:
            found = f"{len(data)}" if len(data) < size else "more"
            raise self._damaged(f"it states an object of {size} bytes and holds {found}")
        if len(data) > _LARGEST_OBJECT:
            raise self._damaged(f"its object has more than {_LARGEST_OBJECT} bytes")
        if not unpacker.eof or unpacker.unused_data:
            raise self._damaged("its object cannot be unpacked: it is cut short, or something stands behind it")
        return data

    def _name(self, skeleton: Mapping[str, Any]) -> str:
        name = str(self._get(skeleton, "obj_name", str)).removesuffix("_bpf")
        return name if re.fullmatch(r"\w+", name, re.ASCII) else self._file.rpartition("/")[2].removesuffix(".json")

    def _notes(self, skeleton: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The doc comments, by name of what they stand on."""
        for kind, entries in (
            ("program", self._entries(skeleton, "progs")),
            ("map", self._entries(skeleton, "maps")),
            ("variable", self._variables(skeleton)),
        ):
            for entry in entries:
                name = self._get(entry, "name", str)
                yield name, self._comment(name, entry, kind)
        yield "LICENSE", self._comment("doc", self._get(skeleton, "doc", dict), "variable")

    def _variables(self, skeleton: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for section in self._entries(skeleton, "data_sections"):
            for variable in self._entries(section, "variables"):
                argument = self._get(variable, "cmdarg", dict)
                # A value that the package gives is the default of the option, too.
                given = {} if variable.get("value") is None else {"default": variable["value"]}
                found.append({**variable, "cmdarg": {**given, **argument} or None})
        return found

    def _comment(self, name: str, entry: Mapping[str, Any], kind: str) -> str:
        """The annotations of an entry as they stood in the source, one in a line."""
        lines = []
        for word in known_words(kind):
            value = entry.get(word)
            if value is None:
                continue
            if isinstance(value, dict):
                value = {member: given for member, given in value.items() if given is not None}
            # Text stands as it is, if it fits into a line and cannot be taken for JSON.
            plain = isinstance(value, str) and value.isprintable() and not value.startswith('"')
            lines.append(f"@{word} {value if plain else json.dumps(value)}")
        comment = "\n".join(lines)
        wrong = mistake(read_note(comment), kind)
        if wrong is not None:
            raise self._damaged(f"{_brief(name)}: {wrong.message}")
        return comment

    def _events(self, meta: Mapping[str, Any], skeleton: Mapping[str, Any], data: bytes) -> Mapping[str, list[str]]:
        """The types of the records, by name of the ring."""
        # Only what the maps are is asked for here: the records are read with what is found out.
        maps = ObjectSpec.read(data, self._file).maps
        elf = Elf(data, self._file)
        btf = Btf(elf.by_name[".BTF"].data, elf.byte_order, self._file)
        streams = [name for name, map_ in maps.items() if map_.is_stream]
        exported = self._exported(meta, btf)
        if not self._get(meta, "enable_multiple_export_types", bool):
            return {streams[0]: exported[:1]} if len(streams) == 1 and exported else {}
        events = {}
        for entry in self._entries(skeleton, "maps"):
            name, configured = self._get(entry, "name", str), entry.get("export_config")
            types = exported[:1] if configured == "default" else self._configured(configured, btf)
            if types and name in streams:
                events[name] = types
        return events

    def _exported(self, meta: Mapping[str, Any], btf: Btf) -> list[str]:
        types = meta.get("export_types")
        names = [
            self._get(entry, "name", str)
            for entry in self._entries(types if isinstance(types, dict) else {"structs": types}, "structs")
        ]
        for name in names:
            if btf.find(STRUCT, name) is None:
                raise self._damaged(f"its object has no struct {_brief(name)}")
        return [f"struct {name}" for name in names]

    def _configured(self, configured: object, btf: Btf) -> list[str]:
        """How C calls the type that an `export_config` gives by number; nothing if it gives none that has a name."""
        number = configured.get("btf_type_id") if isinstance(configured, dict) else None
        if type(number) is not int or number < 0:
            return []
        raw = btf.raw(number)
        words = {STRUCT: "struct ", UNION: "union ", TYPEDEF: ""}
        return [f"{words[raw.kind]}{raw.name}"] if raw.kind in words and raw.name else []


def _brief(value: object) -> str:
    """A value in a message."""
    text = repr(value) if not isinstance(value, int) or -1 << 64 < value < 1 << 64 else "a huge number"
    return text if len(text) < 60 else f"{text[:60]}..."
