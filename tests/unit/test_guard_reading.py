"""Traces as the guard reads them, good and bad."""

from __future__ import annotations

import json
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skep
from skep.base.abi.syscalls import syscalls
from skep.base.errors import RecordingError, SkepError, SourceNotFoundError, UsageError
from skep.base.schema import Field, Schema, Type
from skep.guard.behaviour import BEHAVIOUR, UNKNOWN, call_name, encode
from skep.guard.paths import general_path, role_of
from skep.guard.profile import learn
from skep.guard.reading import ARCHITECTURES, read_folder, read_run, read_runs, read_thread
from skep.guard.store import load, save
from skep.session.api import tool_folder
from skep.stream.batch import Batch
from skep.stream.names import Names


def write(path, text):
    path.write_text(text)
    return str(path)


def numbers(run):
    return [int(code) - 1 for trace in run.traces for code in trace.calls]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_names_and_numbers_say_the_same(tmp_path, architecture):
    table = syscalls(architecture)
    names = write(tmp_path / "names", " ".join(table.values()))
    given_numbers = write(tmp_path / "numbers", "\n".join(map(str, table)))

    assert numbers(read_run(names, architecture)) == list(table)
    assert numbers(read_run(given_numbers, architecture)) == list(table)


def test_a_name_of_another_architecture_says_which(tmp_path):
    path = write(tmp_path / "trace", "read waitpid")

    with pytest.raises(UsageError, match="waitpid is no system call of x86_64") as caught:
        read_run(path, "x86_64")

    assert caught.value.remedy == "It is one of i386: --arch i386"


def test_a_misspelt_name_comes_with_the_nearest(tmp_path):
    with pytest.raises(UsageError, match="opennat") as caught:
        read_run(write(tmp_path / "trace", "read opennat"), "x86_64")

    assert caught.value.remedy == "Did you mean openat?"


def test_unknown_numbers_are_calls_too(tmp_path):
    run = read_run(write(tmp_path / "trace", "0 505 600 -1 99999999999999999999"), "x86_64")

    assert [call_name(int(code), "x86_64") for code in run.traces[0].calls] == [
        "read",
        "syscall_505",
        "unknown",
        "unknown",
        "unknown",
    ]


@pytest.mark.parametrize(
    "data", [b"\x7fELF\0\0\1", b"3 4 \xff\xfe 5", "3 4 \N{SNOWMAN}".encode(), b"3, 4, 5", b"3 4\0"]
)
def test_what_is_no_text_is_refused(tmp_path, data):
    path = tmp_path / "trace"
    path.write_bytes(data)

    with pytest.raises(UsageError, match="no trace") as caught:
        read_run(str(path), "x86_64")

    assert "numbers or names" in str(caught.value.remedy)


def test_a_file_or_folder_that_is_not_there(tmp_path):
    with pytest.raises(SourceNotFoundError):
        read_run(str(tmp_path / "none"), "x86_64")
    with pytest.raises(SourceNotFoundError):
        read_folder(str(tmp_path / "none"), "x86_64")
    with pytest.raises(UsageError, match="holds no files"):
        read_folder(str(tmp_path), "x86_64")
    with pytest.raises(UsageError, match="is a folder"):
        read_run(str(tmp_path), "x86_64")


def test_folders_are_read_in_the_order_of_names(tmp_path):
    (tmp_path / "set" / "inner").mkdir(parents=True)
    for name in ("b", "a", "inner/c"):
        write(tmp_path / "set" / name, "3")
    alone = write(tmp_path / "alone", "4")

    runs = read_runs([str(tmp_path / "set"), alone], "x86_64")

    assert [run.name.removeprefix(str(tmp_path)) for run in runs] == ["/set/a", "/set/b", "/set/inner/c", "/alone"]


def listed(array):
    return array.tolist()


def lines(*events):
    return "\n".join(json.dumps(event) for event in events)


def test_events_become_threads_items_and_holes(tmp_path):
    text = lines(
        {"ts": 1_000, "pid": 7, "tid": 7, "comm": "server", "syscall": 257, "path": "/proc/4711/stat", "depth": 0},
        {"ts": 2_000, "pid": 7, "tid": 8, "comm": "worker-3", "syscall": 0, "depth": 1},
        {"lost": 5},
        {
            "ts": 3_000,
            "pid": 7,
            "tid": 7,
            "comm": "server",
            "syscall": 42,
            "peer": "10.0.0.1:80",
            "ret": -111,
            "depth": 0,
        },
        {
            "ts": 4_000,
            "pid": 7,
            "tid": 7,
            "comm": "server",
            "syscall": 59,
            "child": "/bin/sh",
            "arguments": "x",
            "depth": 0,
        },
    )

    run = read_run(write(tmp_path / "events", text), "x86_64")
    server, worker = run.traces

    assert (server.role, worker.role) == ("server", "worker-*")
    assert server.items == (
        (0, "path", "/proc/*/stat"),
        (1, "peer", "10.0.0.1:80"),
        (1, "result", "connect ECONNREFUSED"),
        (2, "child", "/bin/sh"),
        (2, "arguments", "execve x"),
    )
    assert listed(server.times) == [1_000, 3_000, 4_000]
    assert listed(server.depth) == [0, 0, 0]
    assert listed(server.lost) == [0, 5, 0]
    assert (worker.lost, run.lost, run.calls) == (None, 5, 4)


