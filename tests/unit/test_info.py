"""What a kernel file is: the same for people and for programs, whatever names it holds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.abi.maps import MAP_TYPES
from skep.base.meaning import MEANINGS
from skep.base.schema import Field, Schema, Type
from skep.cli.main import main
from skep.cli.options import option_names, run_parser
from skep.session import api
from skep.spec.annotations import Note
from skep.spec.objectspec import NO_PROGRAM, EventSpec, MapSpec, ObjectSpec, ProgramSpec
from skep.spec.variables import VariableSpec
from skep.view import info
from skep.view.info import describe, info_json
from skep.view.page import info_text

HEADER = Path("/usr/include/linux/bpf.h")

U32 = Type("int", 4, "u32")
BOOL = Type("bool", 1, "bool")
TEXT = Type("text", 8, "char[8]", count=8)
MODE = Type("enum", 4, "enum mode", enum={0: "IDLE", 1: "BUSY"})
BYTES = Type("array", 4, "u8[4]", element=Type("int", 1, "u8"), count=4)
PID = Field("pid", 0, 4, U32, "pid")
SPAN = Field("took_us", 8, 8, Type("int", 8, "u64"), "duration_us")
BITS = Field("kind", 4, 4, U32, None, (3, 5))


def variable(name: str, type_: Type = U32, data: bytes = b"\x07\0\0\0", doc: str = "") -> VariableSpec:
    return VariableSpec(name, ".rodata", 0, type_, data, Note(doc, {}))


def spec_of(
    *,
    name: str = "made",
    description: str = "",
    programs: dict[str, tuple[str, set[str]]] | None = None,
    maps: tuple[MapSpec, ...] = (),
    variables: tuple[VariableSpec, ...] = (),
    events: dict[str, tuple[Schema, ...]] | None = None,
    question: str = "",
    prints: bool = False,
) -> ObjectSpec:
    return ObjectSpec(
        name,
        b"",
        programs={
            program: ProgramSpec(program, section, frozenset(), frozenset(symbols))
            for program, (section, symbols) in (programs or {}).items()
        },
        maps={map_.name: map_ for map_ in maps},
        variables={variable.name: variable for variable in variables},
        globals={},
        events={ring: EventSpec(ring, schemas, question=question) for ring, schemas in (events or {}).items()},
        formats=(),
        prints=prints,
        description=description,
    )


def options_of(spec: ObjectSpec) -> dict[str, str]:
    return option_names(spec, run_parser()[1])


def text_of(spec: ObjectSpec) -> str:
    return info_text(spec, options_of(spec))


def section_of(spec: ObjectSpec, title: str) -> str:
    """The lines below a title of the page."""
    return text_of(spec).partition(f"\n{title}\n")[2].partition("\n\n")[0]


MADE = spec_of(
    description="Shows what is made, and by whom: a description that is longer than the hundred columns "
    "which a page has.",
    programs={"begin": ("tp/a/begin", {"state", "bound"}), "finish": ("uprobe//bin/made:finish", {"state", "events"})},
    maps=(
        MapSpec("events", 27, 0, None),
        MapSpec("state", 1, 1024, U32, key=U32),
        MapSpec("open", 1, 0, U32, key=U32),
        MapSpec("slots", 3, 0, U32),
        MapSpec("cpus", 4, 0, None),
        MapSpec("stacks", 7, 64, None),
        MapSpec("odd", 99, 1, None),
    ),
    variables=(
        variable("skep_lost_soul"),
        variable("bound", doc="How many are shown. " * 5),
        variable("just_one", BOOL, b"\1"),
        variable("pid", doc="Only this process."),
        variable("key", BYTES),
    ),
    events={"events": (Schema("event", 16, (PID, BITS, SPAN)),)},
)

OUTLOOK = {"begin": (True, ""), "finish": (None, "not tried: needs root")}

GOLDEN = """\
made: Shows what is made, and by whom: a description that is longer than the hundred columns which a
page has.

