"""A kernel file gives the same object with and without its header precompiled: with SKEP_ALL=1 each of the house."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skep
from skep.kernel.btf import header_folder, identity
from skep.spec import precompiled
from skep.spec.compiling import compile_source, find_compiler
from tests.conftest import ALL

PACKAGE = Path(skep.__file__).parent
PROGRAMS = Path(__file__).parents[1] / "programs"


@pytest.fixture(scope="module")
def header(tmp_path_factory) -> Iterator[str]:
    """This kernel's header, and a cache that the tests of this file share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield header_folder(identity())


def named(sources: Iterator[Path]) -> list[Any]:
    found = [source for source in sorted(sources) if precompiled.begins_with_header(str(source), source.read_bytes())]
    return [pytest.param(source, id=source.name.removesuffix(".bpf.c")) for source in found[:: 1 if ALL else 8]]


def same(source: Path, header: str, monkeypatch, *, read_without: bool) -> bool:
    with_it = compile_source(str(source), "with", lambda: header, find_compiler())
    real = precompiled.precompile
    monkeypatch.setattr(precompiled, "precompile", lambda *given: (None, None if read_without else real(*given)[1]))

    return with_it == compile_source(str(source), "without", lambda: header, find_compiler())


@pytest.mark.parametrize("source", named((PACKAGE / "tools").rglob("*.bpf.c")))
def test_a_tool_is_read_and_compiled_the_same(source: Path, header: str, monkeypatch) -> None:
    assert same(source, header, monkeypatch, read_without=True)


@pytest.mark.parametrize("source", named(PROGRAMS.glob("*.bpf.c")))
def test_a_program_is_compiled_the_same(source: Path, header: str, monkeypatch) -> None:
    assert same(source, header, monkeypatch, read_without=False)
