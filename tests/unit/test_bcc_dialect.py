"""BCC's dialect: what each of its words becomes, and that the compiler takes it."""

from __future__ import annotations

import os
import re

import pytest

from skep.base.abi.maps import MAP_TYPES
from skep.base.errors import CompileError, HookMissingError
from skep.bcc.dialect import translate
from skep.bcc.tables import METHODS, find_tables
from skep.bcc.tracepoints import find_structs, struct_of
from skep.spec.compiling import compile_source, find_compiler
from skep.spec.objectspec import ObjectSpec

# What these texts need of the kernel.
KERNEL = """
#include <linux/bpf.h>
#ifndef __VMLINUX_H__
#define __VMLINUX_H__
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64; typedef __s32 s32; typedef __s64 s64;
typedef int pid_t; typedef _Bool bool; typedef __SIZE_TYPE__ size_t;
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
enum { TASK_COMM_LEN = 16 };
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
struct sock_common { u16 skc_family, skc_dport; unsigned char skc_reuse : 4, skc_reuseport : 1; };
struct sock { struct sock_common __sk_common; struct sock *next; u32 ports[4]; };
struct task_struct { pid_t tgid; struct task_struct *real_parent; char comm[16]; };
typedef struct config_s { u16 level; } config;
enum levels { LEVEL_LOW, LEVEL_HIGH = 5, LEVEL_TOP };
typedef u16 seen_t;
struct mount { int mnt_id; config config; };
struct sk_buff {
	u16 queue_mapping, transport_header;
	unsigned char *head;
	union { struct { unsigned char pkt_type : 3, cloned : 1; }; u64 headers; };
};
struct tcphdr { __be16 source, dest; };
#pragma clang attribute pop
#endif
"""


@pytest.fixture
def kernel(tmp_path, cache_home):
    """The folder of a vmlinux.h."""
    folder = tmp_path / "kernel"
    folder.mkdir()
    (folder / "vmlinux.h").write_text(KERNEL)
    return folder


@pytest.fixture
def translated(kernel, tmp_path):
    """Translates a text, and has the compiler make an object of it: gives what stands behind the head, and the spec."""

    def translated(text, *, arguments=(), sections=None):
        found = translate(
            text,
            file="script.py",
            make_header=lambda: str(kernel),
            compiler=find_compiler(),
            tracefs=str(tmp_path),
            arguments=arguments,
        )
        source = tmp_path / "translated.bpf.c"
        source.write_text(found.with_sections({name: (sections or {}).get(name, "kprobe") for name in found.programs}))
        spec = ObjectSpec.read(compile_source(str(source), "id", lambda: str(kernel), find_compiler()), "translated.o")
        return found, found.source.partition('# 1 "script.py"\n')[2], spec

    return translated


def test_a_table_becomes_a_map(translated):
    _, _, spec = translated("""
BPF_HASH(one);
BPF_HASH(two, u32, struct sock *, 7);
BPF_ARRAY(three, u64, 3);
BPF_HISTOGRAM(four);
BPF_HISTOGRAM(five, u32);
BPF_STACK_TRACE(six, 1024);
BPF_PERF_OUTPUT(seven);
BPF_RINGBUF_OUTPUT(eight, 8);
BPF_TABLE("lru_hash", struct { u32 pid; u32 tid; }, u64, nine, 5);
BPF_PERCPU_ARRAY(ten, u64, 1);
BPF_QUEUE(eleven, u32, 12);
""")

    found = {name: (MAP_TYPES[map_.type], map_.max_entries) for name, map_ in spec.maps.items()}
    assert found == {
        "one": ("hash", 10240),
        "two": ("hash", 7),
        "three": ("array", 3),
        "four": ("array", 64),
        "five": ("hash", 64),
        "six": ("stack_trace", 1024),
        "seven": ("perf_event_array", 0),
        "eight": ("ringbuf", 8 * 4096),
        "nine": ("lru_hash", 5),
        "ten": ("percpu_array", 1),
        "eleven": ("queue", 12),
    }
    assert spec.maps["two"].key.size == 4
    assert spec.maps["nine"].key.size == 8


def test_a_struct_of_the_kernel_that_the_text_renames_is_read_under_the_name_that_the_kernel_knows(translated):
    _, written, _ = translated("""
typedef struct sock sock_t;
typedef const sock_t *sock_p;
struct kept { sock_t *sk; };
int probe(struct pt_regs *ctx, sock_t *sk, sock_p fixed)
{
    struct kept kept = {};
    u16 port;

    kept.sk = (sock_t *)sk->next;
    bpf_probe_read_kernel(&port, sizeof(port), &sk->ports[1]);
    return port + fixed->ports[0] + (*sk).ports[2] + ((sock_t *)kept.sk->next)->ports[3];
}
""")
    statements = [line.strip() for line in written.split("\n") if "ports" in line or "kept.sk =" in line]
    sk = "((struct sock *)(sk))"
    assert statements == [
        f"kept.sk = (sock_t *)skep_read(struct sock *, {sk}->next);",
        f"bpf_probe_read_kernel(&port, sizeof(port), &{sk}->ports[1]);",
        (
            "return port + skep_read(const u32, ((const struct sock *)(fixed))->ports[0])"
            f" + skep_read(u32, (*{sk}).ports[2])"
            " + skep_read(u32, ((struct sock *)(((sock_t *)skep_read(struct sock *,"
            " ((struct sock *)(kept.sk))->next))))->ports[3]);"
        ),
    ]


def test_a_table_may_have_the_name_of_a_type_or_a_value_of_the_kernel(translated):
    found, _, spec = translated("""
struct settings { int config; };
BPF_HASH(config, u32, struct settings);
BPF_ARRAY(TASK_COMM_LEN, u64, 1);
int probe(struct pt_regs *ctx)
{
    struct settings own = { .config = 1 }, *found;
    u32 config_of = 0;

    found = config.lookup(&config_of);
    TASK_COMM_LEN.increment(config_of);
    return found ? found->config + own.config : 0;
}
""")
    assert dict(found.tables) == {"config": "hash", "TASK_COMM_LEN": "array"}
    assert set(spec.maps) == {"config___bcc", "TASK_COMM_LEN___bcc"}


def test_values_and_types_of_a_text_may_have_the_names_of_the_kernels(translated):
    found, written, _ = translated("""
enum level { LEVEL_LOW = 7, LEVEL_HIGH, LEVEL_TOP };
typedef struct { u64 at; } seen_t;
static u32 config = LEVEL_HIGH;
BPF_HASH(times, u32, seen_t);
int probe(struct pt_regs *ctx, struct mount *mount)
{
    u32 key = mount->config.level + config;
    seen_t now = { .at = LEVEL_TOP };

    times.update(&key, &now);
    return 0;
}
""")

    assert dict(found.tables) == {"times": "hash"}
    assert "LEVEL_LOW___bcc = 7, LEVEL_HIGH___bcc, LEVEL_TOP___bcc" in written
    assert "seen_t___bcc now = { .at = LEVEL_TOP___bcc };" in written
    assert "mount->config.level" in written


def test_what_a_text_declares_is_not_a_macro_of_a_header(translated):
    _, written, _ = translated(
        """
#include <linux/sched.h>
enum way { READ = 5, WRITE };
struct seen { u64 min, max; u16 sk_num; };
static const int O_CREAT = 3;
static inline u64 max(u64 one, u64 other)
{
    return one > other ? one : other;
}
int PROGRAM(struct pt_regs *ctx)
{
    /* neither EPERM; nor */ // ENOENT = 2
    struct seen seen = { .min = min(WRITE, O_CREAT), .sk_num = EPERM + ENOENT };

    return max(seen.min, seen.sk_num);
}
""",
        arguments=["-DPROGRAM=probe"],
    )

    assert "enum way { READ = 5, WRITE };" in written
    assert "u64 max(u64 one, u64 other)" in written
    assert ".sk_num = 1 + 2 }" in written
    assert "int probe(struct pt_regs *ctx)" in written


def test_counts_of_the_kernels_are_read_from_its_memory(translated):
    _, written, _ = translated("""
struct counted { struct { int counter; } users; struct { struct { int counter; } refs; } usage; };
int probe(struct pt_regs *ctx, struct counted *each)
{
    return atomic_read(&each->users) + refcount_read(&each->usage);
}
""")

    assert written.count("skep_read(") == 2


def test_a_void_pointer_gets_no_argument_of_a_probe(translated):
    _, written, _ = translated("""
int probe(struct pt_regs *ctx)
{
    void *nowhere = 0;
    u64 number = 0;

    return bpf_usdt_readarg(1, ctx, nowhere) + bpf_usdt_readarg(2, ctx, &number) + number;
}
""")

    assert written.count("bpf_usdt_arg(") == 2


def test_an_address_may_be_a_number(translated):
    translated("int probe(struct pt_regs *ctx) { long v; bpf_probe_read(&v, sizeof(v), 0xc1df00 + 8); return v; }")


