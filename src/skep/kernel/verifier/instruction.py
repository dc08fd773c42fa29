"""Instructions, as the verifier writes them: what each reads, and what it writes.

Source: kernel/bpf/disasm.c (print_bpf_insn).
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["FRAME_POINTER", "Instruction", "decode"]

FRAME_POINTER = 10

_MEMORY = r"\*\([us](\d+) \*\)\(r(\d+) ([+-]\d+)\)"
_LOAD = re.compile(rf"[rw](\d+) = {_MEMORY}$")
_STORE = re.compile(rf"{_MEMORY} = (?:[rw](\d+)|-?\w+)$")
_ATOMIC = re.compile(r"(?:lock|[rw](\d+) = atomic).*\([us](\d+) \*\)\(r(\d+) ([+-]\d+)\)")
_MOVE = re.compile(r"[rw](\d+) = (?:\(s\d+\))?[rw](\d+)$")
_SET = re.compile(r"[rw](\d+) = ")
_CHANGE = re.compile(r"[rw](\d+) (s?(?:[-+*/|&^%]|<<|>>))= (?:(?:\(s\d+\))?[rw](\d+)|(-?\w+))")
_TEST = re.compile(r"if ([rw])(\d+) (\S+) (?:[rw](\d+)|(-?\w+)) goto pc([+-]\d+)")
_CALL = re.compile(r"call (?:pc([+-]\d+)|([\w.]+)#(-?\d+))")


class Instruction:
    """What an instruction does.

    Args:
        kind: load, store, atomic, move, set, change, test, call, subprogram, exit, or "" for others.
        target: number of the register that it writes.
        source: number of the register that it copies, adds or compares with.
        base: number of the register that holds the address, of loads and stores.
        offset: added to that.
        size: in bytes, of what is loaded or stored.
        operator: of changes and tests.
        constant: that it sets, adds or compares with.
        name: of the helper or kfunc that is called.
        narrow: does it compare only the lower 32 bits?
    """

    __slots__ = ("base", "constant", "kind", "name", "narrow", "offset", "operator", "size", "source", "target")

    def __init__(
        self,
        kind: str,
        *,
        target: int | None = None,
        source: int | None = None,
        base: int | None = None,
        offset: int = 0,
        size: int = 0,
        operator: str = "",
        constant: int | None = None,
        name: str = "",
        narrow: bool = False,
    ) -> None:
        self.kind = kind
        self.target = target
        self.source = source
        self.base = base
        self.offset = offset
        self.size = size
        self.operator = operator
        self.constant = constant
        self.name = name
        self.narrow = narrow


@lru_cache(maxsize=4096)
def decode(text: str) -> Instruction:
    """Reads one.

    Args:
        text: such as ``r1 = *(u64 *)(r0 +0)``.
    """
    if match := _LOAD.match(text):
        return Instruction(
            "load", target=int(match[1]), size=int(match[2]) // 8, base=int(match[3]), offset=int(match[4])
        )
    if match := _STORE.match(text):
        return Instruction(
            "store", size=int(match[1]) // 8, base=int(match[2]), offset=int(match[3]), source=_number(match[4])
        )
    if match := _TEST.match(text):
        return Instruction(
            "test",
            narrow=match[1] == "w",
            target=int(match[2]),
            operator=match[3],
            source=_number(match[4]),
            constant=_constant(match[5]),
            offset=int(match[6]),
        )
    if match := _CALL.match(text):
        if match[1] is not None:
            return Instruction("subprogram", target=0, offset=int(match[1]))
        return Instruction("call", target=0, name=match[2], constant=int(match[3]))
    if match := _ATOMIC.match(text):
        target = 0 if "cmpxchg" in text else _number(match[1])
        return Instruction("atomic", target=target, size=int(match[2]) // 8, base=int(match[3]), offset=int(match[4]))
    if match := _MOVE.match(text):
        return Instruction("move", target=int(match[1]), source=int(match[2]))
    if match := _CHANGE.match(text):
        return Instruction(
            "change",
            target=int(match[1]),
            operator=match[2],
            source=_number(match[3]),
            constant=_constant(match[4]),
        )
    if match := _SET.match(text):
        return Instruction("set", target=int(match[1]), constant=_constant(text.partition(" = ")[2]))
    return Instruction("exit" if text == "exit" else "")


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _constant(text: str | None) -> int | None:
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        return None
