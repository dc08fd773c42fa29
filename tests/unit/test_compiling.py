"""Compiling: what is an input of an object and what is not, the cache of objects, and what is said when it fails."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clang.cindex import TranslationUnitLoadError

from skep.base.errors import CompileError, SkepError, SourceNotFoundError
from skep.spec import compiling
from skep.spec.compiling import Compiler, compile_source, find_compiler, source_digest
from skep.spec.document import embedded_digest
from skep.spec.objectspec import ObjectSpec
from skep.spec.rejection import SMALLER_STACK, rejection

TEXT = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "local.h"
const volatile u32 limit = LIMIT;
SEC("tp/a/b") int handle(void *ctx) { return limit; }
"""


class Project:
    """A source and its header; `compile` counts how often the compiler really ran."""

    def __init__(self, folder: Path, header: str) -> None:
        self.source = folder / "program.bpf.c"
        self.local = folder / "local.h"
        self.header = header
        self.runs = 0
        self.source.write_text(TEXT)
        self.local.write_text("#define LIMIT 7\n")

    def make_header(self) -> str:
        self.runs += 1
        return self.header

    def compile(self, identity: str = "header-id", compiler: Compiler | None = None, **options) -> bytes:
        return compile_source(str(self.source), identity, self.make_header, compiler or find_compiler(), **options)

    def limit(self, **options) -> object:
        return ObjectSpec.read(self.compile(**options), "x.o").variables["limit"].value


@pytest.fixture
def project(tmp_path: Path, cache_home: Path, header: str) -> Project:
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project", header)


def fake_compiler(path: Path, script: str) -> Compiler:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Compiler(str(path))


def test_the_same_inputs_give_the_same_bytes_in_every_run(project: Project, tmp_path: Path, monkeypatch) -> None:
    first = project.compile()
    shutil.rmtree(tmp_path / "cache")
    other = tmp_path / "other folder"
    shutil.copytree(project.header, other)
    project.header = str(other)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another cache"))
    monkeypatch.setenv("LANG", "de_DE.ISO-8859-1")
    monkeypatch.chdir(other)

    assert project.compile() == first
    assert project.runs == 2


def test_an_object_is_built_once(project: Project) -> None:
    assert project.compile() == project.compile()
    assert project.runs == 1


def change_source(project: Project) -> dict[str, Any]:
    project.source.write_text(TEXT + "\n")
    return {}


def change_local_header(project: Project) -> dict[str, Any]:
    project.local.write_text("#define LIMIT 8\n")
    return {}


def change_compiler(project: Project) -> dict[str, Any]:
    return {"compiler": fake_compiler(project.source.parent / "clang", f'exec {find_compiler().path} "$@"')}


@pytest.mark.parametrize(
    "change",
    [
        change_source,
        change_local_header,
        change_compiler,
        pytest.param(lambda _: {"identity": "other"}, id="change_kernel"),
        pytest.param(lambda _: {"defines": ["MORE=1"]}, id="change_macros"),
    ],
)
def test_a_change_of_any_input_builds_another_object(
    change: Callable[[Project], dict[str, Any]], project: Project
) -> None:
    project.compile()

    project.compile(**change(project))

    assert project.runs == 2


def test_the_object_of_an_earlier_header_is_found_again(project: Project) -> None:
    limits = [project.limit()]
    for text in ("#define LIMIT 8\n", "#define LIMIT 7\n", "#define LIMIT 8\n"):
        project.local.write_text(text)
        limits.append(project.limit())

    assert limits == [7, 8, 7, 8]
    assert project.runs == 2


def test_a_header_that_is_gone_is_missed_even_if_it_was_empty(project: Project) -> None:
    project.source.write_text('#include "local.h"\n')
    project.local.write_text("")
    project.compile()
    project.local.unlink()

    with pytest.raises(CompileError, match=r"'local\.h' file not found"):
        project.compile()


