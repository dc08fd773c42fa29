"""What SOURCE may name, and what is said of what it may not."""

from __future__ import annotations

import os

import pytest

from skep.base.errors import ObjectFormatError, SourceNotFoundError, UsageError
from skep.cli.build import main as build
from skep.session import api


@pytest.mark.parametrize("data", [b"", b"\x89noise", b"int x;\n"])
def test_what_is_called_an_object_and_is_none_is_not_compiled(tmp_path, data: bytes) -> None:
    path = tmp_path / "made.bpf.o"
    path.write_bytes(data)

    with pytest.raises(ObjectFormatError, match="is not an ELF object") as raised:
        api.read_spec(str(path))

    assert raised.value.remedy == "Give a .bpf.c source or a built .bpf.o."


def test_a_pipe_is_refused_and_not_waited_for(tmp_path) -> None:
    path = tmp_path / "made.bpf.c"
    os.mkfifo(path)

    with pytest.raises(SourceNotFoundError, match="is no regular file"):
        api.read_spec(str(path))


def test_a_folder_is_no_source(tmp_path) -> None:
    with pytest.raises(SourceNotFoundError, match="is no regular file"):
        api.read_spec(str(tmp_path))


def test_a_name_that_is_neither_a_file_nor_a_tool() -> None:
    with pytest.raises(SourceNotFoundError, match="there is no file and no tool opensnop") as raised:
        api.read_spec("opensnop")

    assert raised.value.remedy == "Did you mean opensnoop?"


def test_no_object_is_written_over_its_source(tmp_path, cache_home) -> None:
    path = tmp_path / "made.bpf.c"
    path.write_text("int x;\n")

    with pytest.raises(UsageError, match="is the source itself"):
        build([str(path), "-o", f"{tmp_path}/./made.bpf.c"])

    assert path.read_text() == "int x;\n"
