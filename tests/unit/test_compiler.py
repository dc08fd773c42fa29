"""The compiler: which one is taken, how it is tried, what is said when it does not work."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from skep.base.errors import CompileError, SkepError, UnsupportedError
from skep.spec.compiler import Compiler, _candidates, find_compiler
from skep.spec.compiling import compile_source
from skep.spec.objectspec import ObjectSpec

SOURCE = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <stddef.h>
struct event { size_t size; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
SEC("tp/a/b") int handle(struct trace_event_raw_sys_enter *ctx)
{
	struct event event = { ctx->id };
	return bpf_ringbuf_output(&ring, &event, sizeof(event), 0);
}
char LICENSE[] SEC("license") = "GPL";
"""
CLANG = shutil.which("clang") or "clang is not installed"
NO_TARGET = "echo 'error: unable to create target: No available targets' >&2; exit 1"


def fake_compiler(path: Path, script: str) -> Compiler:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Compiler(str(path))


@pytest.fixture
def no_wheel(monkeypatch):
    """As if the extra were not installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda _: None, False, id="nothing there"),
        pytest.param(lambda folder: (folder / "clang").mkdir(), False, id="a directory"),
        pytest.param(lambda folder: (folder / "clang").write_text(""), False, id="not executable"),
        pytest.param(lambda folder: (folder / "clang").symlink_to("gone"), False, id="a dangling link"),
        pytest.param(lambda folder: (folder / "clang").symlink_to(CLANG), True, id="a program"),
    ],
)
def test_the_compiler_is_the_clang_of_path(
    make: Callable[[Path], object], *, expected: bool, tmp_path: Path, cache_home: Path, no_wheel, monkeypatch
) -> None:
    make(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    if expected:
        assert find_compiler().path == str(tmp_path / "clang")
    else:
        with pytest.raises(UnsupportedError, match="clang, which compiles kernel files, is not installed") as raised:
            find_compiler()
        assert "apt install clang" in str(raised.value.remedy)
        assert "pip install 'skep[compiler]'" in str(raised.value.remedy)


def test_a_clang_that_cannot_do_it_is_passed_over(tmp_path: Path, cache_home: Path, monkeypatch) -> None:
    fake_compiler(tmp_path / "one" / "clang", NO_TARGET)
    monkeypatch.setenv("PATH", f"{tmp_path}/one:{os.environ['PATH']}")

    assert find_compiler().path == CLANG


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param(NO_TARGET, "cannot compile for eBPF: error: unable to create target", id="no back end"),
        pytest.param(f'exec {CLANG} "$@" -g0', "cannot compile for eBPF: it makes no BTF", id="no BTF"),
        pytest.param("", "cannot compile for eBPF", id="it does nothing"),
    ],
)
def test_a_clang_that_cannot_do_it_is_named_where_there_is_no_other(
    script: str, message: str, tmp_path: Path, cache_home: Path, no_wheel, monkeypatch
) -> None:
    fake_compiler(tmp_path / "clang", script)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UnsupportedError, match=f"{tmp_path}/clang {message}") as raised:
        find_compiler()

    assert "skep[compiler]" in str(raised.value.remedy)


def test_a_compiler_is_tried_once(tmp_path: Path, cache_home: Path) -> None:
    script = f'echo >> {tmp_path}/runs; exec {CLANG} "$@"'
    compiler = fake_compiler(tmp_path / "clang", script)

    assert compiler.headers() == compiler.headers()
    assert (tmp_path / "runs").read_text() == "\n"

    (note,) = (cache_home / "skep" / "compilers").iterdir()
    note.write_bytes(b"/gone\xff")
    assert os.path.exists(os.path.join(compiler.headers(), "stddef.h"))
    assert (tmp_path / "runs").read_text() == "\n\n"


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        pytest.param("kill -SEGV $$", SkepError, "was ended by signal 11", id="one that crashes"),
        pytest.param("echo odd >&2; exit 1", CompileError, "odd", id="one that says something odd"),
    ],
)
def test_a_compiler_that_works_no_more(
    script: str, error: type, message: str, tmp_path: Path, cache_home: Path, header: str
) -> None:
    compiler = fake_compiler(tmp_path / "clang", f'[ -e {tmp_path}/broken ] || exec {CLANG} "$@"; {script}')
    compiler.headers()
    (tmp_path / "broken").write_text("")
    (tmp_path / "program.bpf.c").write_text(SOURCE)

    with pytest.raises(error, match=message) as raised:
        compile_source(str(tmp_path / "program.bpf.c"), "id", lambda: header, compiler)

    assert type(raised.value) is error


def test_a_compiler_that_is_gone_or_no_program(tmp_path: Path, cache_home: Path) -> None:
    compiler = fake_compiler(tmp_path / "clang", "")
    (tmp_path / "clang").write_bytes(b"\x7fELF garbage")

    with pytest.raises(UnsupportedError, match="cannot be run: Exec format error"):
        compiler.headers()

    (tmp_path / "clang").unlink()
    with pytest.raises(UnsupportedError, match="cannot be run: No such file or directory"):
        compiler.headers()


def test_a_compiler_is_another_one_when_its_file_changes(tmp_path: Path) -> None:
    one = fake_compiler(tmp_path / "clang", "")
    os.utime(tmp_path / "clang", (1, 1))
    two = Compiler(str(tmp_path / "clang"))
    (tmp_path / "link").symlink_to("clang")

    assert one.identity != two.identity
    assert Compiler(str(tmp_path / "link")).identity == two.identity


def test_the_wheel_comes_after_the_clang_of_path(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "ziglang").mkdir()
    (tmp_path / "ziglang" / "__init__.py").write_text("")
    (tmp_path / "ziglang" / "zig").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    assert [compiler.command for compiler in _candidates()][-1] == [str(tmp_path / "ziglang" / "zig"), "clang"]
    assert next(_candidates()).command == [CLANG]


# The extra skep[compiler] is 340 MB, and is not installed for the tests: what never runs would be no test.
if find_spec("ziglang") is not None:

    def test_the_compiler_of_the_wheel_compiles(tmp_path: Path, cache_home: Path, header: str, monkeypatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        (tmp_path / "program.bpf.c").write_text(SOURCE)

        compiler = find_compiler()
        spec = ObjectSpec.read(compile_source(str(tmp_path / "program.bpf.c"), "id", lambda: header, compiler), "x.o")

        assert compiler.command[1:] == ["clang"]
        assert list(spec.programs) == ["handle"]
        assert spec.events["ring"].schemas[0].fields[0].type.name == "size_t"


def test_no_compiler_is_looked_for_beyond_the_first(tmp_path: Path, cache_home: Path) -> None:
    """The wheel is looked for, which takes time, only where the clang of PATH will not do."""
    find_compiler()
    script = "import sys, skep.spec.compiler as c; c.find_compiler(); print('importlib.util' in sys.modules)"

    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )
