"""The lessons that users of BCC begin with, written afresh: of tracepoints and processes, and of kprobes.

The latter run on 6.12 alone: there, too, with what is compiled here (tests/kernel/test_bcc_tools.py does the same).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from skep.base.errors import UnsupportedError
from skep.bcc import BPF, USDT, USDTException
from skep.kernel import btf
from skep.kernel.features import has_probes
from tests.disks import has_disks, made_disk

HERE = Path(__file__).parent
MINE = f"if (bpf_get_current_pid_tgid() >> 32 != {os.getpid()}) return 0;"
BUILT = HERE.parents[1] / "build" / "bcc"


def load(text: str, **named) -> BPF:
    return BPF(text=text.replace("MINE", MINE), **named)


STRLEN = """
#include <uapi/linux/ptrace.h>
struct key_t { char text[80]; };
BPF_HASH(counts, struct key_t);
int count(struct pt_regs *ctx) {
    MINE
    if (!PT_REGS_PARM1(ctx))
        return 0;
    struct key_t key = {};
    u64 zero = 0, *value;
    bpf_probe_read_user(&key.text, sizeof(key.text), (void *)PT_REGS_PARM1(ctx));
    value = counts.lookup_or_try_init(&key, &zero);
    if (value)
        (*value)++;
    return 0;
};
"""


def test_strings_are_counted_as_they_are_measured():
    libc = ctypes.CDLL(None)

    with load(STRLEN) as bpf:
        # glibc chooses its strlen() when it is loaded: the function behind the name is another. This one is what it is.
        bpf.attach_uprobe(name="c", sym="puts", fn_name="count", pid=os.getpid())
        for text in (b"", b"one", b"one", b"\n"):
            libc.puts(text)
        libc.fflush(None)

        seen = {key.text: leaf.value for key, leaf in bpf["counts"].items()}
    assert (seen[b"one"], seen[b""]) == (2, 1)


CALLS = """
struct data_t { u64 id; u32 pid; char comm[TASK_COMM_LEN]; };
BPF_HASH(counts, u32);
BPF_PERF_OUTPUT(events);
TRACEPOINT_PROBE(raw_syscalls, sys_enter) {
    MINE
    u32 key = args->id;
    struct data_t data = {.id = args->id};
    data.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&data.comm, sizeof(data.comm));
    counts.atomic_increment(key);
    events.perf_submit(args, &data, sizeof(data));
    return 0;
}
"""


def test_system_calls_are_told_by_their_number():
    getppid = 110 if os.uname().machine == "x86_64" else 173
    seen = []

    with load(CALLS) as bpf:
        bpf["events"].open_perf_buffer(lambda *record: seen.append(bpf["events"].event(record[1])), page_cnt=64)
        for _ in range(5):
            os.getppid()
        bpf.perf_buffer_poll(timeout=1000)

        assert bpf["counts"][ctypes.c_uint(getppid)].value == 5
    assert [(event.pid, event.comm != b"") for event in seen if event.id == getppid] == [(os.getpid(), True)] * 5


NESTED = """
__attribute__((noinline)) int inner(int n) { __asm__ volatile(""); return n + 1; }
__attribute__((noinline)) int middle(int n) { __asm__ volatile(""); return inner(n) + inner(n); }
__attribute__((noinline)) int outer(int n) { __asm__ volatile(""); return middle(n) + 1; }
int main(void) { return outer(1) == 5 ? 0 : 1; }
"""
DEPTH = """
struct step_t { u64 address; u32 depth; u32 is_return; };
BPF_HASH(depths, u32, u32);
BPF_RINGBUF_OUTPUT(steps, 4);
static int step(struct pt_regs *ctx, int is_return) {
    u32 pid = bpf_get_current_pid_tgid(), zero = 0;
    u32 *depth = depths.lookup_or_try_init(&pid, &zero);
    if (!depth)
        return 0;
    if (is_return && *depth)
        (*depth)--;
    struct step_t step = {.address = PT_REGS_IP(ctx), .depth = *depth, .is_return = is_return};
    if (!is_return)
        (*depth)++;
    steps.ringbuf_output(&step, sizeof(step), 0);
    return 0;
}
int entered(struct pt_regs *ctx) { return step(ctx, 0); }
int left(struct pt_regs *ctx) { return step(ctx, 1); }
"""


def test_how_deep_functions_call_each_other(tmp_path):
    program = tmp_path / "nested"
    subprocess.run(
        ["cc", "-x", "c", "-O1", "-fno-optimize-sibling-calls", "-", "-o", program], input=NESTED, text=True, check=True
    )
    seen = []

    with load(DEPTH) as bpf:
        pattern = "^(inner|middle|outer)$"
        bpf.attach_uprobe(name=str(program), sym_re=pattern, fn_name="entered")
        bpf.attach_uretprobe(name=str(program), sym_re=pattern, fn_name="left")
        bpf["steps"].open_ring_buffer(lambda *record: seen.append(bpf["steps"].event(record[1])))
        subprocess.run([program], check=True)
        bpf.ring_buffer_consume()

        assert bpf.num_open_uprobes() == 6
    assert [(event.depth, event.is_return) for event in seen] == [
        (0, 0), (1, 0), (2, 0), (2, 1), (2, 0), (2, 1), (1, 1), (0, 1),
    ]  # fmt: skip


SERVER = """
#include <stdio.h>
#include <string.h>
#include "sdt.h"

