"""What the tests of `skep.spec` share: kernel files compiled from text, against a small vmlinux.h made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from skep.spec.compiling import compile_source, find_compiler
from skep.spec.objectspec import ObjectSpec

VMLINUX = """\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

typedef signed char __s8;

typedef unsigned char __u8;

typedef short int __s16;

typedef short unsigned int __u16;

typedef int __s32;

typedef unsigned int __u32;

typedef long long int __s64;

typedef long long unsigned int __u64;

typedef __s8 s8;

typedef __u8 u8;

typedef __s16 s16;

typedef __u16 u16;

typedef __s32 s32;

typedef __u32 u32;

typedef __s64 s64;

typedef __u64 u64;

typedef __u16 __be16;

typedef __u32 __be32;

typedef __u32 __wsum;

typedef int pid_t;

typedef _Bool bool;

enum { false = 0, true = 1 };

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_ANY = 0, BPF_F_NO_PREALLOC = 1 };

#define BPF_F_CURRENT_CPU 0xffffffffULL

struct bpf_dynptr {
	__u64 opaque[2];
};

struct trace_event_raw_sys_enter {
	long id;
	unsigned long args[6];
};

#endif
"""

PREAMBLE = '#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n'


@pytest.fixture(scope="session")
def header(tmp_path_factory) -> str:
    """The folder that holds vmlinux.h."""
    folder = tmp_path_factory.mktemp("header")
    (folder / "vmlinux.h").write_text(VMLINUX)
    return str(folder)


@pytest.fixture
def cache_home(tmp_path: Path, monkeypatch) -> Path:
    """The cache, a folder of this test's own."""
    home = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home


@pytest.fixture
def build(tmp_path, cache_home, header) -> Callable[..., bytes]:
    """Compiles a kernel file given as text, with vmlinux.h and bpf_helpers.h before it, to an object."""

    def build(
        text: str,
        *,
        name: str = "program.bpf.c",
        preamble: str = PREAMBLE,
        headers: dict[str, str] | None = None,
        events: dict[str, list[str]] | None = None,
    ) -> bytes:
        source = tmp_path / name
        for path, contents in {**(headers or {}), name: preamble + text}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(contents.encode())
        return compile_source(str(source), "header-id", lambda: header, find_compiler(), events=events)

    return build


@pytest.fixture
def spec_of(build) -> Callable[..., ObjectSpec]:
    """Compiles a kernel file given as text, and reads it."""
    return lambda text, **options: ObjectSpec.read(build(text, **options), "program.bpf.o")
