"""What the public names say of themselves: parameters, and of what is the kernel's, since when and where from."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

import skep

# Rooms whose names stand for something of the kernel's.
KERNEL = ("skep.kernel", "skep.session.loaded", "skep.session.streaming", "skep.session.run")


def functions(name: str) -> Iterator[tuple[str, Any]]:
    """A public name and, if it is a class of ours, its public members: those that are functions."""
    found = getattr(skep, name)
    if not inspect.isclass(found):
        yield name, found
        return
    for member in dict.fromkeys(member for parent in found.__mro__ for member in vars(parent)):
        static = inspect.getattr_static(found, member)
        function = static.fget if isinstance(static, property) else getattr(static, "__func__", static)
        ours = inspect.isfunction(function) and (function.__module__ or "").startswith("skep.")
        if ours and not member.startswith("_"):
            yield f"{name}.{member}", function


def told(text: str | None) -> set[str]:
    """The names that a docstring's list of arguments has."""
    section = re.search(r"^Args:\n((?:    .*\n?|\n)+)", inspect.cleandoc(text or "") + "\n", re.MULTILINE)
    return set(re.findall(r"^    (\w+):", section[1], re.MULTILINE)) if section else set()


def parameters(function: Any) -> set[str]:
    return {
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in {"self", "cls"} and not parameter.name.startswith("_")
    }


@pytest.mark.parametrize("name", skep.__all__)
def test_every_public_function_says_what_it_is_and_takes(name):
    for full, function in functions(name):
        assert inspect.getdoc(function), f"{full} has no docstring"
        assert parameters(function) - told(function.__doc__) == set(), f"{full} does not say what it takes"


@pytest.mark.parametrize("name", [name for name in skep.__all__ if inspect.isclass(getattr(skep, name))])
def test_every_public_class_says_what_it_is_made_of(name):
    found = getattr(skep, name)
    made = vars(found).get("__init__")

    assert inspect.getdoc(found)
    if made is not None and not issubclass(found, Exception):
        # What is read of a file descriptor says what it holds.
        assert told(found.__doc__) or not parameters(made), f"{name} does not say what it is made of"


@pytest.mark.parametrize("name", [name for name in skep.__all__ if skep._HOMES[name].startswith(KERNEL)])
def test_what_is_the_kernels_says_since_when_and_where_from(name):
    text = " ".join((getattr(skep, name).__doc__ or "").split())

    assert re.search(r"Minimum kernel: \d", text), f"{name} does not say which kernel it needs"
    assert re.search(r"Source: \S", text), f"{name} does not say where that stands"


def test_the_package_tells_type_checkers_that_it_has_types():
    assert skep.__file__ is not None
    assert inspect.getfile(skep).endswith("__init__.py")
    from pathlib import Path

    assert Path(skep.__file__).with_name("py.typed").exists()