def test_a_change_of_skep_h_builds_another_object(project: Project, tmp_path: Path, monkeypatch) -> None:
    shutil.copytree(compiling.INCLUDE, tmp_path / "include")
    monkeypatch.setattr(compiling, "INCLUDE", str(tmp_path / "include"))
    project.source.write_text(TEXT.replace('#include "local.h"', '#include "skep.h"').replace("LIMIT", "7"))
    project.compile()
    digest = source_digest(str(project.source))
    with open(tmp_path / "include" / "skep.h", "a") as file:
        file.write("/* changed */\n")

    project.compile()

    assert project.runs == 2
    assert source_digest(str(project.source)) != digest


def test_a_vmlinux_h_beside_the_source_is_an_input(project: Project) -> None:
    own = project.source.parent / "vmlinux.h"
    shutil.copy(Path(project.header) / "vmlinux.h", own)
    project.compile()
    own.write_text(own.read_text() + "#define MORE 1\n")
    project.compile()

    assert project.runs == 2


def test_macros_reach_the_source(project: Project) -> None:
    project.local.write_text("#ifndef LIMIT\n#define LIMIT 7\n#endif\n")

    assert project.limit(defines=["LIMIT=9"]) == 9


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="emptied"),
        pytest.param(lambda data: data[:-1], id="cut short"),
        pytest.param(lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:], id="one bit changed"),
        pytest.param(lambda _: b"\xff\n\0" * 99, id="overwritten"),
    ],
)
@pytest.mark.parametrize("ending", [".bpf.o", ".inputs"])
def test_a_damaged_file_of_the_cache_is_a_miss(
    ending: str, damage: Callable[[bytes], bytes], project: Project, cache_home: Path
) -> None:
    good = project.compile()
    (path,) = (cache_home / "skep" / "objects").glob(f"*{ending}")
    path.write_bytes(damage(path.read_bytes()))

    assert project.compile() == good
    assert project.runs == 2
    assert project.compile() == good
    assert project.runs == 2


def test_the_cache_stays_within_its_bound_and_keeps_what_is_new(
    project: Project, cache_home: Path, monkeypatch
) -> None:
    folder = cache_home / "skep" / "objects"
    project.compile()
    for index in range(1100):
        (folder / f"{index}").write_text("")
        os.utime(folder / f"{index}", (2e9, 2e9))
    project.source.write_text(TEXT + "\n")

    project.compile()

    assert len(list(folder.iterdir())) == 1026
    assert project.compile()
    assert project.runs == 2


def test_a_cache_that_cannot_be_written_is_an_error_with_a_remedy(project: Project, cache_home: Path) -> None:
    cache_home.write_text("a file")

    with pytest.raises(SkepError, match="cannot be written") as raised:
        project.compile()

    assert "XDG_CACHE_HOME" in str(raised.value.remedy)


def test_the_object_tells_which_source_it_was_built_from(project: Project) -> None:
    data = project.compile()
    assert embedded_digest(data) == source_digest(str(project.source))

    project.source.write_text(TEXT + "\n")

    assert embedded_digest(data) != source_digest(str(project.source))


def test_headers_of_the_compiler_are_read(project: Project) -> None:
    project.source.write_text(
        """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <stddef.h>
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); } ring SEC(".maps");
SEC("tp/a/b") int handle(void *ctx) { size_t size = 1; return bpf_ringbuf_output(&ring, &size, sizeof(size), 0); }
"""
    )

    (field,) = ObjectSpec.read(project.compile(), "x.o").events["ring"].schemas[0].fields

    assert field.type.name == "size_t"


