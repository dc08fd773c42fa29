"""What tables do beside reading and writing, and how what they cannot do is told."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import skep
from skep._native import lib
from skep.base.errors import ClosedError, EntryMissingError, MapError, UsageError
from skep.kernel.map import open_map

KINDS = str(Path(__file__).parent.parent / "programs" / "kinds.bpf.o")


Event = namedtuple("Event", ["ts", "port", "source", "protocol", "comm"])  # noqa: PYI024


@pytest.fixture
def loaded() -> Iterator[Any]:
    with skep.open(KINDS).load() as loaded:
        yield loaded


@pytest.fixture
def counts(loaded) -> Any:
    """A hash of u32 -> u64 with room for four entries."""
    with loaded.maps["array_of_maps"].create() as inner:
        yield inner


@pytest.fixture
def stranger(counts) -> Iterator[Any]:
    """The same map, as another process would have it."""
    with open_map(counts.spec, lib.bpf_map_get_fd_by_id(counts.info.id), counts.max_entries, owned=True) as other:
        yield other


def test_a_table_is_a_mapping(counts):
    mapping: object = counts
    assert isinstance(mapping, Mapping)
    counts.update({1: 10, 2: 20})
    counts.update([(3, 30)])

    assert (counts[1], counts.get(2), counts.get(9), counts.get(9, 0)) == (10, 20, None, 0)
    assert (2 in counts, 9 in counts, len(counts)) == (True, False, 3)
    assert sorted(counts) == sorted(counts.keys()) == [1, 2, 3]
    assert sorted(counts.values()) == [10, 20, 30]
    assert dict(counts.items()) == dict(counts) == {1: 10, 2: 20, 3: 30}
    assert ((1, 10) in counts.items(), (1, 11) in counts.items()) == (True, False)
    assert counts.setdefault(1, 5) == 10
    assert counts.setdefault(4, 5) == 5
    assert (counts.pop(4), counts.pop(4, None)) == (5, None)
    del counts[1]
    counts.clear()
    assert not counts


def test_update_takes_flags(counts):
    counts.update({1: 10}, flags=counts.NOEXIST)
    counts.update({1: 11}, flags=counts.EXIST)

    assert dict(counts) == {1: 11}
    with pytest.raises(MapError, match="has an entry 1 already"):
        counts.update({1: 12}, flags=counts.NOEXIST)
    with pytest.raises(EntryMissingError, match="has no entry 2"):
        counts.update({2: 12}, flags=counts.EXIST)


def test_rows_of_events_are_keys(loaded):
    event = Event(1, 80, 5, 6, "x")
    flows = loaded.maps["hash"]

    flows[event] = (1, 2, "a")

    assert flows[5, 80, 6] == (1, 2, "a")
    row = flows[event]
    flows[event] = row._replace(packets=row.packets + 1)
    assert flows[event].packets == 2


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        pytest.param((1, 2), (1, 2, "a"), "the key of hash is a struct flow, which takes 3 members, not 2", id="short"),
        pytest.param((1, "x", 3), (1, 2, "a"), "port of the key of hash takes a u16, 0 to 65535", id="which field"),
        pytest.param((1, 2, 256), (1, 2, "a"), "protocol of the key of hash takes a u8, 0 to 255", id="out of range"),
        pytest.param(
            {"source": 1, "port": 2}, (), "the key of hash is a struct flow, and its member protocol", id="none"
        ),
        pytest.param(
            (1, 2, 3),
            (1, 2, "much too long"),
            "comm of the value of hash takes at most 8 bytes of text, not 13",
            id="text",
        ),
        pytest.param(7, (1, 2, "a"), "the key of hash takes source, port, protocol (a tuple, a dict", id="a number"),
    ],
)
def test_what_does_not_fit_is_told_by_its_field(loaded, key, value, told):
    with pytest.raises(UsageError) as raised:
        loaded.maps["hash"][key] = value

    assert told in str(raised.value)


def test_a_full_map_says_so(counts):
    counts.update(dict.fromkeys(range(4), 0))

    with pytest.raises(MapError, match=r"is full: it has room for 4 \(E2BIG\)") as raised:
        counts[4] = 0
    assert raised.value.remedy is not None
    assert "max_entries=N" in raised.value.remedy


def test_a_frozen_map_is_only_read(loaded):
    array = loaded.maps["array"]
    array[1] = 7
    assert not array.info.frozen

    array.freeze()

    assert (array[1], array.info.frozen) == (7, True)
    with pytest.raises(MapError, match="map array is frozen: user space may only read it"):
        array[1] = 8


def test_a_closed_map_is_refused():
    with skep.open(KINDS).load() as loaded:
        counts = loaded.maps["hash"]
        walk = iter(counts)

    for use in (
        lambda: counts[1, 2, 3],
        lambda: counts.get((1, 2, 3)),
        lambda: len(counts),
        lambda: next(walk),
        lambda: counts.pop((1, 2, 3), None),
        lambda: counts.info,
        counts.clear,
        counts.freeze,
    ):
        with pytest.raises(ClosedError, match="map hash is closed"):
            use()
    assert repr(counts) == "<Map 'hash' hash struct flow -> struct seen, closed>"
    counts.close()


def test_what_was_opened_alone_is_closed_with_its_last_user(loaded):
    before = len(os.listdir("/proc/self/fd"))
    inner = loaded.maps["array_of_maps"].create()
    assert len(os.listdir("/proc/self/fd")) == before + 1

    del inner
    gc.collect()

    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "delete",
    [
        lambda counts, key: counts.pop(key),
        lambda counts, key: counts.__delitem__(key),
        lambda counts, key: counts.delete_array([key]),
        lambda counts, _: counts.to_array(take=True),
    ],
)
def test_deleting_while_walking_is_an_error(counts, delete):
    counts.update({1: 10, 2: 20, 3: 30})

    def walk():
        for key in counts:
            delete(counts, key)

    with pytest.raises(UsageError, match=r"were deleted while it was walked") as raised:
        walk()

    assert raised.value.remedy == "Walk over a copy of its keys: list(array_of_maps[])."
    for key in list(counts):
        delete(counts, key)
    assert len(counts) == 0


def test_writing_while_walking_is_fine(counts):
    counts.update(dict.fromkeys(range(4), 0))

    for key in counts:
        counts[key] += 1

    assert dict(counts) == dict.fromkeys(range(4), 1)


def test_a_walk_gives_each_key_once_though_others_delete(counts, stranger):
    counts.update(dict.fromkeys(range(4), 0))
    seen = []

    for key in counts:
        seen.append(key)
        # The walk stands on the next key: the kernel begins anew.
        for other in list(stranger):
            if other != 0:
                del stranger[other]
        stranger.update(dict.fromkeys(range(1, 4), 0))

    assert len(seen) == len(set(seen))
    assert 0 in seen


def test_a_walk_of_what_changes_faster_ends(counts, stranger):
    counts.update(dict.fromkeys(range(4), 0))

    def walk():
        for number, _ in enumerate(counts, 1):
            stranger.clear()
            stranger.update(dict.fromkeys(range(4 * number, 4 * number + 4), 0))

    with pytest.raises(MapError, match="changes faster than it can be walked"):
        walk()


def test_items_leave_out_what_was_deleted_meanwhile(counts, stranger):
    counts.update({1: 10, 2: 20})
    entries = counts.items()
    walk = iter(entries)
    first, _ = next(walk)

    stranger.clear()

    assert first in {1, 2}
    assert list(walk) == []


def test_what_is_told_of_a_map(loaded):
    flows = loaded.maps["hash"]
    shown = json.loads(
        subprocess.run(
            ["/usr/sbin/bpftool", "-j", "map", "show", "id", str(flows.info.id)], check=True, capture_output=True
        ).stdout
    )

    info = flows.info
    assert (info.id, info.name, info.max_entries) == (shown["id"], shown["name"], shown["max_entries"])
    assert (info.key_size, info.value_size) == (shown["bytes_key"], shown["bytes_value"])
    assert (info.btf, info.flags) == (shown["btf_id"], shown["flags"])
    assert repr(info) == f"<MapInfo {info.id}: hash 'hash'>"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lru_hash", "<Map 'lru_hash' lru_hash u32 -> u64, 0/1024>"),
        ("array", "<Map 'array' array u32 -> u64, 4>"),
        ("queue", "<Map 'queue' queue of u64, room for 8>"),
        ("lpm_trie", "<Map 'lpm_trie' lpm_trie struct prefix -> u64, 0/8>"),
        ("stack_trace", "<Map 'stack_trace' stack_trace u32 -> stack, 0/64>"),
        ("cgroup_array", "<Map 'cgroup_array' cgroup_array u32 -> u32, room for 2>"),
    ],
)
def test_maps_say_what_they_are(loaded, name, text):
    assert repr(loaded.maps[name]) == text


def test_a_repr_does_not_count_for_ever(loaded):
    counts = loaded.maps["lru_hash"]
    counts.update(dict.fromkeys(range(1020), 0))

    assert len(counts) > 1000
    assert repr(counts) == "<Map 'lru_hash' lru_hash u32 -> u64, over 1000/1024>"


def test_what_is_not_permitted_names_the_capability():
    code = (
        "import skep\n"
        "from skep.kernel.privileges import drop\n"
        f"with skep.open({KINDS!r}).load() as loaded:\n"
        "    maps = loaded.maps['array_of_maps']\n"
        "    maps[1] = maps.create()\n"
        "    drop([])\n"
        "    try:\n"
        "        maps[1]\n"
        "    except skep.PrivilegeError as error:\n"
        "        print(error)\n"
        "    try:\n"
        "        maps.create()\n"
        "    except skep.PrivilegeError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)

    assert "opening a map of array_of_maps is not permitted: this process lacks" in done.stdout
    assert "CAP_SYS_ADMIN" in done.stdout
    assert "creating a map for array_of_maps is not permitted: this process lacks CAP_BPF" in done.stdout
