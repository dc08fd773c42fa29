"""Stacks in every view: in tables and as JSON, folded, and for speedscope."""

import json
from pathlib import Path

import jsonschema
import pytest

from skep.base.errors import UsageError
from skep.base.schema import Field, Schema, Type
from skep.spec.meanings import with_meanings
from skep.stream.names import Names
from skep.stream.places import process_of
from skep.view.outputs import OUTPUTS, STACKED
from skep.view.raw import Raw
from skep.view.table import Table
from skep.view.weights import Weights

U32, S32, U64 = Type("int", 4, "u32"), Type("int", 4, "s32", signed=True), Type("int", 8, "u64")
COMM = Type("text", 16, "char[16]", count=16)
ADDRESSES = Type("array", 32, "u64[4]", element=U64, count=4)
BYTES = Type("array", 20, "u8[20]", element=Type("int", 1, "u8"), count=20)
IN_FILE = Type(
    "struct",
    32,
    "struct bpf_stack_build_id",
    fields=(
        Field("status", 0, 4, S32),
        Field("build_id", 4, 20, BYTES),
        Field("offset", 24, 8, U64),
        Field("ip", 24, 8, U64),
    ),
)
KERNEL = 0xFFFF_8000_0000_0000
SPEEDSCOPE = json.loads(Path(__file__).with_name("speedscope.json").read_text())


def schema(*fields):
    made, offset = [], 0
    for name, kind in fields:
        made.append(Field(name, offset, kind.size, kind))
        offset += kind.size
    return with_meanings(Schema("where", offset, tuple(made)), ())


COUNTS = schema(("pid", U32), ("comm", COMM), ("kernel_stack", S32), ("user_stack", S32), ("samples", U64))
ROWS = [
    (7, "cat", 1, 2, 3),
    (7, "cat", -14, 2, 5),
    (8, "e\x1bvil;", -17, 9, 1),
]
# A caller's address is where its call returns to: it is looked up one byte before.
NAMES = Names(
    stacks={
        ("kernel_stack", 1): (KERNEL + 9, KERNEL + 0x20),
        ("user_stack", 2): (0x1000, 0x2001),
    },
    frames={
        (0, KERNEL + 9): "schedule",
        (0, KERNEL + 0x1F): "do_syscall_64",
        (7, 0x1000): "read<a;b>",
        (7, 0x2000): "<script>alert(1)</script>",
    },
)


def test_a_table_has_the_functions_below_the_line_the_kernels_first():
    assert Table(NAMES).render(COUNTS, ROWS) == (
        "    PID  COMM                SAMPLES\n"
        "      7  cat                       3\n"
        "    schedule\n"
        "    do_syscall_64\n"
        "    read<a;b>\n"
        "    <script>alert(1)</script>\n"
        "      7  cat                       5\n"
        "    read<a;b>\n"
        "    <script>alert(1)</script>\n"
        "      8  e\\x1bvil;                 1\n"
        "    [lost: EEXIST]\n"
        "    [stack 9]\n"
    )


def test_a_table_of_stacks_alone_has_their_functions():
    alone = schema(("user_stack", S32), ("pid", U32))
    only = Schema("where", 4, alone.fields[:1])
    names = Names(stacks=NAMES.stacks, frames={(0, 0x1000): "read", (0, 0x2000): "main"})

    assert Table(names).render(only, [(2,)]) == "    read\n    main\n"


def test_json_has_the_number_and_the_functions():
    lines = [json.loads(line) for line in OUTPUTS["json"](NAMES, None, False).render(COUNTS, ROWS).splitlines()]

    assert lines[0]["kernel_stack"] == 1
    assert lines[0]["kernel_stack_frames"] == ["schedule", "do_syscall_64"]
    assert lines[0]["user_stack_frames"] == ["read<a;b>", "<script>alert(1)</script>"]
    assert lines[1]["kernel_stack_frames"] == []


