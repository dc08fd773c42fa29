"""Tables of BCC's scripts that are more than hashes: of maps, of sockets, shared, pinned, for each task."""

from __future__ import annotations

import ctypes
import errno
import os

import pytest

from skep.base.errors import (
    CompileError,
    LoadError,
    MapError,
    PinError,
    SourceNotFoundError,
    UnsupportedError,
    UsageError,
    VerifierError,
)
from skep.bcc import BPF, lib
from skep.bcc.table import Array, LruHash

MINE = f"if (bpf_get_current_pid_tgid() >> 32 != {os.getpid()}) return 0;"
GETPPID = 110 if os.uname().machine == "x86_64" else 173
PUBLIC = 'BPF_TABLE_PUBLIC("hash", int, u64, shared, 8);'
EXTERN = """
BPF_TABLE("extern", int, u64, shared, 8);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) { MINE int key = 1; shared.increment(key); return 0; }
"""


def load(text: str, **named) -> BPF:
    return BPF(text=text.replace("MINE", MINE), cflags=[f"-DGETPPID={GETPPID}"], **named)


def test_a_public_table_is_that_of_another_text():
    with load(PUBLIC) as one:
        with load(EXTERN) as other:
            os.getppid()
            other["shared"][ctypes.c_int(2)] = ctypes.c_ulonglong(9)
        # What the other leaves behind is still there, with entries that only a hash gets.
        assert {key.value: leaf.value for key, leaf in one["shared"].items()} == {1: 1, 2: 9}
    with pytest.raises(CompileError, match="no other text of this script"):
        load(EXTERN)


def test_a_pinned_table_stays(bpffs):
    text = f'BPF_TABLE_PINNED("hash", u64, u32, kept, 8, "{bpffs}/kept"); BPF_XSKMAP(sockets, 2, "{bpffs}/sockets");'
    try:
        with load(text) as bpf:
            bpf["kept"][ctypes.c_ulonglong(3)] = ctypes.c_uint(9)
        with load(text) as bpf:
            assert [(key.value, leaf.value) for key, leaf in bpf["kept"].items()] == [(3, 9)]
        assert (bpffs / "sockets").exists()
        with pytest.raises(LoadError, match="has type hash instead of array"):
            load(f'BPF_TABLE_PINNED("array", int, u32, kept, 8, "{bpffs}/kept");')
        with pytest.raises(PinError, match="there is no folder"):
            load(f'BPF_TABLE_PINNED("hash", u64, u32, kept, 8, "{bpffs}/no/kept");')
    finally:
        for name in ("kept", "sockets"):
            (bpffs / name).unlink(missing_ok=True)


KINDS = """
struct key_t { u32 number; };
BPF_HASH(one, int, u64, 8);
BPF_HASH(two, int, u64, 8);
BPF_ARRAY_OF_MAPS(by_number, "one", 4);
BPF_HASH_OF_MAPS(by_key, struct key_t, "one", 4);
BPF_TASK_STORAGE(tasks, u64);
BPF_ARRAY(seen, u64, 2);
BPF_SK_STORAGE(sockets, u64);
BPF_INODE_STORAGE(inodes, u64);
BPF_CGROUP_STORAGE(cgroups, u64);
BPF_PERCPU_CGROUP_STORAGE(percpu_cgroups, u64);
BPF_SOCKMAP(socket_numbers, 4);
BPF_SOCKHASH(socket_keys);
BPF_DEVMAP(devices, 4);
BPF_CPUMAP(cpus, 2);
BPF_XSKMAP(receivers, 2);
BPF_CGROUP_ARRAY(groups, 2);
BPF_STACK(last, u64, 2);
BPF_STACK_TRACE_BUILDID(stacks, 128);
RAW_TRACEPOINT_PROBE(sys_enter) { MINE
    struct key_t key = {.number = 7};
    int one = 1, zero = 0, first = 5;
    u64 value = 42, *found;
    void *inner = by_number.lookup(&one);
    if (inner)
        bpf_map_update_elem(inner, &first, &value, BPF_ANY);
    inner = by_key.lookup(&key);
    if (inner && (found = bpf_map_lookup_elem(inner, &first)))
        seen.update(&zero, found);
    found = tasks.task_storage_get(bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (found && ctx->args[1] == GETPPID)
        (*found)++, seen.update(&one, found);
    return 0;
}
"""


