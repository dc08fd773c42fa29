"""A whole object: all that is said of it without loading it, then libbpf's own reading, as `skep run` would go on."""

from __future__ import annotations

from random import Random

from skep._native import ffi, lib, messages
from skep.cli.options import run_parser
from skep.kernel.object import _name
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
    lib.skep_messages_install()
    memory = ffi.from_buffer(data)
    handle = lib.bpf_object__open_mem(memory, len(data), ffi.NULL)
    messages()
    if handle == ffi.NULL:
        return
    for next_, name_of in (
        (lib.bpf_object__next_map, lib.bpf_map__name),
        (lib.bpf_object__next_program, lib.bpf_program__name),
    ):
        each = next_(handle, ffi.NULL)
        while each != ffi.NULL:
            _name(name_of(each))
            each = next_(handle, each)
    lib.bpf_object__close(handle)