Programs
  NAME    HOOK                     MAPS
  begin   tp/a/begin               state
  finish  uprobe//bin/made:finish  events, state

What skep run attaches here
  NAME    ATTACHED
  begin   yes
  finish  not tried: needs root

Maps
  NAME    TYPE              ENTRIES                  VALUE
  events  ringbuf           left open: 262144 bytes
  state   hash              1024                     u32
  open    hash              left open: 10240         u32
  slots   prog_array        open                     u32
  cpus    perf_event_array  as needed
  stacks  stack_trace       64                       left open: 127 addresses
  odd     type 99           1

Options of skep run
  OPTION      TYPE  DEFAULT  HELP
  --bound     u32   7        How many are shown. How many are shown. How many are shown. How many
                             are shown. How many are shown.
  --just-one  bool  True

Variables that only --set NAME=VALUE reaches, since skep has an option of that name
  NAME  TYPE  DEFAULT  HELP
  pid   u32         7  Only this process.

Variables that no text can set, only Python
  NAME  TYPE   HELP
  key   u8[4]

Words of skep run that fill variables and maps
  WORD   FILLS
  --pid  pid

Events of events: event, 16 bytes
  FIELD    TYPE   OFFSET  SIZE  MEANING
  pid      u32         0     4  pid
  kind     u32:5       4     4
  took_us  u64         8     8  duration_us (us)

Still open
  NAME   QUESTION
  slots  how many entries it has: --map slots.max_entries=N

Printed lines: none
Includes skep.h: no
With -- COMMAND or -p PID:
  filters event of events in user space by the field pid