def test_an_empty_source_has_nothing(project: Project) -> None:
    project.source.write_text("")

    spec = ObjectSpec.read(project.compile(), "x.o")

    assert (spec.programs, spec.maps, spec.variables, spec.events, spec.description) == ({}, {}, {}, {}, "")


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        pytest.param("int x;\nint main( {\n", "expected parameter declarator", 2, id="a mistake"),
        pytest.param("int x = y;\n", "use of undeclared identifier 'y'", 1, id="an unknown name"),
        pytest.param("\n#error no\n", "no", 2, id="an error of its own"),
        pytest.param("int x;\n/* no end\n", "unterminated /* comment", 2, id="a comment without an end"),
        pytest.param("#if 1\nint x;\n", "unterminated conditional directive", 1, id="a condition without an end"),
        pytest.param("\0\1\2\xff\n\x7fELF\0\n" * 50, "", 1, id="bytes of no meaning"),
        pytest.param("(" * 100_000, "bracket nesting level exceeded", 1, id="100,000 brackets"),
    ],
)
def test_what_the_compiler_rejects_is_an_error_with_its_words_and_the_place(
    text: str, message: str, line: int, project: Project
) -> None:
    project.source.write_bytes(text.encode("latin-1"))

    with pytest.raises(CompileError) as raised:
        project.compile()

    error = raised.value
    assert str(error).startswith("program.bpf.c does not compile\n")
    assert error.diagnostic is not None
    assert error.diagnostic.severity == "error"
    assert message in error.diagnostic.message
    assert message in str(error)
    assert (error.diagnostic.file, error.diagnostic.line) == (str(project.source), line)
    assert error.remedy is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("int x = " + "-~" * 50_000 + "1;", id="operators"),
        pytest.param("int x = " + "1+" * 100_000 + "1;", id="terms"),
        pytest.param("#if " + "!" * 100_000 + "1\nint x;\n#endif\n", id="a condition of the preprocessor"),
        pytest.param("int " + "*" * 100_000 + "x;", id="pointers"),
    ],
)
def test_a_source_that_nests_deeper_than_the_stack_of_a_compiler_is_an_error(text: str, project: Project) -> None:
    project.source.write_text(text)

    with pytest.raises(SkepError, match="was ended by signal 11") as raised:
        project.compile()

    assert "nests thousands of levels deep" in str(raised.value.remedy)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        pytest.param(
            "struct bpf_dynptr { int mine; };",
            "The kernel has a type of that name, in vmlinux.h: give yours another.",
            id="a struct of the kernel's name",
        ),
        pytest.param(
            "typedef char pid_t[4];",
            "The kernel has a type of that name, in vmlinux.h: give yours another.",
            id="a typedef of the kernel's name",
        ),
        pytest.param(
            "int f(void) { return bpf_ntohs(1); }",
            "bpf_ntohs is declared in <bpf/bpf_endian.h>: #include <bpf/bpf_endian.h>",
            id="a function without its header",
        ),
        pytest.param(
            "int f(void *ctx) { return skep_in_scope(); }",
            'skep_in_scope is declared in "skep.h": #include "skep.h"',
            id="one of skep's",
        ),
        pytest.param("int f(void) { return nobody_has_it(); }", None, id="one that nobody has"),
        pytest.param(
            "int f(void *p) { char b[600] = {}; return ((int (*)(void *, void *))4)(b, p); }",
            SMALLER_STACK,
            id="too large a variable",
        ),
    ],
)
def test_a_name_that_is_the_kernels_or_lacks_its_header_has_a_remedy(
    text: str, remedy: str | None, project: Project
) -> None:
    project.source.write_text(f'#include "vmlinux.h"\n{text}\n')

    with pytest.raises(CompileError) as raised:
        project.compile()

    assert raised.value.remedy == remedy


def test_what_clang_says_of_itself_is_left_out_and_nothing_is_said_twice(project: Project) -> None:
    project.source.write_text("int f(void *p) { char b[600] = {}; return ((int (*)(void *, void *))4)(b, p); }\n")

    with pytest.raises(CompileError) as raised:
        project.compile()

    (found,) = raised.value.diagnostics
    assert (found.line, found.path) == (1, ())
    assert "generated" not in str(raised.value)
    assert "could not determine" not in str(raised.value)