def test_a_pointer_of_the_registers_is_read_by_a_helper_each_arrow_by_itself(translated):
    _, written, _ = translated("""
int probe(struct pt_regs *ctx, struct sock *sk)
{
    return sk->next->next->__sk_common.skc_dport;
}
""")

    read = "skep_read(u16, skep_read(struct sock *, skep_read(struct sock *, sk->next)->next)->__sk_common.skc_dport)"
    assert f"return {read};" in written
    assert (
        'SEC("?probe@") int probe(struct pt_regs *ctx)\n{ struct sock *sk = (struct sock *)PT_REGS_PARM1(ctx);'
        in written
    )


@pytest.mark.parametrize(
    "body",
    [
        "struct sock *other = sk; return other->ports[2];",
        "struct sock *other; other = (struct sock *)(void *)sk; return (*other).ports[1];",
        "struct { struct sock *kept; } all = {}; all.kept = sk; return all.kept->ports[0];",
        "return below(sk);",
        "return given(sk)->ports[3];",
        "sockets.update(&key, &sk); struct sock **found = sockets.lookup(&key); return found ? (*found)->ports[0] : 0;",
        "u32 *port = &sk->ports[1]; return *port;",
        "return *(u32 *)((u64)&sk->ports - 3);",
        "return ((struct task_struct *)bpf_get_current_task())->tgid;",
        "return (key ? sk : sk->next)->ports[0];",
        "return FIRST(sk);",
    ],
)
def test_such_a_pointer_is_followed_wherever_it_goes(translated, body):
    _, written, spec = translated(f"""
#define FIRST(which) which->ports[0]
BPF_HASH(sockets, u32, struct sock *);
static u32 below(struct sock *inner) {{ return inner->ports[1]; }}
static struct sock *given(struct sock *inner) {{ return inner; }}
int probe(struct pt_regs *ctx)
{{
    struct sock *sk = (struct sock *)PT_REGS_PARM2(ctx);
    u32 key = 1;
    {body}
}}
""")

    assert "skep_read(" in written
    # Were one of them not found, the program would read through it by itself: behind a helper nothing else does.
    assert "probe" in spec.programs


def test_what_is_of_the_program_itself_is_read_as_it_stands(translated):
    _, written, _ = translated("""
struct own { u32 ports[4]; struct own *next; };
BPF_HASH(all, u32, struct own);
int probe(struct pt_regs *ctx)
{
    u32 key = ctx->di;
    struct own *found = all.lookup(&key), mine = {};
    return found ? found->ports[1] + mine.ports[key & 3] : sizeof(((struct sock *)ctx->di)->ports);
}
""")

    assert "skep_read" not in written


def test_a_bit_field_is_read_by_its_relocation(translated):
    _, written, _ = translated(
        "int probe(struct pt_regs *ctx, struct sock *sk) { return sk->__sk_common.skc_reuseport; }"
    )

    assert "BPF_CORE_READ_BITFIELD_PROBED(&sk->__sk_common, skc_reuseport)" in written


def test_a_bit_field_of_structs_without_names_is_one_of_the_struct_around_them(translated):
    _, written, _ = translated("""
int probe(struct pt_regs *ctx, struct sk_buff *packet) { return packet->pkt_type + (*packet).cloned; }
""")

    assert "BPF_CORE_READ_BITFIELD_PROBED(packet, pkt_type)" in written
    assert "BPF_CORE_READ_BITFIELD_PROBED(&(*packet), cloned)" in written


def test_the_address_of_a_member_is_not_read(translated):
    _, written, _ = translated("""
int probe(struct pt_regs *ctx, struct sock *sk)
{
    u32 port = 0;
    bpf_probe_read_kernel(&port, sizeof(port), &sk->next->ports[1]);
    return port;
}
""")

    assert "&skep_read(struct sock *, sk->next)->ports[1]" in written


