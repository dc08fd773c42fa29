"""What each of skep's words fills: names as people give them in their kernel files."""

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.errors import UsageError
from skep.base.schema import Type
from skep.session.words import fill_words
from skep.spec.annotations import read_note
from skep.spec.objectspec import TREE, MapSpec, ObjectSpec, ProgramSpec
from skep.spec.variables import VariableSpec
from skep.spec.words import CGROUP_ARRAY, WORDS, questions, words_of

TYPES = {
    "bool": Type("bool", 1, "bool"),
    "u16": Type("int", 2, "u16"),
    "__be16": Type("int", 2, "__be16"),
    "u32": Type("int", 4, "u32"),
    "dev_t": Type("int", 4, "dev_t"),
    "pid_t": Type("int", 4, "pid_t", signed=True),
    "u64": Type("int", 8, "u64"),
    "char[16]": Type("text", 16, "char[16]", count=16),
    "u32[8]": Type("array", 32, "u32[8]", element=Type("int", 4, "u32"), count=8),
}


def spec_of(*variables: str, maps: tuple[str, ...] = (), scoped: bool = False, **notes: str) -> ObjectSpec:
    """A kernel file with variables such as ``u32 target_pid``, and cgroup arrays."""
    found = {}
    for variable in variables:
        type_, name = variable.split()
        size = TYPES[type_].size
        found[name] = VariableSpec(name, ".rodata", 0, TYPES[type_], bytes(size), read_note(notes.get(name, "")))
    symbols = frozenset({TREE} if scoped else ())
    return ObjectSpec(
        "made",
        b"",
        programs={"hook": ProgramSpec("hook", "tp/a/b", frozenset(), symbols)},
        maps={name: MapSpec(name, CGROUP_ARRAY, 1, None) for name in maps},
        variables=found,
        globals={},
        events={},
        formats=(),
        prints=False,
        description="",
    )


@pytest.mark.parametrize(
    ("word", "type_", "names"),
    [
        pytest.param(
            "pid",
            "pid_t",
            "pid tgid target_pid targ_pid tgt_pid pid_target targ_tgid target_tgid filter_pid pid_filter my_pid "
            "trace_pid traced_pid pid_to_trace filter_by_pid only_pid opt_pid TARGET_PID process_id target_process_id",
            id="pid",
        ),
        pytest.param("tid", "u32", "tid target_tid targ_tid tid_target filter_tid thread_id", id="tid"),
        pytest.param("uid", "u32", "uid targ_uid target_uid uid_target filter_uid user_id", id="uid"),
        pytest.param(
            "cgroup", "u64", "cgroup_id cgroupid target_cgroup_id targ_cgid filter_cgroup cgrp_id", id="cgroup"
        ),
        pytest.param("iface", "u32", "ifindex target_ifindex targ_ifindex filter_ifindex if_index", id="iface"),
        pytest.param("iface", "char[16]", "iface ifname target_iface interface", id="iface by name"),
        pytest.param("disk", "dev_t", "disk disk_target dev targ_dev filter_dev device", id="disk"),
        pytest.param("port", "u16", "port target_port targ_dport filter_sport dport target_lport dst_port", id="port"),
        pytest.param("port", "__be16", "port dport", id="port in network byte order"),
        pytest.param("comm", "char[16]", "comm targ_comm target_comm comm_filter filter_comm", id="comm"),
        pytest.param("freq", "u32", "freq sample_freq sampling_frequency frequency", id="freq"),
    ],
)
def test_names_of_a_word(word: str, type_: str, names: str) -> None:
    for name in names.split():
        assert words_of(spec_of(f"{type_} {name}")) == {word: [name]}, name


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param("pid_t ppid", id="a parent"),
        pytest.param("pid_t target_ppid", id="the parent that is meant"),
        pytest.param("pid_t ignore_pid", id="one that is left out"),
        pytest.param("pid_t exclude_pid", id="one that is excluded"),
        pytest.param("pid_t self_pid", id="the loader itself"),
        pytest.param("pid_t pid_to_hide", id="one to hide"),
        pytest.param("u32 max_pid", id="a limit"),
        pytest.param("u32 pid_ns", id="a namespace"),
        pytest.param("u32 rapid", id="a part of another word"),
        pytest.param("u16 target_pid", id="a type too small"),
        pytest.param("char[16] pid", id="text"),
        pytest.param("u32[8] target_pid", id="an array"),
        pytest.param("u32 comm", id="a number for a name"),
        pytest.param("u32 cgroup_id", id="a cgroup's number in 32 bits"),
        pytest.param("bool target_pid", id="a boolean that is no switch"),
        pytest.param("bool filter_by_pid", id="a switch alone"),
        pytest.param("bool print_uid", id="a boolean for output"),
        pytest.param("u32 skep_pid", id="skep's own"),
        pytest.param("u32 target", id="an affix alone"),
    ],
)
def test_names_that_are_left_alone(variables: str) -> None:
    assert words_of(spec_of(variables)) == {}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param(
            ["pid_t targ_tgid", "pid_t targ_pid"],
            {"pid": ["targ_tgid"], "tid": ["targ_pid"]},
            id="offcputime, klockstat",
        ),
        pytest.param(["pid_t targ_pid", "pid_t targ_tid"], {"pid": ["targ_pid"], "tid": ["targ_tid"]}, id="tcppktlat"),
        pytest.param(["u32 tgid", "u32 pid", "u32 tid"], {"pid": ["tgid"], "tid": ["tid"]}, id="a pid beside both"),
        pytest.param(
            ["pid_t targ_tgid", "bool filter_by_pid"],
            {"pid": ["targ_tgid", "filter_by_pid"]},
            id="a variable and its switch",
        ),
        pytest.param(
            ["pid_t tgid", "pid_t pid", "bool filter_by_tgid", "bool filter_by_pid"],
            {"pid": ["tgid", "filter_by_tgid"], "tid": ["pid", "filter_by_pid"]},
            id="switches of processes and threads",
        ),
        pytest.param(["pid_t target_pid", "pid_t ppid"], {"pid": ["target_pid"]}, id="a parent beside"),
        pytest.param(["u32 target_pid", "pid_t filter_pid"], {"pid": ["target_pid", "filter_pid"]}, id="two of a size"),
        pytest.param(["bool targ_failed", "u32 uid"], {"uid": ["uid"]}, id="a boolean of another matter"),
    ],
)
def test_variables_beside_others(variables: list[str], expected: dict[str, list[str]]) -> None:
    assert words_of(spec_of(*variables)) == expected


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        pytest.param(["u32 target_pid", "u64 pid_filter"], "pid", id="sizes"),
        pytest.param(["u32 ifindex", "char[16] iface"], "iface", id="a number and a name"),
        pytest.param(["u16 targ_sport", "u16 targ_dport"], "port", id="roles"),
        pytest.param(["u16 port", "__be16 filter_port"], "port", id="byte orders"),
    ],
)
def test_two_that_differ_are_a_question(variables: list[str], word: str) -> None:
    spec = spec_of(*variables, "bool filter_by_pid")

    assert words_of(spec) == {}
    asked = questions(spec)[word]
    for variable in variables:
        type_, name = variable.split()
        assert f"{name} ({type_})" in asked
    with pytest.raises(UsageError) as raised:
        fill_words(spec, {word: "1"})
    assert asked in str(raised.value)


