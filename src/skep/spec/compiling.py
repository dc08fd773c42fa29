"""Compiles a kernel file: source, vmlinux header, flags and compiler in, object out. Same inputs, same object.

The object carries its `.skep` document, so that it is complete without its source.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys

from skep.base.errors import CompileError, Diagnostic, SourceNotFoundError, UnsupportedError
from skep.spec import cache
from skep.spec.document import wrap_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["INCLUDE", "Compiler", "compile_source", "find_compiler", "source_digest"]

# Of skep.h.
INCLUDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")

# __TARGET_ARCH_* of bpf_tracing.h, by os.uname().machine.
_ARCHITECTURES = {"x86_64": "x86", "aarch64": "arm64", "s390x": "s390", "ppc64le": "powerpc", "riscv64": "riscv"}

# What an object depends on beside its inputs: a change here makes all cached objects stale.
_FORMAT = 1


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
        path = os.path.join(folder, "clang")
        if os.access(path, os.X_OK):
            return Compiler(path)
    raise UnsupportedError("clang, which compiles kernel files, is not installed", remedy="sudo apt install clang")


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
        CompileError: the compiler rejects it.
    """
    source = os.path.abspath(source)
    text = _read_source(source)
    key = _digest(str(_FORMAT), source, text, header, compiler.identity, *defines)
    folder = cache.cache_folder("objects")
    listing = os.path.join(folder, f"{key}.inputs")
    known = cache.read(listing)
    if known is not None:
        data = cache.read(os.path.join(folder, _object_name(key, known.decode().splitlines())))
        if data is not None:
            return data
    folder_of_header = make_header()
    data, inputs = _compile(source, _flags(folder_of_header, defines), compiler)
    # The kernel's header is in the key already; a vmlinux.h beside the source is an input like any other.
    inputs = [path for path in inputs if path != os.path.join(folder_of_header, "vmlinux.h")]
    cache.write(listing, "\n".join(inputs).encode())
    cache.write(os.path.join(folder, _object_name(key, inputs)), data)
    cache.trim(folder)
    return data


def source_digest(source: str) -> str:
    """What tells whether an object was built from a source as it stands now, and from skep.h as it stands now."""
    return _digest(_read_source(source), _read_source(os.path.join(INCLUDE, "skep.h")))


def _read_source(source: str) -> bytes:
    try:
        with open(source, "rb") as file:
            return file.read()
    except OSError as error:
        raise SourceNotFoundError(f"{source} cannot be read: {error.strerror}") from error


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()[:40]


def _object_name(key: str, inputs: Sequence[str]) -> str:
    """The name of the object made from these files as they are now: a changed header gives another name."""
    contents = [cache.read(path) or b"" for path in inputs]
    return f"{_digest(key, *contents)}.bpf.o"


def _flags(header: str, defines: Sequence[str]) -> list[str]:
    machine = os.uname().machine
    # <linux/*.h> ask for <asm/types.h>, which Debian keeps in a folder named after the machine; clang for the BPF target
    # does not look there by itself.
    multiarch = f"/usr/include/{machine}-linux-gnu"
    return [
        f"--target=bpf{'eb' if sys.byteorder == 'big' else 'el'}",
        f"-D__TARGET_ARCH_{_ARCHITECTURES.get(machine, machine)}",
        *(f"-D{define}" for define in defines),
        f"-I{header}",
        f"-I{INCLUDE}",
        f"-idirafter{multiarch}",
    ]


def _compile(source: str, flags: Sequence[str], compiler: Compiler) -> tuple[bytes, list[str]]:
    """The object, and the files it was made from beside the source."""
    import subprocess
    import tempfile

    from skep.spec.reading import read_source

    reading = read_source(source, flags)
    document = {**reading.document, "digest": source_digest(source)}
    with tempfile.TemporaryDirectory(prefix="skep-") as folder:
        target = os.path.join(folder, "object.bpf.o")
        command = [compiler.path, "-g", "-O2", *flags, "-fno-stack-protector", "-x", "c", "-c", "-", "-o", target]
        # The folder of the source is where its own #include "..." are looked for; stdin has none.
        finished = subprocess.run(
            command,
            input=wrap_source(source, document),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=os.path.dirname(source),
        )
        if finished.returncode:
            raise _rejected(source, finished.stderr)
        with open(target, "rb") as file:
            data = file.read()
    return data, reading.inputs


def _rejected(source: str, output: str) -> CompileError:
    diagnostics = [
        Diagnostic("compile", match[4], match[5], file=match[1], line=int(match[2]), column=int(match[3]))
        for match in re.finditer(r"^(.+?):(\d+):(\d+): (?:fatal )?(error|warning): (.*)$", output, re.MULTILINE)
    ]
    diagnostics.sort(key=lambda found: found.severity != "error")
    remedy = None
    for found in diagnostics:
        if re.search(r"'(bpf/\w+\.h)' file not found", found.message):
            remedy = "sudo apt install libbpf-dev"
    shown = re.sub(r"^In file included from <stdin>:1:\n", "", output, flags=re.MULTILINE).strip()
    return CompileError(f"{os.path.basename(source)} does not compile\n{shown}", remedy=remedy, diagnostics=diagnostics)