@pytest.fixture(scope="module")
def kinds():
    with load(KINDS) as bpf:
        yield bpf


def test_maps_of_maps_hold_maps_by_their_descriptors(kinds):
    inner = kinds["two"]

    kinds["by_number"][ctypes.c_int(1)] = ctypes.c_int(inner.get_fd())
    keyed = kinds["by_key"]
    keyed[keyed.Key(7)] = ctypes.c_int(inner.get_fd())
    os.getppid()

    assert inner[ctypes.c_int(5)].value == kinds["seen"][0].value == 42
    assert [key.number for key in keyed] == [7]
    del kinds["by_number"][ctypes.c_int(1)]
    del keyed[keyed.Key(7)]


def test_a_task_has_a_value_of_its_own(kinds):
    before = kinds["seen"][1].value

    for _ in range(3):
        os.getppid()

    assert kinds["seen"][1].value == before + 3


def test_arrays_of_what_the_kernel_numbers(kinds, cgroup):
    for name in ("devices", "cpus", "receivers", "groups"):
        assert len(kinds[name]) in (2, 4)
    kinds["devices"][ctypes.c_int(1)] = ctypes.c_int(1)  # lo
    assert kinds["devices"][1].value == 1
    fd = os.open(cgroup, os.O_RDONLY)
    kinds["groups"][ctypes.c_int(0)] = ctypes.c_int(fd)
    os.close(fd)
    kinds["groups"][1] = str(cgroup)
    kinds["groups"].clear()
    last = kinds["last"]
    last.push(last.Leaf(1))
    last.push(last.Leaf(2))
    assert [leaf.value for leaf in last.values()] == [2, 1]


def test_tables_that_programs_alone_use_say_so(kinds):
    for name in ("tasks", "sockets", "inodes", "cgroups", "percpu_cgroups", "socket_numbers", "socket_keys"):
        assert name in kinds
        with pytest.raises(UnsupportedError, match=f"for Python: programs alone use {name}"):
            kinds[name]


def test_keys_and_leaves_that_are_none_are_refused(kinds):
    for key in (b"x", None, 1.5, ctypes.c_float(1)):
        with pytest.raises((IndexError, TypeError)):
            kinds["seen"][key]
    with pytest.raises(IndexError):
        kinds["seen"][ctypes.c_int(2)]
    with pytest.raises(KeyError):
        kinds["one"][ctypes.c_int(99)]


@pytest.mark.parametrize(
    "fill",
    [
        pytest.param(lambda bpf: bpf["pair"].update((ctypes.c_uint(n), ctypes.c_uint(n)) for n in range(3)), id="hash"),
        pytest.param(lambda bpf: [bpf["one"].push(ctypes.c_uint(n)) for n in range(2)], id="queue"),
        pytest.param(lambda _: load("BPF_HASH(large, u32, u64, 4000000000);"), id="too large"),
    ],
)
def test_a_script_is_told_that_its_text_says_the_size(fill):
    with (
        load("BPF_HASH(pair, u32, u32, 2); BPF_QUEUE(one, u32, 1);") as bpf,
        pytest.raises((MapError, LoadError)) as caught,
    ):
        fill(bpf)

    remedy = caught.value.remedy or ""
    assert "BPF_HASH(NAME, KEY, LEAF, N)" in remedy
    assert "--map" not in remedy


METHODS = """
struct event { u32 number; u32 room; };
BPF_RINGBUF_OUTPUT(ring, 2);
BPF_ARRAY(numbers, u64, 4);
BPF_HASH(named, u32, struct { u32 a; char name[12]; });
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) { MINE
    int next = 0, room = 1, found = 2, made = 3;
    u64 size = ring.ringbuf_query(1), zero = 0; /* BPF_RB_RING_SIZE */
    struct event *event = ring.ringbuf_reserve(sizeof(*event)), mine = {.number = 2, .room = 5};
    numbers.update(&room, &size);
    if (!event)
        return 0;
    event->number = 1;
    ring.ringbuf_discard(event, 0);
    ring.ringbuf_output(&mine, sizeof(mine), 0);
    numbers.atomic_increment(next, 3);
    numbers.increment(made);
    (*numbers.lookup_or_init(&found, &zero))++;
    return 0;
}
"""