@pytest.mark.parametrize(
    ("call", "becomes"),
    [
        ("counts.update(&key, &value)", "bpf_map_update_elem(&counts, &key, &value, BPF_ANY)"),
        ("counts.insert(&key, &value)", "bpf_map_update_elem(&counts, &key, &value, BPF_NOEXIST)"),
        ("counts.delete(&key)", "bpf_map_delete_elem(&counts, &key)"),
        ("events.perf_submit(ctx, &value, sizeof(value))", "bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU,"),
        ("stacks.get_stackid(ctx, 0)", "bpf_get_stackid(ctx, &stacks, 0)"),
        ("ring.ringbuf_output(&value, sizeof(value), 0)", "bpf_ringbuf_output(&ring, &value, sizeof(value), 0)"),
    ],
)
def test_methods_become_helpers(translated, call, becomes):
    _, written, _ = translated(f"""
BPF_HASH(counts);
BPF_PERF_OUTPUT(events);
BPF_RINGBUF_OUTPUT(ring, 8);
BPF_STACK_TRACE(stacks, 64);
int probe(struct pt_regs *ctx) {{ u64 key = 1, value = 2; {call}; return 0; }}
""")

    assert becomes in written


def test_increment_makes_entries_of_hashes_alone(translated):
    _, written, _ = translated("""
BPF_HASH(hash);
BPF_ARRAY(array, u64, 4);
BPF_TABLE("lru_hash", u64, u64, lru, 4);
int probe(struct pt_regs *ctx) { hash.increment(1); array.increment(2, 3); lru.atomic_increment(3); return 0; }
""")
    hash_, array, lru = re.findall(r"\(\{ typeof\(\*\w+\.key\).*?\}\);", written)

    assert "BPF_NOEXIST" in hash_
    assert "BPF_NOEXIST" not in array + lru
    assert "*skep_value += 3" in array
    assert "__sync_fetch_and_add(skep_value, 1)" in lru


def test_lookup_or_init_ends_the_function_that_it_stands_in(translated):
    _, written, _ = translated("""
BPF_HASH(counts);
int probe(struct pt_regs *ctx)
{
    u64 key = 1, zero = 0, *one = counts.lookup_or_init(&key, &zero), *two = counts.lookup_or_try_init(&key, &zero);
    (*one)++;
    return two ? *two : 0;
}
""")

    assert written.count("if (!skep_value) return 0;") == 1


def test_arguments_of_a_system_call_come_from_the_registers_of_its_caller(translated):
    _, written, _ = translated("int syscall__open(struct pt_regs *ctx, const char *name, int flags) { return flags; }")

    assert "int flags = (int)PT_REGS_PARM2_CORE_SYSCALL(skep_call);" in written
    assert "*name" not in written  # it is not used


def test_keys_and_leaves_have_types(translated):
    _, _, spec = translated("""
BPF_HASH(counts, u32, struct { u64 a; u64 b; });
int probe(struct pt_regs *ctx)
{
    typeof(counts.key) key = 1;
    typeof(counts.leaf) leaf = {};
    counts.update(&key, &leaf);
    return sizeof(counts.leaf);
}
""")

    assert spec.maps["counts"].value.size == 16


def test_the_text_may_define_and_include_what_it_likes(translated):
    _, written, spec = translated(
        """
#include <linux/sched.h>
#include <net/sock.h>
#define BPF_LICENSE Dual MIT/GPL
#define SLOT(x) table.increment(x)
BPF_HASH(table);
int probe(struct pt_regs *ctx) {
#ifdef LIMIT
    SLOT(LIMIT);
#endif
    bpf_trace_printk("%d\\n", 1);
    return 0; }
""",
        arguments=["-DLIMIT=7"],
    )

    assert "skep_key = 7" in written
    assert 'char LICENSE[] SEC("license") = "Dual MIT/GPL";' in written
    assert spec.prints


def test_the_text_knows_the_kernel_and_the_machine(translated):
    _, written, _ = translated("""
int probe(struct pt_regs *ctx) {
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 8, 0)
    return -1;
#endif
    return bpf_num_cpus(); }
""")

    assert "-1" not in written
    assert f"return {os.cpu_count()};" in written


@pytest.mark.parametrize("name", ["__NR_poll", "__TASK_STOPPED", "BLK_STS_OK", "EXDEV", "PF_IDLE", "ERESTARTSYS"])
def test_numbers_that_headers_of_the_kernel_bring_are_known(translated, name):
    _, written, _ = translated(f"""
#include <linux/sched.h>
int probe(struct pt_regs *ctx) {{ pgoff_t page = {name}; return page; }}
""")

    assert re.search(r"page = [-(]?[\w)]+;", written)
    assert name not in written


