"""The house: rooms import only to their left, every room says what it is, and `skep run` starts lean."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skep

PACKAGE = Path(skep.__file__).parent

# What each room may import, beside itself. `session` joins the five; guard and bcc are its users, and siblings.
LEFT = {
    "base": set(),
    "_native": set(),
    "spec": {"base"},
    "kernel": {"base", "spec", "_native"},
    "stream": {"base", "spec", "kernel", "_native"},
    "view": {"base", "spec", "kernel", "stream"},
    "session": {"base", "spec", "kernel", "stream"},
    "guard": {"base", "spec", "kernel", "stream", "session"},
    "bcc": {"base", "spec", "kernel", "stream", "session"},
    "testing": {"base", "spec", "kernel", "stream", "session"},
    "vm": {"base"},
    "tools": set(),
    "cli": {"base", "spec", "kernel", "stream", "view", "session", "guard", "bcc", "vm"},
}
FILES = sorted(PACKAGE.glob("*/**/*.py"))


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def _imports(path: Path):
    """The modules that a file imports, at any depth, for type checking only or not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_every_room_is_known():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(LEFT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_to_their_left(path):
    room = _room(path)
    used = {name.split(".")[1] for name in _imports(path) if name.startswith("skep.")}

    assert used - LEFT[room] - {room} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_says_what_it_is_and_stays_small(path):
    text = path.read_text()

    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    is_table = path.name.startswith("syscalls_")
    assert is_table or text.count("\n") <= 500, f"{path} is no room but a hall"


def test_the_gallery_holds_no_python():
    assert [path.name for path in (PACKAGE / "tools").rglob("*.py")] == ["__init__.py"]


def test_every_tool_has_its_page():
    for tool in (PACKAGE / "tools").glob("*/*.bpf.c"):
        page = tool.with_name(f"{tool.parent.name}.md").read_text()

        assert page.startswith(f"# {tool.parent.name}\n\n")
        assert "$ " in page, f"{tool.parent.name}'s page shows no run"


def test_the_public_namespace_is_what_the_rooms_hold():
    names = sorted(name for names in skep._ROOMS.values() for name in names)

    assert sorted(skep.__all__) == names
    assert skep.__all__ == sorted(skep.__all__, key=lambda name: (name[0].islower(), name.lower()))
    for name in names:
        assert getattr(skep, name).__module__ == skep._HOMES[name]


def _imported(*arguments: str) -> set[str]:
    """The modules that a start of skep imports."""
    script = f"import sys, skep.cli; skep.cli.main({list(arguments)}); print('\\n', *sys.modules)"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(finished.stdout.rpartition("\n ")[2].split())


# Each costs 1 to 110 ms at every start, and none is needed to run what is compiled already.
HEAVY = {
    "asyncio",
    "cffi",
    "clang.cindex",
    "concurrent.futures",
    "contextlib",
    "dataclasses",
    "datetime",
    "difflib",
    "importlib.metadata",
    "importlib.resources",
    "inspect",
    "ipaddress",
    "logging",
    "numpy",
    "pathlib",
    "shutil",
    "subprocess",
    "tempfile",
    "textwrap",
    "threading",
    "typing",
    "weakref",
}


def test_skep_run_starts_without_heavy_modules():
    # Without privileges or with: all of skep's own modules are imported before anything can be refused.
    imported = _imported("run", "opensnoop", "--pid-target", "1", "--duration", "1ms")

    assert "skep.session.run" in imported
    assert imported & HEAVY == set()


def test_the_plugin_of_pytest_is_light_for_those_who_do_not_use_it():
    script = "import sys, skep.testing; print([name for name in sys.modules if name.startswith('skep.')])"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert finished.stdout == "['skep.testing']\n"


def test_only_the_parser_of_the_given_verb_is_imported():
    imported = _imported("tools")

    assert "skep.cli.tools" in imported
    assert imported & {"skep.cli.run", "skep.cli.build", "skep._native"} == set()


def test_import_skep_imports_nothing_else_of_skep():
    script = "import sys, skep; print([name for name in sys.modules if name.startswith('skep.')])"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert finished.stdout == "[]\n"
