"""Globals of a loaded object: user space and programs see each other's writes, in memory that both have."""

from __future__ import annotations

import resource

import pytest

import skep


@pytest.fixture
def loaded(program):
    with program("variables").load() as loaded:
        yield loaded


# Before Linux 6.2 programs of section syscall, which may sleep, take no spin lock.
@pytest.mark.floors("6.12")
def test_what_programs_and_user_space_write_shows_at_once(loaded):
    variables = loaded.variables
    assert (variables["runs"].value, variables["step"].value, variables["wide"].value) == (0, 5, 1)

    with loaded.attach():
        assert (variables["runs"].value, variables["wide"].value) == (5, 2)
    assert variables["runs"].to_array() == 5
    assert variables["pair"].to_array()["first"] == 3
    variables["step"].value = -7
    variables["enabled"].value = True
    variables["word"].value = "héé"
    assert variables["pair"].value.first == 3
    variables["pair"].value = {"first": 1, "second": 2}
    with loaded.attach():
        assert (variables["runs"].value, variables["wide"].value) == ((5 - 7) % (1 << 64), 4)

    assert variables["state"].value == 0
    assert variables["told"].value == "héé"
    assert variables["limit"].value == 7
    assert variables["pair"].value == (1 + 2, 2)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("step", 1 << 15, "-32768 to 32767"),
        ("word", "12345678", "at most 7 bytes"),
        ("state", "GONE", "one of IDLE, BUSY"),
        ("pair", {"first": -1, "second": 2}, "first of pair takes a __u32, 0 to 4294967295"),
        ("limit", 8, "a constant since it was loaded"),
    ],
)
def test_what_a_variable_does_not_take_is_refused_and_changes_nothing(loaded, name, value, message):
    before = loaded.variables[name].value

    with pytest.raises(skep.UsageError, match=message):
        loaded.variables[name].value = value

    assert loaded.variables[name].value == before


def test_an_enum_is_set_by_name(loaded):
    loaded.variables["state"].value = "IDLE"

    assert loaded.variables["state"].value == 0


def test_a_section_with_a_lock_is_read_and_not_written(loaded):
    assert loaded.variables["guarded"].value == 9
    with loaded.attach():
        assert loaded.variables["guarded"].value == 10

    with pytest.raises(skep.UnsupportedError, match=r"\.data\.locked cannot be written"):
        loaded.variables["guarded"].value = 1


def test_a_variable_outlives_its_object_only_to_say_that_it_is_closed(program):
    with program("variables").load() as loaded:
        variable = loaded.variables["runs"]
        assert repr(variable) == "<Variable 'runs' __u64 = 0>"

    with pytest.raises(skep.ClosedError, match="is closed"):
        _ = variable.value
    assert repr(variable) == "<Variable 'runs' __u64 closed>"


def test_what_cannot_be_mapped_for_want_of_descriptors_says_so(loaded):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(skep.LoadError, match="cannot be mapped: Too many open files") as raised:
            _ = loaded.variables
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert raised.value.remedy == "ulimit -n 1024"
    assert loaded.variables["runs"].value == 0
