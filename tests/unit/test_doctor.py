"""`skep doctor`: how findings are told; that every kind of hook is one that is tried; and that nothing is executed."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import skep
from skep.base.errors import PrivilegeError, UnsupportedError
from skep.base.schema import Field, Schema, Type
from skep.kernel.attempts import KINDS
from skep.kernel.doctor import Report, _kind
from skep.kernel.link import MODULES
from skep.kernel.machine import Finding
from skep.session import api
from skep.spec.compiler import find_compiler
from skep.spec.trust import refuse_untrusted
from skep.stream.names import Names
from skep.view.dicts import Dicts
from skep.view.doctor import doctor_json, doctor_text
from skep.view.ndjson import Ndjson

FOUND = {
    "This process": [
        Finding("user", "", "1000"),
        Finding("capabilities", "no", "lacks CAP_BPF", "sudo skep ..."),
    ],
    "Hooks": [
        Finding("tp", "untried", "needs CAP_BPF"),
        Finding("kprobe.multi", "no", "this kernel has none of these, " * 3 + "and never had", "needs CONFIG_FPROBE"),
        Finding("iter", "yes"),
    ],
    "The gallery": [Finding("evil\x1b[2J", "yes", "fine\n")],
}
TEXT = r"""This process
  user          -    1000
  capabilities  no   lacks CAP_BPF
                     -> sudo skep ...

Hooks
  tp            ?    needs CAP_BPF
  kprobe.multi  no   this kernel has none of these, this kernel has none of these, this kernel has
                     none of these, and never had
                     -> needs CONFIG_FPROBE
  iter          yes

The gallery
  evil\x1b[2J   yes  fine\n

? could not be tried by this user: sudo skep doctor tells, or the capabilities that are named.
Not every tool of the gallery runs here.
"""
# What would execute what it reads, or hand it to a shell.
# Expressions that are made of positions only (test_names_of_an_object_are_no_code holds them to it), and a script that
# the user names to be run.
EXPRESSIONS = {("base", "schema.py"), ("view", "ndjson.py"), ("bcc", "scripts.py")}
FORBIDDEN = {"eval", "exec", "os.system", "os.popen", "pickle", "marshal", "shelve", "runpy"}


def test_findings_are_told_in_a_table():
    assert doctor_text(Report(FOUND, works=False)) == TEXT


def test_where_all_works_nothing_is_left_to_say():
    text = doctor_text(Report({"Hooks": [Finding("tp", "yes")]}, works=True))

    assert text == "Hooks\n  tp  yes\n\nEvery tool of the gallery runs here.\n"


def test_findings_are_told_in_json():
    line = doctor_json(Report(FOUND, works=False))
    told = json.loads(line)

    assert line.count("\n") == 1
    assert told["works"] is False
    assert told["sections"]["Hooks"][0] == {"name": "tp", "state": "untried", "text": "needs CAP_BPF", "remedy": ""}


@pytest.mark.parametrize("kind", MODULES)
def test_every_kind_of_hook_is_one_that_is_tried(kind):
    assert _kind(kind) in KINDS


def test_the_exit_code_tells_whether_the_gallery_runs():
    finished = subprocess.run(
        [sys.executable, "-m", "skep", "doctor", "-o", "json"], capture_output=True, text=True, check=False
    )
    report = json.loads(finished.stdout)

    assert finished.returncode == (0 if report["works"] else 3)
    assert {each["name"] for each in report["sections"]["The gallery"]} == set(api.tool_names())
    assert all(
        each["remedy"] or each["text"]
        for found in report["sections"].values()
        for each in found
        if each["state"] == "no"
    )


@pytest.mark.parametrize("path", sorted(Path(skep.__file__).parent.glob("**/*.py")), ids=str)
def test_nothing_that_is_read_is_executed(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in FORBIDDEN or path.parts[-2:] in EXPRESSIONS, f"{path}:{node.lineno}: {name}"
            assert not any(each.arg == "shell" for each in node.keywords), f"{path}:{node.lineno}: a shell"
        elif isinstance(node, ast.Import):
            assert not {each.name for each in node.names} & FORBIDDEN, f"{path}:{node.lineno}"


def test_names_of_an_object_are_no_code(tmp_path):
    """Records are read and written with expressions: what an object calls its types and members is no part of them."""
    evil = f"x,__import__('pathlib').Path('{tmp_path}/executed').touch()"
    number, text = Type("int", 4, evil), Type("text", 4, evil, count=4)
    inner = Type("struct", 4, f"struct {evil}", fields=(Field(evil, 0, 4, number),))
    rows = Type("array", 8, evil, element=inner, count=2)
    fields = (
        Field(evil, 0, 4, number),
        Field(f"{evil} ", 4, 4, text),
        Field(f"{evil}\n", 8, 8, rows),
        Field(f"({evil})", 16, 4, number, bits=(1, 3)),
    )
    schema = Schema(evil, 20, fields)
    row = schema.decode(bytes(range(1, 21)))
    written = json.loads(Ndjson(Names(), labelled=True).render(schema, [row]))

    assert len(row) == 4
    assert written["_event"] == evil
    assert {field.name for field in fields} < written.keys()
    assert set(next(Dicts(Names()).render(schema, [row]))) == {field.name for field in fields}
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_user_may_run_what_is_writable_and_root_not(tmp_path, monkeypatch):
    path = tmp_path / "x.bpf.o"
    path.touch()
    path.chmod(0o666)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    refuse_untrusted(str(path))

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(PrivilegeError, match="every user may write to it") as caught:
        refuse_untrusted(str(path))
    assert caught.value.remedy == f"chmod o-w {path}"
    # A link is as good as what it points to; what is not there, somebody else complains of.
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(PrivilegeError):
        refuse_untrusted(str(link))
    refuse_untrusted(str(tmp_path / "missing"))
    refuse_untrusted("/dev/null")


def test_who_called_sudo_is_as_good_as_root(tmp_path, monkeypatch):
    path = tmp_path / "x.bpf.o"
    path.touch()
    tmp_path.chmod(0o1777)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    status = os.stat(path)
    monkeypatch.setattr(
        os,
        "stat",
        lambda name: os.stat_result((*status[:4], 1000, *status[5:])) if name == str(path) else os.lstat(name),
    )
    with pytest.raises(PrivilegeError, match="of user 1000"):
        refuse_untrusted(str(path))

    monkeypatch.setenv("SUDO_UID", "1000")
    refuse_untrusted(str(path))


def test_root_executes_no_compiler_that_anybody_may_have_written(tmp_path, monkeypatch, cache_home):
    program = tmp_path / "clang"
    program.write_text("#!/bin/sh\ntouch executed\n")
    program.chmod(0o777)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UnsupportedError, match="every user may write to it"):
        find_compiler()

    assert not (tmp_path / "executed").exists()
