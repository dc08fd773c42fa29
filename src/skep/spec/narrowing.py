"""What a source can ask for of the kernel's types: what its words name.

The whole vmlinux.h has 100,000 lines, which take clang 0.2 s and libclang 0.4 s; a source asks for some hundreds of
them. So it is given a header of its own: with the types, the values of enums and the functions of the kernel whose
names are among its words, and with what these hold; and where a word is the name of a member, with what the member
leads to. Any other pointer leads to a type that is declared and no more. A word too many costs a little time. One that
is hidden, as where a macro puts it together, is missed by the compiler: then the whole header serves.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager

from skep.spec import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["narrowed", "words_of"]

_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_INCLUDED = re.compile(r'^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]', re.MULTILINE)
# What libbpf's headers ask for, beside what a source that uses them names.
_OF_LIBBPF = (
    "__s8 __s16 __s32 __s64 __u8 __u16 __u32 __u64 s8 s16 s32 s64 u8 u16 u32 u64 bool true false size_t "
    "__be16 __be32 __wsum pt_regs user_pt_regs BPF_MAP_TYPE_ARRAY"
)


def words_of(text: str, folders: Sequence[str]) -> set[str]:
    """The words of a source, and of those of its headers that are not the system's; and what they include, by name.

    Args:
        text: of the source.
        folders: where these headers are looked for.
    """
    words, waiting, read = set(_OF_LIBBPF.split()), [text], set[str]()
    while waiting:
        each = waiting.pop()
        included = _INCLUDED.findall(each)
        words.update(_WORD.findall(each), included)
        for path in (os.path.normpath(os.path.join(folder, name)) for name in included for folder in folders):
            data = cache.read(path) if path not in read else None
            if data is not None:
                read.add(path)
                waiting.append(data.decode("utf-8", "replace"))
    return words


@contextmanager
def narrowed(narrow: Callable[[Iterable[str]], bytes], words: Iterable[str]) -> Iterator[str]:
    """A folder with a vmlinux.h of what a source can ask for, which is gone at the end.

    Args:
        narrow: makes it for these words.
        words: of the source.

    Raises:
        BtfError: the kernel has no BTF.
        SkepError: the cache cannot be used.
    """
    with cache.scratch() as scratch:
        cache.write(os.path.join(scratch.path, "vmlinux.h"), narrow(words))
        yield scratch.path