def test_csv_and_groups_have_the_functions_in_one_cell():
    text = OUTPUTS["csv"](NAMES, None, False).render(COUNTS, ROWS[:1])

    assert text.splitlines()[1].split(",", 3)[3].startswith('"[""schedule"", ""do_syscall_64""]"')


def test_raw_shows_numbers():
    assert Raw(Table(NAMES)).render(COUNTS, ROWS[:1]).split()[-5:] == ["7", "cat", "1", "2", "3"]


def test_what_ebpf_itself_does_is_left_out():
    names = Names(
        stacks={("kernel_stack", 1): (KERNEL, KERNEL + 2, KERNEL + 4)},
        frames={(0, KERNEL): "bpf_prog_12_x [bpf]", (0, KERNEL + 1): "__traceiter_x", (0, KERNEL + 3): "schedule"},
    )

    assert "bpf" not in Table(names).render(COUNTS, ROWS[:1])
    assert "    schedule\n" in Table(names).render(COUNTS, ROWS[:1])


def test_a_function_of_a_process_is_shown_whatever_it_is_called():
    names = Names(stacks={("user_stack", 2): (0x1000,)}, frames={(7, 0x1000): "bpf_prog_load"})

    assert "    bpf_prog_load\n" in Table(names).render(COUNTS, [(7, "cat", -14, 2, 1)])
    names.stacks["user_stack", 2] = (0x1000, 0x2001)
    names.frames[7, 0x2000] = "main"
    assert "    bpf_prog_load\n    main\n" in Table(names).render(COUNTS, [(7, "cat", -14, 2, 1)])


def test_addresses_in_the_record_end_at_a_zero_or_where_the_record_says():
    found = schema(("pid", U32), ("stack", ADDRESSES), ("ips", ADDRESSES), ("ips_sz", S32))
    names = Names(frames={(7, 0x10): "leaf", (7, 0x1F): "caller"})

    row = (7, (0x10, 0x20, 0, 0x20), (0x10, 0x20, 0x20, 0x20), 8)
    assert Table(names).render(found, [row]).split("\n")[2:-1] == ["    leaf", "    caller", "    leaf"]
    failed = (7, (0, 0, 0, 0), (0x10, 0x20, 0x20, 0x20), -14)
    assert Table(names).render(found, [failed]).count("\n") == 2


def test_places_in_files_are_looked_up_by_build_id():
    found = schema(("pid", U32), ("stack", Type("array", 96, "struct bpf_stack_build_id[3]", element=IN_FILE, count=3)))
    build_id = bytes(range(20))
    names = Names(frames={(build_id.hex(), 0x100): "leaf", (7, 0x1FFF): "caller"})
    entries = ((1, tuple(build_id), 0x100, 0x100), (2, (0,) * 20, 0x2000, 0x2000), (0, (0,) * 20, 0, 0))

    assert found.fields[1].is_stack
    assert Table(names).render(found, [(7, entries)]).split("\n")[2:-1] == ["    leaf", "    caller"]


@pytest.mark.parametrize(
    ("name", "kind", "is_stack"),
    [
        ("kernel_stack", S32, True),
        ("user_stack_id", U32, True),
        ("kstack", ADDRESSES, True),
        ("ips", ADDRESSES, True),
        ("ips", U32, False),
        ("stack", U64, False),
        ("stacked", U32, False),
        ("stack", COMM, False),
    ],
)
def test_what_is_a_stack(name, kind, is_stack):
    assert schema((name, kind)).fields[0].is_stack == is_stack


def weighed(kind, schema=COUNTS, rows=ROWS, tables=(COUNTS,), weight="", names=NAMES):
    weights = Weights(names, [schema], tables, weight, STACKED[kind])
    for row in rows:
        assert weights.render(schema, [row]) == ""
    return weights.finish()