def test_functions_of_the_kernel_and_their_arguments(translated):
    found, _, _ = translated(
        """
KFUNC_PROBE(vfs_open) { return 0; }
KRETFUNC_PROBE(vfs_read, struct sock *sk, size_t count, long ret) { return ret + sk->ports[0]; }
LSM_PROBE(socket_connect, struct sock *sk) { return 0; }
""",
        sections={
            "kfunc__vmlinux__vfs_open": "fentry/vfs_open",
            "kretfunc__vmlinux__vfs_read": "fexit/vfs_read",
            "lsm__socket_connect": "lsm/socket_connect",
        },
    )

    assert sorted(found.programs) == ["kfunc__vmlinux__vfs_open", "kretfunc__vmlinux__vfs_read", "lsm__socket_connect"]
    # The kernel knows what these pointers are, and lets programs read through them.
    assert "skep_read(" not in found.source.partition('"script.py"')[2]


def test_a_struct_of_the_kernel_that_a_text_declares_gets_a_name_beside_it(translated):
    _, written, _ = translated("""
struct mount { int padding; int mnt_id; };
int probe(struct pt_regs *ctx, struct mount *mount) { return mount->mnt_id; }
""")

    assert "struct __attribute__((preserve_access_index)) mount___bcc {" in written
    assert "struct mount___bcc *mount" in written


def test_fields_of_packets_are_bits_of_the_wire(translated):
    _, written, _ = translated(
        """
#include <bcc/proto.h>
int filter(struct __sk_buff *skb)
{
    u8 *cursor = 0;
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
    struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
    return ethernet->type == 0x0800 && ip->hlen == 5 ? -1 : load_byte(skb, 3);
}
""",
        sections={"filter": "socket"},
    )

    assert "skep_packet(skb, (u64)(ethernet) + 12, 0, 16) == 0x0800" in written
    assert "skep_packet(skb, (u64)(ip) + 0, 4, 4) == 5" in written


def test_fields_of_packets_are_written_there_and_checksums_mended(translated):
    _, written, _ = translated(
        """
#include <bcc/proto.h>
int change(struct __sk_buff *skb)
{
    u8 *cursor = 0;
    struct ip6_t *ip6 = cursor_advance(cursor, sizeof(*ip6));
    struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
    u32 before = ip->src, after = 7;
    ip6->flow_label = after;
    (ip->src) = ip->dst;
    incr_cksum_l3(&ip->hchecksum, before, after);
    incr_cksum_l4(&ip->dst, ip->tlen, ip->tlen, 1);
    return 0;
}
""",
        sections={"change": "tc"},
    )

    assert "skep_store_packet(skb, (u64)(ip6) + 1, 4, 20, after);" in written
    assert "skep_store_packet(skb, (u64)(ip) + 12, 0, 32, skep_packet(skb, (u64)(ip) + 16, 0, 32));" in written
    assert "bpf_l3_csum_replace(skb, (u64)(&ip->hchecksum), skep_on_the_wire(before, sizeof(after))" in written
    assert "skep_on_the_wire(skep_packet(skb, (u64)(ip) + 2, 0, 16), sizeof(ip->tlen)), ((1) & 1) << 4 |" in written


