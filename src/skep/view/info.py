r"""What a kernel file is, for people and for programs.

As JSON it is one object on one line, whose keys are always these:

    name           the file's name without its ending
    description    its own words for itself, or ""
    programs       list: name, section (which names the hook), maps (list of the names of those that it uses)
    maps           list: name, type (as bpftool writes it), max_entries (bytes, for ring buffers; null: left open),
                   value (C type of the values, or null)
    variables      list: name, type, default (bytes as hexadecimal digits), help,
                   option (of `skep run`, or null),
                   text: whether it can be given as text at all, by its option or as --set NAME=VALUE; else from Python
    events         list, one for each kind of record that a ring carries:
                   ring (name of the map), name (of the record's type), size,
                   process (the field that says whose it is, or null),
                   fields (list: name, type, offset, size, bits ([bits to skip, width] of a bitfield, or null),
                   meaning (a word of skep.base.meaning, or null), unit (of its number, or null))
    prints         whether programs print (bpf_printk)
    includes_skep  whether it includes skep.h
    scope          who keeps what is of other processes out, with -- COMMAND or -p PID: "kernel" (the programs),
                   "user" (skep, by each record's process), "none" (no record says whose it is)

Sizes and offsets are in bytes. A byte of a name that is not UTF-8 is written as ``\xNN``.
"""

from __future__ import annotations

from textwrap import wrap

from skep.base.abi.maps import MAP_TYPES
from skep.base.meaning import MEANINGS
from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from skep.base.schema import Field, Schema
    from skep.spec.objectspec import MapSpec, ObjectSpec
    from skep.spec.variables import VariableSpec

__all__ = ["describe", "info_json", "info_text"]

# Of skep.h: what only its inclusion brings, and the map that only skep_in_scope() uses.
_SCOPED = "skep_scoped"
_TREE = "skep_tree"

_SIZED_IN_BYTES = {"ringbuf", "user_ringbuf"}
_COLUMNS = 100  # of the page
_WIDEST = 40  # what one long name may do to the column of all
_NARROWEST = 30  # what remains of the last column beside wide ones
_GAP = "  "


