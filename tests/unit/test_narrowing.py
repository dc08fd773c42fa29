"""What a source asks for of the kernel's types: its words, and what comes of them where they are not enough."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from skep.base.errors import CompileError, UsageError
from skep.spec.compiling import compile_source, find_compiler
from skep.spec.narrowing import narrowed, words_of
from skep.spec.objectspec import ObjectSpec

TEXT = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct event { u64 id; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
SEC("tp/a/b") int handle(struct trace_event_raw_sys_enter *ctx)
{
	struct event event = { ctx->id };
	return bpf_ringbuf_output(&ring, &event, sizeof(event), 0);
}
"""


class Narrowing:
    """Gives a header, and keeps what it was asked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words: set[str] = set()

    def __call__(self, words: Iterable[str]) -> bytes:
        self.words = set(words)
        return self.text.encode()


@pytest.fixture
def source(tmp_path: Path, cache_home: Path) -> Path:
    (tmp_path / "program.bpf.c").write_text(TEXT)
    return tmp_path / "program.bpf.c"


@pytest.fixture
def narrow(header: str) -> Narrowing:
    return Narrowing((Path(header) / "vmlinux.h").read_text())


def unasked() -> str:
    raise AssertionError("the whole header is asked for")


def scratch(cache_home: Path) -> list[str]:
    return os.listdir(cache_home / "skep" / "scratch")


def test_the_words_are_those_of_the_source_and_of_its_own_headers(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "one.h").write_text('#include "one.h"\n# include <own/two.h>\nint of_one;\n')
    (tmp_path / "own" / "two.h").write_bytes(b"int of_two; // \xff\n")

    words = words_of('#include "one.h"\n#include <bpf/gone.h>\nint a1_; /// @event struct told\n', [str(tmp_path)])

    assert {"a1_", "of_one", "of_two", "told", "u64", "bpf/gone.h"} <= words
    assert "1_" not in words


def test_a_header_of_what_is_asked_for_is_enough(source: Path, narrow: Narrowing, cache_home: Path) -> None:
    data = compile_source(str(source), "id", unasked, find_compiler(), narrow=narrow)

    assert {"trace_event_raw_sys_enter", "BPF_MAP_TYPE_RINGBUF", "ctx", "id", "vmlinux.h"} <= narrow.words
    assert list(ObjectSpec.read(data, "x.o").events) == ["ring"]
    assert scratch(cache_home) == []


def test_where_it_is_not_enough_the_whole_header_serves(source: Path, header: str, narrow: Narrowing) -> None:
    narrow.text = narrow.text.replace("struct trace_event_raw_sys_enter {", "struct another {")
    data = compile_source(str(source), "id", lambda: header, find_compiler(), narrow=narrow)

    assert data == compile_source(str(source), "another id", lambda: header, find_compiler())


def test_what_is_wrong_is_said_with_the_whole_header(
    source: Path, header: str, narrow: Narrowing, cache_home: Path
) -> None:
    source.write_text(TEXT.replace("ctx->id", "ctx->idd"))
    with pytest.raises(CompileError) as raised:
        compile_source(str(source), "id", lambda: header, find_compiler(), narrow=narrow)
    with pytest.raises(CompileError) as without:
        compile_source(str(source), "id", lambda: header, find_compiler())

    assert raised.value.message == without.value.message
    assert scratch(cache_home) == []


def test_a_type_that_the_user_names_is_asked_for(source: Path, header: str, narrow: Narrowing) -> None:
    events = {"ring": ["struct bpf_dynptr"]}
    compile_source(str(source), "id", unasked, find_compiler(), narrow=narrow, events=events)
    assert "bpf_dynptr" in narrow.words

    with pytest.raises(UsageError, match="there is no such type"):
        compile_source(
            str(source), "id", lambda: header, find_compiler(), narrow=narrow, events={"ring": ["struct evemt"]}
        )


def test_a_vmlinux_h_of_the_sources_own_is_read_as_it_is(source: Path, header: str, narrow: Narrowing) -> None:
    (source.parent / "vmlinux.h").write_text(narrow.text)
    compile_source(str(source), "id", lambda: header, find_compiler(), narrow=narrow)

    assert narrow.words == set()


def test_the_folder_is_gone_at_the_end(narrow: Narrowing, cache_home: Path) -> None:
    with narrowed(narrow, {"one"}) as folder:
        assert Path(folder, "vmlinux.h").read_text() == narrow.text

    assert not os.path.exists(folder)