"""


def test_the_page_of_a_kernel_file():
    assert info_text(MADE, options_of(MADE), OUTLOOK) == GOLDEN


def test_an_empty_kernel_file_is_told_of_too():
    assert text_of(spec_of()).splitlines()[2:4] == ["Programs: none", f"  {NO_PROGRAM}"]
    assert re.findall(r"^(\w.*): none$", text_of(spec_of()), re.MULTILINE) == [
        "Programs",
        "What skep run attaches here",
        "Maps",
        "Options of skep run",
        "Events",
        "Still open",
        "Printed lines",
    ]


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        pytest.param({"programs": {"a": ("xdp", set())}}, "a     needs an interface: --iface NAME", id="a program"),
        pytest.param(
            {"programs": {"a": ("kprobbe/f", set())}},
            "a     section kprobbe/f names no hook. Did you mean kprobe?",
            id="a section that names no hook",
        ),
        pytest.param(
            {"maps": (MapSpec("m", 3, 0, U32),)},
            "m     how many entries it has: --map m.max_entries=N",
            id="a map that has no size",
        ),
        pytest.param(
            {"events": {"r": (Schema("e", 4, (PID,)),)}, "question": "which type is it?"},
            "r     which type is it?",
            id="the type of a record",
        ),
        pytest.param(
            {"variables": (variable("sport"), variable("dport"))},
            "--port  it could mean sport (u32) or dport (u32)",
            id="a word",
        ),
    ],
)
def test_what_is_still_open_is_named(parts, line):
    assert section_of(spec_of(**parts), "Still open").splitlines()[1:] == [f"  {line}"]


def test_what_is_open_as_json_has_it():
    known = describe(spec_of(programs={"a": ("xdp", set())}, maps=(MapSpec("m", 3, 0, U32),)), {}, {"a": (False, "x")})

    assert known["open"] == [
        {"kind": "program", "name": "a", "question": "needs an interface: --iface NAME"},
        {"kind": "map", "name": "m", "question": "how many entries it has: --map m.max_entries=N"},
    ]
    assert (known["programs"][0]["attached"], known["programs"][0]["reason"]) == (False, "x")


@pytest.mark.parametrize(
    ("kind", "entries", "default"),
    [
        pytest.param(1, 7, None, id="a size that the source gives"),
        *(pytest.param(kind, 0, 10240, id=MAP_TYPES[kind]) for kind in (1, 5, 7, 9, 10, 11, 13, 18, 22, 23, 25, 30)),
        *(pytest.param(kind, 0, 262144, id=MAP_TYPES[kind]) for kind in (27, 31)),
        *(pytest.param(kind, 0, 0, id=MAP_TYPES[kind]) for kind in (2, 4, 6, 16, 19, 21, 24, 26, 28, 29, 32)),
        *(pytest.param(kind, 0, None, id=MAP_TYPES[kind]) for kind in (3, 12, 14, 15, 17, 20, 33)),
        pytest.param(8, 0, 1, id="cgroup_array"),
    ],
)
def test_the_default_of_a_size(kind, entries, default):
    map_ = describe(spec_of(maps=(MapSpec("m", kind, entries, None),)), {})["maps"][0]

    assert (map_["max_entries"], map_["default"]) == (entries or None, default)


@pytest.mark.parametrize(
    ("map_", "question"),
    [
        pytest.param(MapSpec("m", 1, 8, U32), "how large its keys are: __type(key, ...)", id="keys"),
        pytest.param(MapSpec("m", 22, 8, None), "how large its values are: __type(value, ...)", id="values"),
        pytest.param(
            MapSpec("m", 13, 8, U32, key=U32),
            "what the maps in it are like: __array(values, struct { ... })",
            id="maps in a map",
        ),
    ],
)
def test_what_a_source_leaves_open_of_a_maps_entries_is_asked(map_, question):
    assert describe(spec_of(maps=(map_,)), {})["open"] == [{"kind": "map", "name": "m", "question": question}]
    whole = MapSpec("m", map_.type, 8, U32, key=U32, inner=MapSpec("", 1, 8, U32))
    assert describe(spec_of(maps=(whole,)), {})["open"] == []


SCOPED = variable("skep_scoped", BOOL, b"\0")
ASKING = {"hook": ("tp/a/b", {"skep_tree", "skep_scoped"})}
EVENT = Schema("event", 4, (PID,))
OTHER = Schema("other", 16, (SPAN,))
NAMED = {"events": (EVENT,)}
NAMELESS = {"others": (OTHER,)}


@pytest.mark.parametrize(
    ("parts", "scope", "lines"),
    [
        pytest.param(
            {"variables": (SCOPED,), "programs": ASKING, "events": NAMED},
            "kernel",
            ["filters by scope in the kernel (skep_in_scope)"],
            id="a file that asks skep.h",
        ),
        pytest.param(
            {"variables": (SCOPED,), "events": NAMED},
            "user",
            ["filters event of events in user space by the field pid"],
            id="a file that includes skep.h, and does not ask",
        ),
        pytest.param(
            {"programs": ASKING, "events": NAMED},
            "user",
            ["filters event of events in user space by the field pid"],
            id="a map that is only called skep_tree",
        ),
        pytest.param(
            {"events": NAMED | NAMELESS},
            "user",
            [
                "filters event of events in user space by the field pid",
                "other of others names no process: those of all are shown",
            ],
            id="of two rings, one names a process",
        ),
        pytest.param(
            {"events": {"events": (EVENT, OTHER)}},
            "user",
            [
                "filters event of events in user space by the field pid",
                "other of events names no process: those of all are shown",
            ],
            id="of two kinds of records on one ring, one names a process",
        ),
        pytest.param(
            {"events": NAMELESS}, "none", ["other of others names no process: those of all are shown"], id="no process"
        ),
        pytest.param(
            {"prints": True},
            "user",
            ["filters printed lines in user space by the thread that printed them"],
            id="printed lines",
        ),
        pytest.param({}, "none", ["nothing to filter: it sends no events"], id="neither events nor lines"),
    ],
)
def test_who_filters(parts, scope, lines):
    spec = spec_of(**parts)

    assert describe(spec, {})["scope"] == scope
    assert text_of(spec).partition("With -- COMMAND or -p PID:\n")[2] == "".join(f"  {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        pytest.param((variable("of_mine"),), {"of_mine": "--of-mine"}, id="a plain name"),
        pytest.param((variable("duration"),), {}, id="a word of skep"),
        pytest.param((variable("help"),), {}, id="help"),
        pytest.param((variable("skep_scoped"),), {}, id="skep's own variable"),
        pytest.param((variable("key", BYTES),), {}, id="no text sets it"),
        pytest.param((variable("wait"), variable("no_wait")), {"wait": "--wait"}, id="the negative of another"),
        pytest.param((variable("a_b"), variable("a-b")), {"a_b": "--a-b"}, id="two names, one option"),
    ],
)
def test_the_options_that_variables_become(variables, names):
    assert options_of(spec_of(variables=variables)) == names


@pytest.mark.parametrize(
    ("one", "value"),
    [
        pytest.param(variable("a"), 7, id="a number"),
        pytest.param(variable("a", BOOL, b"\1"), True, id="a boolean"),
        pytest.param(variable("a", TEXT, b"abc\0\0\0\0\0"), "abc", id="text"),
        pytest.param(variable("a", TEXT, b"a\xff\0\0\0\0\0\0"), "a\\xff", id="text that is not UTF-8"),
        pytest.param(variable("a", BYTES, b"\1\2\3\xff"), "010203ff", id="bytes"),
        pytest.param(variable("a", MODE, b"\1\0\0\0"), "BUSY", id="an enum"),
        pytest.param(variable("a", MODE, b"\7\0\0\0"), 7, id="a number that the enum does not name"),
    ],
)
def test_defaults_as_json_has_them(one, value):
    spec = spec_of(variables=(one,))

    assert json.loads(info_json(spec, {}))["variables"][0]["default"] == value


def test_the_names_of_an_enum_are_told():
    many = Type("enum", 4, "enum many", enum={number: f"E{number}" for number in range(10)})
    spec = spec_of(variables=(variable("mode", MODE), variable("many", many), variable("a")))

    shown = section_of(spec, "Options of skep run")
    assert re.findall(r"enum (\w+: .*?)  ", shown) == ["mode: IDLE, BUSY", "many: E0, E1, E2, E3, E4, E5, E6, E7, ..."]
    assert [one["enum"] for one in json.loads(info_json(spec, {}))["variables"]] == [
        ["IDLE", "BUSY"],
        [f"E{number}" for number in range(10)],
        None,
    ]


def schema_with(name: str) -> Schema:
    return Schema(name, 4, (Field(name, 0, 4, Type("int", 4, name), "pid"),))


@given(st.text(st.characters(), min_size=1))
def test_no_name_acts_on_the_terminal(name):
    spec = spec_of(
        name=name,
        description=name,
        programs={name: (name, {name})},
        maps=(MapSpec(name, 27, 4096, Type("int", 4, name)),),
        variables=(variable(name, TEXT, b"\x1b\x7f\xff\0\0\0\0\0", name), variable(f"{name}2", BYTES, doc=name)),
        events={name: (schema_with(name),)},
    )

    assert all(line.isprintable() for line in text_of(spec).split("\n"))
    line = info_json(spec, options_of(spec))
    assert line.isascii()
    assert line[:-1].isprintable()
    known = json.loads(line)
    assert known == describe(spec, options_of(spec))
    json.dumps(known, ensure_ascii=False).encode()  # no half characters


def test_map_types_agree_with_this_machines_headers():
    if not HEADER.exists():
        pytest.skip(f"no {HEADER} on this machine")
    body = re.search(r"^enum bpf_map_type \{(.*?)^\};", HEADER.read_text(), re.MULTILINE | re.DOTALL)
    assert body is not None
    words = re.findall(r"^\tBPF_MAP_TYPE_(\w+)(?: = \w+)?,", body[1], re.MULTILINE)
    names = [word.lower() for word in words if not word.endswith("_DEPRECATED")]

    # Newer headers may know more.
    assert list(MAP_TYPES.values())[: len(names)] == names[: len(MAP_TYPES)]


@pytest.fixture(scope="module")
def opensnoop(tmp_path_factory) -> str:
    """The built object of opensnoop."""
    built = os.path.join(api.tool_folder("opensnoop"), "opensnoop.bpf.o")
    if os.path.exists(built):
        return built
    path = tmp_path_factory.mktemp("built") / "opensnoop.bpf.o"
    path.write_bytes(api.compile("opensnoop").data)
    return str(path)


def test_a_real_tool_as_json(opensnoop, capsys):
    assert main(["info", opensnoop, "-o", "json"]) == 0

    line = capsys.readouterr().out
    known = json.loads(line)
    assert line.count("\n") == 1
    assert list(known) == re.findall(r"^    ([a-z_]+) {2,}", info.__doc__ or "", re.MULTILINE)
    assert known["name"] == "opensnoop"
    assert known["description"].startswith("Shows every file that is opened")
    assert (known["prints"], known["includes_skep"], known["scope"]) == (False, True, "kernel")
    programs = {program["name"]: program for program in known["programs"]}
    assert programs["exit_openat"]["section"] == "tp/syscalls/sys_exit_openat"
    assert sorted(programs["exit_openat"]["maps"]) == ["events", "requests"]
    maps = {map_["name"]: map_ for map_ in known["maps"]}
    assert maps["events"] == {
        "name": "events",
        "type": "ringbuf",
        "max_entries": 1048576,
        "default": None,
        "value": None,
    }
    assert maps["requests"]["value"] == "struct open_request"
    assert [one["option"] for one in known["variables"]] == [
        "--pid-target",
        "--uid-target",
        "--failed-only",
        "--successful-only",
        "--name-contains",
    ]
    (event,) = known["events"]
    assert (event["ring"], event["name"], event["process"]) == ("events", "event", "pid")
    assert event["fields"][0] == {
        "name": "time",
        "type": "u64",
        "offset": 0,
        "size": 8,
        "bits": None,
        "meaning": "time_monotonic",
        "unit": "ns",
    }
    assert {field["meaning"] for field in event["fields"]} <= set(MEANINGS)


def test_the_options_are_those_that_run_offers(opensnoop):
    spec = api.open(opensnoop)
    shown = info_text(spec, options_of(spec)).partition("Options of skep run\n")[2].partition("\n\n")[0]
    offered = run_parser(spec)[0].format_help().partition("options of opensnoop:")[2]

    names = re.findall(r"^ +(--[\w-]+)", shown, re.MULTILINE)
    assert names == re.findall(r"^  (--[\w-]+)", offered, re.MULTILINE)


def test_a_built_object_for_another_kernel_needs_no_native_extension(opensnoop):
    script = f"import sys, skep.cli; skep.cli.main(['info', {opensnoop!r}, '--btf', 'x']); print('\\n', *sys.modules)"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    imported = finished.stdout.rpartition("\n ")[2].split()
    assert "skep.view.info" in imported
    assert [name for name in imported if name.startswith(("skep._native", "skep.kernel", "cffi"))] == []
    assert "not tried: it is for another kernel" in finished.stdout


def test_without_root_it_is_told_what_was_not_tried():
    command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    command += [sys.executable, "-m", "skep", "info", "unlinksnoop", "-o", "json"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)

    programs = {program["name"]: program for program in json.loads(finished.stdout)["programs"]}
    assert programs["entered"]["attached"] is not True
    assert programs["entered"]["reason"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param([], 2, "SOURCE", id="no source"),
        pytest.param(["opensnop"], 2, "Did you mean opensnoop?", id="a tool misspelt"),
        pytest.param([__file__, "--outptu", "json"], 2, "--output", id="an option misspelt"),
        pytest.param(["opensnoop", "-o", "xml"], 2, "xml", id="another output"),
        pytest.param(["damaged.bpf.o"], 1, "damaged.bpf.o", id="a damaged object"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.bpf.o").write_bytes(b"\x7fELF and no more")

    assert main(["info", *arguments]) == code
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""
