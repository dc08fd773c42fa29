"""skep's own words for what people filter by (`--pid`, `--uid`, `--cgroup` ...), and what each fills in a kernel file.

A word fills the `const volatile` variables that hold what it says, the boolean that switches such a filter on
(`filter_by_pid`), and for cgroups slot 0 of every cgroup array. A variable is one of a word by its annotation
(`/// @format uid`, or `@cmdarg {"long": "uid"}`), else by name *and* type: the name is what the word is called in C,
and beside it stands at most what says that something is selected by it (`target_pid`, `pid_filter`, `my_pid`). Any
other name (`ppid`, `ignored_pid`, `pid_to_hide`) is left alone.

Where two variables could be meant, and they differ in type or in role, none is filled: `questions` asks which. Nor does
`--pid` fill any in a file that calls skep_in_scope(): there the kernel keeps out what is of other processes, and lets
the later children of this one in, which such a variable would not.
"""

from __future__ import annotations

from skep.spec.objectspec import TREE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from skep.spec.objectspec import ObjectSpec
    from skep.spec.variables import VariableSpec

__all__ = ["CGROUP_ARRAY", "WORDS", "candidates", "questions", "words_of"]

CGROUP_ARRAY = 8  # enum bpf_map_type, include/uapi/linux/bpf.h

WORDS = {
    "pid": "only this process",
    "tid": "only this thread",
    "uid": "only this user: a number or a name",
    "cgroup": "only this cgroup: the path of its folder",
    "iface": "only this network interface: its name or number",
    "disk": "only this disk: its name, such as sda, or MAJOR:MINOR",
    "port": "only this port",
    "comm": "only tasks of this name",
    "direction": "which packets: ingress or egress",
    "xdp-mode": "native or generic",
    "freq": "samples a second",
    "binary": "the binary or library to attach to",
    "function": "the function to attach to",
}
"""Word -> what it says, for help."""

# (word, role, what that is called in C). Variables of one word and different roles are not the same thing.
_NAMES = (
    ("pid", "", "pid tgid process_id"),
    ("tid", "", "tid thread_id"),
    ("uid", "", "uid user_id"),
    ("cgroup", "", "cgroup cgroup_id cgroupid cgrp_id cgid cg_id cg"),
    ("iface", "", "ifindex if_index iface ifname interface"),
    ("disk", "", "disk dev device blkdev"),
    ("port", "", "port"),
    ("port", "source", "sport src_port source_port"),
    ("port", "destination", "dport dst_port dest_port"),
    ("port", "local", "lport local_port"),
    ("port", "remote", "rport remote_port"),
    ("comm", "", "comm task_comm process_name"),
    ("freq", "", "freq frequency sample_freq sampling_freq sample_frequency sampling_frequency"),
)
_CORES = {core: (word, role) for word, role, cores in _NAMES for core in cores.split()}
# The types that hold what a word says: kind -> sizes in bytes; none for any size.
_TYPES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "pid": {"int": (4, 8)},
    "tid": {"int": (4, 8)},
    "uid": {"int": (4, 8)},
    "cgroup": {"int": (8,)},
    "iface": {"int": (4, 8), "text": ()},
    "disk": {"int": (4,)},
    "port": {"int": (2, 4)},
    "comm": {"text": ()},
    "freq": {"int": (4, 8)},
}
# What says that something is selected, in front of a core or behind it.
_SELECTED = """
    target targ tgt targeted my trace traced tracing only select selected want wanted watch watched monitor monitored
    by for to of cfg config conf opt option arg param input g filter filtered match check
"""
_AFFIXES = frozenset(_SELECTED.split())
# A name of more parts is that of something else.
_MOST_PARTS = 8
# ... and, of a boolean, that it switches this on.
_SWITCHES = {"filter", "filtered", "match", "check"}
# The meanings (skep.base.meaning) that an annotation may give to what a word fills.
_MEANINGS = {"pid": "pid", "tid": "tid", "uid": "uid", "port": "port", "port_be": "port", "comm": "comm"}
_MEANINGS |= {"device": "disk"}


