"""Lines of trace_pipe, as they come in pieces, and the format strings that tell whose they are.

The first line of an input is a format string; the rest is what is read, parted where a NUL stands.
"""

from __future__ import annotations

from random import Random

from skep.stream.names import Names
from skep.stream.printk import SCHEMA, Lines, _batch
from skep.view.table import Table
from tests.fuzz import mutation

_HEAD = b"             cat-1234    [001] d..2.  5678.000009: bpf_trace_printk: "
_SEEDS = [
    b"pid %d opened %s\n" + _HEAD + b"pid 12 opened /etc/passwd\n",
    b"\n" + _HEAD + b"first\n" + _HEAD.replace(b"cat-1234", b"a b-c-77  (   77)") + b"second\nof two lines\n",
    b"%s%s%%%-08llx %pI4 end\n" + _HEAD + b"a\0b%ff 1.2.3.4 end\n",
    b"\nCPU:2 [LOST 17 EVENTS]\nCPU:0 [LOST EVENTS]\n" + _HEAD + b"after\n",
    b"x %d\n"
    + _HEAD
    + b"x 1\n"
    + _HEAD.replace(b"5678", b"5679")
    + b"x 2\n"
    + b" <...>-4194305 "
    + _HEAD[16:]
    + b"x\n",
]


def seeds() -> list[bytes]:
    return _SEEDS


def mutated(random: Random, seed: bytes) -> bytes:
    return mutation.text(random, seed)


def read(data: bytes) -> None:
    text, _, rest = data.partition(b"\n")
    lines = Lines([text] if text else [])
    for part in rest.split(b"\0"):
        records = lines.feed(part)
        batch = _batch(records, lines.lost)
        rows = list(batch.rows())
        assert len(rows) == batch.count
        Table(Names()).render(SCHEMA, rows)