@pytest.mark.parametrize(
    ("text", "line", "message", "advice"),
    [
        ("BPF_HASH(t);\nint p(void *ctx) { return t.lokup(0); }", 2, "no member named 'lokup'", "lookup"),
        (
            "int a(void *ctx) { return 0; }\nint b(void *ctx) {\nreturn a(ctx); }",
            3,
            "non-static helper function",
            "static",
        ),
        (
            "int p(struct pt_regs *ctx, int a, int b, int c, int d, int e, int f, int g) { return a; }",
            1,
            "too many",
            None,
        ),
        (
            "int p(struct pt_regs *ctx, struct sock *sk) {\n sk->next = 0; return 0; }",
            2,
            "cannot be written to",
            "Read",
        ),
        (
            "#include <bcc/proto.h>\nint p(struct __sk_buff *skb) {\n struct ip_t *ip = 0; ip->ttl -= 1; return 0; }",
            3,
            "by = alone",
            "=",
        ),
        ("int p(void *ctx) {\n return nothing; }", 2, "undeclared identifier 'nothing'", None),
        ("BPF_HASH(t);\n\nint p(void *ctx) { t.update(ctx); return 0; }", 3, "takes 2 arguments, not 1", None),
        ("int p(struct pt_regs *ctx, int) { return 0; }", 1, "a parameter has no name", "Name"),
        ("#if 1\nint p(void *ctx) { return 0; }", 1, "unterminated conditional directive", None),
        ("BPF_HASH(t);\nint p(void *c) { u64 k = 0; t.increment(k, 1, 2); return 0; }", 2, "takes 1 or 2", None),
        ("\nBPF_HASH(t, struct nothing);", 2, "incomplete type 'struct nothing', the key of table t", None),
        ("int p(void *ctx) {\r\n\treturn f\u00fcr;\r\n}\r\n", 2, "undeclared identifier 'f\u00fcr'", None),
        ("/* \u2028 \x0c */\nint p(void *ctx) {\n return nothing; }", 3, "undeclared identifier", None),
        ("int p(void *ctx) { return 0; }\n\0int q", 2, "no byte 0", None),
        ("\nBPF_HASH(t);\nBPF_HASH(t);", 3, "there are two tables t", "name"),
        ("\nBPF_HASH();", 2, "a name of one word, not ''", None),
        ("\nBPF_HASH(a b);", 2, "a name of one word, not 'a b'", None),
        ('\nBPF_TABLE("hsh", u32, u32, t, 1);', 2, "there is no kind 'hsh'", "hash"),
        ('\nBPF_TABLE("extern", u32, u32, t, 1);', 2, "no other text of this script", "BPF_TABLE_PUBLIC"),
        ('\n#include "no_such.h"', 2, "'no_such.h' file not found", "beside"),
    ],
)
def test_what_is_wrong_is_told_in_the_text_itself(translated, text, line, message, advice):
    with pytest.raises(CompileError) as caught:
        translated(text)

    told = caught.value.diagnostics[0]
    assert message in told.message
    assert (told.file, told.line) == ("script.py", line)
    # What is shown is what the user wrote, and not what the preprocessor made of it.
    assert told.source == text.split("\n")[line - 1].rstrip("\r").partition("\0")[0] or "\0" in text
    assert f"script.py:{line}:" in caught.value.message
    assert advice is None or advice in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("line", "column"),
    [("\treturn nothing;", 9), ("\t\treturn nothing;", 10), ("return SIZE + nothing;", None)],
)
def test_a_column_is_that_of_the_line_as_it_was_written(translated, line, column):
    with pytest.raises(CompileError) as caught:
        translated(f"#define SIZE 1234\nint p(void *ctx) {{\n{line}\n}}\n")

    assert (caught.value.diagnostics[0].line, caught.value.diagnostics[0].column) == (3, column)


def test_a_socket_is_looked_up_before_a_packet_is_sent_there(translated):
    _, written, _ = translated("""
BPF_XSKMAP(sockets, 4);
int receive(struct xdp_md *ctx) {
    int queue = ctx->rx_queue_index;
    return sockets.lookup(&queue) ? sockets.redirect_map(queue, 0) : XDP_PASS;
}
""")

    assert "((int *)bpf_map_lookup_elem(&sockets, &queue))" in written


def test_a_queue_of_a_packet_is_asked_for_as_the_kernel_does(translated):
    _, written, _ = translated("""
int received(struct pt_regs *ctx, struct sk_buff *packet) {
    return skb_rx_queue_recorded(packet) ? skb_get_rx_queue(packet) : -1;
}
""")

    assert written.count("skep_read(") == 2
    assert "packet)->queue_mapping" in written


def test_what_kernel_headers_define_chooses_the_branch_of_today(translated):
    _, written, _ = translated("""
#ifdef CONFIG_ARCH_HAS_SYSCALL_WRAPPER
static int wrapped(void) { return WRITE; }
#endif
int capable(struct pt_regs *ctx, int cap, int options) {
#ifdef CAP_OPT_NONE
    return (options & CAP_OPT_NOAUDIT) + wrapped();
#else
    return options;
#endif
}
""")

    assert "(options & 2) + wrapped()" in written
    assert "return options;" not in written


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ("", "PACKET_HOST == 0 && PACKET_OUTGOING == 4 && ilog2(9) == 3 && is_power_of_2(8)"),
        ("linux/sched.h", "SIGTRAP == 5 && ENOSYS == 38 && KSYM_NAME_LEN == 512 && IS_ENABLED(CONFIG_NET_NS)"),
        ("linux/fs.h", "MAY_APPEND == 8 && FMODE_EXEC == 32 && AT_FDCWD == -100 && S_ISUID == 04000"),
        ("linux/kdev_t.h", "new_encode_dev(MKDEV(8, 300)) == 0x10082c && new_decode_dev(0x10082c) == MKDEV(8, 300)"),
        ("linux/cred.h", "CAP_SYS_ADMIN == 21 && !IS_ENABLED(CONFIG_NONE)"),
        ("linux/mm.h", "VM_EXEC == 4 && THREAD_SIZE == 16384"),
        ("net/sock.h", "ETH_P_ALL == 3 && AF_ALG == 38 && SOL_SOCKET == 1 && SOL_TCP == 6 && INADDR_ANY == 0"),
        ("net/tcp.h", "TCPHDR_SYN == 2 && TC_ACT_PIPE == 3"),
        (
            "linux/types.h",
            "__cpu_to_be16(1) == 256 && __constant_htons(1) == 256 && be32_to_cpu(1 << 24) == bpf_ntohll(1ULL << 56)",
        ),
    ],
)
def test_what_headers_of_the_kernel_define_is_known(translated, headers, said):
    include = f"#include <{headers}>\n" if headers else ""

    _, _, spec = translated(f"{include}long kept(void);\nint p(void *ctx) {{ return {said} ? 0 : kept(); }}\n")

    assert b"kept" not in spec.data


