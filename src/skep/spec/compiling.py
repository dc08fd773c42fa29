"""Compiles a kernel file: source, vmlinux header, flags and compiler in, object out. Same inputs, same object.

The object carries its `.skep` document, so that it is complete without its source.
"""

from __future__ import annotations

import os
import re
import sys

# Not from hashlib, which loads OpenSSL: 3 to 5 ms at every start.
from _blake2 import blake2b

from skep.base.errors import CompileError, Diagnostic, SkepError, SourceNotFoundError, UnsupportedError
from skep.spec import cache
from skep.spec.document import Document, wrap_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from subprocess import CompletedProcess

__all__ = ["INCLUDE", "Compiler", "compile_source", "find_compiler", "source_digest"]

# Of skep.h.
INCLUDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")

_INSTALL = "sudo apt install clang"

# __TARGET_ARCH_* of bpf_tracing.h, by os.uname().machine.
_ARCHITECTURES = {"x86_64": "x86", "aarch64": "arm64", "s390x": "s390", "ppc64le": "powerpc", "riscv64": "riscv"}

# What an object depends on beside its inputs: a change here makes all cached and shipped objects stale.
_FORMAT = 4


class Compiler:
    """A clang with a BPF back end.

    Args:
        path: of the program.

    `identity` tells one compiler from another without starting it (`clang --version` takes up to 0.35 s cold).
    """

    __slots__ = ("identity", "path")

    def __init__(self, path: str) -> None:
        status = os.stat(path)
        self.path = path
        self.identity = f"{os.path.realpath(path)} {status.st_mtime_ns} {status.st_size}"


def find_compiler() -> Compiler:
    """The clang of PATH.

    Raises:
        UnsupportedError: there is none.
    """
    for folder in os.get_exec_path():
        # A folder of PATH may be relative, and the compiler runs in that of the source.
        path = os.path.abspath(os.path.join(folder, "clang"))
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return Compiler(path)
    raise UnsupportedError("clang, which compiles kernel files, is not installed", remedy=_INSTALL)


def compile_source(
    source: str, header: str, make_header: Callable[[], str], compiler: Compiler, *, defines: Sequence[str] = ()
) -> bytes:
    """The object made from a source; from the cache if it holds one made from the same inputs.

    Args:
        source: path of the .bpf.c file.
        header: what identifies the kernel's types (the BTF's build id).
        make_header: gives the folder that holds vmlinux.h; called only if the cache has no object.
        compiler: as from `find_compiler`.
        defines: macros, as after -D.

    Raises:
        SourceNotFoundError: the source cannot be read.
        CompileError: the compiler rejects it, or an annotation is wrong.
        UnsupportedError: the compiler cannot be run, or not for eBPF.
        SkepError: the cache cannot be used.
    """
    source = os.path.abspath(source)
    text = _read_source(source)
    key = _digest(str(_FORMAT), source, text, header, compiler.identity, *defines)
    folder = cache.cache_folder("objects")
    listing = os.path.join(folder, f"{key}.inputs")
    known = cache.read(listing)
    if known is not None:
        data = _cached(_object_path(folder, key, os.fsdecode(known).split("\0")))
        if data is not None:
            return data
    folder_of_header = make_header()
    data, inputs = _compile(source, text, _flags(folder_of_header, defines), compiler)
    # The kernel's header is in the key already; a vmlinux.h beside the source is an input like any other.
    inputs = [path for path in inputs if path != os.path.join(folder_of_header, "vmlinux.h")]
    cache.trim(folder)
    cache.write(listing, os.fsencode("\0".join(inputs)))
    cache.write(_object_path(folder, key, inputs), data + blake2b(data, digest_size=32).digest())
    return data


def source_digest(source: str) -> str:
    """What tells whether an object was built from a source as it stands now, and from skep.h as it stands now.

    Args:
        source: path of the .bpf.c file.

    Raises:
        SourceNotFoundError: the source cannot be read.
    """
    return _source_digest(_read_source(source))


def _source_digest(text: bytes) -> str:
    return _digest(str(_FORMAT), text, _read_source(os.path.join(INCLUDE, "skep.h")))


def _read_source(source: str) -> bytes:
    try:
        with open(source, "rb") as file:
            return file.read()
    except OSError as error:
        raise SourceNotFoundError(f"{source} cannot be read: {error.strerror}") from error


