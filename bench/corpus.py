"""The kernel files that nobody here wrote, and what their sections name.

They are those of Linux 6.12, from Debian's package linux-source-6.12, fetched into the cache: samples/bpf/*.bpf.c and
*_kern.c, and tools/testing/selftests/bpf/progs/*.c.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from skep.kernel.btf import header_folder, identity
from skep.spec.btf import DATASEC, Btf
from skep.spec.elf import SHT_SYMTAB, Elf

PACKAGE = "linux-source-6.12"
TESTS = "tools/testing/selftests/bpf"
FOLDERS = {"samples/bpf": ("*.bpf.c", "*_kern.c"), f"{TESTS}/progs": ("*.c",)}
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skep" / "strangers"
BINARIES = CACHE / "binaries"
PROJECT = Path(__file__).resolve().parent.parent
# Seconds of one compiler.
LIMIT = 120
# What the binaries take from a header of libbpf's own.
_VERSIONS = """
#define COMPAT_VERSION(name, api, version) asm(".symver " #name "," #api "@" #version);
#define DEFAULT_VERSION(name, api, version) asm(".symver " #name "," #api "@@" #version);
#define noinline __attribute__((noinline))
"""


def corpus() -> list[Path]:
    """The sources, unpacked; fetched once."""
    folder = CACHE / PACKAGE
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = CACHE / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        subprocess.run(["apt-get", "-qq", "download", PACKAGE], cwd=partial, check=True)
        (archive,) = partial.glob("*.deb")
        unpack = (
            f"dpkg --fsys-tarfile {archive.name} | tar xO ./usr/src/{PACKAGE}.tar.xz | tar xJ {PACKAGE}/samples/bpf"
        )
        subprocess.run(f"{unpack} {PACKAGE}/{TESTS}", shell=True, cwd=partial, check=True)
        (partial / PACKAGE).rename(folder)
        shutil.rmtree(partial)
    return sorted(
        path for part, patterns in FOLDERS.items() for each in patterns for path in (folder / part).glob(each)
    )


def is_self_contained(source: Path) -> bool:
    """Whether clang compiles a file by hand, alone, and nothing in it is left to another object file.

    Args:
        source: the file.
    """
    stubs = CACHE / "stubs"
    (stubs / "gnu").mkdir(parents=True, exist_ok=True)
    (stubs / "gnu" / "stubs-32.h").touch()
    header = header_folder(identity())
    by_hand = ["clang", "-g", "-O2", "--target=bpf", "-D__TARGET_ARCH_x86", f"-I{header}", "-idirafter", str(stubs)]
    by_hand += ["-idirafter", f"/usr/include/{os.uname().machine}-linux-gnu", "-c", source.name]
    with TemporaryDirectory() as folder:
        built = Path(folder) / "object"
        alone = subprocess.run(
            [*by_hand, "-o", str(built)], cwd=source.parent, capture_output=True, check=False, timeout=LIMIT
        )
        return not alone.returncode and not _undefined(built.read_bytes(), source.name)


def _undefined(data: bytes, name: str) -> set[str]:
    """The names that another object would have to define: neither the kernel nor its configuration does."""
    elf = Elf(data, name)
    table = next(section for section in elf.sections if section.type == SHT_SYMTAB)
    names = bytes(elf.sections[table.link].data)
    symbols = struct.iter_unpack("<IBBHQQ", table.data)
    missing = {_text(names, start) for start, _, _, section, _, _ in symbols if start and not section}
    types = next((section.data for section in elf.sections if section.name == ".BTF"), None)
    if missing and types is not None:
        btf = Btf(types, "<", name)
        for number in (btf.find(DATASEC, ".ksyms"), btf.find(DATASEC, ".kconfig")):
            given = btf.entries(btf.raw(number), "III") if number else ()
            missing -= {btf.raw(entry).name for entry, _, _ in given}
    return missing


def _text(table: bytes, start: int) -> str:
    return table[start : table.index(b"\0", start)].decode()


def build_binaries() -> None:
    """Builds the binaries that sections name by a path that begins with a point, from the same package; once.

    One has 50,000 functions: it takes a minute.
    """
    BINARIES.mkdir(parents=True, exist_ok=True)
    (BINARIES / "bpf").mkdir(exist_ok=True)
    (BINARIES / "bpf" / "libbpf_internal.h").write_text(_VERSIONS)
    tests = CACHE / PACKAGE / TESTS
    for name, words in (
        ("uprobe_multi", "uprobe_multi.c -Wl,-T,uprobe_multi.ld"),
        ("liburandom_read.so", "urandom_read_lib1.c urandom_read_lib2.c -shared -fPIC -Wl,--version-script={map}"),
        ("urandom_read", "urandom_read.c urandom_read_aux.c -L{here} -lurandom_read -Wl,-rpath=."),
    ):
        if not (BINARIES / name).exists():
            how = words.format(here=BINARIES, map="liburandom_read.map").split()
            command = ["cc", "-O0", "-w", "-I.", f"-I{BINARIES}", *how, "-o", str(BINARIES / name)]
            subprocess.run(command, cwd=tests, check=True)
