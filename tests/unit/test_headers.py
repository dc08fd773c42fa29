"""Headers: what sources of every style include compiles, and what ours add never gets into a source's way."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from skep.base.errors import CompileError
from skep.spec import compiling
from skep.spec.compiler import Compiler
from skep.spec.compiling import compile_source, find_compiler
from skep.spec.objectspec import ObjectSpec

ALL = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
"""
# As in vmlinux.h of Linux 6.10 and later.
KFUNCS = """
struct bpf_iter_num { __u64 opaque[1]; };
struct task { int pid; };
struct pt_regs { unsigned long di, si, dx, cx, r8, r9, r10, ax, ip, sp, bp, orig_ax; };
#ifndef BPF_NO_KFUNC_PROTOTYPES
#define __ksym __attribute__((section(".ksyms")))
#define __weak __attribute__((weak))
extern int bpf_some_function(struct task *task, u32 flags) __weak __ksym;
extern void *bpf_rdonly_cast(const void *obj__ign, u32 btf_id__k) __weak __ksym;
#endif
"""


@pytest.fixture
def compiled(tmp_path: Path, cache_home: Path, header: str) -> Callable[..., ObjectSpec]:
    """compiled(text): the spec of a source, compiled against a header that declares functions of the kernel."""
    text = (Path(header) / "vmlinux.h").read_text().removesuffix("#endif\n")
    (tmp_path / "types").mkdir()
    (tmp_path / "types" / "vmlinux.h").write_text(f"{text}{KFUNCS}#endif\n")

    def compiled(text: str, source: str = "program.bpf.c", compiler: Compiler | None = None) -> ObjectSpec:
        path = tmp_path / source
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        data = compile_source(str(path), "id", lambda: str(tmp_path / "types"), compiler or find_compiler())
        return ObjectSpec.read(data, source)

    return compiled


