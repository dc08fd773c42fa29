"""Maps of every kind, written and read from both sides; what we read is to the byte what bpftool reads."""

from __future__ import annotations

import io
import json
import mmap
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skep
from skep._native import ffi, lib
from skep.base.errors import EntryMissingError, HookMissingError, MapError, UnsupportedError, UsageError
from skep.kernel.link.common import link_create
from skep.spec.targets import Targets

pytestmark = pytest.mark.floors("6.12", "6.1")

PROGRAMS = Path(__file__).parent.parent / "programs"
# Debian has it where only root's PATH leads.
BPFTOOL = "/usr/sbin/bpftool"
FRAME = bytes(64)


def load(name: str, **options: Any) -> Any:
    return skep.open(str(PROGRAMS / f"{name}.bpf.o")).load(**options)


@pytest.fixture(scope="module")
def kinds() -> Iterator[Any]:
    with load("kinds") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def sockets() -> Iterator[Any]:
    with load("redirects") as loaded:
        yield loaded


@pytest.fixture
def cgroup() -> Iterator[str]:
    """A cgroup of this test's own."""
    with open("/proc/self/mounts") as mounts:
        root = next(line.split()[1] for line in mounts if line.split()[2] == "cgroup2")
    path = f"{root}/skep-maps-{os.getpid()}"
    os.mkdir(path)
    yield path
    os.rmdir(path)


def run(loaded: Any, name: str, data: bytes = b"") -> int:
    """Runs a program once, here (BPF_PROG_TEST_RUN); what it returns."""
    packet = ffi.from_buffer(data) if data else ffi.NULL
    options = ffi.new("struct bpf_test_run_opts *", {"sz": ffi.sizeof("struct bpf_test_run_opts")})
    options.data_in, options.data_size_in = packet, len(data)
    assert not lib.bpf_prog_test_run_opts(loaded.programs[name].fd, options), os.strerror(ffi.errno)
    return int(options.retval)


def ask_bpftool(*words: str) -> Any:
    return json.loads(subprocess.run([BPFTOOL, "-j", *words], check=True, capture_output=True, text=True).stdout)


def octets(words: list[str]) -> bytes:
    return bytes(int(word, 16) for word in words)


