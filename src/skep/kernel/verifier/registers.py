"""What the verifier knows of a register, as it writes it: a type, and what is known of the value.

Source: kernel/bpf/log.c (print_reg_state). Kernels before 5.18 call scalars `inv`.
"""

from __future__ import annotations

import re

__all__ = ["Value", "read_state"]

_REGISTER = re.compile(r"\b(R\d+|fp-\d+)(?:_[rwDW]+)?=(\S*?\((?:[^()]|\([^()]*\))*\)|\S+)")


class Value:
    """What is known of one register.

    Args:
        text: as the verifier writes it.
        type: such as ``map_value_or_null``; ``scalar`` for numbers.
        facts: what stands in the parentheses.
    """

    __slots__ = ("facts", "text", "type")

    def __init__(self, text: str, type: str, facts: dict[str, str]) -> None:  # noqa: A002
        self.text = text
        self.type = type
        self.facts = facts

    def number(self, *names: str) -> int | None:
        """The first of these facts that is stated."""
        for name in names:
            if name in self.facts:
                try:
                    return int(self.facts[name], 0)
                except ValueError:
                    return None
        return None


def read_state(text: str) -> dict[str, Value]:
    """The registers and stack slots that a state names: ``R0`` to ``R10``, ``fp-8`` and so on.

    Args:
        text: one state.
    """
    return {match[1]: _value(match[2]) for match in _REGISTER.finditer(text)}


def _value(text: str) -> Value:
    facts: dict[str, str] = {}
    head, _, inside = text.partition("(")
    head = head.removeprefix("P")
    # `smin=umin=1` gives both the value 1.
    for part in re.findall(r"(?:[^,()]|\([^()]*\))+", inside.removesuffix(")")):
        *names, value = part.split("=")
        for name in names:
            facts[name] = value
    if re.fullmatch(r"-?(0x[0-9a-f]+|\d+)", head):
        return Value(text, "scalar", {"value": head})
    if head.startswith("inv"):
        # `invP7` is one that has to be known precisely.
        known = head[3:].removeprefix("P")
        return Value(text, "scalar", {"value": known, **facts} if known else facts)
    match = re.fullmatch(r"fp(?:\[\d\])?(-?\d+)?", head)
    if match is not None:
        return Value(text, "fp", {"off": match[1] or "0", **facts})
    return Value(text, head, facts)