def test_annotations_overrule_names() -> None:
    spec = spec_of(
        "u32 who",
        "u32 target_pid",
        "u32 victim",
        "u16 door",
        who="@format uid",
        target_pid="@format bytes",
        victim='@cmdarg {"long": "tid"}',
        door="@format port_be",
    )

    assert words_of(spec) == {"uid": ["who"], "tid": ["victim"], "port": ["door"]}


def test_an_annotated_variable_is_no_question_beside_a_named_one() -> None:
    assert words_of(spec_of("u32 who", "u32 uid", who="@format uid")) == {"uid": ["who", "uid"]}


def test_a_cgroup_array_is_filled_with_its_switch() -> None:
    spec = spec_of("bool filter_cg", "u64 cgroup_id", maps=("cgroup_map",))

    assert words_of(spec) == {"cgroup": ["cgroup_map", "cgroup_id", "filter_cg"]}


def test_a_file_that_asks_for_its_scope_needs_no_pid() -> None:
    assert words_of(spec_of("u32 pid_target", "u32 tid_target", scoped=True)) == {"tid": ["tid_target"]}


def test_fill_words_sets_what_is_said_and_nothing_else() -> None:
    spec = spec_of("u32 targ_uid", "bool filter_by_uid", "u32 target_pid", "bool filter_pid")

    assert fill_words(spec, {"uid": "7"}) == {}

    values = {name: variable.value for name, variable in spec.variables.items()}
    assert values == {"targ_uid": 7, "filter_by_uid": True, "target_pid": 0, "filter_pid": False}


@pytest.mark.parametrize("given", ["lo", str(socket.if_nametoindex("lo"))])
def test_an_interface_is_a_name_or_a_number(given: str) -> None:
    numbered, named = spec_of("u32 ifindex"), spec_of("char[16] iface")
    fill_words(numbered, {"iface": given})
    fill_words(named, {"iface": given})

    assert numbered.variables["ifindex"].value == socket.if_nametoindex("lo")
    assert named.variables["iface"].value == "lo"


def test_a_disk_is_a_name_a_path_or_numbers() -> None:
    folder = next(Path("/sys/class/block").iterdir())
    numbers = (folder / "dev").read_text().strip()
    major, minor = map(int, numbers.split(":"))
    for named in (folder.name, f"/dev/{folder.name}", numbers):
        spec = spec_of("dev_t disk_target")
        fill_words(spec, {"disk": named})

        assert spec.variables["disk_target"].value == major << 20 | minor


@pytest.mark.parametrize(
    ("variable", "word", "text"),
    [
        pytest.param("u32 uid", "uid", "nobody at all", id="user"),
        pytest.param("u32 uid", "uid", "4294967296", id="user out of range"),
        pytest.param("u32 ifindex", "iface", "nothing0", id="interface"),
        pytest.param("u32 ifindex", "iface", "0", id="interface 0"),
        pytest.param("u32 ifindex", "iface", "9" * 5000, id="interface of 5000 digits"),
        pytest.param("dev_t dev", "disk", "nothing0", id="disk"),
        pytest.param("dev_t dev", "disk", "../char/1:3", id="a disk elsewhere"),
        pytest.param("dev_t dev", "disk", "s\0da", id="a disk with a NUL"),
        pytest.param("u64 cgroup_id", "cgroup", "/nowhere", id="cgroup"),
        pytest.param("u64 cgroup_id", "cgroup", "a\0b", id="cgroup with a NUL"),
        pytest.param("u32 limit", "uid", "1", id="nothing to fill"),
    ],
)
def test_what_is_not_there_is_refused(variable: str, word: str, text: str) -> None:
    with pytest.raises(UsageError):
        fill_words(spec_of(variable), {word: text})


@given(
    st.lists(st.sampled_from(["target", "pid", "tgid", "filter", "by", "uid", "sport", "to", "hide", "_"]), min_size=1)
)
def test_any_name_is_of_one_word_at_most(parts: list[str]) -> None:
    found = words_of(spec_of(f"u32 {'_'.join(parts)}"))

    assert len(found) <= 1
    assert found.keys() <= WORDS.keys()
