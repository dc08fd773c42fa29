"""libbpf's headers: a wheel carries them, and those that are installed are preferred."""

from collections.abc import Callable

import pytest

from skep.base.errors import CompileError
from skep.spec import compiling


@pytest.fixture
def carried(tmp_path, monkeypatch) -> Callable[..., None]:
    """carried(name, text): a header among those that are carried."""

    def write(name: str, text: str) -> None:
        path = tmp_path / "libbpf" / "bpf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    monkeypatch.setattr(compiling, "_CARRIED", str(tmp_path / "libbpf"))
    return write


def test_what_is_carried_is_found(build, carried):
    carried("carried.h", "enum { CARRIED = 1 };\n")
    assert build('#include <bpf/carried.h>\nint number SEC(".data") = CARRIED;\n')


def test_what_is_installed_comes_first(build, carried):
    carried("bpf_helpers.h", "#error carried\n")
    assert build('int number SEC(".data") = 1;\n')


def test_what_is_installed_later_is_noticed(build, carried, tmp_path, monkeypatch):
    carried("carried.h", "enum { CARRIED = 1 };\n")
    source = '#include <bpf/carried.h>\nint number SEC(".data") = CARRIED;\n'
    monkeypatch.setattr(compiling, "_INSTALLED", str(tmp_path / "installed" / "bpf"))
    assert build(source)
    (tmp_path / "installed" / "bpf").mkdir(parents=True)
    (tmp_path / "installed" / "bpf" / "carried.h").write_text("#error installed\n")
    monkeypatch.setattr(compiling, "_named_folders", list)
    monkeypatch.setenv("C_INCLUDE_PATH", str(tmp_path / "installed"))
    with pytest.raises(CompileError, match="installed"):
        build(source)
