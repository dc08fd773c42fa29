"""The running kernel's types: what identifies them, vmlinux.h made from them, and objects built against them.

libbpf reads the BTF and writes the header, whole (90 ms) or with what a source can ask for (20 ms); Python never parses
it. From Linux 6.10 on the header declares the functions that programs may call (kfuncs), as bpftool's does.

Minimum kernel: 5.4 for /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF). Source: Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import os
import re

# As in skep.spec.compiling: hashlib would load OpenSSL.
from _blake2 import blake2b

from skep._native import ffi, lib, messages
from skep.base.errors import BtfError
from skep.spec import cache
from skep.spec.compiling import compile_source, find_compiler, source_digest
from skep.spec.document import embedded_digest
from skep.spec.elf import find_build_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from skep.spec.libclang import Libclang
    from skep.spec.relocations import Need

__all__ = ["build", "header_folder", "identity", "lacking", "members", "narrow_header"]

VMLINUX = "/sys/kernel/btf/vmlinux"
_NOTES = "/sys/kernel/notes"
# What vmlinux.h holds beside the kernel's types: a change here makes all written ones stale.
_HEADER = 2
# 3 MB each.
_MOST_KERNELS = 8
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def build(
    source: str,
    *,
    btf: str | None = None,
    events: Mapping[str, Sequence[str]] | None = None,
    libclang: Libclang | None = None,
) -> bytes:
    """The object made from a kernel file for the running kernel, or for the kernel whose BTF is given.

    Args:
        source: path of a .bpf.c file. One that comes with skep is there built, and needs no compiler.
        btf: path of a BTF file; None for the running kernel's.
        events: the types of the records of rings, by name of the ring: they overrule what the source says.
        libclang: to read the source with; None for one of its own.

    Raises:
        BtfError: there is no BTF.
        CompileError: the compiler rejects the source.
        UsageError: a ring or a type of `events` is not there.
    """
    source = os.path.abspath(source)
    if btf is None and not events and source.startswith(_PACKAGE + os.sep):
        built = cache.read(source.removesuffix(".c") + ".o")
        if built is not None and embedded_digest(built) == source_digest(source):
            return built
    header = identity(btf)
    return compile_source(
        source,
        header,
        lambda: header_folder(header, btf),
        find_compiler(),
        narrow=lambda words: narrow_header(words, btf),
        events=events,
        libclang=libclang,
    )


def identity(btf: str | None = None) -> str:
    """What tells one kernel's types from another's: the build id, or a digest of the BTF file.

    Args:
        btf: path of a BTF file; None for the running kernel's.

    Raises:
        BtfError: the kernel has no BTF, or the file cannot be read.
    """
    if btf is None and os.path.exists(VMLINUX):
        build_id = _build_id()
        if build_id is not None:
            return f"{build_id}.{_HEADER}"
    try:
        with open(btf or VMLINUX, "rb") as file:
            return f"{blake2b(file.read(), digest_size=20).hexdigest()}.{_HEADER}"
    except OSError as error:
        raise _no_btf(btf, error.strerror or str(error)) from error


def _no_btf(btf: str | None, why: str) -> BtfError:
    if btf is not None:
        return BtfError(f"the BTF file {btf} cannot be read: {why}")
    return BtfError(
        f"this kernel has no BTF (type information): {VMLINUX}: {why}",
        remedy="Boot a kernel with CONFIG_DEBUG_INFO_BTF=y, as distributions ship since 2021, or give the BTF of "
        "exactly this kernel with --btf FILE.",
    )


def _build_id() -> str | None:
    """The build id of the running kernel."""
    notes = cache.read(_NOTES)
    return None if notes is None else find_build_id(notes)


def members(name: str, btf: str | None = None) -> Sequence[str]:
    """The members of a structure of the kernel; for "", the names of all structures.

    Args:
        name: without ``struct``.
        btf: path of a BTF file; None for the running kernel's.
    """
    header = _header_text(btf)
    if not name:
        return re.findall(r"^struct (\w+) \{", header, re.MULTILINE)
    body = re.search(rf"^struct {re.escape(name)} \{{\n(.*?)^\}}", header, re.MULTILINE | re.DOTALL)
    return re.findall(r"(\w+)(?:\[\w*\])*(?: : \d+)?;", body[1]) if body is not None else []


def lacking(needs: Iterable[Need], btf: str | None = None) -> Iterator[Need]:
    """What a kernel's types do not have of what a program needs of them.

    Args:
        needs: what it needs.
        btf: path of a BTF file; None for the running kernel's.
    """
    header = _header_text(btf)
    bodies: dict[tuple[str, str], str | None] = {}
    for need in needs:
        key = (need.kind, need.type)
        if key not in bodies:
            body = re.search(rf"^{need.kind} {re.escape(need.type)} \{{\n(.*?)^\}}", header, re.MULTILINE | re.DOTALL)
            bodies[key] = body[1] if body is not None else None
        known = bodies[key]
        # A member ends its line, or is a pointer to a function; a value of an enum is given a number.
        member = rf"\b{re.escape(need.member)}(?:(?:\[\w*\])*(?: : \d+)?;|\)\(| = )"
        if known is None or (need.member and not re.search(member, known)):
            yield need


def _header_text(btf: str | None) -> str:
    with open(os.path.join(header_folder(identity(btf), btf), "vmlinux.h"), encoding="utf-8") as file:
        return file.read()


def header_folder(header: str, btf: str | None = None) -> str:
    """The folder that holds vmlinux.h, written now if the cache has none.

    Args:
        header: from `identity`.
        btf: path of a BTF file; None for the running kernel's.
    """
    from contextlib import suppress

    folder = cache.cache_folder(os.path.join("headers", header))
    path = os.path.join(folder, "vmlinux.h")
    # The kernels that are in use stay; what cannot be noted is no reason to fail.
    with suppress(OSError):
        os.utime(folder)
    if not os.path.exists(path):
        cache.trim(os.path.dirname(folder), most=_MOST_KERNELS)
        cache.write(path, narrow_header((), btf))
    return folder


def narrow_header(words: Iterable[str], btf: str | None = None) -> bytes:
    """A vmlinux.h with no more of the kernel's types than a source can ask for (`skep.spec.narrowing`).

    Args:
        words: that stand in the source; none for a header with all of them.
        btf: path of a BTF file; None for the running kernel's.

    Raises:
        BtfError: there is no BTF.
    """
    loaded = lib.btf__parse(os.fsencode(btf or VMLINUX), ffi.NULL)
    if loaded == ffi.NULL:
        number = ffi.errno
        raise _no_btf(btf, messages().strip() or os.strerror(number))
    # As C compares them.
    texts = [ffi.new("char[]", word) for word in sorted(map(os.fsencode, words))]
    given = ffi.new("char *[]", texts) if texts else ffi.NULL
    with os.fdopen(os.memfd_create("vmlinux.h"), "rb") as file:
        error = lib.skep_write_header(loaded, given, len(texts), file.fileno())
        lib.btf__free(loaded)
        if error:
            raise BtfError(f"vmlinux.h cannot be made from this BTF: {os.strerror(-error)}")
        file.seek(0)
        return file.read()