def words_of(spec: ObjectSpec) -> Mapping[str, list[str]]:
    """What each word fills: the names of variables and of cgroup arrays. A word that fills nothing is not there.

    Args:
        spec: the kernel file.
    """
    found = {}
    for word, variables in candidates(spec).items():
        arrays = [map_.name for map_ in spec.maps.values() if word == "cgroup" and map_.type == CGROUP_ARRAY]
        if word == "pid" and any(TREE in program.symbols for program in spec.programs.values()):
            continue
        filled = arrays + ([] if _differ(variables) else [variable.name for variable in variables])
        if filled:
            found[word] = filled + _switches(spec, word)
    return found


def questions(spec: ObjectSpec) -> Mapping[str, str]:
    """What words ask back, where the variables that they could mean differ. A word with nothing to ask is not there.

    Args:
        spec: the kernel file.
    """
    return {
        word: f"it could mean {' or '.join(f'{variable.name} ({variable.type.name})' for variable in variables)}"
        for word, variables in candidates(spec).items()
        if _differ(variables)
    }


def candidates(spec: ObjectSpec) -> Mapping[str, list[VariableSpec]]:
    """The variables that could hold what each word says, whether or not it fills them.

    Args:
        spec: the kernel file.
    """
    found: dict[str, list[VariableSpec]] = {word: [] for word in WORDS}
    variables = [variable for variable in _settable(spec) if variable.type.kind != "bool"]
    cores = {_core(variable.name) for variable in variables if variable.type.kind == "int"}
    for variable in variables:
        word = _word(variable, cores)
        sizes = _TYPES.get(word, {}).get(variable.type.kind)
        if sizes is not None and (not sizes or variable.type.size in sizes):
            found[word].append(variable)
    return found


def _switches(spec: ObjectSpec, word: str) -> list[str]:
    """The booleans that switch a filter by that word on."""
    booleans = [
        variable
        for variable in _settable(spec)
        if variable.type.kind == "bool" and _SWITCHES & set(variable.name.lower().split("_"))
    ]
    cores = {_core(variable.name) for variable in booleans}
    return [variable.name for variable in booleans if _word(variable, cores) == word]


def _settable(spec: ObjectSpec) -> list[VariableSpec]:
    return [variable for name, variable in spec.variables.items() if not name.startswith("skep_")]


def _word(variable: VariableSpec, cores: Collection[str]) -> str:
    """The word that a variable's annotations or name give it, or "".

    Args:
        variable: a variable.
        cores: what it and the others beside it are called.
    """
    meaning = variable.note.value("format")
    if meaning is not None:
        return _MEANINGS.get(meaning, "")
    option = variable.note.object("cmdarg").get("long")
    if option in WORDS:
        return str(option)
    core = _core(variable.name)
    # Beside a tgid, a pid is what the kernel calls so: a thread. Where there is a tid too, nobody knows.
    if core == "pid" and "tgid" in cores:
        return "" if "tid" in cores else "tid"
    return _CORES.get(core, ("", ""))[0]


def _core(name: str) -> str:
    """What a name says beside the affixes: `pid` of `target_pid` and of `filter_by_pid`; "" if that is no word's."""
    parts = name.lower().split("_")
    if len(parts) > _MOST_PARTS:
        return ""
    while parts and "_".join(parts) not in _CORES:
        if parts[0] in _AFFIXES:
            parts = parts[1:]
        elif parts[-1] in _AFFIXES:
            parts = parts[:-1]
        else:
            return ""
    return "_".join(parts)


def _differ(variables: list[VariableSpec]) -> bool:
    """Whether variables of one word differ in type or role, so that no single value is meant for all of them."""
    kinds = {
        (
            variable.type.kind,
            # Text of any length takes the same name.
            variable.type.size if variable.type.kind == "int" else 0,
            variable.meaning == "port_be",
            _CORES.get(_core(variable.name), ("", ""))[1],
        )
        for variable in variables
    }
    return len(kinds) > 1