def describe(spec: ObjectSpec, options: Mapping[str, str]) -> dict[str, Any]:
    """What a kernel file is, as plain data: see above.

    Args:
        spec: the kernel file.
        options: the variables that are options of ``skep run``: name -> option.
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
        "programs": [
            {
                "name": _plain(program.name),
                "section": _plain(program.section),
                "maps": [_plain(name) for name in spec.maps if name in program.symbols],
            }
            for program in spec.programs.values()
        ],
        "maps": [_map(map_) for map_ in spec.maps.values()],
        "variables": [
            _variable(variable, options.get(variable.name))
            for variable in spec.variables.values()
            # The others are skep's own to set.
            if not variable.name.startswith("skep_")
        ],
        "events": events,
        "prints": spec.prints,
        "includes_skep": includes_skep,
        "scope": scope,
    }


def info_json(spec: ObjectSpec, options: Mapping[str, str]) -> str:
    """What a kernel file is, as one JSON object on one line.

    Args:
        spec: the kernel file.
        options: the variables that are options of ``skep run``: name -> option.
    """
    from json import dumps

    # ASCII, since other characters may act on a terminal; so does the one control character that JSON leaves alone.
    return dumps(describe(spec, options)).replace("\x7f", "\\u007f") + "\n"


def info_text(spec: ObjectSpec, options: Mapping[str, str]) -> str:
    """What a kernel file is, for people: a page of 100 columns.

    Args:
        spec: the kernel file.
        options: the variables that are options of ``skep run``: name -> option.
    """
    known = describe(spec, options)
    variables = known["variables"]
    name = escape(known["name"])
    title = f"{name}: {escape(known['description'])}" if known["description"] else name
    lines = wrap(title, _COLUMNS, break_long_words=False, break_on_hyphens=False)
    lines += _section(
        "Programs",
        ("NAME", "HOOK", "MAPS"),
        [(program["name"], program["section"], ", ".join(program["maps"])) for program in known["programs"]],
    )
    lines += _section(
        "Maps",
        ("NAME", "TYPE", "ENTRIES", "VALUE"),
        [(map_["name"], map_["type"], _entries(map_), map_["value"] or "") for map_ in known["maps"]],
    )
    lines += _section(
        "Options of skep run",
        ("OPTION", "TYPE", "DEFAULT", "HELP"),
        [_settable(variable, "option") for variable in variables if variable["option"] is not None],
    )
    only_set = [variable for variable in variables if variable["option"] is None and variable["text"]]
    if only_set:
        lines += _section(
            "Variables that only --set NAME=VALUE reaches, since skep has an option of that name",
            ("NAME", "TYPE", "DEFAULT", "HELP"),
            [_settable(variable, "name") for variable in only_set],
        )
    only_python = [variable for variable in variables if not variable["text"]]
    if only_python:
        lines += _section(
            "Variables that no text can set, only Python",
            ("NAME", "TYPE", "HELP"),
            [(variable["name"], variable["type"], variable["help"]) for variable in only_python],
        )
    for event in known["events"]:
        lines += _section(
            f"Events of {escape(event['ring'])}: {escape(event['name'])}, {event['size']} bytes",
            ("FIELD", "TYPE", "OFFSET", "SIZE", "MEANING"),
            [_row(field) for field in event["fields"]],
        )
    if not known["events"]:
        lines += ["", "Events: none"]
    lines += ["", f"Printed lines: {'yes (bpf_printk)' if known['prints'] else 'none'}"]
    lines += [f"Includes skep.h: {'yes' if known['includes_skep'] else 'no'}"]
    lines += ["With -- COMMAND or -p PID:", *(f"{_GAP}{line}" for line in _scope(known))]
    return "".join(f"{line}\n" for line in lines)


def _map(map_: MapSpec) -> dict[str, Any]:
    return {
        "name": _plain(map_.name),
        "type": MAP_TYPES.get(map_.type, f"type {map_.type}"),
        "max_entries": map_.max_entries or None,
        "value": None if map_.value is None else _plain(map_.value.name),
    }


def _variable(variable: VariableSpec, option: str | None) -> dict[str, Any]:
    value = variable.value
    if isinstance(value, bytes):
        value = value.hex()
    return {
        "name": _plain(variable.name),
        "type": _plain(variable.type.name),
        "default": _plain(value) if isinstance(value, str) else value,
        "help": _plain(variable.help),
        "option": None if option is None else _plain(option),
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
    return "".join(escape(character) if "\ud800" <= character <= "\udfff" else character for character in text)


def _entries(map_: Mapping[str, Any]) -> str:
    if map_["max_entries"] is None:
        return "left open"
    return f"{map_['max_entries']}{' bytes' if map_['type'] in _SIZED_IN_BYTES else ''}"


def _settable(variable: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return variable[key], variable["type"], repr(variable["default"]), variable["help"]


def _row(field: Mapping[str, Any]) -> tuple[str, ...]:
    held = field["type"] if field["bits"] is None else f"{field['type']}:{field['bits'][1]}"
    meaning = field["meaning"] or ""
    # "bytes" is a meaning and its unit.
    if field["unit"] not in {None, meaning}:
        meaning += f" ({field['unit']})"
    return field["name"], held, str(field["offset"]), str(field["size"]), meaning


def _scope(known: Mapping[str, Any]) -> list[str]:
    if known["scope"] == "kernel":
        return ["filters by scope in the kernel (skep_in_scope)"]
    lines = []
    for event in known["events"]:
        records = f"{escape(event['name'])} of {escape(event['ring'])}"
        if event["process"] is not None:
            lines.append(f"filters {records} in user space by the field {escape(event['process'])}")
        else:
            lines.append(f"{records} names no process: those of all are shown")
    if known["prints"]:
        lines.append("filters printed lines in user space by the thread that printed them")
    return lines or ["nothing to filter: it sends no events"]


def _section(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A titled table. The last column is wrapped; a cell that is too long moves what follows it on its own line."""
    cells = [[escape(text) for text in row] for row in rows]
    if not cells:
        return ["", f"{title}: none"]
    # Numbers stand to the right.
    signs = [">" if all(row[index].isdecimal() for row in cells) else "<" for index in range(len(header) - 1)]
    table = [header, *cells]
    widths = [min(max(len(row[index]) for row in table), _WIDEST) for index in range(len(header) - 1)]
    indent = len(_GAP) + sum(width + len(_GAP) for width in widths)
    lines = ["", title]
    for row in table:
        head = "".join(f"{_GAP}{text:{sign}{width}}" for text, sign, width in zip(row, signs, widths, strict=False))
        # Names are not broken: they are there to be copied.
        wrapped = wrap(row[-1], max(_COLUMNS - indent, _NARROWEST), break_long_words=False, break_on_hyphens=False)
        lines.append(f"{head}{_GAP}{wrapped[0] if wrapped else ''}".rstrip())
        lines += [f"{' ' * indent}{line}" for line in wrapped[1:]]
    return lines