def test_of_a_later_clang_too() -> None:
    said = (
        "/x.bpf.c:4:5: error: Looks like the BPF stack limit is exceeded. Please move large on stack variables.\n\n"
        "    4 | int c(void *ctx) { char b[600] = {}; return 0; }\n      |     ^\n"
    )
    error = rejection("/x.bpf.c", f"{said}{said}{said}3 errors generated.\n".encode(), "/include")

    (found,) = error.diagnostics
    assert (found.line, found.source) == (4, "int c(void *ctx) { char b[600] = {}; return 0; }")
    assert error.remedy == SMALLER_STACK


@pytest.mark.parametrize("header", ["<bpf/bpf_helpers.h>", '"skep.h"'])
def test_headers_that_need_the_kernels_types_say_so_without_them(header: str, project: Project) -> None:
    project.source.write_text(f"#include {header}\n")

    with pytest.raises(CompileError) as raised:
        project.compile()

    assert str(raised.value.remedy).endswith('#include "vmlinux.h"')


def test_files_that_include_each_other_without_end_are_told_once(project: Project) -> None:
    (project.source.parent / "one.h").write_text('#include "two.h"\n')
    (project.source.parent / "two.h").write_text('#include "one.h"\n')
    project.source.write_text('#include "one.h"\n')

    with pytest.raises(CompileError, match="nested too deeply") as raised:
        project.compile()

    assert str(raised.value).count("In file included from") <= 4
    assert raised.value.remedy == "one.h includes itself: a header begins with #pragma once."


@pytest.mark.parametrize(
    ("directive", "remedy"),
    [
        pytest.param("#include <bpf/gone.h>", "sudo apt install libbpf-dev", id="libbpf's headers"),
        pytest.param("#include <linux/gone.h>", "sudo apt install linux-libc-dev", id="the kernel's headers"),
        pytest.param("#include <asm/gone.h>", "sudo apt install linux-libc-dev", id="those of an architecture"),
        pytest.param('#include "gone.h"', "Put gone.h beside local.h, or", id="a header of its own"),
        pytest.param("#  include  <sys/gone.h>", "sys/gone.h is no header for eBPF", id="a header of a library"),
    ],
)
def test_a_missing_header_is_named_with_who_asks_for_it_and_where_it_comes_from(
    directive: str, remedy: str, project: Project
) -> None:
    project.local.write_text(f"\n{directive}\n")

    with pytest.raises(CompileError, match=r"local\.h:2:\d+: fatal error: '.*gone\.h' file not found") as raised:
        project.compile()

    assert remedy in str(raised.value.remedy)
    assert raised.value.diagnostic is not None
    assert (raised.value.diagnostic.file, raised.value.diagnostic.line) == (str(project.local), 2)


def test_a_mistake_in_a_local_header_is_placed_there(project: Project) -> None:
    project.local.write_text("#define LIMIT 7\nint x = ;\n")

    with pytest.raises(CompileError) as raised:
        project.compile()

    assert raised.value.diagnostic is not None
    assert (raised.value.diagnostic.file, raised.value.diagnostic.line) == (str(project.local), 2)
    assert "<stdin>" not in str(raised.value)


def test_errors_come_before_warnings(project: Project) -> None:
    project.source.write_text("int *x = 1;\nint y = z;\n")

    with pytest.raises(CompileError) as raised:
        project.compile()

    assert [found.severity for found in raised.value.diagnostics] == ["error", "warning"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_comment_that_is_not_utf_8_is_an_error_with_a_remedy(encoding: str, project: Project) -> None:
    comment = "/// \xe9t\xe9".encode(encoding).replace(b"\0", b"")
    project.source.write_bytes(comment + b"\nconst volatile int limit = 1;\n")

    with pytest.raises(CompileError, match="is not UTF-8") as raised:
        project.compile()

    assert raised.value.remedy == "Save the source as UTF-8."


def test_other_comments_may_be_in_any_encoding(project: Project) -> None:
    project.source.write_bytes(b"/* \xe9t\xe9 */\n/// Words.\nconst volatile int limit = 1;\n")

    assert ObjectSpec.read(project.compile(), "x.o").variables["limit"].help == "Words."


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        pytest.param("const volatile int limit = 1;\n", True, id="alone"),
        pytest.param('#include "local.h"\n', False, id="with a header beside it, which libclang cannot name"),
    ],
)
def test_a_folder_whose_name_is_not_utf_8(text: str, *, fine: bool, project: Project, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xe9t\xe9")))
    folder.mkdir()
    (folder / "local.h").write_text("")
    project.source = folder / "program.bpf.c"
    project.source.write_text(text)

    if fine:
        assert project.limit() == 1
    else:
        with pytest.raises(CompileError, match="is not UTF-8"):
            project.compile()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("missing.bpf.c", "No such file or directory", id="no such file"),
        pytest.param(".", "Is a directory", id="a directory"),
        pytest.param("program.bpf.c/x", "Not a directory", id="a file as a directory"),
    ],
)
def test_a_source_that_cannot_be_read_is_named(name: str, message: str, project: Project) -> None:
    project.source = project.source.parent / name

    with pytest.raises(SourceNotFoundError, match=f"cannot be read: {message}"):
        project.compile()


