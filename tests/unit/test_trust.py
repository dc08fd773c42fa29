"""What root does not run: what anybody may have written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skep.base.errors import PrivilegeError
from skep.spec.trust import refuse_untrusted, stranger

# Of a user that no machine has.
NOBODY = 2_000_000_123


@pytest.fixture
def source(tmp_path: Path, monkeypatch) -> Path:
    """A kernel file of somebody who is neither root nor called sudo; skep runs as root."""
    path = tmp_path / "folder" / "a.bpf.c"
    path.parent.mkdir(mode=0o755)
    path.write_text("")
    path.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_UID", raising=False)
    return path


def test_a_file_of_another_user_is_run_and_whose_it_is_is_told(source: Path, monkeypatch) -> None:
    refuse_untrusted(str(source))

    owner = source.stat().st_uid
    assert stranger(str(source)) in {str(owner), os.environ.get("USER", str(owner))}
    monkeypatch.setenv("SUDO_UID", str(owner))
    assert stranger(str(source)) == ""


@pytest.mark.parametrize(
    ("file", "folder", "message", "remedy"),
    [
        pytest.param(0o646, 0o755, "every user may write to it", "chmod o-w {0}", id="writable"),
        pytest.param(0o644, 0o757, "every user may replace it", "chmod o-w {0.parent}", id="in a writable folder"),
        pytest.param(0o644, 0o1777, "in a folder where every user may put files", "Read it, and copy", id="in /tmp"),
    ],
)
def test_what_every_user_may_have_written_is_refused(
    file: int, folder: int, message: str, remedy: str, source: Path, monkeypatch
) -> None:
    source.chmod(file)
    source.parent.chmod(folder)

    with pytest.raises(PrivilegeError, match=message) as raised:
        refuse_untrusted(str(source))
    assert str(raised.value.remedy).startswith(remedy.format(source))

    # A link does not make it better; and who is not root harms nobody else.
    link = source.parent.parent / "link.bpf.c"
    link.symlink_to(source)
    with pytest.raises(PrivilegeError, match=message):
        refuse_untrusted(str(link))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    refuse_untrusted(str(source))
    assert stranger(str(source)) == ""


def test_who_called_sudo_may_have_files_in_tmp(source: Path, monkeypatch) -> None:
    source.parent.chmod(0o1777)
    monkeypatch.setenv("SUDO_UID", str(source.stat().st_uid))

    refuse_untrusted(str(source))


@pytest.mark.parametrize("path", ["/dev/null", "/nowhere/a.bpf.c"])
def test_what_is_no_file_is_left_to_who_opens_it(path: str, source: Path) -> None:
    refuse_untrusted(path)
