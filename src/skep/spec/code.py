"""What the code of an object uses: which helpers each function calls, which maps and variables it names.

A program uses what it names itself, and what the functions that it calls use, or those that it gives to helpers to be
called (`bpf_loop`).

Source: Documentation/bpf/standardization/instruction-set.rst, Documentation/bpf/llvm_reloc.rst.
"""

from __future__ import annotations

import struct

from skep.spec.elf import SHF_EXECINSTR, STT_FUNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skep.spec.elf import Elf, Symbol

    # Where a function begins: the number of its section, and the offset in it.
    Place = tuple[int, int]

__all__ = ["Code", "layout", "read_code", "used_from"]

_WIDTH = 8
_CALL = 0x85
_LOAD_ADDRESS = 0x18  # the first half of a load of 64 bits
# What the source register of a call says that is called, beside a helper (0) and a kfunc (2).
_HELPER, _FUNCTION = 0, 1
# The kernel takes no more functions in one program (BPF_MAX_SUBPROGS, include/linux/bpf_verifier.h).
_MOST_FUNCTIONS = 256


class Code:
    """What the code of one function uses.

    Args:
        helpers: numbers of the helpers that it calls.
        names: of the maps and variables.
        calls: where the functions of the object begin that it calls, in its order.
    """

    __slots__ = ("calls", "helpers", "names")

    def __init__(self, helpers: frozenset[int], names: frozenset[str], calls: Sequence[Place]) -> None:
        self.helpers = helpers
        self.names = names
        self.calls = calls


def read_code(elf: Elf) -> Mapping[Place, Code]:
    """What each function of an object uses itself, by where it begins.

    Raises:
        ObjectFormatError: the object is damaged.
    """
    sections = {section.index for section in elf.sections if section.flags & SHF_EXECINSTR and section.size}
    references = {
        (section, offset): (name, home, value) for section, offset, name, home, value in elf.references(sections)
    }
    return {
        (symbol.section, symbol.value): _code(elf, symbol, references, sections)
        for symbol in elf.symbols
        if symbol.type == STT_FUNC and symbol.section in sections
    }


def used_from(place: Place, functions: Mapping[Place, Code]) -> Code:
    """What a function uses, with all that it leads to.

    Args:
        place: where it begins.
        functions: what each uses itself.
    """
    found: dict[Place, Code] = {}
    waiting = [place]
    while waiting and len(found) < _MOST_FUNCTIONS:
        each = waiting.pop()
        # What another object defines is not here.
        if each in functions and each not in found:
            found[each] = functions[each]
            waiting += functions[each].calls
    return Code(
        frozenset[int]().union(*(code.helpers for code in found.values())),
        frozenset[str]().union(*(code.names for code in found.values())),
        tuple(found),
    )


def layout(place: Place, functions: Mapping[Place, Code]) -> Sequence[Place]:
    """The functions of a program in the order in which the kernel sees them: libbpf puts what is called first, first.

    Args:
        place: where the program begins.
        functions: what each uses itself.
    """
    order: dict[Place, None] = {}
    waiting = [place]
    while waiting:
        each = waiting.pop()
        if each in functions and each not in order:
            order[each] = None
            waiting += reversed(functions[each].calls)
    return tuple(order)


def _code(elf: Elf, function: Symbol, references: Mapping[Place, tuple[str, int, int]], sections: set[int]) -> Code:
    helpers, names = set(), set()
    calls: dict[Place, None] = {}
    data = elf.data(function)
    whole = data[: len(data) // _WIDTH * _WIDTH]
    offset = function.value
    for code, registers, _, number in struct.iter_unpack(f"{elf.byte_order}BBhi", whole):
        if code == _CALL and registers >> 4 == _HELPER:
            helpers.add(number)
        elif code == _CALL and registers >> 4 == _FUNCTION:
            # It is counted from the next instruction; of a relocated one, from the symbol.
            _, home, start = references.get((function.section, offset), ("", function.section, offset))
            calls[home, start + (number + 1) * _WIDTH] = None
        elif code == _LOAD_ADDRESS and (function.section, offset) in references:
            name, home, start = references[function.section, offset]
            if home in sections:
                calls[home, start + number] = None
            else:
                names.add(name)
        offset += _WIDTH
    return Code(frozenset(helpers), frozenset(names), tuple(calls))
