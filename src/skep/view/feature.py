"""What a kernel has for eBPF, for people and for programs.

As JSON it is one object on one line: `kernel` (its release), and `features`: by group (``program types``,
``map types``, ``hooks``, ``links``, ``instructions``, ``BTF``, ``helpers of xdp``, ``functions of xdp`` and so on) a
list of objects:

    name   of the feature
    state  "yes", "no", "unknown" (it could not be told)
    why    what the kernel said, or why it could not be asked; else ""
    since  the Linux release that brought it; "" where that is not known
"""

from __future__ import annotations

import json

from skep.view.page import section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skep.kernel.probes import Feature

    Groups = Mapping[str, Sequence[Feature]]

__all__ = ["feature_json", "feature_text"]

_STATES = {"yes": "yes", "no": "no", "unknown": "?"}
_CALLED = ("helpers", "functions")
_PARTS = " of "


def feature_json(kernel: str, found: Groups, word: str = "") -> str:
    """The same, as one JSON object in one line.

    Args:
        kernel: its release.
        found: what it has.
        word: only what has this in its name.
    """
    known = {
        group: [{name: getattr(each, name) for name in ("name", "state", "why", "since")} for each in chosen]
        for group, features in found.items()
        if (chosen := [each for each in features if word in each.name])
    }
    return json.dumps({"kernel": kernel, "features": known}) + "\n"


def feature_text(kernel: str, found: Groups, word: str = "") -> str:
    """A table for each group. What programs may call is counted, or named with the types that may, if a word is given.

    Args:
        kernel: its release.
        found: what it has.
        word: only what has this in its name.
    """
    lines: list[str] = []
    for group, features in found.items():
        rows = [(each.name, _STATES[each.state], each.since, each.why) for each in features if word in each.name]
        if rows and _PARTS not in group:
            lines += section(f"{group} of {kernel}", ("NAME", "HERE", "SINCE", "WHY"), rows)
    lines += _who_calls(found, word) if word else _how_many(found)
    return "".join(f"{line}\n" for line in lines[1:])


def _how_many(found: Groups) -> list[str]:
    """How much each program type may call."""
    counts: dict[str, dict[str, str]] = {}
    for group, features in found.items():
        what, of, program = group.partition(_PARTS)
        if of:
            known = [each for each in features if each.state != "unknown"]
            count = str(sum(each.state == "yes" for each in known)) if known else "?"
            counts.setdefault(program, {})[what] = count
    rows = [(program, *(each.get(what, "?") for what in _CALLED), "") for program, each in counts.items()]
    title = "What programs may call (skep feature WORD tells which)"
    unknown = [each.why for features in found.values() for each in features if each.state == "unknown"]
    return [
        *section(title, ("PROGRAM TYPE", "HELPERS", "FUNCTIONS", ""), rows),
        *(f"  ?: could not be told: {why}" for why in dict.fromkeys(unknown)),
    ]


def _who_calls(found: Groups, word: str) -> list[str]:
    """Which program types may call what has a word in its name."""
    lines = []
    for what in _CALLED:
        since: dict[str, str] = {}
        states: dict[str, dict[str, str]] = {}
        for group, features in found.items():
            kind, _, program = group.partition(_PARTS)
            for each in features if kind == what else ():
                if word in each.name:
                    since[each.name] = each.since
                    states.setdefault(each.name, {})[program] = each.state
        rows = [(name, since[name], _listed(programs)) for name, programs in states.items()]
        if rows:
            lines += section(what, ("NAME", "SINCE", "PROGRAM TYPES"), rows)
    return lines


def _listed(programs: Mapping[str, str]) -> str:
    """The program types that may, or those that may not, whichever are fewer."""
    if "unknown" in programs.values():
        return "?"
    may = [name for name, state in programs.items() if state == "yes"]
    others = [name for name in programs if name not in may]
    if len(may) <= len(others):
        return ", ".join(may) or "none"
    return f"all but {', '.join(others)}" if others else "all"
