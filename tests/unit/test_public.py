"""What public names say of themselves: parameters, errors, and of what is the kernel's, since when and where from."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

import skep
from skep.kernel.map import _KINDS

# Rooms whose names stand for something of the kernel's.
KERNEL = ("skep.kernel", "skep.session.loaded", "skep.session.streaming", "skep.session.run")
# What `loaded.maps[NAME]` is: which of these, its kind tells.
MAPS = {name: getattr(import_module(f"skep.kernel.maps.{file}"), name) for file, name in _KINDS.values()}


def functions(name: str) -> Iterator[tuple[str, Any]]:
    """A public name and, if it is a class of ours, its public members: those that are functions."""
    found = MAPS.get(name) or getattr(skep, name)
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
    return set(re.findall(r"^    (\w+):", section(text, "Args"), re.MULTILINE))


def section(text: str | None, title: str) -> str:
    """What stands under a title of a docstring."""
    found = re.search(rf"^{title}:\n((?:    .*\n?|\n)+)", inspect.cleandoc(text or "") + "\n", re.MULTILINE)
    return found[1] if found else ""


def raised(function: Any) -> set[str]:
    """The errors that a function raises by itself."""
    nodes = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function))))
    calls = [node.exc for node in nodes if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    return {"PrivilegeError" if name == "privilege_error" else name for name in names}


def parameters(function: Any) -> set[str]:
    return {
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in {"self", "cls"} and not parameter.name.startswith("_")
    }


@pytest.mark.parametrize("name", [*skep.__all__, *MAPS])
def test_every_public_function_says_what_it_is_takes_and_raises(name):
    for full, function in functions(name):
        assert inspect.getdoc(function), f"{full} has no docstring"
        assert parameters(function) - told(function.__doc__) == set(), f"{full} does not say what it takes"
        errors = set(re.findall(r"\b\w+Error\b", section(function.__doc__, "Raises")))
        assert raised(function) <= errors, f"{full} does not say what it raises"


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

    assert re.search(r"Minimum kernel: (\d|none)", text), f"{name} does not say which kernel it needs"
    assert re.search(r"Source: \S", text), f"{name} does not say where that stands"


@pytest.mark.parametrize("name", MAPS)
def test_the_kinds_of_maps_say_since_when_and_where_from(name):
    file = " ".join((import_module(MAPS[name].__module__).__doc__ or "").split())

    assert inspect.getdoc(MAPS[name])
    assert re.search(r"Minimum kernel: \d", file)
    assert re.search(r"Source: \S", file)


def test_the_package_tells_type_checkers_that_it_has_types():
    assert skep.__file__ is not None
    assert inspect.getfile(skep).endswith("__init__.py")
    from pathlib import Path

    assert Path(skep.__file__).with_name("py.typed").exists()