SEMAPHORE(answered_semaphore);

int main(void)
{
	char line[128];

	while (fgets(line, sizeof(line), stdin)) {
		char *path = strchr(line, ' ');

		if (!path)
			continue;
		*path++ = 0;
		path[strcspn(path, " ")] = 0;
		PROBE("http", "request", "0", "8@%0", path);
		if (*(volatile unsigned short *)&answered_semaphore)
			PROBE("http", "answered", "answered_semaphore", "-4@%0", -(int)strlen(path));
		puts("200");
		fflush(stdout);
	}
	return 0;
}
"""
REQUESTS = """
#include <uapi/linux/ptrace.h>
struct request_t { u32 pid; char path[64]; };
BPF_PERF_OUTPUT(requests);
BPF_HASH(answers, int);
int on_request(struct pt_regs *ctx) {
    struct request_t request = {.pid = bpf_get_current_pid_tgid() >> 32};
    u64 path = 0;
    bpf_usdt_readarg(1, ctx, &path);
    bpf_probe_read_user(&request.path, sizeof(request.path), (void *)path);
    requests.perf_submit(ctx, &request, sizeof(request));
    return 0;
}
int on_answer(struct pt_regs *ctx) {
    int length = 0;
    bpf_usdt_readarg(1, ctx, &length);
    answers.increment(length);
    return 0;
}
"""


@pytest.fixture
def server(tmp_path):
    """A program with probes, which answers each line that it gets."""
    program = tmp_path / "server"
    programs = HERE.parent / "programs"
    subprocess.run(["cc", "-x", "c", "-O1", "-I", programs, "-", "-o", program], input=SERVER, text=True, check=True)
    started = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert started.stdin is not None
    assert started.stdout is not None
    with started:
        yield started
        started.stdin.close()


def test_requests_of_a_server_with_probes(server):
    def ask(path: str) -> None:
        server.stdin.write(f"GET {path} HTTP/1.1\n")
        server.stdin.flush()
        assert server.stdout.readline() == "200\n"

    seen = []
    one, other = USDT(pid=server.pid), USDT(pid=server.pid)
    one.enable_probe(probe="request", fn_name="on_request")
    other.enable_probe_or_bail("http:answered", "on_answer")
    with load(REQUESTS, usdt_contexts=[one, other], debug=0) as bpf:
        bpf["requests"].open_perf_buffer(lambda *record: seen.append(bpf["requests"].event(record[1])))
        for path in ("/index.html", "/"):
            ask(path)
            # Each CPU has a buffer of its own: only what is polled between them is in order.
            bpf.perf_buffer_poll(1000)

        assert sorted(key.value for key in bpf["answers"]) == [-11, -1]
    ask("/nobody/looks")

    assert [(event.pid, event.path) for event in seen] == [(server.pid, b"/index.html"), (server.pid, b"/")]
    assert one.get_probe_arg_ctype("request", 0) == "uint64_t"
    assert other.get_probe_arg_ctype("answered", 0) == "int32_t"
    (active,) = one.enumerate_active_probes()
    assert (os.path.basename(active[0]), active[1], active[3]) == (b"server", b"on_request", server.pid)
    mine = {probe.short_name(): probe for probe in one.enumerate_probes() if probe.provider == b"http"}
    assert sorted(mine) == ["http:answered", "http:request"]
    assert (mine["http:answered"].semaphore > 0, mine["http:request"].semaphore) == (True, 0)
    assert str(mine["http:answered"].get_location(0).get_argument(0)).startswith("4 signed bytes @ ")
    with pytest.raises(USDTException, match="Failed to enable USDT probe 'no_such'"):
        one.enable_probe("no_such", "on_request")
    with pytest.raises(SystemExit):
        one.enable_probe_or_bail("no_such", "on_request")
    with pytest.raises(USDTException):
        mine["http:request"].get_location(1)
    with pytest.raises(USDTException):
        USDT(path="/no/such/program")


KPROBES = r"""
#include <uapi/linux/ptrace.h>
#include <linux/sched.h>
#include <linux/fs.h>
#include <linux/blk-mq.h>
struct open_t { u32 pid; int flags; char comm[TASK_COMM_LEN]; char name[64]; };
struct switch_t { u32 before, after; };
BPF_ARRAY(mine, u32, 1);
BPF_HASH(last_sync);
BPF_ARRAY(syncs, u64, 2);
BPF_PERF_OUTPUT(opens);
BPF_HASH(reading, u32);
BPF_HISTOGRAM(latency);
BPF_HISTOGRAM(lengths, int, 8);
BPF_HASH(started, struct request *);
BPF_HASH(requests, u32);
BPF_HASH(switches, struct switch_t);
BPF_ARRAY(typed, u64, 3);

