"""Compiles a kernel file: source, vmlinux header, flags and compiler in, object out. Same inputs, same object.

The object carries its `.skep` document, so that it is complete without its source.
"""

from __future__ import annotations

import os
import sys

# Not from hashlib, which loads OpenSSL: 3 to 5 ms at every start.
from _blake2 import blake2b

from skep.base.errors import CompileError, SourceNotFoundError, UsageError
from skep.spec import cache
from skep.spec.compiler import Compiler, find_compiler, run
from skep.spec.document import Document, wrap_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from subprocess import CompletedProcess

    from skep.spec.libclang import Libclang

__all__ = ["CODE", "INCLUDE", "Compiler", "compile_source", "find_compiler", "flags", "source_digest"]

# Of skep.h, and of headers that add to the system's.
INCLUDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")

# libbpf's own, which a wheel carries (scripts/wheel), and where they are once they are installed: those are preferred.
_CARRIED = os.path.join(os.path.dirname(INCLUDE), "libbpf")
_INSTALLED = "/usr/include/bpf"

# __TARGET_ARCH_* of bpf_tracing.h, by os.uname().machine.
_ARCHITECTURES = {"x86_64": "x86", "aarch64": "arm64", "s390x": "s390", "ppc64le": "powerpc", "riscv64": "riscv"}

CODE = ("-g", "-O2", "-fno-stack-protector", "-Werror=implicit-function-declaration")
"""How code is made. As clang 16 and later have it, what is not declared is an error: nobody can link it."""

# What an object depends on beside its inputs: a change here makes all cached and shipped objects stale.
_FORMAT = 6


def compile_source(
    source: str,
    header: str,
    make_header: Callable[[], str],
    compiler: Compiler,
    *,
    narrow: Callable[[Iterable[str]], bytes] | None = None,
    defines: Sequence[str] = (),
    events: Mapping[str, Sequence[str]] | None = None,
    libclang: Libclang | None = None,
) -> bytes:
    """The object made from a source; from the cache if it holds one made from the same inputs.

    Args:
        source: path of the .bpf.c file.
        header: what identifies the kernel's types (the BTF's build id).
        make_header: gives the folder that holds vmlinux.h; called only where `narrow` does not do.
        compiler: as from `find_compiler`.
        narrow: gives a vmlinux.h with what a source of these words can ask for (`skep.spec.narrowing`).
        defines: macros, as after -D.
        events: the types of the records of rings, by name of the ring: they overrule what the source says.
        libclang: to read the source with; None for one of its own.

    Raises:
        SourceNotFoundError: the source cannot be read.
        CompileError: the compiler rejects it, or an annotation is wrong.
        UsageError: a ring or a type of `events` is not there.
        UnsupportedError: the compiler cannot be run, or not for eBPF.
        SkepError: the cache cannot be used.
    """
    source = os.path.abspath(source)
    text = _read_source(source)
    # What is installed takes the place of what is carried, though no file changes that an object was made from.
    libbpf = _INSTALLED if os.path.exists(_INSTALLED) else _CARRIED
    arguments = [*defines, *_listed(events or {}), *_named_folders(), libbpf]
    key = _digest(str(_FORMAT), source, text, header, compiler.identity, *arguments)
    folder = cache.cache_folder("objects")
    listing = os.path.join(folder, f"{key}.inputs")
    known = cache.read(listing)
    if known is not None:
        data = _cached(_object_path(folder, key, os.fsdecode(known).split("\0")))
        if data is not None:
            return data
    # Not at the top: what is built already is loaded without them.
    from contextlib import nullcontext

    from skep.base.progress import Work
    from skep.spec.libclang import Libclang

    own = Libclang() if libclang is None else nullcontext(libclang)
    with Work(f"compiling {os.path.basename(source)}", slow=True), own as reader:
        reader.start()
        data, inputs = _compile(source, text, make_header, narrow, defines, compiler, events or {}, reader)
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


def _listed(events: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"--event {ring}={name}" for ring, names in events.items() for name in names]


def _cached(path: str) -> bytes | None:
    """The object in a file of the cache; None if it is not there or damaged: its digest stands behind it."""
    sealed = cache.read(path) or b""
    data, seal = sealed[:-32], sealed[-32:]
    return data if blake2b(data, digest_size=32).digest() == seal else None


def flags(header: str, defines: Sequence[str], compiler: Compiler) -> list[str]:
    """What a compiler has to be told for a kernel file to find its headers.

    Args:
        header: the folder of vmlinux.h.
        defines: macros, as after -D.
        compiler: as from `find_compiler`.
    """
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
        # libclang comes without <stddef.h> and the like, and not every compiler finds its own.
        "-isystem",
        compiler.headers(),
        f"-idirafter{multiarch}",
        f"-idirafter{_CARRIED}",
    ]


