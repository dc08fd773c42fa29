"""The memory of batches: what one lets go is the next one's, where it is large enough."""

from __future__ import annotations

import pytest

from skep._native import ffi, lib

LARGE = 256 * 1024


def test_a_large_block_that_was_given_back_is_taken_again():
    first = lib.skep_memory_take(LARGE)
    lib.skep_memory_give(first)

    assert lib.skep_memory_take(LARGE - 1000) == first
    lib.skep_memory_give(first)


def test_blocks_in_use_are_not_taken_again():
    first, second = lib.skep_memory_take(LARGE), lib.skep_memory_take(LARGE)

    assert first != second
    for block in (first, second):
        lib.skep_memory_give(block)


@pytest.mark.parametrize("size", [1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 5_000_000])
def test_a_block_has_the_size_that_was_asked_for(size):
    lib.skep_memory_give(lib.skep_memory_take(LARGE))
    block = lib.skep_memory_take(size)
    ffi.buffer(block, size)[:] = b"\xaa" * size
    lib.skep_memory_give(block)
