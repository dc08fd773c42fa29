"""A doc comment: its annotations, what is wrong with them, and a variable or a program that they stand on."""

from __future__ import annotations

from random import Random

from skep.base.schema import Type
from skep.spec.annotations import mistake, read_note
from skep.spec.objectspec import ProgramSpec
from skep.spec.targets import Targets, hook_of, open_words
from skep.spec.variables import VariableSpec
from tests.fuzz import mutation

_SEEDS = [
    'Words.\n@cmdarg {"default": 10, "short": "l", "long": "limit", "help": "How many."}\n@format duration_ms',
    '@tchook {"ifindex": 1, "attach_point": "BPF_TC_INGRESS"}\n@tcopts {"handle": 1, "priority": 1}\n@link false',
    '@sample {"interval": 1000, "type": "log2_hist",\n "unit": "us", "clear_map": true}\nMore words.',
    '@description "Text with \\"quotes\\""\n@brief b\n@details d\n@version 1\n@param x what',
    "@oneof group\n@optional\n@required\n@event struct event\n@event struct other\n@ifindex 3\n@flags 0",
    '@intepreter {"stack_trace": {"a": {}}}\n@xdpopts {"old_prog_fd": 0}',
]
_TYPES = [
    Type("int", 4, "u32"),
    Type("bool", 1, "bool"),
    Type("float", 8, "double"),
    Type("text", 8, "char[8]", count=8),
    Type("enum", 4, "enum mode", enum={0: "IDLE", 1: "BUSY"}),
    Type("array", 16, "u8[16]", element=Type("int", 1, "u8"), count=16),
]


def seeds() -> list[bytes]:
    return [text.encode() for text in _SEEDS]


def mutated(random: Random, seed: bytes) -> bytes:
    return mutation.text(random, random.choice([seed, seed + b"\n" + random.choice(_SEEDS).encode()]))


def read(data: bytes) -> None:
    note = read_note(data.decode("utf-8", "replace"))
    for kind in ("program", "map", "variable", "field", "struct"):
        mistake(note, kind)
        for word in note.marks:
            note.value(word)
    if mistake(note, "program") is None:
        program = ProgramSpec("x", "tc", frozenset(), frozenset(), note)
        hook_of(program, Targets(), {})
        open_words([program])
    for type_ in _TYPES if mistake(note, "variable") is None else ():
        variable = VariableSpec("limit_ms", ".rodata", 0, type_, bytes(type_.size), note)
        assert variable.is_option in {True, False}
        _ = variable.value, variable.help, variable.long, variable.short
