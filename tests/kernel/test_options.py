"""Options of a kernel file: what its variables and maps hold when its programs run."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skep._native import ffi, lib
from skep.base.errors import UsageError
from skep.session.run import Run
from skep.session.words import fill_words

PROGRAMS = Path(__file__).parent.parent / "programs"
OPTIONS, FILLS = (str(PROGRAMS / f"{name}.bpf.o") for name in ("options", "fills"))
CALL = "import os; os.getppid()"


def rows_of(spec, *, code: str = CALL, **options) -> list[Any]:
    with Run(spec, command=[sys.executable, "-c", code], stdout=2, **options) as run:
        return [row for batch in run.batches(duration=60) for row in batch.rows()]


def lookup(map_, key: bytes, size: int) -> bytes | None:
    value = ffi.new("unsigned char[]", size)
    return None if lib.bpf_map_lookup_elem(map_.fd, key or ffi.NULL, value) else bytes(ffi.buffer(value))


def u32(*numbers: int) -> bytes:
    return struct.pack(f"={len(numbers)}I", *numbers)


@pytest.mark.floors("6.12", "6.1")
def test_every_kind_of_variable_reaches_the_program(program):
    spec = program("options")
    given = {
        "lowest": "65535",
        "small": "-128",
        "letter": "98",
        "mode": "BUSY",
        "wide": "0x100000002",
        "ratio": "0.25",
        "part": "1.5",
        "saddr": "10.1.2.3",
        "daddr": "fe80::1",
        "peer": "443",
        "min_ns": "10ms",
        "targ_comm": "bash",
    }
    for name, text in given.items():
        spec.variables[name].parse(text)

    [row] = rows_of(spec)

    assert (row.lowest, row.small, row.letter, row.mode, row.wide) == (65535, -128, 98, 1, 0x100000002)
    assert (row.ratio, row.part, row.min, row.wanted) == (0.25, 1.5, 10_000_000, "bash")
    # In network byte order, as the kernel has them.
    assert row.source.to_bytes(4, sys.byteorder) == socket.inet_aton("10.1.2.3")
    assert bytes(row.destination) == socket.inet_pton(socket.AF_INET6, "fe80::1")
    assert socket.ntohs(row.peer) == 443


def test_the_default_of_a_cmdarg_reaches_the_program(program):
    [row] = rows_of(program("options"))

    assert row.lowest == 5


@pytest.mark.floors("6.12", "6.1")
def test_words_fill_variables(program):
    spec = program("options")

    assert fill_words(spec, {"uid": "root", "iface": "lo", "comm": "sh"}) == {}
    [row] = rows_of(spec)

    assert (row.uid_wanted, row.interface, row.wanted) == (0, socket.if_nametoindex("lo"), "sh")


def test_pid_filters_in_the_kernel_too(skep, program):
    program("options")
    target = subprocess.Popen([sys.executable, "-c", "import os; input(); os.getppid()"], stdin=subprocess.PIPE)
    other = f"import os, time\nwhile os.path.exists('/proc/{target.pid}'):\n os.getppid()\n time.sleep(0.01)"
    stranger = subprocess.Popen([sys.executable, "-c", other])
    command = [*skep, "run", OPTIONS, "-p", str(target.pid), "-o", "json"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    lines: list[str] = []
    while not lines or "attached" not in lines[-1]:
        lines.append(run.stderr.readline())
    target.communicate(b"\n")
    output, messages = run.communicate(timeout=60)
    stranger.wait(timeout=60)

    assert "skep: --pid fills target_pid, filter_by_pid; its children are not shown\n" in lines
    assert [json.loads(line)["pid"] for line in output.splitlines()] == [target.pid]
    assert "out of scope" not in messages


@pytest.mark.parametrize(
    ("count", "arguments", "told"),
    [
        pytest.param(2, [], "--pid fills nothing: target_pid holds one process, and 2 are given", id="two processes"),
        pytest.param(1, ["--system"], "", id="the whole system"),
        pytest.param(
            1, ["--set", "filter_by_pid=false"], "--pid fills target_pid, filter_by_pid;", id="--set goes last"
        ),
    ],
)
def test_pid_fills_no_variable_that_would_show_less_than_was_asked_for(skep, program, count, arguments, told):
    program("options")
    code = "import os, sys; input(); os.getppid()"
    targets = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) for _ in range(count)]
    pids = [argument for target in targets for argument in ("-p", str(target.pid))]
    command = [*skep, "run", OPTIONS, "-o", "json", *pids, *arguments]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    messages = ""
    while "attached" not in messages:
        messages += run.stderr.readline()
    for target in targets:
        target.communicate(b"\n")
    output, _ = run.communicate(timeout=60)
    rows = [json.loads(line) for line in output.splitlines()]

    assert {row["pid"] for row in rows} >= {target.pid for target in targets}
    assert not any(row["by_pid"] for row in rows)
    assert told in messages
    assert bool(told) == ("--pid fills" in messages)


@pytest.mark.floors("6.12", "6.1")
def test_a_cgroup_word_fills_its_array_and_its_number(program, cgroup):
    spec = program("options")
    fill = fill_words(spec, {"cgroup": str(cgroup)})

    assert spec.variables["filter_cg"].value is True
    # A child that never enters the cgroup, and one that does.
    assert rows_of(spec, fill=fill) == []
    enter = f"import os; open({str(cgroup / 'cgroup.procs')!r}, 'w').write('0'); os.getppid()"
    [row] = rows_of(spec, fill=fill, code=enter)
    assert row.cgroup_wanted == os.stat(cgroup).st_ino


@pytest.mark.floors("6.12", "6.1")
def test_maps_hold_what_they_are_filled_with(program, cgroup):
    fill = {
        "allowed": {7: 70, "0x8": "80"},
        "names": ["bash"],
        "states": {"BUSY": None},
        "slots": {3: 9},
        "each_cpu": {"443": "5"},
        "networks": ["10.0.0.0/8", "192.168.1.1"],
        "queue": [4, 5],
        "jumps": {1: "target"},
        "cgroups": {0: str(cgroup)},
    }
    with program("fills").load(fill=fill) as loaded:
        maps = loaded.maps

        assert lookup(maps["allowed"], u32(7), 8) == struct.pack("=Q", 70)
        assert lookup(maps["allowed"], u32(8), 8) == struct.pack("=Q", 80)
        assert lookup(maps["names"], b"bash".ljust(16, b"\0"), 1) == b"\1"
        assert lookup(maps["states"], u32(1), 1) == b"\1"
        assert lookup(maps["slots"], u32(3), 2) == struct.pack("=H", 9)
        with open("/sys/devices/system/cpu/possible") as file:
            count = int(file.read().strip().rpartition("-")[2]) + 1
        assert lookup(maps["each_cpu"], struct.pack("=H", 443), 8 * count) == u32(5, 0) * count
        assert lookup(maps["networks"], u32(32) + bytes([10, 1, 2, 3]), 1) == b"\1"
        assert lookup(maps["networks"], u32(32) + bytes([192, 168, 1, 1]), 1) == b"\1"
        assert lookup(maps["networks"], u32(32) + bytes([192, 168, 1, 2]), 1) is None
        assert lookup(maps["queue"], b"", 4) == u32(4)
        assert lookup(maps["jumps"], u32(1), 4) is not None


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        pytest.param({"allowed": [1, 2, 3]}, "map allowed is full: it has room for 2", id="full"),
        pytest.param({"queue": [1, 2, 3]}, "map queue is full: it has room for 2", id="a full queue"),
        pytest.param({"slots": {4: 1}}, "map slots has no entry 4: it has 4, counted from 0", id="index"),
        pytest.param({"jumps": {1: "nothing"}}, "no program nothing is loaded", id="no such program"),
        pytest.param({"cgroups": {0: "/nowhere"}}, "/nowhere is no cgroup", id="no cgroup"),
        pytest.param({"cgroups": {0: "/proc"}}, "/proc is no cgroup", id="a folder that is no cgroup"),
        pytest.param({"ring": [1]}, "not filled from user space", id="a ring"),
    ],
)
def test_what_a_map_cannot_hold_is_refused(program, fill, message):
    with pytest.raises(UsageError) as raised:
        program("fills").load(fill=fill)

    assert message in str(raised.value)


@pytest.mark.floors("6.12", "6.1")
def test_a_full_map_may_be_made_larger(program):
    with program("fills").load(fill={"allowed": [1, 2, 3]}, sizes={"allowed": 3}) as loaded:
        assert lookup(loaded.maps["allowed"], u32(3), 8) == struct.pack("=Q", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--fill", "alowed=1"], "Did you mean allowed?", id="no such map"),
        pytest.param(["--fill", "allowed"], "MAP=KEY", id="no key"),
        pytest.param(["--fill", "allowed=x"], "the key of allowed takes a number (u32)", id="a key of another type"),
        pytest.param(["--fill", "allowed=4294967296"], "0 to 4294967295", id="a key out of range"),
        pytest.param(["--fill", "slots=0:65536"], "the value of slots takes a u16", id="a value out of range"),
        pytest.param(["--fill", "networks=10.0.0.0/33"], "0 to 32 bits", id="too many bits"),
        pytest.param(["--fill", "allowed=1", "--fill", "allowed=2", "--fill", "allowed=3"], "is full", id="full"),
        pytest.param(["--uid", "1"], "no option --uid", id="a word that fills nothing"),
    ],
)
def test_bad_input_is_refused_with_exit_code_2(skep, program, arguments, message):
    program("fills")
    command = [*skep, "run", FILLS, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert finished.returncode == 2, finished.stderr
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--least", "x"], "lowest takes a number (u16), not 'x'", id="wrong type"),
        pytest.param(["--least", "65536"], "0 to 65535", id="out of range"),
        pytest.param(["--leest", "1"], "Did you mean --least?", id="unknown option"),
        pytest.param(["--set", "lowes=1"], "Did you mean lowest?", id="unknown variable"),
        pytest.param(["--saddr", "10.0.0"], "an IPv4 address", id="no address"),
        pytest.param(["--iface", "nothing0"], "The interfaces are: ", id="no interface"),
        pytest.param(["--uid", "nobody-here"], "there is no user nobody-here", id="no user"),
        pytest.param(["--cgroup", "/proc"], "/proc is no cgroup", id="no cgroup"),
        pytest.param(["--comm", "0123456789abcdef"], "at most 15 bytes", id="a name that is too long"),
    ],
)
def test_bad_options_are_refused_with_exit_code_2(skep, program, arguments, message):
    program("options")
    command = [*skep, "run", OPTIONS, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert finished.returncode == 2, finished.stderr
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
