"""A kernel file is the same with what it asks for of the kernel's types, and with all (SKEP_ALL=1: each)."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import skep
from skep.kernel.btf import header_folder, identity, narrow_header
from skep.spec.compiling import INCLUDE, compile_source, find_compiler, flags
from skep.spec.elf import STT_FUNC, Elf
from skep.spec.narrowing import words_of
from skep.spec.objectspec import ObjectSpec
from tests.conftest import ALL

PACKAGE = Path(skep.__file__).parent
PROGRAMS = Path(__file__).parents[1] / "programs"
LIBBPF = "".join(
    f"#include <bpf/{name}.h>\n" for name in ("bpf_helpers", "bpf_tracing", "bpf_core_read", "bpf_endian", "usdt.bpf")
)


@pytest.fixture(scope="module")
def header(tmp_path_factory) -> Iterator[str]:
    """This kernel's header, and a cache that the tests of this file share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield header_folder(identity())


def sources() -> list[Any]:
    found = [*sorted((PACKAGE / "tools").rglob("*.bpf.c")), *sorted(PROGRAMS.glob("*.bpf.c"))]
    names = [(source, f"{source.parent.name}-{source.name.removesuffix('.bpf.c')}") for source in found]
    return [pytest.param(source, id=name) for source, name in names[:: 1 if ALL else 12]]


def code(data: bytes) -> dict[str, bytes]:
    """The instructions of each function."""
    elf = Elf(data, "x.o")
    return {symbol.name: bytes(elf.data(symbol)) for symbol in elf.symbols if symbol.type == STT_FUNC}


@pytest.mark.parametrize("source", sources())
def test_it_becomes_the_same_code_and_needs_no_more(source: Path, header: str) -> None:
    def whole() -> str:
        raise AssertionError("what it asks for is not enough")

    narrow = compile_source(str(source), "narrow", whole, find_compiler(), narrow=narrow_header)
    with_all = compile_source(str(source), "all", lambda: header, find_compiler())

    assert code(narrow) == code(with_all)
    assert told(narrow) == told(with_all)


def told(data: bytes) -> object:
    """What a file says beside its code."""
    spec = ObjectSpec.read(data, "x.o")
    layouts = {
        name: [(schema.name, schema.size, [(field.name, field.offset, str(field.meaning)) for field in schema.fields])]
        for name, event in spec.events.items()
        for schema in event.schemas
    }
    return list(spec.programs), list(spec.maps), list(spec.variables), layouts


def narrowed(words: Iterable[str]) -> str:
    return narrow_header(words).decode()


def test_members_that_are_named_lead_on_and_others_do_not() -> None:
    alone = narrowed({"task_struct"})
    led = narrowed({"task_struct", "mm", "exe_file"})

    assert re.search(r"^struct task_struct \{", alone, re.MULTILINE)
    # What is held in it, and what it only points to.
    assert re.search(r"^struct list_head \{", alone, re.MULTILINE)
    assert not re.search(r"^struct (mm_struct|file) \{", alone, re.MULTILINE)
    assert re.search(r"^struct mm_struct;", alone, re.MULTILINE)
    assert {"mm_struct", "file"} <= set(re.findall(r"^struct (\w+) \{", led, re.MULTILINE))


def test_values_of_enums_typedefs_and_functions_are_found_by_their_names() -> None:
    found = narrowed({"BPF_MAP_TYPE_HASH", "wait_queue_entry_t", "bpf_task_from_pid", "nothing_is_called_so"})

    assert "enum bpf_map_type {" in found
    assert "typedef struct wait_queue_entry wait_queue_entry_t;" in found
    assert "struct wait_queue_entry {" in found
    functions = [line for line in found.splitlines() if line.startswith("extern")]
    # Linux 6.10 and later tell of functions; what these take is known as if it were named.
    assert not functions or "struct task_struct {" in found
    assert len(functions) < 2


def test_nothing_at_all_is_asked_for_by_no_words() -> None:
    assert len(narrowed(["no_kernel_has_this"])) < 1000


def test_the_headers_of_libbpf_find_all_that_they_ask_for(header: str, tmp_path: Path) -> None:
    (tmp_path / "vmlinux.h").write_bytes(narrow_header(words_of(LIBBPF, [INCLUDE])))
    command = [*find_compiler().command, *flags(str(tmp_path), (), find_compiler()), "-w", "-fsyntax-only", "-xc", "-"]
    text = f'#include "vmlinux.h"\n{LIBBPF}'

    said = subprocess.run(command, input=text, text=True, capture_output=True, check=False)

    assert said.stderr == ""


def test_what_a_macro_puts_together_is_found_in_the_whole_header(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "program.bpf.c"
    source.write_text(
        '#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n#define OF(name) struct task_##name\n'
        'SEC("tp_btf/sched_switch") int handle(u64 *ctx) { return ((OF(struct) *)ctx[1])->prio; }\n'
    )

    assert code(skep.compile(str(source)).data)["handle"]
    assert os.listdir(tmp_path / "cache" / "skep" / "headers")
