"""vmlinux.h in the form in which a compiler keeps what it has read (a precompiled header, PCH).

The header has 100,000 lines: reading it takes clang 0.2 s and libclang 0.4 s; loading the precompiled one, 10 ms.
Neither reads the other's. What a precompiled header holds is fixed when it is made: macros that a source defines before
its `#include "vmlinux.h"` would be ignored, silently. So it serves only sources that begin with this line
(`begins_with_header`); then the object is the same to the byte.

    $XDG_CACHE_HOME/skep/precompiled/KEY.SUM        its checksum is part of its name: a damaged one is not loaded
"""

from __future__ import annotations

import os
import re

# As in skep.spec.compiling: hashlib would load OpenSSL.
from _blake2 import blake2b

from skep.base.errors import SkepError
from skep.spec import cache
from skep.spec.compiler import file_identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from subprocess import Popen

    from skep.spec.compiler import Compiler

__all__ = ["begins_with_header", "precompile"]

# 14 MB each; two for each kernel and compiler.
_MOST_FILES = 8

# Bytes of a header: to read a smaller one costs less than to load what was made of it.
_LEAST = 1 << 18

# White space and comments, each in one way only: nothing is tried twice. One with a backslash may go on where it does
# not seem to: it is not for us. (Possessive groups would be shorter, but Python 3.11.2 matches them wrongly:
# https://github.com/python/cpython/issues/106052.)
_NOTHING = rb"(?:\s|//[^\r\n\\]*[\r\n]|/\*[^*\\]*\*+(?:[^*/\\][^*\\]*\*+)*/)*"
_HEADER_FIRST = re.compile(
    rb"(?:\xef\xbb\xbf)?" + _NOTHING + rb'#[ \t]*include[ \t]*(?:"vmlinux\.h"|<vmlinux\.h>)[ \t]*(?:[\r\n]|//|/\*|\Z)'
)


def begins_with_header(source: str, text: bytes) -> bool:
    """Is the kernel's vmlinux.h the first thing that a source asks for, with nothing defined or declared before?

    Args:
        source: path of the .bpf.c file.
        text: its contents.
    """
    beside = os.path.join(os.path.dirname(source), "vmlinux.h")
    return _HEADER_FIRST.match(text) is not None and not os.path.lexists(beside)


def precompile(compiler: Compiler, header: str, flags: Sequence[str]) -> tuple[str | None, str | None]:
    """The precompiled headers of a compiler and of libclang; made now if need be, which takes 0.7 s.

    None stands for one that cannot be made, or is not worth it: the header itself will do.

    Args:
        compiler: that will compile the source.
        header: path of vmlinux.h.
        flags: all that the source will be compiled with.

    Raises:
        SkepError: the cache cannot be used.
    """
    try:
        import clang.cindex
    except ImportError:  # whoever needs it will say so
        return None, None
    if os.stat(header).st_size < _LEAST:
        return None, None
    parts = file_identity(header), *flags
    for_compiler = _Precompiled(compiler.identity, *parts)
    for_libclang = _Precompiled(file_identity(clang.cindex.__file__), *parts)
    if for_compiler.path is None or for_libclang.path is None:
        with cache.scratch() as scratch:
            _make(compiler, header, flags, for_compiler, for_libclang, scratch.path)
    return for_compiler.path, for_libclang.path


def _make(
    compiler: Compiler,
    header: str,
    flags: Sequence[str],
    for_compiler: _Precompiled,
    for_libclang: _Precompiled,
    folder: str,
) -> None:
    """Makes what is not there. Both are made at once, where there are two processors."""
    one, other = os.path.join(folder, "compiler"), os.path.join(folder, "libclang")
    started = None if for_compiler.path else _start(compiler, header, flags, one)
    try:
        if for_libclang.path is None and _save(header, flags, other):
            for_libclang.keep(other)
    finally:
        if started is not None and started.wait() == 0:
            for_compiler.keep(one)


class _Precompiled:
    """A place in the cache: `path` once there is something good in it.

    Args:
        parts: all that tells it from others.
    """

    __slots__ = ("_key", "path")

    def __init__(self, *parts: str) -> None:
        folder = cache.cache_folder("precompiled")
        digest = blake2b(digest_size=20)
        for part in parts:
            digest.update(os.fsencode(part) + b"\0")
        key = digest.hexdigest()
        self._key = os.path.join(folder, key)
        paths = (os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(key))
        self.path = next((path for path in paths if path == self._sealed(path)), None)

    def _sealed(self, path: str) -> str:
        """Where a file belongs, with what it holds."""
        # 4 ms, against the 15 ms of a digest: this is about damage, not about enemies, who cannot write here.
        import zlib

        data = cache.read(path) or b""
        return f"{self._key}.{len(data):x}-{zlib.crc32(data):08x}"

    def keep(self, made: str) -> None:
        """Puts what was made into its place. What was not made, or cannot be kept, is no loss."""
        path = self._sealed(made)
        try:
            os.rename(made, path)
        except OSError:
            return
        self.path = path
        cache.trim(os.path.dirname(path), most=_MOST_FILES)


def _start(compiler: Compiler, header: str, flags: Sequence[str], path: str) -> Popen[bytes] | None:
    import subprocess

    # To standard output: given a path, the compiler puts that into the file, which would then never be the same again.
    command = [*compiler.command, *flags, "-x", "c-header", header, "-o", "-"]
    try:
        with open(path, "xb") as file:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL)
    except OSError:
        # No room, or the compiler is gone: both are said when it is to compile the source.
        return None


def _save(header: str, flags: Sequence[str], path: str) -> bool:
    """Makes that of libclang, and says whether it is whole. Where there is no room, libclang ends its process."""
    from skep.spec.apart import apart

    try:
        saved: bool = apart(
            lambda: _saved(header, flags, path), lambda number: SkepError(f"libclang was ended by signal {number}")
        )
    except SkepError:
        return False
    return saved


def _saved(header: str, flags: Sequence[str], path: str) -> bool:
    from clang.cindex import Index, LibclangError, TranslationUnit, TranslationUnitLoadError, TranslationUnitSaveError

    # Whatever it complains of, it will say again of the source.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    arguments = [os.fsencode(flag) for flag in ["-xc-header", *flags]]
    try:
        unit = Index.create().parse(os.fsencode(header), args=arguments, options=TranslationUnit.PARSE_INCOMPLETE)
        unit.save(os.fsencode(path))
    except (LibclangError, TranslationUnitLoadError, TranslationUnitSaveError):
        return False
    return True