def test_short_names_of_a_socket_are_words_of_the_text_where_it_includes_none(translated):
    _, written, _ = translated("""
#include <linux/sched.h>
struct event { u64 sk_cookie; u16 tw_state; };
int p(void *ctx) { struct event event = {.sk_cookie = 1, .tw_state = 2}; return event.sk_cookie; }
""")

    assert "event.sk_cookie" in written
    _, written, _ = translated("""
#include <net/sock.h>
int p(struct pt_regs *ctx, struct sock *sk) { return sk->sk_reuse + sk->sk_reuseport; }
""")
    assert "&sk->__sk_common, skc_reuseport" in written


def test_words_of_the_compiler_and_of_the_kernel_s_headers(translated):
    _, written, spec = translated("""
struct __packed pair { u8 first; u32 second; };
static noinline __maybe_unused int one(const void __user *from) { return (__force long)from; }
static __attribute__((noinline)) int other(struct sk_buff *packet) { return tcp_hdr(packet)->dest; }
int p(struct pt_regs *ctx, struct sk_buff *packet) {
    struct pair pair = {}, copy;
    u8 byte;
    memcpy(&copy, &pair, sizeof(pair));
    memset(&pair, 0, sizeof(pair));
    switch (copy.first) { case 1: byte = 1; fallthrough; default: byte = 2; }
    if (memcmp(&copy, &pair, 5)) bpf_printk("%d of %d", copy.first, other(packet));
    return sizeof(struct pair) == 5 ? one(ctx) : FIELD_SIZEOF(struct pair, second);
}
""")

    assert "skep_read(__be16, ((struct tcphdr *)((packet)->head" not in written
    assert written.count("skep_read(") == 3
    assert spec.prints


def test_functions_of_the_text_s_own_may_be_called_as_macros_of_headers_are(translated):
    _, written, _ = translated("""
static inline u32 min(u32 one, u32 other) { return one < other ? one : other; }
static struct tcphdr *
tcp_hdr(const struct sk_buff *packet)
{
    return (struct tcphdr *)(packet->head + packet->transport_header);
}
int p(struct pt_regs *ctx, struct sk_buff *packet) { return min(tcp_hdr(packet)->dest, 7); }
""")

    assert "static inline u32 min(u32 one, u32 other) {" in written
    assert "min(skep_read(__be16, tcp_hdr(packet)->dest), 7)" in written


def test_packets_are_read_without_their_headers(translated):
    _, written, _ = translated(
        """
struct mine { u16 first; u8 second; } BPF_PACKET_HEADER;
int p(struct __sk_buff *skb) {
    u8 *cursor = 0;
    struct mine *mine = cursor_advance(cursor, sizeof(*mine));
    return load_half(skb, 12) + mine->second;
}
""",
        sections={"p": "socket"},
    )

    assert "skep_packet(skb, (u64)(mine) + 2, 0, 8)" in written


def test_a_table_that_another_text_has_made_is_of_its_kind(kernel, tmp_path):
    text = 'BPF_TABLE("extern", int, u64, counts, 4); int f(void *ctx) { int k = 1; counts.increment(k); return 0; }'
    found = translate(
        text,
        file="x",
        make_header=lambda: str(kernel),
        compiler=find_compiler(),
        tracefs="",
        public={"counts": "array"},
    )

    assert found.shared == {"counts": ":extern"}
    assert found.tables == {"counts": "array"}
    assert "BPF_NOEXIST" not in found.source.partition('# 1 "x"')[2]


