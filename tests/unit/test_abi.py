import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from skep.base.abi import generate
from skep.base.abi.errnos import ERRNOS, describe_errno
from skep.base.abi.files import ACCESS_MODES, open_flags
from skep.base.abi.generate import read_syscalls
from skep.base.abi.signals import SIGNALS
from skep.base.abi.sockets import FAMILIES, PROTOCOLS
from skep.base.abi.syscalls import syscalls

ARCHITECTURES = ["x86_64", "i386", "aarch64"]
# What asm-generic/unistd.h asks the includer to say, as arm64 says it.
ARM64 = ["RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "TIME32_SYSCALLS", "SYS_CLONE3", "MEMFD_SECRET"]


def header(name: str) -> str:
    for folder in ("/usr/include", "/usr/include/x86_64-linux-gnu"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
    pytest.skip(f"no <{name}> on this machine")


def macros(name: str, *defined: str) -> dict[str, int]:
    """The macros of a header that are numbers in the end."""
    header(name)
    compiler = shutil.which("cc") or shutil.which("clang") or pytest.skip("no C compiler on this machine")
    command = [compiler, "-E", "-dM", *(f"-D{word}" for word in defined), "-include", name, "-x", "c", "/dev/null"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    texts = dict(re.findall(r"^#define (\w+) (\w+)$", lines, re.MULTILINE))
    numbers = {}
    for macro, text in texts.items():
        number = text
        while texts.get(number, number) != number:  # glibc also defines names as themselves
            number = texts[number]
        if number.isdecimal():
            numbers[macro] = int(number)
    return numbers


@pytest.mark.parametrize(("architecture", "name"), [("x86_64", "asm/unistd_64.h"), ("i386", "asm/unistd_32.h")])
def test_syscalls_agree_with_this_machines_headers(architecture: str, name: str) -> None:
    table = syscalls(architecture)
    # A machine with newer headers than the table's may know more.
    expected = {number: name for number, name in read_syscalls(header(name)).items() if number <= max(table)}

    assert len(expected) > 300
    assert {number: table.get(number) for number in expected} == expected


def test_syscalls_of_arm64_agree_with_this_machines_headers() -> None:
    numbers = macros("asm-generic/unistd.h", *(f"__ARCH_WANT_{word}" for word in ARM64))
    table = syscalls("aarch64")
    known = {text: number for text, number in numbers.items() if text.startswith("__NR_") and number <= max(table)}
    for word in ("__NR_syscalls", "__NR_arch_specific_syscall"):
        known.pop(word, None)

    assert len(known) > 250
    assert {f"__NR_{table.get(number)}" for number in known.values()} == set(known)


@pytest.mark.parametrize(
    ("architecture", "number", "name"),
    [
        ("x86_64", 0, "read"),
        ("x86_64", 59, "execve"),
        ("x86_64", 257, "openat"),
        ("x86_64", 462, "mseal"),
        ("i386", 11, "execve"),
        ("i386", 5, "open"),
        ("aarch64", 56, "openat"),
        ("aarch64", 79, "newfstatat"),
        ("aarch64", 221, "execve"),
    ],
)
def test_syscalls_that_everybody_knows(architecture: str, number: int, name: str) -> None:
    assert syscalls(architecture)[number] == name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_two_numbers_have_one_syscalls_name(architecture: str) -> None:
    names = list(syscalls(architecture).values())

    assert len(set(names)) == len(names)


def test_an_architecture_without_a_table_has_no_syscalls() -> None:
    assert syscalls("vax") == {}


def test_the_generator_reads_only_numbered_syscalls() -> None:
    text = "#ifndef X\n#define __NR_read 0\n#define __NR_openat 257\n#define __NR_alias __NR_read\n#define OTHER 5\n"

    assert read_syscalls(text) == {0: "read", 257: "openat"}


def test_the_generator_writes_the_tables_that_are_checked_in(tmp_path: Path) -> None:
    checked_in = {path.name: path.read_text() for path in Path(generate.__file__).parent.glob("syscalls_*.py")}
    version, patchlevel = re.findall(r"Linux (\d+)\.(\d+)", checked_in["syscalls_x86_64.py"])[0]
    headers = {"any-linux-any/linux/version.h": f"#define LINUX_VERSION_MAJOR {version}\n"}
    headers["any-linux-any/linux/version.h"] += f"#define LINUX_VERSION_PATCHLEVEL {patchlevel}\n"
    for architecture, name in generate._HEADERS.items():
        lines = (f"#define __NR_{call} {number}\n" for number, call in syscalls(architecture).items())
        headers[name] = "".join(lines)
    for name, text in headers.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    generate.generate(str(tmp_path), str(tmp_path))

    assert {path.name: path.read_text() for path in tmp_path.glob("syscalls_*.py")} == checked_in


@pytest.mark.parametrize(("number", "name"), sorted(errno.errorcode.items()))
def test_errnos_have_the_names_of_the_standard_library(number: int, name: str) -> None:
    assert getattr(errno, ERRNOS[number]) == getattr(errno, name) == number


@pytest.mark.parametrize(
    ("number", "name", "description"),
    [
        (errno.ENOENT, "ENOENT", "No such file or directory"),
        (errno.EAGAIN, "EAGAIN", "Resource temporarily unavailable"),
        (errno.EDEADLK, "EDEADLK", "Resource deadlock avoided"),
        (errno.EOPNOTSUPP, "EOPNOTSUPP", "Operation not supported"),
        (133, "EHWPOISON", "Memory page has hardware error"),
        (512, "ERESTARTSYS", "Restart the system call if the signal's action says so"),
        (524, "ENOTSUPP", "Operation is not supported"),
    ],
)
def test_errnos_have_the_kernels_names_and_a_description(number: int, name: str, description: str) -> None:
    assert ERRNOS[number] == name
    assert describe_errno(number) == description


def test_errnos_agree_with_this_machines_headers() -> None:
    numbers = macros("asm/errno.h")

    assert len(numbers) > 130
    for number, name in ERRNOS.items():
        if number < 512:
            assert numbers[name] == number


def test_signals_are_those_of_this_machine() -> None:
    assert {member.value: member.name for member in signal.Signals} == {
        number: SIGNALS[number] for number in map(int, signal.Signals)
    }
    assert sorted(SIGNALS) == list(range(1, 65))


@pytest.mark.parametrize(
    ("number", "name"), [(32, "SIG32"), (35, "SIGRTMIN+1"), (49, "SIGRTMIN+15"), (63, "SIGRTMAX-1")]
)
def test_real_time_signals_are_named_as_kill_names_them(number: int, name: str) -> None:
    assert SIGNALS[number] == name


def test_families_are_those_of_this_machine() -> None:
    known = {name: int(value) for name, value in vars(socket).items() if name.startswith("AF_") and name != "AF_ROUTE"}

    assert len(known) > 20
    assert {name: FAMILIES.get(number) for name, number in known.items()} == {name: name for name in known}


def test_families_agree_with_this_machines_headers() -> None:
    numbers = macros("sys/socket.h")
    aliases = {"AF_LOCAL", "AF_FILE", "AF_ROUTE", "AF_MAX"}
    known = {name: number for name, number in numbers.items() if name.startswith("AF_") and name not in aliases}

    assert len(known) > 40
    assert {name: FAMILIES.get(number) for name, number in known.items() if number <= max(FAMILIES)}.items() <= {
        (name, name) for name in known
    }


def test_protocols_agree_with_this_machines_headers() -> None:
    numbers = dict(re.findall(r"(IPPROTO_\w+) = (\d+)", header("linux/in.h") + header("linux/in6.h")))
    numbers |= dict(re.findall(r"#define (IPPROTO_ICMPV6)\s+(\d+)", header("linux/in6.h")))

    assert len(numbers) > 20
    assert {name: PROTOCOLS.get(int(number)) for name, number in numbers.items()} == {name: name for name in numbers}


@pytest.mark.skipif(os.uname().machine not in ARCHITECTURES, reason="no table for this architecture")
def test_open_flags_are_those_of_this_machine() -> None:
    flags = {name: bits for bits, name in open_flags(os.uname().machine)}

    for name in set(flags) - {"O_LARGEFILE", "O_EMPTYPATH"}:  # which os has as 0, and not yet
        assert flags[name] == getattr(os, name), name
    assert [getattr(os, name) for name in ACCESS_MODES] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "x86", "arm"),
    [
        ("O_DIRECTORY", 0o200000, 0o40000),
        ("O_NOFOLLOW", 0o400000, 0o100000),
        ("O_DIRECT", 0o40000, 0o200000),
        ("O_LARGEFILE", 0o100000, 0o400000),
        ("O_TMPFILE", 0o20200000, 0o20040000),
        ("O_CLOEXEC", 0o2000000, 0o2000000),
    ],
)
def test_open_flags_that_differ_between_architectures(name: str, x86: int, arm: int) -> None:
    assert (x86, name) in open_flags("x86_64")
    assert (x86, name) in open_flags("i386")
    assert (arm, name) in open_flags("aarch64")


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "vax"])
def test_a_flag_that_contains_another_stands_before_it(architecture: str) -> None:
    table = open_flags(architecture)

    for index, (bits, name) in enumerate(table):
        for earlier, other in table[:index]:
            assert earlier & ~bits, f"{other} hides {name}"


def test_importing_the_package_loads_no_table() -> None:
    code = "import sys, skep.base.abi; print([name for name in sys.modules if name.startswith('skep.base.abi.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
