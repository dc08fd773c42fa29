"""Sections, symbols, relocations and code of an object."""

from __future__ import annotations

from random import Random

from skep.spec.code import read_code, used_from
from skep.spec.elf import Elf
from tests.fuzz import objects

seeds = objects.seeds


def mutated(random: Random, seed: bytes) -> bytes:
    return objects.mutated(random, seed, objects.ELF)


def read(data: bytes) -> None:
    elf = Elf(data, "x.o")
    for symbol in elf.symbols:
        elf.data(symbol)
    functions = read_code(elf)
    for place in functions:
        used_from(place, functions)
