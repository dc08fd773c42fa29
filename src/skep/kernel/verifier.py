"""The verifier's log -> a `Diagnostic`: what it says in the end, and the source line that it was about. Pure."""

from __future__ import annotations

import re

from skep.base.errors import Diagnostic

__all__ = ["explain"]

# Lines at the end of a log that count work and explain nothing.
_STATISTICS = re.compile(r"processed \d+ insns|verification time|stack depth|peak_states|mark_read|^-- |^libbpf: ")
# What programs without a licence of the GPL's family are told.
_GPL = re.compile(r"GPL.only|GPL.restricted|non-GPL")
_LICENSE = 'Declare a licence: char LICENSE[] SEC("license") = "Dual BSD/GPL";'
# `; source text @ file.c:31`, since 6.9; before that without the place.
_SOURCE = re.compile(r"^; (.*?)(?: @ ([^@]+):(\d+))?$")
_INSTRUCTION = re.compile(r"^\d+: \(")


def explain(log: str) -> Diagnostic:
    """Finds the reason and the place in a verifier log.

    Args:
        log: what the kernel wrote, as captured by libbpf; of any kernel, and possibly cut short.
    """
    lines = [line for line in log.splitlines() if line and not _STATISTICS.search(line)]
    reason = next(
        (line for line in reversed(lines) if not _INSTRUCTION.match(line) and line[0] != ";"), "no reason given"
    )
    source = file = number = None
    for line in reversed(lines):
        match = _SOURCE.match(line)
        if match is not None:
            source, file, number = match.groups()
            break
    message = f"the verifier rejects this line: {reason}" if source else f"the verifier says: {reason}"
    return Diagnostic(
        "verifier",
        "error",
        f"{message}\n    {source}" if source else message,
        file=file,
        line=int(number) if number else None,
        suggestion=_LICENSE if _GPL.search(reason) else None,
    )
