"""A package of eunomia-bpf: its JSON, the object packed in it, and what both say together."""

from __future__ import annotations

import base64
import json
import zlib
from functools import cache
from random import Random
from typing import Any

from skep.spec.annotations import known_words
from skep.spec.objectspec import ObjectSpec
from skep.spec.package import read_package
from tests.fuzz import mutation, objects

# Packing is what takes the time: the small ones hold all that there is.
_SEEDS = 20


def _pack(data: bytes) -> dict[str, Any]:
    return {"bpf_object": base64.b64encode(zlib.compress(data, 1)).decode(), "bpf_object_size": len(data)}


def _entry(name: str, kind: str) -> dict[str, Any]:
    values = {"tchook": {"ifindex": 1, "attach_point": "BPF_TC_INGRESS"}, "flags": 0, "link": True, "format": "pid"}
    values |= {"cmdarg": {"default": 1, "short": "x", "help": "words"}, "sample": {"interval": 10, "unit": "us"}}
    return {"name": name, **{word: values.get(word) for word in known_words(kind)}, "description": "words"}


@cache
def seeds() -> list[bytes]:
    found: list[bytes] = []
    for data in objects.seeds()[:_SEEDS]:
        spec = ObjectSpec.read(data, "seed.o")
        variables = [{**_entry(name, "variable"), "value": None} for name in spec.variables]
        skeleton = {
            "obj_name": "seed_bpf",
            "doc": {"description": "words", "version": "1"},
            "progs": [{"name": name, "link": True} for name in spec.programs],
            "maps": [{"name": name, "export_config": {"btf_type_id": 3}} for name in spec.maps],
            "data_sections": [{"name": ".rodata", "variables": variables}],
        }
        structs = [{"name": schema.name} for event in spec.events.values() for schema in event.schemas if schema.size]
        meta = {"bpf_skel": skeleton, "export_types": structs, "enable_multiple_export_types": len(found) % 2 == 0}
        found.append(json.dumps({**_pack(data), "meta": meta}).encode())
    return found


def mutated(random: Random, seed: bytes) -> bytes:
    content = json.loads(seed)
    if random.random() < 0.2:
        data = zlib.decompress(base64.b64decode(content["bpf_object"]))
        content |= _pack(objects.mutated(random, data, objects.TYPES))
    elif random.random() < 0.8:
        content["meta"] = mutation.json_value(random, content["meta"])
    else:
        return mutation.json_text(random, seed)
    return mutation.json_bytes(content)


def read(data: bytes) -> None:
    package = read_package(data, "package.json")
    spec = ObjectSpec.read(package.data, f"{package.name}.bpf.o", document=package.document)
    for program in spec.programs.values():
        program.note.object("tchook")
        assert program.hook
