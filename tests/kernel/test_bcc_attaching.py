"""What BCC's scripts attach to beside tracepoints: interfaces, sockets, cgroups, perf events, functions by patterns."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import socket
import subprocess
import sys

import pytest

import skep.bcc
from skep.base.errors import AttachError, HookMissingError, UnsupportedError, UsageError
from skep.bcc import BPF, BPFAttachType, Perf, PerfSWConfig, PerfType, SymbolCache, XDPFlags
from tests.network import inside, ip

MINE = f"if (bpf_get_current_pid_tgid() >> 32 != {os.getpid()}) return 0;"


def load(text: str, **named) -> BPF:
    return BPF(text=text.replace("MINE", MINE), **named)


INTERFACE = """
BPF_ARRAY(packets, u64, 1);
int count(struct xdp_md *ctx) { int zero = 0; packets.increment(zero); return XDP_PASS; }
int drop(struct xdp_md *ctx) { return XDP_DROP; }
"""


def test_a_program_in_front_of_an_interface(network):
    def is_there() -> bool:
        return "xdp" in ip("-n", network.ours, "link")

    with load(INTERFACE) as bpf:
        count, drop = bpf.load_func("count", BPF.XDP), bpf.load_func(b"drop", BPF.XDP)
        try:
            bpf.attach_xdp("near", count, XDPFlags.SKB_MODE)
            network.receive()
            assert bpf["packets"][0].value > 0
            with pytest.raises(AttachError, match="held by"):
                BPF.attach_xdp("near", drop, BPF.XDP_FLAGS_UPDATE_IF_NOEXIST)
            BPF.attach_xdp(b"near", drop)  # takes the place of the other
            assert is_there()
        finally:
            BPF.remove_xdp("near")
        assert not is_there()
        BPF.remove_xdp("near")
        with pytest.raises(UnsupportedError, match="network cards"):
            BPF.attach_xdp("near", drop, XDPFlags.HW_MODE)
        with pytest.raises(UsageError, match="no network interface none"):
            BPF.attach_xdp("none", drop)
        with pytest.raises(UsageError, match="'drop' is no function"):
            BPF.attach_xdp("near", "drop")


MONITOR = """
#include <net/sock.h>
#include <bcc/proto.h>
struct flow_t { u32 source, destination; u16 port; u8 protocol, length; };
BPF_HASH(flows, struct flow_t);
int monitor(struct __sk_buff *skb) {
    u8 *cursor = 0;
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
    if (ethernet->type != ETH_P_IP) return 0;
    struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
    if (ip->ver != 4 || ip->nextp != 17) return 0;
    cursor_advance(cursor, (ip->hlen << 2) - sizeof(*ip));
    struct udp_t *udp = cursor_advance(cursor, sizeof(*udp));
    struct flow_t flow = {.source = ip->src, .destination = ip->dst, .port = udp->dport, .protocol = ip->nextp,
                          .length = udp->length};
    flows.increment(flow);
    return udp->dport == 4321 ? -1 : 0;
}
"""


@pytest.mark.parametrize("interface", ["near", ""])
def test_a_packet_monitor_reads_headers_on_a_raw_socket(network, interface):
    with load(MONITOR) as bpf:
        monitor = bpf.load_func("monitor", BPF.SOCKET_FILTER)
        BPF.attach_raw_socket(monitor, interface)
        for _ in range(3):
            network.receive(25)
        with socket.socket(fileno=os.dup(monitor.sock)) as packets:
            for _ in range(3):
                assert select.select([packets], [], [], 20)[0]
                assert packets.recv(2048)[-25:] == bytes(25)

        found = {
            (socket.inet_ntoa(key.source.to_bytes(4, "big")), key.port, key.protocol, key.length): leaf.value
            for key, leaf in bpf["flows"].items()
        }
        assert found == {("10.99.0.2", 4321, 17, 33): 3}
        with pytest.raises(AttachError, match="packets of none: No such device"):
            BPF.attach_raw_socket(monitor, "none")
        with pytest.raises(UsageError, match="is no function"):
            BPF.attach_raw_socket(None, "near")


CHANGED = """
#include <bcc/proto.h>
int change(struct __sk_buff *skb) {
    u8 *cursor = 0;
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
    struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
    u64 source = ethernet->src;
    u32 before = ip->src, after = 0x0a630002;
    ethernet->src = ethernet->dst;
    ethernet->dst = source;
    ip->hlen = 7;
    ip->df = 1;
    ip->foffset = 0x123;
    ip->src = after;
    incr_cksum_l3(&ip->hchecksum, before, after);
    return 7;
}
"""


def test_a_program_changes_a_packet_field_by_field():
    header = bytes.fromhex("45 00 0030 0001 8000 40 11 0000 0a630001 0a630003")
    packet = bytes(range(12)) + b"\x08\x00" + header + bytes(28)
    with load(CHANGED) as bpf:
        run = bpf.load_func("change", BPF.SCHED_CLS).program.test_run(packet)

    assert (run.returned, run.data[:14]) == (7, bytes([*range(6, 12), *range(6), 8, 0]))
    assert run.data[14:34] == bytes.fromhex("47 00 0030 0001 c123 40 11 fffe 0a630002 0a630003")


SOCKETS = """
BPF_ARRAY(made, u64, 2);
BPF_SK_STORAGE(kept, u64);
BPF_CGROUP_STORAGE(per_cgroup, u64);
BPF_ARRAY(counted, u64, 2);
int create(struct bpf_sock *ctx) {
    int zero = 0, one = 1;
    u64 *of_socket = kept.sk_storage_get(ctx, 0, BPF_SK_STORAGE_GET_F_CREATE), *of_cgroup;
    of_cgroup = per_cgroup.get_local_storage(0);
    __sync_fetch_and_add(of_cgroup, 5);
    made.increment(zero);
    counted.update(&one, of_cgroup);
    if (of_socket) {
        *of_socket += 3;
        counted.update(&zero, of_socket);
    }
    return 1;
}
int connects(struct bpf_sock_addr *ctx) { int one = 1; made.increment(one); return 1; }
"""


def test_programs_of_a_cgroup(cgroup):
    place = BPFAttachType.CGROUP_INET_SOCK_CREATE, BPFAttachType.CGROUP_INET4_CONNECT
    call = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    shell = f'echo $$ > {cgroup}/cgroup.procs; exec {sys.executable} -c "{call}"'

    with load(SOCKETS) as bpf:
        create = bpf.load_func("create", BPF.CGROUP_SOCK)
        with pytest.raises(UnsupportedError, match="type 18") as caught:
            bpf.load_func("connects", BPF.CGROUP_SOCK_ADDR)
        assert "attach_type" in (caught.value.remedy or "")
        connects = bpf.load_func("connects", BPF.CGROUP_SOCK_ADDR, attach_type=place[1])
        fd = os.open(cgroup, os.O_RDONLY)
        try:
            bpf.attach_func(create, fd, place[0], 2)  # BPF_F_ALLOW_MULTI
            bpf.attach_func(connects, fd, place[1])
            subprocess.run(["sh", "-c", shell], check=True)
            bpf.detach_func(create, fd, place[0])
            subprocess.run(["sh", "-c", shell], check=True)
            with pytest.raises(UsageError, match="create is not attached"):
                bpf.detach_func(create, fd, place[0])
        finally:
            os.close(fd)
        with pytest.raises(AttachError, match="Bad file descriptor"):
            bpf.attach_func(create, fd, place[0])

        assert [leaf.value for leaf in bpf["made"].values()] == [1, 2]
        assert [leaf.value for leaf in bpf["counted"].values()] == [3, 5]


MESSAGES = """
BPF_SOCKHASH(connected, u32, 16);
BPF_SOCKMAP(numbered, 16);
BPF_ARRAY(seen, u64, 2);
int established(struct bpf_sock_ops *ctx) {
    u32 key = ctx->local_port, number = 0;
    int zero = 0;
    if (ctx->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
        return 0;
    connected.sock_hash_update(ctx, &key, BPF_NOEXIST);
    numbered.sock_map_update(ctx, &number, BPF_ANY);
    seen.increment(zero);
    return 0;
}
int message(struct sk_msg_md *ctx) { int one = 1; seen.increment(one); return SK_PASS; }
int other(struct sk_msg_md *ctx) { u32 key = 1; return connected.msg_redirect_hash(ctx, &key, BPF_F_INGRESS); }
int stream(struct __sk_buff *ctx) { u32 key = 1; return connected.sk_redirect_hash(ctx, &key, 0); }
"""
TALK = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
client.sendall(b"message")
assert server.accept()[0].recv(9) == b"message"
"""


def test_messages_of_sockets_in_a_hash(cgroup):
    script = f"open('{cgroup}/cgroup.procs', 'w').write('0')\n{TALK}"

    with load(MESSAGES) as bpf:
        established, message = bpf.load_func("established", BPF.SOCK_OPS), bpf.load_func("message", BPF.SK_MSG)
        assert bpf.load_func("other", BPF.SK_MSG).fd > 0
        assert bpf.load_func("stream", BPF.SK_SKB).fd > 0
        table = skep.bcc.lib.bpf_table_fd(bpf.module, b"connected")
        assert skep.bcc.lib.bpf_table_fd(bpf.module, b"no_such") == -1
        fd = os.open(cgroup, os.O_RDONLY)
        try:
            bpf.attach_func(established, fd, BPFAttachType.CGROUP_SOCK_OPS)
            bpf.attach_func(message, table, BPFAttachType.SK_MSG_VERDICT)
            subprocess.run([sys.executable, "-c", script], check=True)
            bpf.detach_func(message, table, BPFAttachType.SK_MSG_VERDICT)
            bpf.detach_func(established, fd, BPFAttachType.CGROUP_SOCK_OPS)
        finally:
            os.close(fd)

        assert [leaf.value for leaf in bpf["seen"].values()] == [1, 1]


SAMPLES = """
BPF_ARRAY(samples, u64, 1);
BPF_PERF_ARRAY(counters, 32);
BPF_HASH(read, int);
int sampled(struct bpf_perf_event_data *ctx) { MINE int zero = 0; samples.increment(zero); return 0; }
int one(void *ctx) { return 1; }
RAW_TRACEPOINT_PROBE(sys_enter) {
    MINE
    int first = 1, second = 2;
    u64 count = counters.perf_read(CUR_CPU_IDENTIFIER);
    struct bpf_perf_event_value value = {};
    if ((s64)count > 0)
        read.update(&first, &count);
    if (!counters.perf_counter_value(CUR_CPU_IDENTIFIER, &value, sizeof(value)))
        read.update(&second, &value.counter);
    return 0;
}
"""


@pytest.fixture(scope="module")
def samples():
    with load(SAMPLES) as bpf:
        yield bpf


def test_events_are_described_to_the_last_bit(samples):
    faults = Perf.perf_event_attr(type=Perf.PERF_TYPE_SOFTWARE, config=PerfSWConfig.PAGE_FAULTS, sample_period=1)

    samples.attach_perf_event_raw(attr=faults, fn_name="sampled", pid=0)
    with mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for page in range(256):
            memory[page * 4096] = 1
    samples.detach_perf_event(-1, PerfSWConfig.PAGE_FAULTS)

    assert samples["samples"][0].value > 100
    with pytest.raises(UsageError, match="is no Perf"):
        samples.attach_perf_event_raw(-1, "sampled")


def test_events_of_a_cpu_and_of_a_process(samples):
    def attach(**named) -> None:
        samples.attach_perf_event(PerfType.SOFTWARE, fn_name="sampled", **named)

    attach(ev_config=PerfSWConfig.CPU_CLOCK, sample_freq=49, cpu=0)
    attach(ev_config=PerfSWConfig.PAGE_FAULTS, sample_period=1, pid=os.getpid(), cpu=0)
    samples.detach_perf_event(PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK)
    samples.detach_perf_event(PerfType.SOFTWARE, PerfSWConfig.PAGE_FAULTS)
    with pytest.raises(UsageError, match="not attached"):
        samples.detach_perf_event(PerfType.SOFTWARE, PerfSWConfig.PAGE_FAULTS)
    ended = subprocess.Popen(["true"])
    ended.wait()
    with pytest.raises(AttachError, match=f"no process {ended.pid}"):
        attach(ev_config=PerfSWConfig.CPU_CLOCK, sample_freq=49, pid=ended.pid)
    with pytest.raises(AttachError):
        attach(ev_config=PerfSWConfig.CPU_CLOCK, sample_freq=49, cpu=9999)
    with pytest.raises(HookMissingError):
        attach(ev_config=99, sample_freq=49)


def test_counters_are_read_by_programs(samples):
    samples["counters"].open_perf_event(PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK)
    os.getppid()
    samples["counters"].close()

    assert sorted(key.value for key in samples["read"]) == [1, 2]
    with pytest.raises(UnsupportedError, match="cannot be counted"):
        samples["counters"].open_perf_event(PerfType.SOFTWARE, 99)


def test_the_instructions_of_a_program(samples):
    assert samples.dump_func(b"one").hex() == "b7000000010000009500000000000000"
    with pytest.raises(UsageError, match="Unknown program two"):
        samples.dump_func("two")


FUNCTIONS = """
BPF_HASH(places, u64);
int entered(struct pt_regs *ctx) { MINE places.increment(PT_REGS_IP(ctx)); return 0; }
"""


def test_functions_of_libraries_by_pattern_and_by_address(monkeypatch):
    libc = ctypes.CDLL(None)

    with load(FUNCTIONS) as bpf:
        # Names of one place count once.
        bpf.attach_uprobe(name="c", sym_re="^(__)?getpgid$", fn_name="entered", pid=os.getpid())
        (place,) = {address for _, address in bpf.get_user_functions_and_addresses("c", b"(__)?getpgid$")}
        libc.getpgid(0)
        assert [leaf.value for leaf in bpf["places"].values()] == [1]
        assert (bpf.num_open_uprobes(), skep.bcc._get_num_open_probes() >= 1) == (1, True)
        bpf.attach_uretprobe(name=b"c", addr=place, fn_name=b"entered", pid=os.getpid())
        libc.getpgid(0)
        assert sum(leaf.value for leaf in bpf["places"].values()) == 3
        with pytest.raises(HookMissingError, match="nothing here fits"):
            bpf.attach_uprobe(name="c", sym_re="^no_such_function", fn_name="entered")
        with pytest.raises(AttachError, match="there is no program and no library no_such_library"):
            bpf.attach_uprobe(name="no_such_library", sym="main", fn_name="entered")
        monkeypatch.setenv("BCC_PROBE_LIMIT", "20")
        with pytest.raises(AttachError, match="too many probes") as caught:
            bpf.attach_uprobe(name="c", sym_re="^str", fn_name="entered", pid=os.getpid())
        assert "BCC_PROBE_LIMIT" in (caught.value.remedy or "")
        with pytest.raises(UsageError, match="Unknown program no_such"):
            bpf.attach_uprobe(name="c", sym="getpgid", fn_name="no_such")


def test_names_of_the_kernel_by_their_addresses():
    cache = SymbolCache(-1)
    address = cache.resolve_name(None, "vfs_read")

    assert cache.resolve(address + 1, True) == (b"vfs_read", 1, b"kernel")
    assert cache.resolve_name(None, b"no_such_function") == -1
    mine = SymbolCache(os.getpid())
    assert mine.resolve(1, True) == (None, 1, None)
    getpgid = ctypes.cast(ctypes.CDLL(None).getpgid, ctypes.c_void_p).value or 0
    assert mine.resolve(getpgid + 3, True)[1] == 3
    library = BPF.find_library("c") or b""
    assert mine.resolve_name(os.path.realpath(library), "getpgid") == getpgid
    assert mine.resolve_name(os.path.realpath(library), b"no_such_function") == -1


def test_what_has_no_name_is_told_by_its_file():
    pid = os.getpid()
    with open("/proc/self/maps", encoding="utf-8") as file:
        lines = [line.split() for line in file]
    (code,) = [line for line in lines if "x" in line[1] and "/libc.so" in line[-1]]
    start, place, path = int(code[0].partition("-")[0], 16), int(code[2], 16), code[-1].encode()

    # What comes first is no function of its own: the library's jumps to others.
    assert SymbolCache(pid).resolve(start, True) == (None, place, path)
    assert BPF.sym(start, pid, show_module=True, show_offset=True) == b"[unknown] [%s]" % os.path.basename(path)
    # As bpf_get_current_pid_tgid() has it.
    assert BPF.sym(start, pid << 32 | pid, show_module=True) == b"[unknown] [%s]" % os.path.basename(path)
    (code,) = [line for line in lines if line[-1] == "[vdso]"]
    start = int(code[0].partition("-")[0], 16)
    assert BPF.sym(start, pid, show_module=True) == b"[unknown] [[vdso]]"


def test_an_interface_of_another_namespace_is_not_here(network):
    with load(MONITOR) as bpf, inside(network.theirs), pytest.raises(AttachError, match="packets of near"):
        BPF.attach_raw_socket(bpf.load_func("monitor", BPF.SOCKET_FILTER), "near")