def test_maps_of_maps_hold_the_map_that_is_named(translated):
    _, written, spec = translated("""
BPF_HASH(inner, int, u64, 8);
BPF_ARRAY_OF_MAPS(outer, "inner", 4);
BPF_HASH_OF_MAPS(keyed, u32, "inner", 4);
int probe(struct pt_regs *ctx) { int k = 0; void *m = outer.lookup(&k); return m && bpf_map_lookup_elem(m, &k); }
""")

    assert {name: MAP_TYPES[map_.type] for name, map_ in spec.maps.items()} == {
        "inner": "hash",
        "outer": "array_of_maps",
        "keyed": "hash_of_maps",
    }
    assert "((void *)bpf_map_lookup_elem(&outer, &k))" in written


def test_a_file_may_have_any_name_and_headers_lie_where_they_like(kernel, tmp_path):
    folder = tmp_path / "headers"
    folder.mkdir()
    (folder / "size.h").write_text("#include <linux/types.h>\n#define SIZE 7\nBPF_ARRAY(other, u64, SIZE);\n")
    path = tmp_path / 'f\u00fcr "dich".c'
    text = '#include "size.h"\nBPF_ARRAY(table, u64, SIZE);\n'

    def translated(text):
        return translate(
            text, file=str(path), make_header=lambda: str(kernel), compiler=find_compiler(), arguments=[f"-I{folder}"]
        )

    assert list(translated(text).tables) == ["other", "table"]
    with pytest.raises(CompileError) as caught:
        translated(f"{text}int f(void *ctx) {{ return nothing; }}")
    assert (caught.value.diagnostics[0].file, caught.value.diagnostics[0].line) == (str(path), 3)


def test_there_is_no_such_kind_of_table():
    with pytest.raises(CompileError, match="there is no kind 'hsh'") as caught:
        list(find_tables('skep_bcc_table("hsh", u32, u64, name, 1, 0, "");'))

    assert "hash" in (caught.value.remedy or "")


def test_a_comma_that_the_preprocessor_takes_for_one_between_arguments_is_told():
    with pytest.raises(CompileError, match="is not understood") as caught:
        list(find_tables('skep_bcc_table("hash", u32, u64, struct { u32 a, b; }, name, 1, 0, "");'))

    assert "typedef" in (caught.value.remedy or "")


def test_commas_in_braces_do_not_divide():
    (table,) = find_tables('skep_bcc_table("hash", struct { u32 a, b; }, u64[2], name, 1 << (2), 0, "") ;')

    assert (table.key, table.value, table.entries) == ("struct { u32 a, b; }", "u64[2]", "1 << (2)")
    assert set(METHODS) >= {"lookup", "perf_submit"}


FORMAT = """name: sched_thing
ID: 1
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:char comm[TASK_COMM_LEN];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:const void * skbaddr;\toffset:32;\tsize:8;\tsigned:0;
\tfield:__data_loc char[] name;\toffset:40;\tsize:4;\tsigned:0;
\tfield:unsigned long args[6];\toffset:48;\tsize:48;\tsigned:0;

print fmt: "x"
"""


def test_a_tracepoint_is_a_struct_as_the_kernel_lays_it_out(tmp_path, translated):
    folder = tmp_path / "events" / "sched" / "sched_thing"
    folder.mkdir(parents=True)
    (folder / "format").write_text(FORMAT)
    _, _, spec = translated(
        """
TRACEPOINT_PROBE(sched, sched_thing)
{
    char name[16], comm[sizeof(args->comm)];
    TP_DATA_LOC_READ_STR(name, name, sizeof(name));
    bpf_probe_read_kernel(comm, sizeof(comm), args->comm);
    return args->pid + args->args[1] + name[0] + comm[0];
}
""",
        sections={"tracepoint__sched__sched_thing": "tp/sched/sched_thing"},
    )

    assert spec.programs["tracepoint__sched__sched_thing"].hook.target == "sched/sched_thing"
    assert "unsigned long args[6];" in struct_of("sched", "sched_thing", str(tmp_path))
    assert "char __pad_28[4]; const void * skbaddr;" in struct_of("sched", "sched_thing", str(tmp_path))


def test_a_tracepoint_that_is_not_there_is_told_with_the_nearest(tmp_path):
    (tmp_path / "events" / "sched" / "sched_switch").mkdir(parents=True)

    assert find_structs("struct tracepoint__sched__sched_swich *args") == [("sched", "sched_swich")]
    with pytest.raises(HookMissingError, match="no tracepoint sched:sched_swich") as caught:
        struct_of("sched", "sched_swich", str(tmp_path))
    assert "sched_switch" in (caught.value.remedy or "")
