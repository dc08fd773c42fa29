"""The table of learned sequences: every fingerprint stands in one of its two lines, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest

from skep.guard.fingerprints import LINE, fingerprints, place


@pytest.mark.parametrize("number", [0, 1, 7, 4096, 80_000])
def test_every_fingerprint_has_its_place(number):
    keys = np.arange(number, dtype=np.uint64) * np.uint64(0x1003)
    every = fingerprints(keys, 0x1234567890)
    table = place(every)

    assert len(table) & (len(table) - 1) == 0
    held = np.zeros(len(every), bool)
    for shift in (0, 32):
        lines = (every >> np.uint64(shift) & np.uint64(len(table) - 1)).astype(np.int64)
        held |= (table[lines] == every[:, None]).any(1)
    assert held.all()
    assert np.count_nonzero(table) == len(np.unique(every))
    assert np.count_nonzero(table) <= len(table) * LINE / 2


def test_profiles_have_fingerprints_of_their_own():
    keys = np.arange(1000, dtype=np.uint64)

    mine, theirs = (set(fingerprints(keys, salt).tolist()) for salt in (0x1234 << 32, 0x4321 << 32))
    assert not mine & theirs
    assert len(mine) == 1000


def test_a_table_grows_until_all_have_a_place():
    # All begin in one line: no table of the size that their number asks for has places enough.
    crowded = np.arange(1, 33, dtype=np.uint64) << np.uint64(40)

    table = place(crowded)

    assert len(table) > 8
    assert set(table[table != 0].tolist()) == set(crowded.tolist())