def _named_folders() -> list[str]:
    """Where the user says that headers lie, seen from where the user is: the compiler runs in the source's folder."""
    return [f"-I{os.path.abspath(folder)}" for folder in os.environ.get("CPATH", "").split(os.pathsep) if folder]


def _compile(
    source: str,
    text: bytes,
    make_header: Callable[[], str],
    narrow: Callable[[Iterable[str]], bytes] | None,
    defines: Sequence[str],
    compiler: Compiler,
    events: Mapping[str, Sequence[str]],
    libclang: Libclang,
) -> tuple[bytes, list[str]]:
    """The object, and the files it was made from beside the source."""
    # Not at the top: what is built already is loaded without them.
    from contextlib import suppress

    from skep.spec.narrowing import narrowed, words_of

    folder = os.path.dirname(source)
    # A vmlinux.h of the source's own is read as it is.
    if narrow is not None and not os.path.lexists(os.path.join(folder, "vmlinux.h")):
        folders = [folder, INCLUDE, *(each.removeprefix("-I") for each in _named_folders())]
        words = words_of(f"{os.fsdecode(text)} {' '.join(_listed(events))}", folders)
        # Whatever is wrong, it is said of the source with the whole header.
        with suppress(CompileError, UsageError), narrowed(narrow, words) as header:
            return _made(source, text, header, defines, compiler, events, libclang)
        _refuse_wrong(source, text, make_header(), defines, compiler)
    return _made(source, text, make_header(), defines, compiler, events, libclang)


def _refuse_wrong(source: str, text: bytes, header: str, defines: Sequence[str], compiler: Compiler) -> None:
    """Says what is wrong with a source, if it is C that is: libclang need not read the whole header for that."""
    from skep.spec.rejection import is_conflict, rejection

    unit = wrap_source(source, text, Document({}, {}, ""))
    command = [*CODE, *flags(header, defines, compiler), *_named_folders(), "-fsyntax-only", "-x", "c", "-"]
    checked = run(compiler, command, unit, os.path.dirname(source))
    if checked.returncode and not any(is_conflict(checked.stderr, folder) for folder in (header, INCLUDE)):
        raise rejection(source, checked.stderr, INCLUDE)


def _made(
    source: str,
    text: bytes,
    header: str,
    defines: Sequence[str],
    compiler: Compiler,
    events: Mapping[str, Sequence[str]],
    libclang: Libclang,
) -> tuple[bytes, list[str]]:
    """The same, with the vmlinux.h of a folder."""
    # Not at the top: what is built already is loaded without it.
    from skep.spec.rejection import is_conflict, rejection

    given = flags(header, defines, compiler)
    finished, inputs = _attempt(source, text, given, compiler, events, libclang)
    # A source that declares for itself what our headers declare otherwise is compiled without that part of them.
    for folder, switch in (header, "-DBPF_NO_KFUNC_PROTOTYPES"), (INCLUDE, "-DSKEP_NO_COMPATIBILITY"):
        if finished.returncode and is_conflict(finished.stderr, folder):
            given.append(switch)
            finished, inputs = _attempt(source, text, given, compiler, events, libclang)
    if finished.returncode:
        raise rejection(source, finished.stderr, INCLUDE)
    # The kernel's header is told by its identity; a vmlinux.h beside the source is an input like any other.
    return finished.stdout, [path for path in inputs if os.path.dirname(path) != header]


def _attempt(
    source: str,
    text: bytes,
    flags: Sequence[str],
    compiler: Compiler,
    events: Mapping[str, Sequence[str]],
    libclang: Libclang,
) -> tuple[CompletedProcess[bytes], list[str]]:
    """What the compiler makes of a source, and the files that it reads."""
    code = [*CODE, *flags, *_named_folders()]
    listed = {ring: list(names) for ring, names in events.items()}
    written, inputs = libclang.do(_read, source, os.fsdecode(text), code, listed)
    # The folder of the source is where its own #include "..." are looked for; standard input has none.
    command = [*code, "-x", "c", "-c", "-", "-o", "-"]
    return run(compiler, command, os.fsencode(written), os.path.dirname(source)), inputs


def _read(
    source: str, content: str, arguments: Sequence[str], events: Mapping[str, Sequence[str]]
) -> tuple[str, list[str]]:
    """The translation unit to compile, the source with what it says, and the files that it reads."""
    from skep.spec.reading import read_source

    text = os.fsencode(content)
    reading = read_source(source, text, arguments, events)
    document = Document(
        reading.events,
        reading.notes,
        _source_digest(text),
        tags=reading.tags,
        formats=reading.formats,
        declarations=reading.declarations,
    )
    return os.fsdecode(wrap_source(source, text, document)), reading.inputs
