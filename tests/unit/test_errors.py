"""The tree of errors: exit codes, builtin parents, and how a diagnostic reads."""

from __future__ import annotations

import pytest

from skep.base import errors
from skep.base.errors import Diagnostic, EntryMissingError, LoadError, SkepError, SourceNotFoundError


def _all_errors():
    return [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]


def test_the_tree_in_the_docstring_is_the_tree():
    assert errors.__doc__ is not None
    drawn = [
        line.strip(" │├└─").split()[0]
        for line in errors.__doc__.splitlines()
        if "Error" in line.split(" ")[0:1] or "──" in line
    ]

    assert sorted({"SkepError", *drawn}) == sorted(error.__name__ for error in _all_errors())


@pytest.mark.parametrize(
    ("name", "code", "builtin"),
    [
        ("UsageError", 2, Exception),
        ("SourceNotFoundError", 2, FileNotFoundError),
        ("ClosedError", 2, ValueError),
        ("EntryMissingError", 2, KeyError),
        ("MapError", 2, OSError),
        ("CompileError", 1, Exception),
        ("ObjectFormatError", 1, ValueError),
        ("LoadError", 1, OSError),
        ("VerifierError", 1, OSError),
        ("AttachError", 1, OSError),
        ("PinError", 1, OSError),
        ("HookMissingError", 3, LookupError),
        ("PrivilegeError", 3, PermissionError),
        ("BtfError", 3, Exception),
        ("VmError", 1, Exception),
    ],
)
def test_each_error_has_its_exit_code_and_its_builtin(name, code, builtin):
    error = getattr(errors, name)

    assert error.exit_code == code
    assert issubclass(error, (SkepError,))
    assert issubclass(error, builtin)


def test_an_error_reads_as_its_sentence_whatever_its_parents():
    assert str(SourceNotFoundError("no such file")) == "no such file"
    assert str(LoadError("refused", 7, log="all of it")) == "refused"
    assert LoadError("refused", 7).errno == 7
    assert str(EntryMissingError("no such entry")) == "no such entry"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({"file": "a.bpf.c", "line": 3, "column": 5}, "a.bpf.c:3:5: wrong"),
        ({"file": "a.bpf.c", "line": 3}, "a.bpf.c:3: wrong"),
        ({}, "wrong"),
    ],
)
def test_a_diagnostic_reads_as_far_as_its_place_is_known(place, text):
    assert str(Diagnostic("compile", "error", "wrong", **place)) == text
