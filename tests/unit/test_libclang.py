"""libclang is not there, or not whole: whoever needs it says so, in one line."""

from __future__ import annotations

import sys

import clang.cindex
import pytest

from skep.base.errors import UnsupportedError
from skep.bcc.dialect import translate
from skep.spec.compiling import compile_source, find_compiler
from skep.spec.libclang import load_libclang


@pytest.fixture
def kernel(tmp_path, cache_home):
    """The folder of a vmlinux.h."""
    (tmp_path / "vmlinux.h").write_text("#include <linux/bpf.h>\n#define __VMLINUX_H__\n")
    return tmp_path


@pytest.mark.parametrize("is_there", [True, False], ids=["broken", "missing"])
def test_libclang_cannot_be_loaded(monkeypatch, kernel, is_there):
    if is_there:
        monkeypatch.setattr(clang.cindex.Config, "library_file", "/no/such/libclang.so")
        monkeypatch.setattr(clang.cindex, "conf", clang.cindex.Config())
    else:
        monkeypatch.setitem(sys.modules, "clang.cindex", None)
    source = kernel / "empty.bpf.c"
    source.write_text("int x;\n")

    for use in (
        load_libclang,
        lambda: translate(
            "int f(void *ctx) { return 0; }", file="x", make_header=lambda: str(kernel), compiler=find_compiler()
        ),
        lambda: compile_source(str(source), "id", lambda: str(kernel), find_compiler()),
    ):
        with pytest.raises(UnsupportedError, match="libclang cannot be loaded") as caught:
            use()
        assert caught.value.remedy == "pip install libclang"
