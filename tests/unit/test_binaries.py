"""Binaries: how they are named and found, and what is read of them, with readelf and objdump as witnesses."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skep.base.errors import AttachError
from skep.kernel.link.binary import find_binary, open_binary
from skep.kernel.link.executable import FUNCTION, INDIRECT, Executable
from skep.kernel.link.symbols import did_you_mean, fitting
from skep.spec.objectspec import ProgramSpec
from skep.spec.sections import split_binary
from skep.spec.targets import Targets, hook_of

SOURCE = """
#include <string.h>
static int twice(int number) { return 2 * number; }
__attribute__((noinline)) int visible(int number) { return twice(number) + 1; }
int variable;
#ifdef LIBRARY
__asm__(".symver old,shared@VERSION_1\\n.symver new,shared@@VERSION_2");
int old(void) { return 1; }
int new(void) { return 2; }
#else
int main(int count, char **arguments) { return visible(count) + variable + (int)strlen(arguments[0]); }
#endif
"""
VERSIONS = "VERSION_1 { global: visible; local: old; new; }; VERSION_2 { global: shared; } VERSION_1;"


@pytest.fixture(scope="session")
def binaries(tmp_path_factory) -> dict[str, str]:
    """A program that is loaded anywhere, one with an address of its own, one without names, and a library."""
    folder = tmp_path_factory.mktemp("binaries")
    (folder / "source.c").write_text(SOURCE)
    (folder / "versions").write_text(VERSIONS)
    library = ["-DLIBRARY", "-shared", "-fPIC", f"-Wl,--version-script={folder}/versions", "-Wl,--hash-style=sysv"]
    found = {}
    for name, options in {
        "pie": ["-pie", "-fPIE"],
        "fixed": ["-no-pie"],
        "moved": ["-no-pie", "-Wl,-Ttext-segment=0x7000000"],
        "stripped": ["-s", "-rdynamic"],
        "libmade.so.3": library,
    }.items():
        found[name] = str(folder / name)
        subprocess.run(["gcc", "-O0", *options, "-o", found[name], str(folder / "source.c")], check=True)
    return found


def _read(path: str) -> Executable:
    return Executable(Path(path).read_bytes(), path)


def _read_by_binutils(path: str) -> set[tuple[str, int]]:
    """(name with version, address) of the functions, as readelf prints them."""
    finished = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True, check=True)
    line = re.compile(r"^ *\d+: (\w+) +\w+ I?FUNC +\w+ +\w+ +\d+ (\S+)$", re.MULTILINE)
    return {(name, int(address, 16)) for address, name in line.findall(finished.stdout)}


def _read_by_us(path: str) -> set[tuple[str, int]]:
    return {
        (f"{one.name}{'@' * (1 + one.is_default)}{one.version}" if one.version else one.name, one.address)
        for one in _read(path).symbols()
        if one.type in {FUNCTION, INDIRECT} and one.address is not None
    }


@pytest.mark.parametrize("name", ["pie", "fixed", "moved", "stripped", "libmade.so.3"])
def test_functions_are_those_that_readelf_prints(binaries, name):
    assert _read_by_us(binaries[name]) == _read_by_binutils(binaries[name])
    assert {one.partition("@")[0] for one, _ in _read_by_us(binaries[name])} >= {"visible"}


@pytest.mark.parametrize("name", ["bash", "ls", "libc", "libm", "libpthread"])
def test_functions_of_what_is_installed(name):
    path = find_binary(name, Targets())

    assert _read_by_us(path) == _read_by_binutils(path)


@pytest.mark.parametrize("name", ["pie", "fixed", "moved", "stripped", "libmade.so.3"])
def test_the_code_of_a_function_lies_at_its_offset(binaries, name):
    binary = _read(binaries[name])
    offsets = {binary.offset(symbol.address or 0) for symbol in binary.symbols("visible")}
    text = subprocess.run(["objdump", "-d", "-F", binaries[name]], capture_output=True, text=True, check=True).stdout
    places = re.findall(r"<visible(?:@@VERSION_1|@@Base)?> \(File Offset: (\w+)\)", text)

    assert offsets == {int(place, 16) for place in places}
    assert None not in offsets


def test_an_address_that_is_no_code_has_no_offset(binaries):
    binary = _read(binaries["fixed"])

    assert binary.offset(0) is None
    assert binary.offset(1 << 63) is None


@pytest.mark.parametrize("name", ["visible", "e", ""])
def test_what_is_found_by_name_is_what_is_among_all(binaries, name):
    # Names of many begin or end so; of none it is the whole.
    for path in (*binaries.values(), sys.executable):
        binary = _read(path)
        found = [(one.name, one.version, one.address) for one in binary.symbols(name)]
        assert found == [(one.name, one.version, one.address) for one in binary.symbols() if one.name == name]


def test_versions_are_told_apart(binaries):
    found = _read(binaries["libmade.so.3"]).symbols("shared")

    assert {(one.version, one.is_default) for one in found} == {("VERSION_1", False), ("VERSION_2", True)}
    assert len({one.address for one in found}) == 2


def test_what_is_used_and_not_defined_has_no_address(binaries):
    assert {one.address for one in _read(binaries["pie"]).symbols("strlen")} == {None}


def test_a_stripped_binary_says_so(binaries):
    assert _read(binaries["stripped"]).is_stripped
    assert not _read(binaries["pie"]).is_stripped
    assert _read(binaries["stripped"]).symbols("twice") == []


def _with_notes(*notes: tuple[int, bytes]) -> bytes:
    """A program of 64 bits that holds nothing but the section .note.stapsdt."""
    names = b"\0.note.stapsdt\0.names\0"
    section = b"".join(
        struct.pack("<3I8s", 8, len(body), kind, b"stapsdt\0") + body.ljust(len(body) + 3 & ~3, b"\0")
        for kind, body in notes
    )
    headers = bytes(64) + struct.pack("<IIQQQQIIQQ", 1, 7, 0, 0, 64, len(section), 0, 0, 4, 0)
    headers += struct.pack("<IIQQQQIIQQ", 15, 3, 0, 0, 64 + len(section), len(names), 0, 0, 1, 0)
    start = 64 + len(section) + len(names)
    ident = b"\x7fELF\2\1\1" + bytes(9)
    return (
        ident + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, start, 0, 64, 56, 0, 64, 3, 2) + section + names + headers
    )


def test_usdt_probes_are_those_of_the_notes():
    body = bytes(24) + b"python\0gc__start\0-4@%eax\0"
    data = _with_notes((3, body), (3, bytes(24) + b"a\0b\0\0"), (1, body), (3, b"short"))

    assert Executable(data, "made").probes().keys() == {"python:gc__start", "a:b"}


def test_notes_that_are_cut_end_the_list():
    data = bytearray(_with_notes((3, bytes(24) + b"a\0b\0\0"), (3, bytes(24) + b"c\0d\0\0")))
    # The size of the second note.
    struct.pack_into("<I", data, 64 + 20 + 32 + 4, 1 << 31)

    assert Executable(bytes(data), "made").probes().keys() == {"a:b"}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_binary_is_refused_or_read(binaries, data):
    name = data.draw(st.sampled_from(["pie", "libmade.so.3"]))
    whole = bytearray(Path(binaries[name]).read_bytes())
    tables = len(whole) - 64 * 40
    places = st.one_of(st.integers(0, 63), st.integers(64, 1024), st.integers(tables, len(whole) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        whole[place] = value
    end = data.draw(st.one_of(st.none(), st.integers(0, len(whole))))

    # Nothing else is raised, and nothing takes long.
    with suppress(AttachError):
        binary = Executable(bytes(whole[:end]), name)
        binary.symbols("visible")
        binary.symbols()
        binary.probes()


@given(st.binary(max_size=200))
def test_what_is_no_binary_is_refused(noise):
    for data in noise, b"\x7fELF\2\1" + noise, b"\x7fELF\1\2" + noise:
        with suppress(AttachError):
            Executable(data, "noise").symbols()


def test_binaries_are_found_by_name(tmp_path, monkeypatch, binaries):
    (tmp_path / "made").symlink_to(binaries["pie"])
    (tmp_path / "text").write_text("no program")
    monkeypatch.setenv("PATH", f"/nowhere:{tmp_path}")

    assert find_binary("made", Targets()) == f"{tmp_path}/made"
    assert find_binary("./made", Targets()) == "./made"
    assert Path(find_binary("libc", Targets())).resolve() == Path(find_binary("libc.so.6", Targets())).resolve()
    for name in "text", "libnosuch", "", "lib*":
        with pytest.raises(AttachError, match="there is no program and no library"):
            find_binary(name, Targets())


def test_a_library_that_a_process_has_loaded_is_found(binaries):
    path = binaries["libmade.so.3"]
    script = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script, path], stdin=PIPE, stdout=PIPE) as process:
        process.stdout.readline()  # type: ignore[union-attr] # they are pipes
        found = {find_binary("libmade", Targets(pid=process.pid)), find_binary("libmade", Targets(process=process.pid))}
        process.stdin.close()  # type: ignore[union-attr]

    assert found == {path}
    for targets in Targets(), Targets(process=process.pid):
        with pytest.raises(AttachError, match="no library libmade"):
            find_binary("libmade", targets)


def test_a_binary_that_is_a_folder_is_refused(tmp_path):
    with pytest.raises(AttachError, match="is a folder"):
        open_binary(str(tmp_path))


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("SSL_*", ["SSL_read", "SSL_"], ["xSSL_read", "SSL"]),
        ("a?c", ["abc", "a.c"], ["ac", "abbc", "abcd"]),
        ("a.c*", ["a.c", "a.c+1"], ["abc"]),
        ("*", ["", "a\nb"], []),
    ],
)
def test_patterns(pattern, names, others):
    assert all(fitting(pattern).match(name) for name in names)
    assert not any(fitting(pattern).match(name) for name in others)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("vfs_raed", "Did you mean vfs_read or vfs_readv?"),
        ("unlinkat", "Did you mean do_unlinkat?"),
        ("folio_add", "Did you mean __folio_add.isra.0?"),
        ("vfs_read", None),
        ("nothing_like_it", None),
    ],
)
def test_the_nearest_names(name, near):
    assert did_you_mean(name, {"vfs_read", "vfs_readv", "do_unlinkat", "__folio_add.isra.0", "x"}) == near


@pytest.mark.parametrize(
    ("kind", "target", "parts"),
    [
        ("uprobe", "/bin/bash:readline", ("/bin/bash", "readline")),
        ("uprobe", "libc:malloc+4", ("libc", "malloc+4")),
        ("uprobe", "/bin/bash", ("/bin/bash", "")),
        ("uprobe", "readline", ("", "readline")),
        ("uprobe", "", ("", "")),
        ("uprobe", "dummy_uprobe", ("", "")),
        ("uretprobe.multi", "libssl:SSL_*", ("libssl", "SSL_*")),
        ("usdt", "libjvm:hotspot:gc__begin", ("libjvm", "hotspot:gc__begin")),
        ("usdt", "hotspot:gc__begin", ("", "hotspot:gc__begin")),
        ("usdt", "/usr/bin/python3:python", ("/usr/bin/python3", "python")),
    ],
)
def test_what_a_target_in_a_binary_says(kind, target, parts):
    assert split_binary(kind, target) == parts


@pytest.mark.parametrize(
    ("section", "said", "hook", "needs"),
    [
        ("uprobe", {}, "uprobe", "needs a binary: --binary PATH"),
        ("uprobe", {"function": "f"}, "uprobe/f", "needs a binary: --binary PATH"),
        ("uprobe", {"binary": "bash"}, "uprobe/bash:", "needs a target function: --function NAME"),
        ("uprobe.s", {"binary": "bash", "function": "f"}, "uprobe.s/bash:f", ""),
        ("uretprobe/readline", {"binary": "/bin/bash"}, "uretprobe//bin/bash:readline", ""),
        ("uprobe//bin/bash:f", {"binary": "/other"}, "uprobe//other:f", ""),
        ("usdt", {"binary": "bash"}, "usdt/bash:", "needs a probe: --function PROVIDER:NAME"),
        ("usdt", {"process": 7, "function": "a:b"}, "usdt//proc/7/exe:a:b", ""),
        ("usdt/a:b", {"binary": "bash"}, "usdt/bash:a:b", ""),
        ("uprobe.multi", {"attach": {"program": "libc:mem*"}}, "uprobe.multi/libc:mem*", ""),
        ("uprobe", {"attach": {"program": "uretprobe/libc:free"}}, "uretprobe/libc:free", ""),
        ("uprobe.s/libc:mem*", {}, "uprobe.multi.s/libc:mem*", ""),
        ("uretprobe", {"binary": "libc", "function": "str?"}, "uretprobe.multi/libc:str?", ""),
        ("kprobe", {"function": "vfs_*"}, "kprobe.multi/vfs_*", ""),
        ("kretprobe/vfs_*", {}, "kretprobe.multi/vfs_*", ""),
        ("kprobe.session/vfs_*", {}, "kprobe.session/vfs_*", ""),
    ],
)
def test_what_a_section_leaves_open_in_a_binary(section, said, hook, needs):
    program = ProgramSpec("program", section, frozenset(), frozenset())
    found = hook_of(program, Targets(**said), {})

    assert (str(found), found.needs) == (hook, needs)