def _digest(*parts: str | bytes) -> str:
    digest = blake2b(digest_size=20)
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()


def _object_path(folder: str, key: str, inputs: Sequence[str]) -> str:
    """Where the object made from these files, as they are now, is kept: a changed header gives another path."""
    contents = [cache.read(path) for path in inputs]
    digest = _digest(key, *("missing" if text is None else b"=" + text for text in contents))
    return os.path.join(folder, f"{digest}.bpf.o")


def _cached(path: str) -> bytes | None:
    """The object in a file of the cache; None if it is not there or damaged: its digest stands behind it."""
    sealed = cache.read(path) or b""
    data, seal = sealed[:-32], sealed[-32:]
    return data if blake2b(data, digest_size=32).digest() == seal else None


def _flags(header: str, defines: Sequence[str]) -> list[str]:
    machine = os.uname().machine
    # <linux/*.h> ask for <asm/types.h>, which Debian keeps in a folder named after the machine; clang for eBPF does not
    # look there by itself.
    multiarch = f"/usr/include/{machine}-linux-gnu"
    return [
        f"--target=bpf{'eb' if sys.byteorder == 'big' else 'el'}",
        f"-D__TARGET_ARCH_{_ARCHITECTURES.get(machine, machine)}",
        *(f"-D{define}" for define in defines),
        f"-I{header}",
        # Where this machine keeps the kernel's header is no part of the object.
        f"-fdebug-prefix-map={header}=vmlinux",
        f"-I{INCLUDE}",
        f"-idirafter{multiarch}",
    ]


def _compile(source: str, text: bytes, flags: Sequence[str], compiler: Compiler) -> tuple[bytes, list[str]]:
    """The object, and the files it was made from beside the source."""
    from skep.spec.reading import read_source

    folder = os.path.dirname(source)
    # libclang comes without <stddef.h> and the like: those of the compiler are read.
    resources = os.fsdecode(_run(compiler, ["-print-resource-dir"], b"", folder).stdout).strip()
    reading = read_source(source, text, [*flags, "-isystem", os.path.join(resources, "include")])
    document = Document(reading.events, reading.notes, _source_digest(text), tags=reading.tags, formats=reading.formats)
    command = ["-g", "-O2", *flags, "-fno-stack-protector", "-x", "c", "-c", "-", "-o", "-"]
    # The folder of the source is where its own #include "..." are looked for; standard input has none.
    finished = _run(compiler, command, wrap_source(source, text, document), folder)
    if finished.returncode:
        raise _rejected(source, finished.stderr.decode("utf-8", "replace"))
    return finished.stdout, reading.inputs


def _run(compiler: Compiler, arguments: Sequence[str], text: bytes, folder: str) -> CompletedProcess[bytes]:
    import signal
    import subprocess

    command = [compiler.path, *arguments]
    try:
        finished = subprocess.run(command, input=text, capture_output=True, check=False, cwd=folder)
    except OSError as error:
        raise UnsupportedError(f"{compiler.path} cannot be run: {error.strerror}", remedy=_INSTALL) from error
    if finished.returncode == -signal.SIGINT:
        # Ctrl-C comes to the compiler as it comes to us.
        raise KeyboardInterrupt
    if finished.returncode < 0:
        raise SkepError(f"{compiler.path} was ended by signal {-finished.returncode}", remedy="Is there memory enough?")
    return finished


def _rejected(source: str, output: str) -> SkepError:
    folder = os.path.dirname(source)
    diagnostics = [
        Diagnostic(
            "compile",
            match[4],
            match[5],
            # Files that the source includes are named as seen from its folder.
            file=os.path.normpath(os.path.join(folder, match[1])),
            line=int(match[2]),
            column=int(match[3]),
        )
        for match in re.finditer(r"^(.+?):(\d+):(\d+): (?:fatal )?(error|warning): (.*)$", output, re.MULTILINE)
    ]
    diagnostics.sort(key=lambda found: found.severity != "error")
    if "No available targets are compatible" in output:
        return UnsupportedError("this clang cannot compile for eBPF", remedy=_INSTALL)
    missing = any(re.search(r"'bpf/\w+\.h' file not found", found.message) for found in diagnostics)
    return CompileError(
        f"{os.path.basename(source)} does not compile\n{output.strip()}",
        remedy="sudo apt install libbpf-dev" if missing else None,
        diagnostics=diagnostics,
    )
