"""Programs that the verifier refuses, on a live kernel: each is explained in its own source."""

from __future__ import annotations

import platform
import subprocess

import pytest

from skep import VerifierError
from tests.conftest import read_built
from tests.failing import ABSENT, ADVISED, FOLDER, LOST, OTHER_COMPILER, advised, marked

_ABSENT = ABSENT.get(".".join(platform.release().split(".")[:2]), set())


@pytest.mark.floors("6.12", "6.1")
@pytest.mark.parametrize(
    "compilers",
    [pytest.param(None, id="clang"), pytest.param(OTHER_COMPILER, id="clang-19", marks=pytest.mark.compiles)],
)
@pytest.mark.parametrize(("file", "program"), LOST)
def test_what_the_verifier_refuses_is_explained_in_its_source(file, program, compilers):
    spec = read_built(FOLDER / f"{file}.bpf.c", compilers)
    others = [other for other in spec.programs if other != program]
    with pytest.raises(VerifierError) as caught:
        spec.load(wanted=[program], without=others).close()
    found = caught.value.diagnostic
    assert found is not None
    if (file, program) in _ABSENT:
        assert found.id == "kernel-too-old"
        assert caught.value.exit_code == 3
        return
    category, line = marked(file, program)
    lost, suggestion = LOST[file, program]

    assert found.id == category
    if category != "stack-size":
        # On kernels that do not say it, from the object.
        assert found.line == line
        assert str(found.file).endswith(f"{file}.bpf.c")
    assert lost in "\n".join([found.message, *(span.message for span in found.path)])
    assert suggestion in str(found.suggestion)


@pytest.mark.parametrize(("program", "category", "line", "words"), advised())
def test_the_suggestion_names_what_is_missing(program, category, line, words):
    spec = read_built(ADVISED)
    others = [other for other in spec.programs if other != program]
    with pytest.raises(VerifierError) as caught:
        spec.load(wanted=[program], without=others).close()
    found = caught.value.diagnostic
    assert found is not None

    assert (found.id, found.line) == (category, line)
    assert words in str(found.suggestion)


def test_a_refusal_is_shown_in_its_source(skep, tmp_path):
    log = tmp_path / "log"
    source = FOLDER / "references.bpf.c"
    command = [*skep, "run", str(source), "--with", "socket_kept", "--without", "never_submitted", "--log", str(log)]
    finished = subprocess.run([*command, "--", "true"], capture_output=True, text=True, timeout=60, check=False)

    assert finished.returncode == 1
    assert "[reference-leak]" in finished.stderr
    assert "return sk->family == 2;" in finished.stderr
    assert "instead:\n  Call bpf_sk_release(sk)" in finished.stderr
    assert "Unreleased reference id=" in log.read_text()
    assert "processed" in log.read_text()


@pytest.mark.floors("6.12")
def test_a_refusal_is_explained_where_nothing_can_be_kept(program, monkeypatch):
    """The members nearest to one that is not there are looked up in vmlinux.h, which is in the cache."""
    spec = program("unrelocated")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with pytest.raises(VerifierError) as caught:
        spec.load().close()

    assert caught.value.diagnostic is not None
    assert caught.value.diagnostic.id == "core-relocation"
