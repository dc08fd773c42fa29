"""Precompiled headers: for which sources, the same objects as without, and what comes of damaged ones."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.errors import CompileError
from skep.spec import precompiled
from skep.spec.compiling import compile_source, find_compiler
from skep.spec.precompiled import begins_with_header

BODY = """
struct event { u64 size; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
/// How many.
const volatile int limit = LIMIT;
SEC("tp/a/b") int handle(struct trace_event_raw_sys_enter *ctx)
{
	struct event event = { ctx->id + limit };
	return bpf_ringbuf_output(&ring, &event, sizeof(event), 0);
}
"""
INCLUDES = '#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n#define LIMIT 1\n'
# More of vmlinux.h, for macros to act on.
LATE = """
#ifndef ALREADY
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif
struct late { int x; };
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif
#endif
#ifdef BPF_NO_GLOBAL_DATA
enum { LIMIT_BY_HEADER = 9 };
#endif
"""
# It may go on in the next line, as far as we care.
ODD_COMMENT = "/* \\\n */\n"


@pytest.fixture
def large_header(header: str, tmp_path: Path) -> Path:
    """A vmlinux.h of a size that is worth it: the small one, and room."""
    text = (Path(header) / "vmlinux.h").read_text().removesuffix("#endif\n") + LATE
    (tmp_path / "types").mkdir()
    (tmp_path / "types" / "vmlinux.h").write_text(text + "#endif\n" + "/* room */\n" * 30_000)
    return tmp_path / "types"


@pytest.fixture
def compiled(large_header: Path, tmp_path: Path, cache_home: Path) -> Callable[[str], bytes]:
    """compiled(text): the object of a source; with an empty cache of objects."""

    def compiled(text: str) -> bytes:
        shutil.rmtree(cache_home / "skep" / "objects", ignore_errors=True)
        (tmp_path / "program.bpf.c").write_text(text)
        return compile_source(str(tmp_path / "program.bpf.c"), "id", lambda: str(large_header), find_compiler())

    return compiled


def kept(cache_home: Path) -> list[Path]:
    return sorted((cache_home / "skep" / "precompiled").glob("*"))


@pytest.mark.parametrize(
    ("text", "used"),
    [
        pytest.param(INCLUDES, True, id="the plain shape"),
        pytest.param(INCLUDES.replace('"vmlinux.h"', "<vmlinux.h>"), True, id="between angles"),
        pytest.param("\ufeff// Words.\n/* More * words. */\n\n" + INCLUDES, True, id="comments before"),
        pytest.param(INCLUDES.replace('#include "', '#  include\t"').replace('h"\n', 'h"// x\n'), True, id="oddly set"),
        pytest.param(INCLUDES.replace("#include <", "#define MORE 2\n#include <"), True, id="a macro after it"),
        pytest.param("#define BPF_NO_GLOBAL_DATA\n" + INCLUDES, False, id="a macro before"),
        pytest.param("#define BPF_NO_PRESERVE_ACCESS_INDEX\n" + INCLUDES, False, id="another macro before"),
        pytest.param("#define ALREADY /*\n*/\n" + INCLUDES, False, id="a macro and a comment before"),
        pytest.param("#pragma once\n" + INCLUDES, False, id="a pragma before"),
        pytest.param("typedef int mine;\n" + INCLUDES, False, id="a declaration before"),
        pytest.param(ODD_COMMENT + INCLUDES, False, id="a comment that may go on"),
        pytest.param("/* */ #define ALREADY // \n" + INCLUDES, False, id="a macro behind a comment"),
        pytest.param("#include <linux/types.h>\n#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
                     "#define LIMIT 1\ntypedef __u64 u64; struct trace_event_raw_sys_enter { long id; };\n",
                     False, id="the plain kernel headers"),
    ],
)  # fmt: skip
def test_the_object_is_the_same_with_and_without(
    text: str, *, used: bool, compiled: Callable[[str], bytes], cache_home: Path, monkeypatch
) -> None:
    with_it = compiled(text + BODY)
    assert len(kept(cache_home)) == (2 if used else 0)

    again = compiled(text + BODY)
    monkeypatch.setattr(precompiled, "_LEAST", 1 << 30)

    assert compiled(text + BODY) == with_it == again


def test_a_vmlinux_h_beside_the_source_is_read_as_it_is(
    compiled: Callable[[str], bytes], header: str, tmp_path: Path, cache_home: Path
) -> None:
    own = (Path(header) / "vmlinux.h").read_text().replace("typedef int pid_t;", "typedef int pid_t;\n#define LIMIT 77")
    (tmp_path / "vmlinux.h").write_text(own)

    compiled(INCLUDES.replace("#define LIMIT 1\n", "") + BODY)

    assert kept(cache_home) == []


def test_macros_of_the_command_line_come_before_the_header(
    large_header: Path, tmp_path: Path, cache_home: Path
) -> None:
    source = tmp_path / "program.bpf.c"
    source.write_text(INCLUDES.replace("LIMIT 1", "LIMIT LIMIT_BY_HEADER") + BODY)

    assert compile_source(str(source), "id", lambda: str(large_header), find_compiler(), defines=["BPF_NO_GLOBAL_DATA"])
    assert kept(cache_home) == []


def test_it_is_made_once_and_anew_for_another_header(
    compiled: Callable[[str], bytes], large_header: Path, cache_home: Path
) -> None:
    compiled(INCLUDES + BODY)
    first = {path: path.stat().st_mtime_ns for path in kept(cache_home)}
    compiled(INCLUDES + BODY + "\n")
    assert {path: path.stat().st_mtime_ns for path in kept(cache_home)} == first

    os.utime(large_header / "vmlinux.h", (1, 1))
    compiled(INCLUDES + BODY)

    assert len(kept(cache_home)) == 4
    for seconds in range(2, 9):
        os.utime(large_header / "vmlinux.h", (seconds, seconds))
        compiled(INCLUDES + BODY)
    assert len(kept(cache_home)) == 8


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-4], id="cut short"),
        pytest.param(lambda data: data[: len(data) // 2] + b"\xff" * (len(data) - len(data) // 2), id="overwritten"),
        pytest.param(lambda _: b"", id="emptied"),
        pytest.param(lambda data: data[:9999] + bytes([data[9999] ^ 4]) + data[10000:], id="one bit changed"),
    ],
)
def test_a_damaged_one_is_made_again(
    damage: Callable[[bytes], bytes], compiled: Callable[[str], bytes], cache_home: Path
) -> None:
    good = compiled(INCLUDES + BODY)
    contents = {path: path.read_bytes() for path in kept(cache_home)}
    for path, data in contents.items():
        path.write_bytes(damage(data))

    assert compiled(INCLUDES + BODY) == good
    assert {path: path.read_bytes() for path in kept(cache_home)} == contents


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(lambda one, other: (other, one), id="each that of the other"),
        pytest.param(lambda one, _: (b"CPCH" + one[4:][::-1], b"nothing of the kind"), id="something else"),
    ],
)
def test_one_that_no_reader_takes_breaks_nothing(
    foreign, compiled: Callable[[str], bytes], cache_home: Path, monkeypatch
) -> None:
    good = compiled(INCLUDES + BODY)
    paths = kept(cache_home)
    for path, data in zip(paths, foreign(*(path.read_bytes() for path in paths)), strict=True):
        path.write_bytes(data)
    # As if the checksum were right.
    monkeypatch.setattr(
        precompiled._Precompiled, "_sealed", lambda self, path: path if path.startswith(self._key) else self._key
    )

    assert compiled(INCLUDES + BODY) == good


def test_what_is_wrong_is_said_as_without(compiled: Callable[[str], bytes], monkeypatch) -> None:
    text = INCLUDES + "#include <bpf/gone.h>\nint x = y;\n"
    with pytest.raises(CompileError) as with_it:
        compiled(text)
    monkeypatch.setattr(precompiled, "_LEAST", 1 << 30)
    with pytest.raises(CompileError) as without:
        compiled(text)

    assert str(with_it.value) == str(without.value)


def test_an_annotation_may_name_a_type_of_the_header(compiled: Callable[[str], bytes]) -> None:
    text = INCLUDES + BODY.replace("struct {", "/// @event struct late\nstruct {")

    assert b'{"ring":["struct late"]}' in compiled(text)


def test_where_none_can_be_made_the_header_itself_serves(
    compiled: Callable[[str], bytes], cache_home: Path, monkeypatch
) -> None:
    def rename(old: str, new: str) -> None:
        if "precompiled" in new:
            raise OSError
        os.replace(old, new)

    monkeypatch.setattr("os.rename", rename)

    assert compiled(INCLUDES + BODY)
    assert kept(cache_home) == []


RUN = """
import sys
from skep.spec.compiling import compile_source, find_compiler
print(compile_source(sys.argv[1], "id", lambda: sys.argv[2], find_compiler()).hex())
"""


def test_two_runs_may_make_it_at_once(large_header: Path, tmp_path: Path, cache_home: Path) -> None:
    source = tmp_path / "program.bpf.c"
    source.write_text(INCLUDES + BODY)
    runs = [
        subprocess.Popen([sys.executable, "-c", RUN, source, large_header], stdout=subprocess.PIPE) for _ in range(3)
    ]
    objects = {run.communicate()[0] for run in runs}

    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(objects) == 1
    assert all("." in path.name for path in kept(cache_home))


def test_it_begins_with_the_header_only_where_it_does(tmp_path: Path) -> None:
    source = str(tmp_path / "program.bpf.c")

    assert begins_with_header(source, b'#include "vmlinux.h"')
    assert begins_with_header(source, b"/**/#include <vmlinux.h>/**/\n")
    for text in (
        '#include "vmlinux.hpp"',
        "#include MACRO",
        '#include "vmlinux.h" int x;',
        "",
        '// #include "vmlinux.h"',
    ):
        assert not begins_with_header(source, text.encode())


@given(st.lists(st.sampled_from(["/*", "*/", "//", "\\", "\n", "*", "/", "x", "#define A 1", " "])))
def test_nothing_but_comments_comes_before_it(parts: list[str]) -> None:
    """What the compiler sees before the header is nothing: told by the compiler, for a sample that it reads."""
    before = "".join(parts).encode()
    if begins_with_header("/nowhere/x.bpf.c", before + b'#include "vmlinux.h"\n'):
        command = ["clang", "-E", "-P", "-w", "-x", "c", "-"]
        seen = subprocess.run(command, input=before + b"\nmarker A\n", capture_output=True, check=True).stdout
        assert seen.strip() == b"marker A"
