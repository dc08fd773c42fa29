"""Histograms, to the character: what BCC prints for the same counts.

The expected texts are what Debian 12's bcc 0.26.0 printed for them (2026-11-21, functions of bcc.table).
"""

from __future__ import annotations

import pytest

from skep.bcc.histogram import LINEAR_SLOTS, LOG2_SLOTS, json_histogram, linear_histogram, log2_histogram

LOG2 = """
     usecs               : count     distribution
         0 -> 1          : 3        |*                                       |
         2 -> 3          : 9        |***                                     |
         4 -> 7          : 0        |                                        |
         8 -> 15         : 0        |                                        |
        16 -> 31         : 100      |****************************************|
        32 -> 63         : 0        |                                        |
        64 -> 127        : 0        |                                        |
       128 -> 255        : 0        |                                        |
       256 -> 511        : 1        |                                        |
"""
STRIPPED = """
     usecs               : count     distribution
         8 -> 15         : 1        |********************                    |
        16 -> 31         : 2        |****************************************|
"""
WIDE = """
               usecs                         : count     distribution
          8589934592 -> 17179869183          : 5        |********************|
"""
LINEAR = """
     usecs         : count     distribution
        0          : 0        |                                        |
        1          : 0        |                                        |
        2          : 2        |***********                             |
        3          : 0        |                                        |
        4          : 7        |****************************************|
"""


def counts(slots: int, known: dict[int, int]) -> list[int]:
    return [known.get(slot, 0) for slot in range(slots)]


@pytest.mark.parametrize(
    ("known", "strip", "expected"),
    [
        ({1: 3, 2: 9, 5: 100, 9: 1}, False, LOG2),
        ({4: 1, 5: 2}, True, STRIPPED),
        ({34: 5}, True, WIDE),
        ({}, False, "\n"),
        ({0: 7}, False, "\n"),
    ],
)
def test_powers_of_two(known, strip, expected):
    lines = log2_histogram(counts(LOG2_SLOTS, known), "usecs", strip=strip)

    assert "\n" + "".join(f"{line}\n" for line in lines) == expected


@pytest.mark.parametrize(("known", "expected"), [({2: 2, 4: 7}, LINEAR), ({}, "\n")])
def test_numbers(known, expected):
    lines = linear_histogram(counts(LINEAR_SLOTS, known), "usecs")

    assert "\n" + "".join(f"{line}\n" for line in lines) == expected


def test_numbers_without_what_is_empty_before():
    lines = linear_histogram(counts(LINEAR_SLOTS, {2: 2, 4: 7}), "usecs", strip=True)

    assert [line.split()[0] for line in lines[1:]] == ["2", "3", "4"]


def test_for_json_the_bounds_are_numbers():
    found = json_histogram(counts(LOG2_SLOTS, {1: 4, 3: 8}), "usecs", ("disk", "sda"), "2026-11-21 21:56:17")

    assert found == {
        "ts": "2026-11-21 21:56:17",
        "val_type": "usecs",
        "data": [
            {"interval-start": 0, "interval-end": 1, "count": 4},
            {"interval-start": 2, "interval-end": 3, "count": 0},
            {"interval-start": 4, "interval-end": 7, "count": 8},
        ],
        "disk": "sda",
    }