def test_methods_of_ring_buffers_and_arrays():
    seen = []

    with load(METHODS) as bpf:
        bpf["ring"].open_ring_buffer(lambda *record: seen.append(bpf["ring"].event(record[1])))
        os.getppid()
        os.getppid()
        bpf.ring_buffer_poll(1000)

        assert [(event.number, event.room) for event in seen] == [(2, 5)] * 2
        assert [leaf.value for leaf in bpf["numbers"].values()] == [6, 2 * 4096, 2, 2]
        named = bpf["named"]
        leaf = named.leaf_scanf(b'{ 0x7 "skep" }')
        named[named.key_scanf("0x2")] = leaf
        assert [(named.key_sprintf(key), named.leaf_sprintf(value)) for key, value in named.items()] == [
            (b"0x2", b'{ 0x7 "skep" }')
        ]


SOURCE = """#ifdef LINUX_VERSION_CODE
#if LINUX_VERSION_CODE < KERNEL_VERSION(4, 9, 0)
#error too old
#endif
BPF_ARRAY(slots, u64, ROOM + MORE);
#endif
"""


def test_a_text_comes_from_files(tmp_path, monkeypatch):
    source, header = tmp_path / "source.c", tmp_path / "header.h"
    source.write_text(SOURCE)
    header.write_text("#define ROOM 3\n")
    # Beside the script, if they are not here.
    monkeypatch.setattr("sys.argv", [str(tmp_path / "script.py")])

    with BPF(src_file=b"source.c", hdr_file="header.h", cflags=["-DMORE=2", b"-Wall"]) as bpf:
        assert len(bpf["slots"]) == 5
    (tmp_path / "including.c").write_text('#define MORE 1\n#include "header.h"\n#include "source.c"\n')
    with BPF(src_file="including.c") as bpf:
        assert len(bpf["slots"]) == 4
    with pytest.raises(CompileError) as caught:
        BPF(src_file=str(source), hdr_file=str(header))
    assert [(found.file, found.line) for found in caught.value.diagnostics] == [(str(source), 5)]
    header.write_text("#define ROOM 3\n\n#error wrong\n")
    with pytest.raises(CompileError) as caught:
        BPF(src_file=str(source), hdr_file=str(header))
    assert [(found.file, found.line) for found in caught.value.diagnostics] == [(str(header), 3)]
    with pytest.raises(SourceNotFoundError, match="neither here nor beside the script"):
        BPF(src_file="no_such.c")
    with pytest.raises(UsageError, match="takes a text"):
        BPF()


def test_a_table_with_the_name_of_a_type_of_the_kernel():
    text = """
struct message { char text[12]; };
BPF_HASH(config, u32, struct message);
int f(void *ctx) { u32 key = 1; return config.lookup(&key) != 0; }
"""
    with load(text) as bpf:
        bpf["config"][ctypes.c_int(1)] = ctypes.create_string_buffer(b"Hello", 12)
        assert list(bpf) == ["config"]
        assert [(key.value, leaf.text) for key, leaf in bpf["config"].items()] == [(1, b"Hello")]
        bpf.load_func("f", BPF.SOCKET_FILTER)


def test_what_the_verifier_says_is_said_of_the_text():
    text = '\nint f(struct pt_regs *ctx) {\n\tint *p = 0;\n\tbpf_trace_printk("x");\n\treturn *(volatile int *)p;\n}'
    with load(text) as bpf, pytest.raises(VerifierError, match="BPF-text:5") as caught:
        bpf.load_func("f", BPF.KPROBE)

    told = caught.value.diagnostics[0]
    assert (told.file, told.line, told.source) == ("BPF-text", 5, "\treturn *(volatile int *)p;")


