"""What a kernel file is, for people: a page of 100 columns."""

from __future__ import annotations

from textwrap import wrap

from skep.spec.objectspec import NO_PROGRAM
from skep.spec.sizes import STACK_DEPTH
from skep.view.formatters import escape
from skep.view.info import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from skep.spec.objectspec import ObjectSpec
    from skep.view.info import Outlook

__all__ = ["info_text", "section"]

_SIZED_IN_BYTES = {"ringbuf", "user_ringbuf"}
_COLUMNS = 100  # of the page
_WIDEST = 40  # what one long name may do to the column of all
_NARROWEST = 30  # what remains of the last column beside wide ones
_MOST_NAMES = 8  # of an enum
_GAP = "  "


def info_text(spec: ObjectSpec, options: Mapping[str, str], outlook: Outlook | None = None) -> str:
    """What a kernel file is, for people.

    Args:
        spec: the kernel file.
        options: the variables that are options of ``skep run``: name -> option.
        outlook: as for `describe`.
    """
    known = describe(spec, options, outlook)
    variables = known["variables"]
    name = escape(known["name"])
    title = f"{name}: {escape(known['description'])}" if known["description"] else name
    lines = wrap(title, _COLUMNS, break_long_words=False, break_on_hyphens=False)
    lines += section(
        "Programs",
        ("NAME", "HOOK", "MAPS"),
        [(program["name"], program["section"], ", ".join(program["maps"])) for program in known["programs"]],
    )
    if not known["programs"]:
        lines.append(f"{_GAP}{NO_PROGRAM}")
    lines += section(
        "What skep run attaches here",
        ("NAME", "ATTACHED"),
        [(program["name"], "yes" if program["attached"] else program["reason"]) for program in known["programs"]],
    )
    lines += section(
        "Maps",
        ("NAME", "TYPE", "ENTRIES", "VALUE"),
        [(map_["name"], map_["type"], _entries(map_), _value(map_)) for map_ in known["maps"]],
    )
    lines += section(
        "Options of skep run",
        ("OPTION", "TYPE", "DEFAULT", "HELP"),
        [_settable(variable, "option") for variable in variables if variable["option"] is not None],
    )
    only_set = [variable for variable in variables if variable["option"] is None and variable["text"]]
    if only_set:
        lines += section(
            "Variables that only --set NAME=VALUE reaches, since skep has an option of that name",
            ("NAME", "TYPE", "DEFAULT", "HELP"),
            [_settable(variable, "name") for variable in only_set],
        )
    only_python = [variable for variable in variables if not variable["text"]]
    if only_python:
        lines += section(
            "Variables that no text can set, only Python",
            ("NAME", "TYPE", "HELP"),
            [(variable["name"], variable["type"], variable["help"]) for variable in only_python],
        )
    if known["words"]:
        lines += section(
            "Words of skep run that fill variables and maps",
            ("WORD", "FILLS"),
            [(f"--{word}", ", ".join(names)) for word, names in known["words"].items()],
        )
    for event in known["events"]:
        lines += section(
            f"Events of {escape(event['ring'])}: {escape(event['name'])}, {event['size']} bytes",
            ("FIELD", "TYPE", "OFFSET", "SIZE", "MEANING"),
            [_row(field) for field in event["fields"]],
        )
    if not known["events"]:
        lines += ["", "Events: none"]
    lines += section(
        "Still open",
        ("NAME", "QUESTION"),
        [(one["name"], one["question"]) for one in known["open"]],
    )
    lines += ["", f"Printed lines: {'yes (bpf_printk)' if known['prints'] else 'none'}"]
    lines += [f"Includes skep.h: {'yes' if known['includes_skep'] else 'no'}"]
    lines += ["With -- COMMAND or -p PID:", *(f"{_GAP}{line}" for line in _scope(known))]
    return "".join(f"{line}\n" for line in lines)


def _entries(map_: Mapping[str, Any]) -> str:
    entries = map_["max_entries"] or map_["default"]
    if not entries:
        # One for each CPU; storage grows with what it belongs to.
        return "as needed" if entries == 0 else "open"
    size = f"{entries}{' bytes' if map_['type'] in _SIZED_IN_BYTES else ''}"
    return size if map_["max_entries"] else f"left open: {size}"


def _value(map_: Mapping[str, Any]) -> str:
    if map_["value"] is None and map_["type"] == "stack_trace":
        return f"left open: {STACK_DEPTH} addresses"
    return map_["value"] or ""


def _settable(variable: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names, default = variable["enum"], variable["default"]
    if names is None:
        return variable[key], variable["type"], repr(default), variable["help"]
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return variable[key], f"{variable['type']}: {shown}", str(default), variable["help"]


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


def section(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A titled table. The last column is wrapped; a cell that is too long moves what follows it on its own line.

    Args:
        title: above it.
        header: of its columns.
        rows: their cells, as text.
    """
    cells = [[escape(text) for text in row] for row in rows]
    if not cells:
        return ["", f"{title}: none"]
    # Numbers stand to the right.
    columns = list(zip(*cells, strict=True))[:-1]
    signs = [">" if all(not text or text.isdecimal() for text in column) else "<" for column in columns]
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
