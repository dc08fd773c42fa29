"""Writes the tables of system calls: `python -m skep.base.abi.generate INCLUDE`.

INCLUDE is a folder with the uapi headers of every architecture, Linux 6.11 or newer (before, arm64 had no list of its
own), such as `ziglang/lib/libc/include` of the wheel that is the extra `skep[compiler]`: it follows new kernels sooner
than a distribution's linux-libc-dev.
"""

from __future__ import annotations

import os
import re
import sys

__all__ = ["generate", "read_syscalls"]

_HEADERS = {
    "x86_64": "x86-linux-any/asm/unistd_64.h",
    "i386": "x86-linux-any/asm/unistd_32.h",
    "aarch64": "aarch64-linux-any/asm/unistd_64.h",
}
_VERSION = "any-linux-any/linux/version.h"


def read_syscalls(header: str) -> dict[int, str]:
    """Number -> name of the system calls that a header with lines ``#define __NR_name number`` lists.

    Args:
        header: the text of <asm/unistd_64.h> or <asm/unistd_32.h>.
    """
    return {int(number): name for name, number in re.findall(r"^#define __NR_(\w+) (\d+)$", header, re.MULTILINE)}


def _read(folder: str, name: str) -> str:
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()


def _module(architecture: str, version: str, table: dict[int, str]) -> str:
    lines = "".join(f'    {number}: "{name}",\n' for number, name in sorted(table.items()))
    return (
        f'"""System calls of {architecture}, Linux {version}. Made by `skep.base.abi.generate`; do not edit."""\n\n'
        "from __future__ import annotations\n\n"
        '__all__ = ["SYSCALLS"]\n\n'
        f"SYSCALLS: dict[int, str] = {{\n{lines}}}\n"
        '"""Number -> name."""\n'
    )


def generate(headers: str, tables: str) -> None:
    """Writes the table of each architecture.

    Args:
        headers: INCLUDE.
        tables: the folder that the tables go to.
    """
    numbers = re.findall(r"VERSION_(?:MAJOR|PATCHLEVEL) (\d+)", _read(headers, _VERSION))
    for architecture, header in _HEADERS.items():
        text = _module(architecture, ".".join(numbers), read_syscalls(_read(headers, header)))
        with open(os.path.join(tables, f"syscalls_{architecture}.py"), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    generate(sys.argv[1], os.path.dirname(__file__))