def dumped(map_: Any) -> dict[bytes, bytes]:
    """What bpftool reads."""
    found = {}
    for entry in ask_bpftool("map", "dump", "id", str(map_.info.id)):
        if "values" in entry:
            each = [octets(one["value"]) for one in entry["values"]]
            found[octets(entry["key"])] = b"".join(data.ljust(-(-len(data) // 8) * 8, b"\0") for data in each)
        elif "error" not in entry["value"]:
            found[octets(entry["key"])] = octets(entry["value"])
    return found


def assert_as_bpftool(map_: Any) -> None:
    assert dict(map_.raw_entries()) == dumped(map_)


def test_hash(kinds):
    flows = kinds.maps["hash"]

    flows[1, 80, 6] = {"packets": 5, "bytes": 6, "comm": "python"}
    run(kinds, "tables")

    assert kinds.maps["found"][0] == 5 << 32 | 6
    assert flows[{"source": 1, "port": 80, "protocol": 6}] == (6, 6, "python")
    assert dict(flows) == {(1, 80, 6): (6, 6, "python"), (2, 443, 17): (7, 9, "kernel")}
    assert flows[2, 443, 17].comm == "kernel"
    assert repr(flows) == "<Map 'hash' hash struct flow -> struct seen, 2/8>"
    assert_as_bpftool(flows)


def test_lru_hash(kinds):
    counts = kinds.maps["lru_hash"]

    counts[1] = 7
    run(kinds, "tables")

    assert dict(counts.items()) == {1: 17, 5: 50}
    assert_as_bpftool(counts)


def test_array(kinds):
    counts = kinds.maps["array"]

    counts[1] = 7
    run(kinds, "tables")

    assert list(counts.values()) == [0, 17, 0, 0]
    assert (len(counts), list(counts), 3 in counts, 4 in counts) == (4, [0, 1, 2, 3], True, False)
    assert_as_bpftool(counts)
    with pytest.raises(MapError, match="map array has no entry 4: it has 4, counted from 0"):
        counts[4] = 1
    with pytest.raises(MapError, match=r"the entries of map array \(array\) cannot be deleted"):
        del counts[1]


@pytest.mark.parametrize("kind", ["percpu_hash", "lru_percpu_hash", "percpu_array"])
def test_maps_with_values_for_each_cpu(kinds, kind):
    counts = kinds.maps[kind]

    counts[1] = [100 * cpu for cpu in range(counts.cpus)]
    run(kinds, "tables")

    assert len(counts[1]) == counts.cpus
    assert counts[1].sum() == sum(100 * cpu for cpu in range(counts.cpus)) + 1
    assert_as_bpftool(counts)
    with pytest.raises(UsageError, match=rf"takes a list of {counts.cpus} values, one for each possible CPU, not 7"):
        counts[1] = 7
    with pytest.raises(UsageError, match=r"^\[0\] of the value of .* takes a u32, 0 to"):
        counts[1] = [-1] * counts.cpus


def test_lpm_trie(kinds):
    networks, networks6 = kinds.maps["lpm_trie"], kinds.maps["lpm_trie6"]

    networks.update({"10.0.0.0/8": 8, "10.1.0.0/16": 16})
    networks6["2001:db8::/32"] = 6
    run(kinds, "tables")

    # The longest prefix counts; the kernel has put 192.168.0.0/16 in.
    assert (kinds.maps["found"][1], kinds.maps["found"][2]) == (16, 6)
    assert (networks["10.200.0.1"], networks["192.168.7.7"]) == (8, 50)
    assert set(networks) == {"10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16"}
    assert list(networks6.items()) == [("2001:db8::/32", 6)]
    assert_as_bpftool(networks)
    del networks["10.1.0.0/16"]
    assert networks["10.1.2.3"] == 8
    with pytest.raises(UsageError, match="0 to 32 bits"):
        networks["10.0.0.0/33"] = 1


@pytest.mark.parametrize(("kind", "place", "expected"), [("queue", 3, 1), ("stack", 4, 3)])
def test_queue_and_stack(kinds, kind, place, expected):
    values = kinds.maps[kind]
    values.clear()
    for value in (1, 2, 3):
        values.push(value)

    run(kinds, "keyless")

    # The kernel has taken one out, and put 77 in.
    assert kinds.maps["found"][place] == expected
    peeked = values.peek()
    assert octets(ask_bpftool("map", "peek", "id", str(values.info.id))["value"]) == peeked.to_bytes(8, sys.byteorder)
    left = [values.pop() for _ in range(3)]
    assert left == ([2, 3, 77] if kind == "queue" else [77, 2, 1])
    with pytest.raises(EntryMissingError, match=f"{kind} {kind} is empty"):
        values.pop()
    for value in range(8):
        values.push(value)
    with pytest.raises(MapError, match=r"is full: it has room for 8 \(E2BIG\)"):
        values.push(8)
    values.push(8, replace=True)
    assert values.pop() == (1 if kind == "queue" else 8)
    values.clear()


def test_bloom_filter(kinds):
    seen = kinds.maps["bloom_filter"]

    seen.push(5)
    run(kinds, "keyless")

    assert kinds.maps["found"][5] == 1
    assert 77 in seen  # which the kernel has put in
    assert sum(value in seen for value in range(1000, 1100)) < 50


@pytest.mark.parametrize("kind", ["array_of_maps", "hash_of_maps"])
def test_maps_of_maps(kinds, kind):
    maps = kinds.maps[kind]
    key, more = (1, 10) if kind == "array_of_maps" else (7, 20)

    with maps.create() as inner:
        inner[1] = 5
        maps[key] = inner
        run(kinds, "nested")

        assert inner[1] == 5 + more
    with maps[key] as again:
        # What the kernel has put in is seen here, too.
        assert dict(again) == ({1: 15, 2: 70} if kind == "array_of_maps" else {1: 25})
    for size in (-1, 0, 1 << 32):
        with pytest.raises(UsageError, match=f"cannot have {size} entries"):
            maps.create(size)
    assert list(maps) == [key]
    # The place before it is empty, which a batch of kernels before 6.14 does not get over.
    assert maps.to_array()[0].tolist() == [key]
    assert_as_bpftool(maps)
    with pytest.raises(MapError, match="does not take array: it takes maps of the kind"):
        maps[key] = kinds.maps["array"]
    with pytest.raises(UsageError, match="takes a map, not 5"):
        maps[key] = 5
    del maps[key]
    assert key not in maps


def test_prog_array(kinds):
    programs, before = kinds.maps["prog_array"], kinds.maps["found"][9]
    called = kinds.programs["called"]

    run(kinds, "calls_on")
    programs[1] = called
    run(kinds, "calls_on")

    assert kinds.maps["found"][9] == before + 1
    [number] = programs.values()
    assert ask_bpftool("prog", "show", "id", str(number))["name"] == "called"
    assert_as_bpftool(programs)
    with pytest.raises(MapError, match=r"does not take another_kind: all its programs, .* have to be of one kind"):
        programs[0] = kinds.programs["another_kind"]
    with pytest.raises(UsageError, match="takes a program, not 7"):
        programs[0] = 7
    with pytest.raises(UsageError, match=r"takes a program, not .*: fileno"):
        programs[0] = io.BytesIO()
    with pytest.raises(MapError, match="has no entry 2: it has 2, counted from 0"):
        programs[2] = called
    del programs[1]
    assert len(programs) == 0
    programs[1] = called
    # What is taken leaves an empty slot, over which the walk goes on.
    assert programs.to_array(take=True)[0].tolist() == [1]
    assert len(programs) == 0


def test_cgroup_array(kinds, cgroup, tmp_path):
    cgroups = kinds.maps["cgroup_array"]

    cgroups[1] = cgroup
    run(kinds, "in_cgroup")
    assert kinds.maps["found"][6] == 2
    cgroups[1] = cgroup[: cgroup.rindex("/")]
    run(kinds, "in_cgroup")

    assert kinds.maps["found"][6] == 1
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UsageError, match=r"is no cgroup \(version 2\): it is a file"):
        cgroups[1] = file
    with pytest.raises(UsageError, match="takes the path of a cgroup, not 2147483648"):
        cgroups[1] = 1 << 31
    with pytest.raises(UnsupportedError, match="from user space, the kernel lets no cgroup_array be read"):
        cgroups[1]
    del cgroups[1]


def test_stack_trace(kinds):
    stacks = kinds.maps["stack_trace"]

    run(kinds, "stacks")

    number = kinds.maps["found"][7]
    stack = stacks[number]
    assert stack
    assert all(stack)
    assert dict(stacks) == {number: stack}
    assert_as_bpftool(stacks)
    with pytest.raises(UnsupportedError, match="only programs write stacks"):
        stacks[number] = stack
    del stacks[number]
    assert len(stacks) == 0


def test_perf_event_array(kinds):
    buffers = kinds.maps["perf_event_array"]
    # struct perf_event_attr: PERF_TYPE_SOFTWARE, its size, PERF_COUNT_SW_BPF_OUTPUT; period 1, PERF_SAMPLE_RAW.
    attributes = ffi.new("uint32_t[28]", [1, 112, 10, 0, 1, 0, 1 << 10, 0, 0, 0, 0, 0, 1])
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    arguments = [ffi.cast("int", number) for number in (-1, 0, -1)]
    fd = lib.syscall(lib.SYS_perf_event_open, attributes, *arguments, ffi.cast("long", 8))
    try:
        run(kinds, "sends")
        assert kinds.maps["found"][8] == 2  # ENOENT: nobody listens
        buffers[0] = fd
        with mmap.mmap(fd, 2 * mmap.PAGESIZE) as ring:
            run(kinds, "sends")
            assert kinds.maps["found"][8] == 0
            # struct perf_event_header: PERF_RECORD_SAMPLE; then the size, the value, and padding.
            assert struct.unpack_from("=IHHIQ", ring, mmap.PAGESIZE)[0::4] == (9, 77)
        del buffers[0]
    finally:
        os.close(fd)
        os.sched_setaffinity(0, before)
    with pytest.raises(UnsupportedError, match="lets no perf_event_array be read"):
        buffers[0]


@pytest.fixture
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        yield client, server.accept()[0]


@pytest.mark.parametrize(("kind", "key", "place"), [("sockmap", 1, 0), ("sockhash", (7, 80, 2), 1)])
def test_sockmap_and_sockhash(sockets, connected, kind, key, place):
    map_ = sockets.maps[kind]
    client, other = connected

    map_[key] = client
    run(sockets, "sockets", FRAME)

    assert sockets.maps["found"][place] == client.getsockname()[1]
    assert map_[key] == int.from_bytes(client.getsockopt(socket.SOL_SOCKET, 57, 8), sys.byteorder)  # SO_COOKIE
    assert list(map_) == [key]
    assert_as_bpftool(map_)
    del map_[key]
    assert key not in map_
    with socket.socket() as idle, pytest.raises(MapError, match="does not take this socket"):
        map_[key] = idle
    with pytest.raises(UsageError, match="takes a socket, not 5"):
        map_[key] = 5
    other.close()
    with pytest.raises(UsageError, match="is closed"):
        map_[key] = other


def test_a_sockmap_of_narrow_values_cannot_be_read(sockets, connected):
    narrow = sockets.maps["narrow_sockmap"]
    client, other = connected
    with other:
        narrow[1] = client

        with pytest.raises(MapError, match="its values have 4 bytes, and cookies 8"):
            narrow[1]
        del narrow[1]


def test_reuseport_sockarray(sockets):
    group = sockets.maps["reuseport_sockarray"]
    with socket.socket(type=socket.SOCK_DGRAM) as first, socket.socket(type=socket.SOCK_DGRAM) as second:
        port = 0
        for member in (first, second):
            member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            member.bind(("127.0.0.1", port))
            port = member.getsockname()[1]
        group[1] = second
        first.setsockopt(socket.SOL_SOCKET, 52, sockets.programs["chooses"].fd)  # SO_ATTACH_REUSEPORT_EBPF
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            for _ in range(8):
                sender.sendto(b"x", ("127.0.0.1", port))

        # The program chooses what is in the map; without it, it would be either.
        assert select.select([first, second], [], [], 10)[0] == [second]
        assert group[1] == int.from_bytes(second.getsockopt(socket.SOL_SOCKET, 57, 8), sys.byteorder)
        assert_as_bpftool(group)


@pytest.mark.parametrize(
    ("kind", "key", "value", "read"),
    [
        pytest.param("devmap", 1, {"ifindex": 1, "bpf_prog": {"fd": 0}}, (1, (0, 0)), id="devmap"),
        pytest.param("devmap_hash", 77, 1, 1, id="devmap_hash"),
        pytest.param("cpumap", 0, 192, 192, id="cpumap"),
    ],
)
def test_what_xdp_redirects_to(sockets, kind, key, value, read):
    map_, program = sockets.maps[kind], f"to_{kind}"

    assert run(sockets, program, FRAME) == 2  # XDP_PASS
    map_[key] = value

    assert run(sockets, program, FRAME) == 4  # XDP_REDIRECT
    assert dict(map_) == {key: read}
    assert_as_bpftool(map_)
    del map_[key]
    assert len(map_) == 0


def test_xskmap(sockets):
    map_ = sockets.maps["xskmap"]
    with socket.socket(44, socket.SOCK_RAW) as raw:  # AF_XDP
        assert run(sockets, "to_xskmap", FRAME) == 2
        map_[1] = raw

        assert run(sockets, "to_xskmap", FRAME) == 4
        del map_[1]
    with pytest.raises(UnsupportedError, match="lets no xskmap be read"):
        map_[1]


def test_task_storage():
    with load("storage", without=["sockets"]) as loaded, loaded.attach():
        map_ = loaded.maps["task_storage"]
        assert os.getpid() not in map_
        map_[os.getpid()] = 1000
        os.getppid()

        assert map_[os.getpid()] > 1000
        with pytest.raises(EntryMissingError, match=r"has nothing for 1$"):
            map_[1]
        with pytest.raises(UsageError, match=r"cannot be opened, to be a key of task_storage: .*No such process"):
            map_[2**22]
        with pytest.raises(UsageError, match="cannot be opened, to be a key of task_storage"):
            map_[1 << 40]
        with pytest.raises(UnsupportedError, match="lets no task_storage be walked"):
            list(map_)
        assert map_.pop(os.getpid()) > 1000
        assert map_.get(os.getpid()) is None


def test_storage_of_sockets_and_cgroups(cgroup):
    with load("storage", without=["tasks"], targets=Targets(cgroup=cgroup)) as loaded, loaded.attach():
        code = "import os, socket, sys; open(sys.argv[1] + '/cgroup.procs', 'w').write('0'); sys.stdin.readline();"
        code += "s = socket.socket(type=socket.SOCK_DGRAM); print(s.fileno(), flush=True); sys.stdin.readline()"
        child = subprocess.Popen([sys.executable, "-c", code, cgroup], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdin is not None
        assert child.stdout is not None
        storage, each_cpu = loaded.maps["cgroup_storage"], loaded.maps["percpu_cgroup_storage"]
        [key] = storage
        storage[key] = 1000
        child.stdin.write(b"\n")
        child.stdin.flush()
        number = int(child.stdout.readline())
        pidfd = os.pidfd_open(child.pid)
        theirs = lib.syscall(438, *[ffi.cast("int", each) for each in (pidfd, number, 0)])  # pidfd_getfd
        os.close(pidfd)

        with socket.socket(fileno=theirs) as made:
            assert loaded.maps["sk_storage"][made] == 70
            loaded.maps["sk_storage"][made] = 5
            assert loaded.maps["sk_storage"].pop(made) == 5
            assert made not in loaded.maps["sk_storage"]
        child.communicate(b"\n")
        assert key.cgroup_inode_id == os.stat(cgroup).st_ino
        assert dict(storage) == {key: 1001}
        assert each_cpu[next(iter(each_cpu))].sum() == 1
        assert_as_bpftool(storage)
        assert_as_bpftool(each_cpu)


def test_storage_of_many_cgroups(cgroup):
    folders = [os.path.join(cgroup, str(number)) for number in range(9)]
    links = []
    try:
        with load("storage", without=["tasks"], targets=Targets(cgroup=cgroup)) as loaded:
            for folder in folders:
                os.mkdir(folder)
                opened = os.open(folder, os.O_RDONLY)
                links.append(link_create(loaded.programs["sockets"].fd, opened, 2))  # BPF_CGROUP_INET_SOCK_CREATE
                os.close(opened)
            storage = loaded.maps["cgroup_storage"]
            for number, key in enumerate(list(storage)):
                storage[key] = number

            keys, values = storage.to_array()
            held = {key.cgroup_inode_id: value for key, value in storage.items()}

            assert set(held) == {os.stat(folder).st_ino for folder in folders}
            assert dict(zip(keys["cgroup_inode_id"].tolist(), values.tolist(), strict=True)) == held
            assert sorted(held.values()) == list(range(9))
    finally:
        for link in links:
            os.close(link)
        for folder in filter(os.path.exists, folders):
            os.rmdir(folder)


def test_cgrp_storage(cgroup):
    try:
        loaded = load("storage_newer")
    except UnsupportedError as error:
        pytest.skip(str(error))
    root = cgroup[: cgroup.rindex("/")]
    with loaded, loaded.attach():
        storage = loaded.maps["cgrp_storage"]
        own = root + Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip()
        storage[own] = 1000
        os.getppid()

        assert storage[own] > 1000
        del storage[own]
        with pytest.raises(EntryMissingError, match="has nothing for"):
            storage[cgroup]


def test_inode_storage(tmp_path):
    file = tmp_path / "file"
    file.touch()
    try:
        loaded = load("storage_lsm")
    except HookMissingError as error:
        pytest.skip(str(error))
    with loaded, loaded.attach():
        storage = loaded.maps["inode_storage"]
        storage[file] = 1000
        file.read_bytes()

        assert storage[str(file)] == 1001
        with file.open() as opened:
            assert storage.pop(opened) == 1002
        assert file not in storage