static inline bool is_other(void) {
    int zero = 0;
    u32 *pid = mine.lookup(&zero);
    return !pid || *pid != bpf_get_current_pid_tgid() >> 32;
}

int kprobe__sys_getppid(void *ctx) {
    if (is_other()) return 0;
    bpf_trace_printk("Hello, World!\n");
    return 0;
}

int kprobe__sys_sync(struct pt_regs *ctx) {
    u64 key = 0, now = bpf_ktime_get_ns(), *before;
    int calls = 0, close = 1;
    if (is_other()) return 0;
    syncs.increment(calls);
    before = last_sync.lookup(&key);
    if (before) {
        if (now - *before > 0)
            syncs.increment(close);
        last_sync.delete(&key);
    }
    last_sync.update(&key, &now);
    return 0;
}

int kprobe__do_sys_openat2(struct pt_regs *ctx, int dfd, const char __user *filename, struct open_how *how) {
    if (is_other()) return 0;
    struct open_t event = {.pid = bpf_get_current_pid_tgid() >> 32, .flags = how->flags};
    bpf_get_current_comm(&event.comm, sizeof(event.comm));
    bpf_probe_read_user_str(&event.name, sizeof(event.name), filename);
    opens.perf_submit(ctx, &event, sizeof(event));
    return 0;
}

int read_begins(struct pt_regs *ctx, struct file *file, char __user *buffer, size_t count) {
    u32 tid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();
    if (is_other() || !S_ISREG(file->f_inode->i_mode)) return 0;
    reading.update(&tid, &now);
    lengths.increment(count);
    return 0;
}

int read_ends(struct pt_regs *ctx) {
    u32 tid = bpf_get_current_pid_tgid();
    u64 *begin = reading.lookup(&tid);
    if (!begin) return 0;
    latency.increment(bpf_log2l((bpf_ktime_get_ns() - *begin) / 1000));
    reading.delete(&tid);
    return 0;
}

int request_begins(struct pt_regs *ctx, struct request *req) {
    u64 now = bpf_ktime_get_ns();
    started.update(&req, &now);
    return 0;
}

int request_ends(struct pt_regs *ctx, struct request *req) {
    u64 *begin = started.lookup(&req);
    u32 bytes = req->__data_len;
    if (!begin) return 0;
    if (bpf_ktime_get_ns() > *begin)
        requests.increment(bytes);
    started.delete(&req);
    return 0;
}

int count_switch(struct pt_regs *ctx, struct task_struct *before) {
    int zero = 0;
    u32 *pid = mine.lookup(&zero);
    struct switch_t key = {.before = before->tgid, .after = bpf_get_current_pid_tgid() >> 32};
    if (pid && (key.before == *pid || key.after == *pid))
        switches.atomic_increment(key);
    return 0;
}

KFUNC_PROBE(vfs_read, struct file *file, char *buffer, size_t count) {
    int entered = 0;
    if (!is_other() && count == 7 && S_ISREG(file->f_inode->i_mode)) typed.increment(entered);
    return 0;
}

