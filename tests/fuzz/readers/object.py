"""A whole object: all that is said of it without loading it, then libbpf's own reading, as `skep run` would go on."""

from __future__ import annotations

from random import Random

from skep._native import ffi, lib, messages
from skep.cli.options import run_parser
from skep.kernel.object import Object
from skep.spec.objectspec import ObjectSpec
from skep.stream.names import Names
from skep.view.info import info_json
from skep.view.ndjson import Ndjson
from skep.view.table import Table
from tests.fuzz import objects

seeds = objects.seeds
# Records of more bytes are read in the same way.
_LARGEST = 1 << 16


def mutated(random: Random, seed: bytes) -> bytes:
    return objects.mutated(random, seed, objects.ELF + objects.TYPES)


def read(data: bytes) -> None:
    spec = ObjectSpec.read(data, "x.o")
    info_json(spec, {})
    run_parser(spec)
    for event in spec.events.values():
        for schema in event.schemas:
            if schema.size < _LARGEST:
                rows = [schema.decode(bytes(schema.size or 8))]
                Table(Names()).render(schema, rows)
                Ndjson(Names()).render(schema, rows)
    loaded = Object.__new__(Object)
    loaded.spec = spec
    loaded._statistics = -1
    loaded._data = ffi.from_buffer(data)
    loaded._handle = ffi.NULL
    lib.skep_messages_install()
    try:
        loaded._open(None)
        loaded._each_map()
        loaded._each_program()
    finally:
        messages()
        loaded.close()
