"""Maps read and written whole: what comes in batches is what comes one by one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from skep.base.errors import MapError, UsageError
from skep.base.schema import dtype_of
from tests.conftest import PROGRAMS


@pytest.fixture
def maps(program):
    with program("tables").load() as loaded:
        yield loaded.maps


def _values(map_, calls):
    values = np.zeros(len(calls), dtype_of(map_.value_type))
    values["calls"], values["least"] = calls, -np.asarray(calls, np.int64)
    return values


@pytest.mark.floors("6.1")
@pytest.mark.parametrize(("name", "count"), [("hash", 20000), ("lru_hash", 1000), ("array", 5000)])
def test_arrays_hold_what_a_walk_finds(maps, name, count):
    table = maps[name]
    keys = np.arange(count, dtype="u8" if "hash" in name else "u4")
    table.write_array(keys, _values(table, keys.astype("i8")))

    read, values = table.to_array()

    assert sorted(read.tolist()) == keys.tolist()
    assert (values["calls"] == read).all()
    assert (values["least"] == -read.astype("i8")).all()
    key = int(read[count // 2])
    assert (table[key].calls, table[key].least) == (key, -key)
    assert table.to_arrow().flatten()["value.calls"].to_pylist() == read.tolist()


def test_what_is_taken_is_gone(maps):
    table = maps["hash"]
    table.write_array(np.arange(5000, dtype="u8"), _values(table, np.arange(5000)))

    assert sorted(table.to_array(take=True)[0].tolist()) == list(range(5000))
    assert len(table) == 0
    assert [len(part) for part in table.to_array()] == [0, 0]
    assert table.to_arrow().num_rows == 0


def test_what_is_not_there_is_passed_over_by_a_deletion(maps):
    table = maps["hash"]
    table.write_array(np.arange(100, dtype="u8"), _values(table, np.arange(100)))

    assert table.delete_array(np.array([5, 1000, 7, 7, 99], "u8")) == 3
    assert len(table) == 97


@pytest.mark.floors("6.12", "6.1")
@pytest.mark.parametrize("name", ["percpu_hash", "percpu_array"])
def test_values_of_all_cpus_are_put_together(maps, name):
    table = maps[name]
    for key in range(3):
        table[key] = [{"calls": 10 * key + cpu, "least": -cpu, "pair": (cpu, 2)} for cpu in range(table.cpus)]
    cpus = range(table.cpus)

    keys, every = table.to_array()
    _, added = table.to_array(cpus="sum")
    _, largest = table.to_array(cpus="max")

    for index in np.flatnonzero(keys < 3):
        key = int(keys[index])
        assert every["calls"][index].tolist() == [10 * key + cpu for cpu in cpus]
        assert [added[name][index].tolist() for name in added.dtype.names] == [
            sum(10 * key + cpu for cpu in cpus),
            -sum(cpus),
            [sum(cpus), 2 * len(cpus)],
        ]
        assert [largest[name][index].tolist() for name in largest.dtype.names] == [
            10 * key + max(cpus),
            0,
            [max(cpus), 2],
        ]
    first = table.to_arrow().column("value")[0].as_py()
    assert [(value["calls"], value["pair"]) for value in first] == [
        (value["calls"], value["pair"].tolist()) for value in every[0]
    ]


@pytest.mark.floors("6.1")
def test_a_map_without_batches_is_walked(maps):
    trie = maps["lpm_trie"]
    trie["10.0.0.0/8"] = (1, -1, (0, 0))
    trie["10.1.0.0/16"] = (2, -2, (0, 0))

    keys, values = trie.to_array()

    assert sorted(zip(keys["length"].tolist(), values["calls"].tolist(), strict=True)) == [(8, 1), (16, 2)]
    assert trie.delete_array(keys[:1]) == 1
    assert len(trie) == 1


def test_texts_are_texts(maps):
    maps["names"][7] = "seven"

    assert maps["names"].to_array()[1].tolist() == [b"seven"]
    assert maps["names"].to_arrow().to_pylist() == [{"key": 7, "value": "seven"}]


def test_a_full_map_says_so(maps):
    table = maps["names"]
    with pytest.raises(MapError, match="names is full: it has room for 16"):
        table.write_array(np.arange(17, dtype="u4"), np.full(17, b"x", "S16"))


def test_bad_input_is_told(maps):
    table = maps["hash"]
    with pytest.raises(UsageError, match="2 keys and 1 values"):
        table.write_array(np.arange(2, dtype="u8"), _values(table, [1]))
    with pytest.raises(UsageError, match="the keys of hash are"):
        table.delete_array(np.array(["a"]))
    with pytest.raises(UsageError, match="cpus='mean': it is one of list, sum, max"):
        table.to_array(cpus="mean")
    with pytest.raises(MapError, match="cannot be deleted, only written"):
        maps["array"].delete_array(np.arange(2, dtype="u4"))
    with pytest.raises(MapError, match="cannot be deleted, only written"):
        maps["array"].to_array(take=True)


@pytest.mark.parametrize("values", [np.zeros(3, "u8"), np.zeros((3, 2), "u8"), np.zeros((3, 4, 4), "u8"), np.uint64(1)])
def test_no_memory_beside_an_array_is_read(maps, values):
    with pytest.raises(UsageError, match=r"the values of wide are u64\[4\]: N of them have the shape \(N, 4\), not \("):
        maps["wide"].write_array(np.arange(3), values)
    with pytest.raises(UsageError, match=r"the keys of wide are u32: N of them have the shape \(N\), not \(\)"):
        maps["wide"].delete_array(np.uint32(1))
    assert len(maps["wide"]) == 0


def test_values_that_are_arrays_are_rows(maps):
    values = np.arange(24, dtype="u8").reshape(3, 8)
    maps["wide"].write_array(np.arange(3), values[:, ::2])

    assert dict(maps["wide"]) == {0: (0, 2, 4, 6), 1: (8, 10, 12, 14), 2: (16, 18, 20, 22)}


def test_numbers_that_fit_are_taken(maps):
    for keys in (np.arange(3), [0, 1, 2], np.arange(3, dtype="i1"), np.arange(3, dtype=">u8")):
        maps["names"].write_array(keys, np.full(3, b"three"))

        assert dict(maps["names"]) == dict.fromkeys(range(3), "three")
        assert maps["names"].delete_array(keys) == 3


@pytest.mark.parametrize("key", [2**32 + 5, 2**32, -1, 2**63])
def test_numbers_that_do_not_fit_are_told(maps, key):
    maps["names"][5] = "five"
    with pytest.raises(UsageError, match=rf"the keys of names are \w+: {key} does not fit"):
        maps["names"].delete_array([key])
    assert dict(maps["names"]) == {5: "five"}


def test_what_no_cast_keeps_is_told(maps):
    with pytest.raises(UsageError, match=r"the keys of names are .*, not float64"):
        maps["names"].delete_array([5.5])
    with pytest.raises(UsageError, match=r"the values of names are char\[16\]: .*S16, not .*S17"):
        maps["names"].write_array([1], np.array([b"x" * 17]))
    with pytest.raises(UsageError, match=r"the keys of names are .*inhomogeneous"):
        maps["names"].delete_array([[1], [2, 3]])


# In a process of its own: one that has freed memory before finds room in that.
SHORT_OF_MEMORY = """
import resource, sys
import numpy as np
import skep
from skep.base.schema import dtype_of

with skep.open(sys.argv[1]).load(sizes={"hash": 300000}) as loaded:
    table, keys = loaded.maps["hash"], np.arange(300000, dtype="u8")
    table.write_array(keys, np.zeros(300000, dtype_of(table.value_type)))
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    # Keys and values have 7.2 MB.
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, before[1]))
    try:
        first = table.to_array(take=True)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    rest = table.to_array(take=True)[0]
assert sorted([*first.tolist(), *rest.tolist()]) == keys.tolist()
print(len(first))
"""


def test_what_was_taken_before_an_error_is_given():
    command = [sys.executable, "-c", SHORT_OF_MEMORY, str(PROGRAMS / "tables.bpf.o")]
    first = int(subprocess.check_output(command, text=True, timeout=120))

    assert 0 < first < 300000
