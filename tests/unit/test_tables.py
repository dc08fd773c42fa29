"""Which maps a run shows, and how their entries are laid out as records."""

from types import SimpleNamespace
from typing import Any

import pytest

from skep.base.schema import Field, Type
from skep.spec.annotations import read_note
from skep.spec.objectspec import MapSpec
from skep.stream.tables import stated_interval, table_schemas

HASH, ARRAY, PERCPU_HASH, RINGBUF, STACK_TRACE = 1, 2, 5, 27, 7
U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
COMM = Type("text", 16, "char[16]")


def struct(name, *members):
    fields, offset = [], 0
    for member, held in members:
        fields.append(Field(member, offset, held.size, held))
        offset += held.size
    return Type("struct", offset, f"struct {name}", fields=tuple(fields))


def found(*maps, events=(), prints=False):
    spec: Any = SimpleNamespace(maps={each.name: each for each in maps}, events=dict.fromkeys(events), prints=prints)
    return table_schemas(spec)


def table(name, value=U64, kind=HASH, key=U32, note=""):
    return MapSpec(name, kind, 10, value, read_note(note), key)


def test_the_members_of_structs_are_fields_of_their_own():
    schemas = found(table("reads", struct("stats", ("pid", U32), ("bytes", U64)), key=struct("who", ("pid", U32))))

    fields = schemas["reads"].fields
    assert [(field.name, field.offset, field.meaning) for field in fields] == [
        ("pid", 0, "pid"),
        ("value_pid", 4, "pid"),
        ("bytes", 8, "bytes"),
    ]
    assert schemas["reads"].size == 16


def test_other_keys_and_values_are_called_so():
    (schema,) = found(table("counts")).values()

    assert [(field.name, field.offset, field.size) for field in schema.fields] == [("key", 0, 4), ("value", 4, 8)]


@pytest.mark.parametrize(
    "each",
    [
        pytest.param(table("ring", kind=RINGBUF), id="a ring"),
        pytest.param(table("stacks", kind=STACK_TRACE), id="stacks"),
        pytest.param(table(".bss", kind=ARRAY), id="variables"),
        pytest.param(table("names", COMM, kind=PERCPU_HASH), id="texts of all CPUs"),
        pytest.param(table("open", None), id="no type"),
    ],
)
def test_what_is_no_table_is_not_shown(each):
    assert found(each) == {}


def test_beside_events_only_what_an_annotation_samples_is_shown():
    plain, sampled = table("starts"), table("counts", note='@sample {"type": "default_kv"}')

    assert list(found(plain)) == ["starts"]
    assert list(found(plain, sampled)) == ["counts"]
    assert list(found(plain, sampled, events=["ring"])) == ["counts"]
    assert found(plain, events=["ring"]) == {}
    assert found(plain, prints=True) == {}


@pytest.mark.parametrize(
    ("notes", "seconds"),
    [
        ([], None),
        (["@sample {}"], None),
        (['@sample {"interval": 0}'], None),
        (['@sample {"interval": 250}'], 0.25),
        (["", '@sample {"interval": 5000}', '@sample {"interval": 1000}'], 1),
    ],
)
def test_an_annotation_says_how_often_maps_are_read(notes, seconds):
    maps = {f"map{number}": table(f"map{number}", note=note) for number, note in enumerate(notes)}
    spec: Any = SimpleNamespace(maps={**maps, "other": table("other", note='@sample {"interval": 1}')})

    assert stated_interval(spec, maps) == seconds