KRETFUNC_PROBE(vfs_read, struct file *file, char *buffer, size_t count, loff_t *position, long result) {
    int left = 1;
    if (!is_other() && result == 7) typed.increment(left);
    return 0;
}

LSM_PROBE(file_open, struct file *file) {
    int asked = 2;
    if (!is_other()) typed.increment(asked);
    return 0;
}
"""


@pytest.fixture
def kprobes(monkeypatch):
    """The text, loaded: in a guest from what was compiled here, against the types of this kernel."""
    (BUILT / "skep").mkdir(mode=0o700, parents=True, exist_ok=True)
    note = BUILT / "build-id"
    if "SKEP_VM_KERNEL" not in os.environ:
        note.write_text(btf._build_id() or "")
    monkeypatch.setattr(btf, "_build_id", note.read_text)
    monkeypatch.setenv("XDG_CACHE_HOME", str(BUILT))
    if not has_probes("kprobe"):
        # Compiled it is in any case.
        with pytest.raises(UnsupportedError, match="this kernel has no kprobes"):
            BPF(text=KPROBES)
        pytest.skip("this kernel has no kprobes (CONFIG_KPROBE_EVENTS)")
    with BPF(text=KPROBES) as bpf:
        bpf["mine"][0] = ctypes.c_uint(os.getpid())
        yield bpf


@pytest.mark.floors("6.12")
@pytest.mark.compiles
def test_lessons_of_kprobes(kprobes, tmp_path, capsys):
    opened = []
    kprobes["opens"].open_perf_buffer(lambda *record: opened.append(kprobes["opens"].event(record[1])))
    kprobes.attach_kprobe(event="vfs_read", fn_name="read_begins")
    kprobes.attach_kretprobe(event=b"vfs_read", fn_name=b"read_ends")
    kprobes.attach_kprobe(event_re=r"^finish_task_switch$|^finish_task_switch\.isra\.\d$", fn_name="count_switch")
    kprobes.attach_kprobe(event="blk_mq_start_request", fn_name="request_begins")
    kprobes.attach_kprobe(event="blk_mq_end_request", fn_name="request_ends")

    os.getppid()
    os.sync()
    os.sync()
    path = tmp_path / "read"
    path.write_bytes(b"seven..")
    with path.open("rb", buffering=0) as file:
        file.read(7)
    time.sleep(0.01)
    requests = set()
    if has_disks():
        with made_disk(tmp_path / "disk") as disk:
            fd = os.open(disk, os.O_RDWR | os.O_DIRECT)
            with mmap.mmap(-1, 8192) as pages:
                os.pwrite(fd, pages, 0)
            os.close(fd)
            requests = {key.value for key in kprobes["requests"]}

    while True:
        task, pid, _, _, _, message = kprobes.trace_fields()
        if pid == os.getpid():
            break
    assert (message, len(task) > 0) == (b"Hello, World!", True)
    assert [leaf.value for leaf in kprobes["syncs"].values()] == [2, 1]
    kprobes.perf_buffer_poll(1000)
    assert (os.getpid(), b"read", os.O_RDONLY) in {
        (event.pid, os.path.basename(event.name), event.flags & os.O_ACCMODE) for event in opened
    }
    assert kprobes["lengths"][7].value == 1
    kprobes["latency"].print_log2_hist("us")
    assert re.search(r"us +: count +distribution\n", capsys.readouterr().out)
    assert any(key.before == os.getpid() for key in kprobes["switches"])
    assert 8192 in requests or not has_disks()
    assert [leaf.value for leaf in kprobes["typed"].values()][:2] == [1, 1]
    assert kprobes["typed"][2].value > 0 or b"bpf" not in Path("/sys/kernel/security/lsm").read_bytes().split(b",")
    assert kprobes.num_open_kprobes() >= 7
    kprobes.detach_kprobe("vfs_read", fn_name="read_begins")
    kprobes.detach_kretprobe("vfs_read")
    path.read_bytes()
    assert kprobes["lengths"][7].value == 1
    kprobes.detach_kfunc("kfunc__vmlinux__vfs_read")
    kprobes.detach_kretfunc("vmlinux__vfs_read")
    kprobes.detach_lsm("file_open")
    assert BPF.support_kfunc()
