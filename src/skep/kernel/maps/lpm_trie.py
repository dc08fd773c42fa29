"""Maps that find the longest prefix that an address begins with: lpm_trie.

Where what follows the length is an address (4 or 16 bytes), keys are text: ``10.0.0.0/8``, ``2001:db8::/32``. A key
without a length is one whole address. Any other key is its struct.

Minimum kernel: 4.11; 4.16 to walk it. Source: kernel/bpf/lpm_trie.c.
"""

from __future__ import annotations

import sys
from functools import cached_property

from skep.kernel.maps.table import Table
from skep.spec.fills import prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["LpmTrie"]


class LpmTrie(Table):
    """A map from prefixes to values: `map["10.1.2.3"]` is the value of the longest prefix that it begins with."""

    @cached_property
    def _encode_key(self) -> Callable[[Any], bytes]:
        encode, spec = super()._encode_key, self.spec
        return lambda key: prefix(spec, key) if isinstance(key, str) else encode(key)

    @cached_property
    def _decode_key(self) -> Callable[[Any], Any]:
        return _text if self.key_type.size - 4 in {4, 16} else super()._decode_key


def _text(data: bytes) -> str:
    """A prefix as people write it."""
    from socket import AF_INET, AF_INET6, inet_ntop  # costs 6 ms

    address = bytes(data[4:])
    family = AF_INET if len(address) == 4 else AF_INET6
    return f"{inet_ntop(family, address)}/{int.from_bytes(data[:4], sys.byteorder)}"
