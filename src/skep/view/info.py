r"""What a kernel file is, for people and for programs.

As JSON it is one object on one line, whose keys are always these:

    name           the file's name without its ending
    description    its own words for itself, or ""
    programs       list: name, section (which names the hook), maps (list of the names of those that it uses),
                   attached: whether `skep run` would attach it here, or null where that was not tried,
                   reason: why not, or why it was not tried; else ""
    maps           list: name, type (as bpftool writes it), max_entries (bytes, for ring buffers; null: left open),
                   default: what skep gives it where that is left open; 0 where the kernel needs none, or one for each
                   CPU (arrays); null where only the user knows, or nothing is open,
                   value (C type of the values, or null)
    variables      list: name, type, default (bytes as hexadecimal digits, an enum by name), help,
                   option (of `skep run`, or null),
                   enum: the names that it takes, or null,
                   text: whether it can be given as text at all, by its option or as --set NAME=VALUE; else from Python
    words          object: each word of `skep run` that fills something (pid, uid, ...), and the list of the variables
                   and maps that it fills
    events         list, one for each kind of record that a ring carries, or an iterator writes:
                   ring (name of the map, or of the iterator), name (of the record's type), size,
                   process (the field that says whose it is, or null),
                   fields (list: name, type, offset, size, bits ([bits to skip, width] of a bitfield, or null),
                   meaning (a word of skep.base.meaning, or null), unit (of its number, or null))
    open           list: what the file leaves open, and skep cannot know:
                   kind ("program", "map", "events", "word"), name, question
    prints         whether programs print (bpf_printk)
    includes_skep  whether it includes skep.h
    scope          who keeps what is of other processes out, with -- COMMAND or -p PID: "kernel" (the programs),
                   "user" (skep, by each record's process), "none" (no record says whose it is)

Sizes and offsets are in bytes. A byte of a name that is not UTF-8 is written as ``\xNN``.
"""

from __future__ import annotations

from skep.base.abi.maps import MAP_TYPES
from skep.base.meaning import MEANINGS
from skep.spec.sections import no_hook
from skep.spec.sizes import default_entries, shapeless
from skep.spec.targets import Targets, hook_of
from skep.spec.words import questions, words_of
from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from skep.base.schema import Field, Schema
    from skep.spec.objectspec import MapSpec, ObjectSpec, ProgramSpec
    from skep.spec.variables import VariableSpec

__all__ = ["describe", "info_json"]

# Of skep.h: what only its inclusion brings, and the map that only skep_in_scope() uses.
_SCOPED = "skep_scoped"
_TREE = "skep_tree"

# What `skep run` would attach, by program: see `skep.kernel.alternatives.Plan.outlook`.
if TYPE_CHECKING:
    Outlook = Mapping[str, tuple[bool | None, str]]


def describe(spec: ObjectSpec, options: Mapping[str, str], outlook: Outlook | None = None) -> dict[str, Any]:
    """What a kernel file is, as plain data: see above.

    Args:
        spec: the kernel file.
        options: the variables that are options of ``skep run``: name -> option.
        outlook: whether each program would be attached here (None: nobody knows), and why not; None: nobody asked.
    """
    events = [_event(event.map, schema) for event in spec.events.values() for schema in event.schemas]
    includes_skep = _SCOPED in spec.variables
    if includes_skep and any(_TREE in program.symbols for program in spec.programs.values()):
        scope = "kernel"
    else:
        # A printed line names its thread.
        scope = "user" if spec.prints or any(event["process"] is not None for event in events) else "none"
    return {
        "name": _plain(spec.name),
        "description": _plain(spec.description),
        "programs": [_program(spec, program, outlook) for program in spec.programs.values()],
        "maps": [_map(map_) for map_ in spec.maps.values()],
        "variables": [
            _variable(variable, options.get(variable.name))
            for variable in spec.variables.values()
            # The others are skep's own to set.
            if not variable.name.startswith("skep_")
        ],
        "words": {word: [_plain(name) for name in names] for word, names in words_of(spec).items()},
        "events": events,
        "open": [
            {"kind": kind, "name": _plain(name), "question": _plain(question)} for kind, name, question in _open(spec)
        ],
        "prints": spec.prints,
        "includes_skep": includes_skep,
        "scope": scope,
    }