def test_entries_and_pins_by_the_functions_of_the_c_library(bpffs):
    with BPF(text="BPF_HASH(kept, u32, u64); int drop(struct xdp_md *ctx) { return XDP_DROP; }") as bpf:
        fd, path = bpf["kept"].map_fd, os.fsencode(f"{bpffs}/table")
        key, value, read = ctypes.c_uint(5), ctypes.c_ulonglong(7), ctypes.c_ulonglong()

        assert lib.bpf_update_elem(fd, ctypes.byref(key), ctypes.byref(value), 0) == 0
        assert lib.bpf_update_elem(fd, bytes([6, 0, 0, 0]), ctypes.pointer(value)) == 0
        assert lib.bpf_lookup_elem(fd, ctypes.byref(key), ctypes.byref(read)) == 0
        assert (read.value, bpf["kept"][ctypes.c_uint(6)].value) == (7, 7)
        assert lib.bpf_delete_elem(fd, ctypes.byref(key)) == 0
        assert lib.bpf_delete_elem(fd, ctypes.byref(key)) == -errno.ENOENT == -ctypes.get_errno()
        assert lib.bpf_obj_pin(fd, ctypes.c_char_p(path)) == 0
        assert lib.bpf_obj_pin(fd, path) == -errno.EEXIST
        again = lib.bpf_obj_get(path)
        assert lib.bpf_lookup_elem(again, bytes([6, 0, 0, 0]), ctypes.byref(read)) == 0
        os.close(again)
        os.unlink(path)

        given, left = ctypes.create_string_buffer(bytes(range(20)), 20), ctypes.create_string_buffer(64)
        size, returned, duration = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint()
        drop = bpf.load_func("drop", BPF.XDP)
        results = (ctypes.byref(each) for each in (left, size, returned, duration))
        assert lib.bpf_prog_test_run(drop.fd, 1, ctypes.byref(given), ctypes.c_size_t(20), *results) == 0
        assert (size.value, returned.value, left.raw[:20]) == (20, 1, bytes(range(20)))
        assert lib.bpf_has_kernel_btf()


class Opened:
    """What scripts write to stand on a pin: no `__init__` of the table's own is called."""

    def __init__(self, path, keytype, leaftype):
        self.map_fd = lib.bpf_obj_get(path)
        self.Key = keytype
        self.Leaf = leaftype


class OpenedHash(Opened, LruHash):
    pass


class OpenedArray(Opened, Array):
    pass


def test_a_class_of_a_script_stands_on_a_descriptor_of_its_own(bpffs):
    text = f"""struct pair {{ u32 a, b; }};
    BPF_TABLE_PINNED("lru_hash", struct pair, u64, flows, 64, "{bpffs}/flows");
    BPF_TABLE_PINNED("array", int, u64, counts, 3, "{bpffs}/counts");"""
    with BPF(text=text) as bpf:
        pair = bpf["flows"].Key
        flows = OpenedHash(f"{bpffs}/flows".encode(), pair, ctypes.c_ulonglong)
        counts = OpenedArray(f"{bpffs}/counts".encode(), ctypes.c_uint, ctypes.c_ulonglong)
        try:
            bpf["flows"][pair(1, 2)] = ctypes.c_ulonglong(7)
            flows[pair(3, 4)] = ctypes.c_ulonglong(8)
            counts[2] = ctypes.c_ulonglong(9)

            assert sorted((key.a, key.b, leaf.value) for key, leaf in flows.items()) == [(1, 2, 7), (3, 4, 8)]
            assert flows[flows.next(None)].value in (7, 8)
            del flows[pair(1, 2)]
            assert (len(bpf["flows"]), bpf["counts"][2].value) == (1, 9)
            assert ([leaf.value for leaf in counts.values()], counts.max_entries) == ([0, 0, 9], 3)
            with pytest.raises(UnsupportedError, match=r"OpenedHash flows: skep has no frobnicate\(\)"):
                flows.frobnicate()
        finally:
            os.close(flows.map_fd)
            os.close(counts.map_fd)
            for name in ("flows", "counts"):
                os.unlink(f"{bpffs}/{name}")


def test_a_class_of_a_script_without_a_descriptor_has_nothing():
    with pytest.raises(AttributeError):
        object.__new__(LruHash).items()
