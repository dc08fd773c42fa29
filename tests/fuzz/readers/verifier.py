"""A log of the verifier, as it is explained."""

from __future__ import annotations

import re
from functools import cache
from random import Random

from skep.kernel.verifier import CATEGORIES, explain
from tests.fuzz import mutation, objects

# Of those that the explanations know.
_SECTION = "xdp"


@cache
def seeds() -> list[bytes]:
    logs = (path.read_bytes() for path in objects.ROOT.glob("tests/unit/logs/*.log"))
    return [log.partition(b"\n")[2] for text in logs for log in re.split(rb"^=== ", text, flags=re.MULTILINE)[1:]]


def mutated(random: Random, seed: bytes) -> bytes:
    return mutation.text(random, seed)


def read(data: bytes) -> None:
    found = explain(data.decode("utf-8", "replace"), section=_SECTION)
    assert found.id in CATEGORIES
    str(found).encode()
