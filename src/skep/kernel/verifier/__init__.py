"""The verifier's log -> a `Diagnostic`. Pure: text in, explanation out.

- log: the text, read: the path that failed, step by step
- instruction: what one instruction reads and writes
- registers: what the verifier knows of a register
- flow: where a value came from, by walking the path back
- names: the user's own words, from source lines
- categories: the kinds of reasons, and the words that each is known by
- failure: one refusal, with all that can be asked about it
- pointers, bounds, limits, packets, lifetimes, maps, calls, advice, environment: each kind, and what to write instead
- report: what Linux 7.3 says itself
"""

from __future__ import annotations

from skep.kernel.verifier.categories import CATEGORIES
from skep.kernel.verifier.explain import explain

__all__ = ["CATEGORIES", "explain"]