def test_a_compiler_in_a_relative_folder_is_found_from_anywhere(project: Project, tmp_path: Path, monkeypatch) -> None:
    fake_compiler(tmp_path / "clang", f'exec {find_compiler().path} "$@"')
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)

    assert find_compiler().path == str(tmp_path / "clang")
    assert project.limit() == 7


def test_what_libclang_cannot_read_is_compiled_nevertheless(project: Project, monkeypatch) -> None:
    def fail(*arguments, **options):
        raise TranslationUnitLoadError("as after a crash")

    monkeypatch.setattr("clang.cindex.Index.parse", fail)

    assert project.limit() == 7


def test_objects_in_the_cache_are_their_owners_alone(project: Project, cache_home: Path) -> None:
    project.compile()

    assert stat.S_IMODE((cache_home / "skep").stat().st_mode) == 0o700


def test_a_source_of_100_000_lines(project: Project) -> None:
    lines = [f"static inline int add{number}(int x) {{ return x + {number}; }}" for number in range(1000)]
    lines += [f"#define NUMBER_{number} {number} /* of many */" for number in range(99_000)]
    project.source.write_text("\n".join(["const volatile int limit = 7;", *lines]))

    assert project.limit() == 7


RUN = """
import sys
from skep.spec.compiling import compile_source, find_compiler
sys.stdout.buffer.write(compile_source(sys.argv[1], "id", lambda: sys.argv[2], find_compiler()))
"""


def test_several_runs_may_compile_the_same_at_once(project: Project, cache_home: Path) -> None:
    command = [sys.executable, "-c", RUN, str(project.source), project.header]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    objects = {run.communicate()[0] for run in runs}

    assert [run.returncode for run in runs] == [0] * 4
    assert len(objects) == 1
    assert len(list((cache_home / "skep" / "objects").iterdir())) == 2


# In a mount namespace of its own, which goes with the process: $1 is where the cache is to be.
FULL = """
mount -t tmpfs -o size=64k tmpfs "$1" && mkdir -m 700 "$1/skep" && head -c 1M /dev/zero > "$1/room" 2> /dev/null
shift
exec "$@"
"""
SAID = """
from skep.base.errors import SkepError
try:
    exec(sys.argv.pop(1))
except SkepError as error:
    print(error, error.remedy)
"""


def test_a_full_disk_is_an_error_with_a_remedy(project: Project, cache_home: Path) -> None:
    cache_home.mkdir()
    namespace = ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*namespace, "mount", "-t", "tmpfs", "tmpfs", cache_home], check=False).returncode:
        pytest.skip("this user may not have a mount namespace")

    command = [sys.executable, "-c", f"import sys{SAID}", RUN, str(project.source), project.header]
    finished = subprocess.run(
        [*namespace, "sh", "-c", FULL, "sh", cache_home, *command], capture_output=True, text=True, check=True
    )

    assert "cannot be written: No space left on device" in finished.stdout
    assert "Free some room, or set XDG_CACHE_HOME" in finished.stdout