@pytest.mark.parametrize(
    "line",
    [
        '{"tid": 7}',
        '{"syscall": "read"}',
        '{"syscall": 1, "path": 7}',
        '{"lost": -1}',
        "{",
        "[" * 100_000,
        '{"lost": true}',
        '{"syscall": 1, "lost": -1}',
    ],
)
def test_an_event_that_is_none_is_refused_with_its_line(tmp_path, line):
    path = write(tmp_path / "events", lines({"syscall": 1}) + "\n" + line)

    with pytest.raises(UsageError, match="events:2: no behaviour event"):
        read_run(path, "x86_64")


@given(data=st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "trace"
    for head in (b"", b'{"syscall": 3, '):
        path.write_bytes(head + data)
        try:
            run = read_run(str(path), "x86_64")
        except SkepError:
            continue
        assert all(0 < code <= UNKNOWN for trace in run.traces for code in trace.calls.tolist())


@given(
    st.dictionaries(
        st.sampled_from(["ts", "tid", "ret", "depth", "comm", "path", "peer", "lost", "syscall"]),
        st.integers() | st.text(st.characters(), max_size=9),
    )
)
@settings(max_examples=40, deadline=None)
def test_any_event_is_read_and_kept_or_refused(tmp_path_factory, event):
    path = tmp_path_factory.mktemp("any") / "events"
    path.write_text("\n".join(json.dumps(each) for each in [{"syscall": 1}, {"lost": 1}, event | {"syscall": 3}]))
    try:
        run = read_run(str(path), "x86_64")
    except SkepError:
        return
    save(learn([run, run], "x86_64"), str(path))
    assert load(str(path)).calls <= 2 * run.calls


def test_names_that_are_no_unicode_are_escaped(tmp_path):
    path = tmp_path / "bees\udce9.txt"
    path.write_text('{"syscall": 2, "path": "/bees\\udce9", "comm": "\\ud800"}')

    run = read_run(str(path), "x86_64")

    assert run.name.endswith("bees\\udce9.txt")
    assert run.traces[0].items[0][2].encode() == b"/bees\\udce9"


def test_codes_hold_nine_bits():
    assert {encode(number) for number in (-5, 510, 511, 1 << 40)} == {UNKNOWN}
    assert encode(509) == 510


@pytest.mark.parametrize(
    ("path", "general"),
    [
        ("/proc/1234/fd/7", "/proc/*/fd/*"),
        ("/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/lib/x86_64-linux-gnu/libssl.so.3"),
        ("/usr/lib/python3.11/encodings/utf_8.py", "/usr/lib/python3.11/encodings/utf_8.py"),
        ("/tmp/tmpa8_x2kq1/out", "/tmp/*/out"),
        ("/tmp/ccTm4Q0x.s", "/tmp/*.s"),
        ("/var/cache/3f786850e387550fdab836ed7e6dc881de23001b/meta", "/var/cache/*/meta"),
        ("/run/user/123e4567-e89b-12d3-a456-426614174000.sock", "/run/user/*.sock"),
        ("/var/log/app-20260102.log", "/var/log/app-*.log"),
        ("/etc/ld.so.cache", "/etc/ld.so.cache"),
        ("/etc/defaced", "/etc/defaced"),
        ("/usr/share/GeoIP/README", "/usr/share/GeoIP/README"),
        ("", ""),
    ],
)
def test_what_is_random_in_a_path_is_taken_out(path, general):
    assert general_path(path) == general


@given(st.text(string.printable, max_size=40))
@settings(deadline=None)
def test_a_general_path_stays_as_it_is(path):
    assert general_path(general_path(path)) == general_path(path)


def test_roles_have_no_numbers():
    assert role_of("kworker/3:1") == "kworker/*:*"


def test_the_recorder_writes_what_the_guard_reads():
    (stream,) = skep.open(f"{tool_folder('behaviour')}/behaviour.bpf.o").events.values()
    (schema,) = stream.schemas

    assert (schema.name, schema.size) == (BEHAVIOUR.name, BEHAVIOUR.size)
    assert [(field.name, field.offset, field.size, field.meaning) for field in schema.fields] == [
        (field.name, field.offset, field.size, field.meaning) for field in BEHAVIOUR.fields
    ]


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_a_recording_says_the_same_as_json(tmp_path, kind):
    from skep.stream.recorder import Recorder, to_parquet

    events = [
        {
            "ts": 10 * number,
            "tid": 7 + number % 2,
            "ret": -number,
            "syscall": number,
            "lost": number // 2,
            "depth": number,
        }
        | {"comm": "bee-1", "arguments": "0x1", "path": f"/tmp/{number}", "child": "", "peer": "10.0.0.1:53"}
        for number in range(6)
    ]
    written = write(tmp_path / "events.json", "\n".join(map(json.dumps, events)))
    array = np.zeros(len(events), BEHAVIOUR.dtype)
    for name in events[0]:
        array[name] = [event[name] for event in events]
    data, stride = memoryview(bytearray(array.tobytes())), BEHAVIOUR.size
    batch = Batch(data, len(events), stride=stride, offsets=None, schema=BEHAVIOUR, lost=0, source="events", cpu=None)
    with open(tmp_path / "events.arrow", "wb") as file:
        recorder = Recorder(file, [("events", BEHAVIOUR)], Names(), {}, {})
        recorder.write(batch)
        end = recorder.finish({})
    with open(tmp_path / "events.arrow", "rb") as file, open(tmp_path / "events.parquet", "wb") as whole:
        to_parquet(file, whole, end)

    found = [read_run(path, "x86_64") for path in (written, str(tmp_path / f"events.{kind}"))]

    mine, theirs = ([_plain(trace) for trace in run.traces] for run in found)
    assert len(mine) == 2
    assert mine == theirs


def _plain(trace):
    columns = (trace.calls, trace.times, trace.lost, trace.depth)
    return trace.role, trace.items, [None if column is None else column.tolist() for column in columns]


def test_a_recording_of_something_else_is_refused(tmp_path):
    from skep.stream.recorder import Recorder

    path = tmp_path / "other.arrow"
    schema = Schema("opened", 4, (Field("pid", 0, 4, Type("int", 4, "u32"), "pid"),))
    with path.open("wb") as file:
        recorder = Recorder(file, [("events", schema)], Names(), {}, {})
        records = memoryview(bytearray(4))
        recorder.write(Batch(records, 1, stride=4, offsets=None, schema=schema, lost=0, source="events", cpu=None))
        recorder.finish({})

    with pytest.raises(UsageError, match=r"other\.arrow: no behaviour event"):
        read_run(str(path), "x86_64")
    path.write_bytes(path.read_bytes()[:8])
    with pytest.raises(RecordingError, match="damaged"):
        read_run(str(path), "x86_64")


def test_an_event_knows_what_its_thread_lost(tmp_path):
    text = lines(
        {"tid": 7, "syscall": 1, "lost": 0},
        {"tid": 8, "syscall": 1, "lost": 0},
        {"lost": 2},
        {"tid": 7, "syscall": 1, "lost": 3},
        {"tid": 8, "syscall": 1, "lost": 0},
    )

    seven, eight = read_run(write(tmp_path / "events", text), "x86_64").traces

    assert (listed(seven.lost), listed(eight.lost)) == ([0, 5], [0, 2])


def named(trace):
    return [call_name(code, "x86_64") for code in trace.calls.tolist()]


def events(calls):
    numbers_ = {name: number for number, name in syscalls("x86_64").items()}
    return [({"syscall": numbers_[name], "path": name, "comm": "web"}, 0) for name in calls.split()]


def test_how_busy_the_machine_is_makes_no_other_order():
    quiet = read_thread(events("read poll accept4 write poll"), "x86_64")
    busy = read_thread(
        events("read futex poll poll restart_syscall poll accept4 futex write sched_yield poll"), "x86_64"
    )

    assert named(quiet) == named(busy) == ["read", "poll", "accept4", "write", "poll"]
    assert busy.items == quiet.items
    # Other calls in a row are the program's doing.
    assert named(read_thread(events("read read poll ppoll poll"), "x86_64")) == [
        "read",
        "read",
        "poll",
        "ppoll",
        "poll",
    ]


def test_waiting_goes_on_from_trace_to_trace_and_not_over_a_hole():
    first = read_thread(events("read poll"), "x86_64")
    waits, reads = events("poll read")

    assert named(read_thread([waits, reads], "x86_64", first.calls.tolist())) == ["read"]
    over = read_thread([reads, waits, (waits[0], 3)], "x86_64")
    assert named(over) == ["read", "poll", "poll"]
    assert over.lost is not None
    assert over.lost.tolist() == [0, 0, 3]
    assert named(read_thread(events("futex"), "x86_64")) == []


def test_calls_of_32_bit_programs_go_by_their_names(tmp_path):
    events = [{"syscall": number, "compat": 1} for number in (5, 7, 9999)]  # open and waitpid of i386
    path = write(tmp_path / "events", lines({"syscall": 2, "compat": 0}, *events))

    codes = {
        architecture: [int(code) for code in read_run(path, architecture).traces[0].calls]
        for architecture in ARCHITECTURES
    }

    assert codes["x86_64"] == [3, 3, UNKNOWN, UNKNOWN]
    assert codes["aarch64"] == [3, UNKNOWN, UNKNOWN, UNKNOWN]
    assert codes["i386"] == [3, 6, 8, UNKNOWN]