def info_json(spec: ObjectSpec, options: Mapping[str, str], outlook: Outlook | None = None) -> str:
    """What a kernel file is, as one JSON object on one line.

    Args:
        spec: the kernel file.
        options: the variables that are options of ``skep run``: name -> option.
        outlook: whether each program would be attached here (None: nobody knows), and why not; None: nobody asked.
    """
    from json import dumps

    # ASCII, since other characters may act on a terminal; so does the one control character that JSON leaves alone.
    return dumps(describe(spec, options, outlook)).replace("\x7f", "\\u007f") + "\n"


def _program(spec: ObjectSpec, program: ProgramSpec, outlook: Outlook | None) -> dict[str, Any]:
    attached, reason = (None, "not tried: it is for another kernel") if outlook is None else outlook[program.name]
    return {
        "name": _plain(program.name),
        "section": _plain(program.section),
        "maps": [_plain(name) for name in spec.maps if name in program.symbols],
        "attached": attached,
        "reason": _plain(reason),
    }


def _open(spec: ObjectSpec) -> Iterable[tuple[str, str, str]]:
    """What is left open: (kind, name, question)."""
    for program in spec.programs.values():
        hook = hook_of(program, Targets(), spec.maps)
        if not hook.kind:
            yield "program", program.name, no_hook(program.section)
        elif hook.needs:
            yield "program", program.name, hook.needs
    for map_ in spec.maps.values():
        if not map_.max_entries and default_entries(map_.type) is None:
            yield "map", map_.name, f"how many entries it has: --map {map_.name}.max_entries=N"
        if question := shapeless(map_):
            yield "map", map_.name, question
    for event in spec.events.values():
        if event.question:
            yield "events", event.map, event.question
    for word, question in questions(spec).items():
        yield "word", f"--{word}", question


def _map(map_: MapSpec) -> dict[str, Any]:
    return {
        "name": _plain(map_.name),
        "type": MAP_TYPES.get(map_.type, f"type {map_.type}"),
        "max_entries": map_.max_entries or None,
        "default": None if map_.max_entries else default_entries(map_.type),
        "value": None if map_.value is None else _plain(map_.value.name),
    }


def _variable(variable: VariableSpec, option: str | None) -> dict[str, Any]:
    value = variable.value
    if isinstance(value, bytes):
        value = value.hex()
    elif isinstance(value, int):
        value = (variable.type.enum or {}).get(value, value)
    return {
        "name": _plain(variable.name),
        "type": _plain(variable.type.name),
        "default": _plain(value) if isinstance(value, str) else value,
        "help": _plain(variable.help),
        "option": None if option is None else _plain(option),
        "enum": None if variable.type.enum is None else [_plain(name) for name in variable.type.enum.values()],
        "text": variable.is_option,
    }


def _event(ring: str, schema: Schema) -> dict[str, Any]:
    return {
        "ring": _plain(ring),
        "name": _plain(schema.name),
        "size": schema.size,
        "process": None if schema.process is None else _plain(schema.process.name),
        "fields": [_field(field) for field in schema.fields],
    }


def _field(field: Field) -> dict[str, Any]:
    return {
        "name": _plain(field.name),
        "type": _plain(field.type.name),
        "offset": field.offset,
        "size": field.size,
        "bits": None if field.bits is None else list(field.bits),
        "meaning": field.meaning,
        "unit": None if field.meaning is None else MEANINGS[field.meaning].unit or None,
    }


def _plain(text: str) -> str:
    """Text that JSON can carry: a surrogate, which stands for a byte that is not UTF-8, is no character."""
    if text.isprintable():
        return text
    return "".join(escape(character) if "\ud800" <= character <= "\udfff" else character for character in text)