def test_folded_stacks_begin_with_the_process_and_end_with_what_they_weigh():
    assert weighed("folded") == (
        "cat;<script>alert(1)</script>;read<a:b> 5\n"
        "cat;<script>alert(1)</script>;read<a:b>;do_syscall_64;schedule 3\n"
        "e\\x1bvil:;[stack 9];[lost: EEXIST] 1\n"
    )


def test_events_weigh_one_each_or_what_a_field_says():
    assert [line.split()[-1] for line in weighed("folded", tables=()).splitlines()] == ["1", "1", "1"]
    assert weighed("folded", tables=(), rows=ROWS * 2, weight="samples").splitlines()[0].endswith(" 10")


def test_stacks_of_several_kinds_are_put_together():
    other = schema(("pid", U32), ("comm", COMM), ("user_stack", S32))
    plain = schema(("pid", U32))
    weights = Weights(NAMES, [COUNTS, other, plain], (COUNTS,), "", STACKED["folded"])
    weights.render(COUNTS, ROWS[1:2])
    weights.render(other, [(7, "cat", 2)])
    weights.render(plain, [(7,)])
    weights.render(schema(("pid", U32)), [(7,)])

    assert weights.finish() == "cat;<script>alert(1)</script>;read<a:b> 6\n"
    assert weights.unit == ""


def test_a_field_that_weighs_takes_records_that_have_it():
    other = schema(("user_stack", S32))
    weights = Weights(NAMES, [COUNTS, other], (), "samples", STACKED["folded"])
    weights.render(other, [(2,)])

    assert weights.finish() == ""


def test_maps_that_are_read_again_weigh_what_they_hold_now():
    weights = Weights(NAMES, [COUNTS], (COUNTS,), "", STACKED["folded"])
    for cleared, expected in (((), 5), ((COUNTS,), 10)):
        weights.render(COUNTS, ROWS[1:2])
        weights.passed(cleared=cleared)
        weights.render(COUNTS, ROWS[1:2])
        assert weights.finish().endswith(f" {expected}\n")
        weights.passed()


def test_speedscope_gets_what_its_schema_asks_for():
    found = json.loads(weighed("speedscope"))

    jsonschema.validate(found, SPEEDSCOPE)
    profile = found["profiles"][0]
    names = [frame["name"] for frame in found["shared"]["frames"]]
    assert profile["weights"] == [5, 3, 1]
    assert profile["endValue"] == 9
    assert [names[index] for index in profile["samples"][0]] == ["cat", "<script>alert(1)</script>", "read<a;b>"]


def test_speedscope_is_told_the_unit():
    slept = schema(("kernel_stack", S32), ("slept_us", U64))

    assert json.loads(weighed("speedscope", slept, [(1, 5)], (slept,)))["profiles"][0]["unit"] == "microseconds"


def test_what_cannot_weigh_is_told():
    with pytest.raises(UsageError, match="no record holds a stack"):
        Weights(NAMES, [schema(("pid", U32))], (), "", STACKED["folded"])
    with pytest.raises(UsageError, match="there is no field sample"):
        Weights(NAMES, [COUNTS], (), "sample", STACKED["folded"])
    with pytest.raises(UsageError, match="cannot be weighed by comm"):
        Weights(NAMES, [COUNTS], (), "comm", STACKED["folded"])


def test_names_come_back_from_recordings():
    names = Names.from_plain(json.loads(json.dumps(NAMES.plain())))
    names.frames["ab" * 20, 5] = "f"
    again = Names.from_plain(json.loads(json.dumps(names.plain())))

    assert again.stacks == NAMES.stacks
    assert again.frames == {**NAMES.frames, ("ab" * 20, 5): "f"}
    old = NAMES.plain()
    del old["stacks"], old["frames"]
    assert Names.from_plain(old).frames == {}


def test_whose_a_stack_is():
    assert process_of(COUNTS.fields) == 0
    assert process_of(schema(("tid", U32), ("tgid", U32)).fields) == 1
    assert process_of(schema(("user_stack", S32)).fields) is None