def program(body: str) -> str:
    return f'SEC("tp/a/b") int handle(void *ctx) {{ {body} }}\n'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('SEC("uprobe") int BPF_UPROBE(handle, int a) { return a; }', id="BPF_UPROBE"),
        pytest.param('SEC("uretprobe") int BPF_URETPROBE(handle, int ret) { return ret; }', id="BPF_URETPROBE"),
        pytest.param('SEC("ksyscall/x") int BPF_KPROBE_SYSCALL(handle, int a) { return a; }', id="BPF_KPROBE_SYSCALL"),
        pytest.param(
            'SEC("kprobe/x") int BPF_KPROBE(handle, int a, int b, int c, int d, int e, int f) { return f; }', id="six"
        ),
        pytest.param(
            'SEC("ksyscall/x") int BPF_KSYSCALL(handle, int a, int b, int c, int d, int e, int f) { return f; }',
            id="six of a system call",
        ),
        pytest.param(program('int i; bpf_for(i, 0, 5) bpf_printk("%d", i); return 0;'), id="bpf_for"),
        pytest.param(program("int n = 0; bpf_repeat(5) n++; return n;"), id="bpf_repeat"),
        pytest.param(program("int *i, n = 0; bpf_for_each(num, i, 0, 5) n += *i; return n;"), id="bpf_for_each"),
        pytest.param(program("return bpf_ksym_exists(bpf_some_function);"), id="bpf_ksym_exists"),
        pytest.param(program("return bpf_core_cast(ctx, struct task)->pid;"), id="bpf_core_cast"),
        pytest.param(program("struct task t = {}; return bpf_some_function(&t, 1);"), id="a function of the kernel"),
        pytest.param(
            "struct flags { u8 a : 3, b : 5; } __attribute__((preserve_access_index));\n"
            + program("struct flags f = {}; BPF_CORE_WRITE_BITFIELD(&f, b, 3); return f.b;"),
            id="BPF_CORE_WRITE_BITFIELD",
        ),
        pytest.param(
            "__noinline int one(void *ctx __arg_ctx, int *a __arg_nonnull, int *b __arg_nullable) { return *a; }\n"
            "struct holder { struct task __kptr *a; struct task __kptr_untrusted *b; int __percpu_kptr *c; };\n"
            + program("struct holder h = {}; int a = 1; return likely(one(ctx, &a, 0)) + unlikely(!!h.b);"),
            id="tags",
        ),
    ],
)
def test_what_newer_headers_have_is_there(text: str, compiled: Callable[..., ObjectSpec]) -> None:
    assert list(compiled(ALL + text).programs) == ["handle"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("#define BPF_UPROBE(name) name(void *ctx)\n"
                     'SEC("uprobe") int BPF_UPROBE(handle) { return 0; }', id="a macro"),
        pytest.param("#ifndef likely\n#error no\n#endif\n" + program("return likely(1);"), id="a test for a macro"),
        pytest.param("struct bpf_iter_num; extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;\n"
                     + program("return !!bpf_iter_num_next(ctx);"), id="the same prototype"),
        pytest.param("extern int bpf_some_function(struct task *t, u32 f) __ksym;\n"
                     + program("return bpf_some_function(ctx, 1);"), id="the same prototype as the kernel's"),
        pytest.param("extern long bpf_some_function(struct task *t, u64 f) __ksym;\n"
                     + program("return bpf_some_function(ctx, 1);"), id="that of another kernel"),
        pytest.param("static int bpf_some_function(void) { return 1; }\n" + program("return bpf_some_function();"),
                     id="a function of its own"),
    ],
)  # fmt: skip
def test_what_a_source_says_itself_counts(text: str, compiled: Callable[..., ObjectSpec]) -> None:
    assert list(compiled(ALL + text).programs) == ["handle"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("bpf_ksym_exists", "static int bpf_ksym_exists(int x) { return x; }\n"
                     + program("return bpf_ksym_exists(1);"), id="a function of the name of a macro"),
        pytest.param("bpf_iter_num_new", "extern int bpf_iter_num_new(long other) __ksym;\n"
                     + program("return bpf_iter_num_new(1);"), id="another prototype than ours"),
        pytest.param("bpf_iter_num_new", "extern long bpf_some_function(int) __ksym;\n"
                     "extern int bpf_iter_num_new(long other) __ksym;\n"
                     + program("return bpf_some_function(1) + bpf_iter_num_new(1);"), id="both"),
    ],
)  # fmt: skip
def test_what_a_source_says_otherwise_than_ours_counts_as_long_as_libbpf_says_nothing(
    name: str, text: str, compiled: Callable[..., ObjectSpec]
) -> None:
    """From 1.2 on libbpf's own headers have what ours add before: no compiler takes these sources with them."""
    if name in (Path(compiling._INSTALLED) / "bpf_helpers.h").read_text():
        with pytest.raises(CompileError, match=f"{compiling._INSTALLED}/bpf_helpers.h"):
            compiled(ALL + text)
    else:
        assert list(compiled(ALL + text).programs) == ["handle"]


def test_a_mistake_beside_a_conflict_is_what_is_said(compiled: Callable[..., ObjectSpec]) -> None:
    with pytest.raises(CompileError) as raised:
        compiled(ALL + "extern long bpf_some_function(int) __ksym;\nint x = y;\n")

    assert [found.message for found in raised.value.diagnostics] == ["use of undeclared identifier 'y'"]


PLAIN = '#include <bpf/bpf_helpers.h>\nSEC("tp/a/b") int handle(void *ctx) { %s }\n'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("#include <linux/bpf.h>\n" + PLAIN % "size_t n = 1; return n;", id="linux/bpf.h"),
        pytest.param("#include <linux/types.h>\n#include <asm/types.h>\n#include <linux/bpf.h>\n#include <linux/ip.h>\n"
                     "#include <linux/if_ether.h>\n#include <linux/tcp.h>\n" + PLAIN % "return sizeof(struct iphdr);",
                     id="the network's"),
        pytest.param("#include <linux/ptrace.h>\n#include <linux/bpf.h>\n#include <bpf/bpf_tracing.h>\n"
                     + PLAIN % "return PT_REGS_PARM1((struct pt_regs *)ctx);", id="linux/ptrace.h"),
        pytest.param("#include <stdint.h>\n#include <stdbool.h>\n#include <stddef.h>\n#include <linux/bpf.h>\n"
                     "#include <sys/socket.h>\n#include <netinet/in.h>\n#include <errno.h>\n"
                     + PLAIN % "uint64_t n = AF_INET6; return n;", id="the C library's"),
        pytest.param('#include "vmlinux.h"\n#include <linux/types.h>\n' + PLAIN % "__aligned_u64 n = 1; return n;",
                     id="vmlinux.h and linux/types.h"),
        pytest.param('#include "vmlinux.h"\nint handle;\n', id="vmlinux.h alone"),
        pytest.param("typedef unsigned int size_t;\n#include <linux/bpf.h>\n" + PLAIN % "size_t n = 1; return n;",
                     id="a size_t of its own"),
    ],
)  # fmt: skip
def test_every_style_compiles(text: str, compiled: Callable[..., ObjectSpec]) -> None:
    assert compiled(text) is not None


def test_headers_beside_the_source_and_above_it(compiled: Callable[..., ObjectSpec], tmp_path: Path) -> None:
    """The style of the Go projects: no libbpf at all, everything beside the source."""
    (tmp_path / "go").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "go" / "common.h").write_text('#pragma once\n#include "bpf_helpers.h"\n#include "../shared/types.h"\n')
    (tmp_path / "go" / "bpf_helpers.h").write_text("#define SEC(name) __attribute__((section(name), used))\n")
    (tmp_path / "go" / "bpf_endian.h").write_text("#define bpf_htons(x) __builtin_bswap16(x)\n")
    (tmp_path / "shared" / "types.h").write_text("typedef unsigned short u16;\n")
    text = '//go:build ignore\n\n#include "common.h"\n#include "bpf_endian.h"\n' + program(
        "u16 n = 1; return bpf_htons(n);"
    )

    assert list(compiled(text, "go/program.c").programs) == ["handle"]


def test_a_folder_named_in_cpath_is_seen_from_where_the_user_is(
    compiled: Callable[..., ObjectSpec], tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "here").mkdir()
    for name, type_ in (("one", "u32"), ("other", "u64")):
        (tmp_path / "here" / name).mkdir()
        (tmp_path / "here" / name / "event.h").write_text(f"struct event {{ {type_} number; }};\n")
    monkeypatch.chdir(tmp_path / "here")
    text = (
        ALL
        + """
#include "event.h"
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); } ring SEC(".maps");
struct event event;
SEC("tp/a/b") int handle(void *ctx) { return bpf_ringbuf_output(&ring, &event, sizeof(event), 0); }
"""
    )
    sizes = []
    for folder in ("one", "other", "one"):
        monkeypatch.setenv("CPATH", folder)
        sizes.append(compiled(text, "there/program.bpf.c").events["ring"].schemas[0].size)

    assert sizes == [4, 8, 4]


@pytest.mark.parametrize(
    ("text", "asking", "line"),
    [
        pytest.param("\n#include <bpf/bpf_helpers.h>\n", "program.bpf.c", 2, id="in the source"),
        pytest.param('\n\n\n#include "local.h"\n', "local.h", 3, id="in a header of its own"),
    ],
)
def test_where_libbpf_is_missing_the_source_that_asks_for_it_is_named(
    text: str, asking: str, line: int, compiled: Callable[..., ObjectSpec], tmp_path: Path
) -> None:
    (tmp_path / "local.h").write_text("\n\n#include <bpf/bpf_tracing.h>\n")
    path = tmp_path / "clang"
    path.write_text(f'#!/bin/sh\n[ -e {tmp_path}/gone ] && set -- -nostdinc "$@"\nexec {find_compiler().path} "$@"\n')
    path.chmod(0o755)
    compiler = Compiler(str(path))
    compiler.headers()
    (tmp_path / "gone").write_text("")

    with pytest.raises(CompileError, match=r"'bpf/bpf_\w+\.h' file not found") as raised:
        compiled(text, compiler=compiler)

    assert raised.value.remedy == "sudo apt install libbpf-dev"
    assert raised.value.diagnostic is not None
    assert (raised.value.diagnostic.file, raised.value.diagnostic.line) == (os.path.join(tmp_path, asking), line)
