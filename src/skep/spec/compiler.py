"""The compiler: a clang with an eBPF back end, of the system or of the extra `skep[compiler]`.

Which one will do is found by trying it, never by its version. What the trial told is kept for as long as its file stays
the same.
"""

from __future__ import annotations

import os

# Not from hashlib, which loads OpenSSL: 3 to 5 ms at every start.
from _blake2 import blake2b

from skep.base.errors import SkepError, UnsupportedError
from skep.spec import cache
from skep.spec.trust import refuse_untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from subprocess import CompletedProcess

__all__ = ["Compiler", "crash", "file_identity", "find_compiler", "run"]

_INSTALL = "sudo apt install clang, or: pip install 'skep[compiler]'"

# What a kernel file needs: relocatable access (CO-RE) and functions of the kernel in BTF (clang 12).
_TRIAL = b"""
struct task { int pid; } __attribute__((preserve_access_index));
extern int kernel_function(struct task *task) __attribute__((section(".ksyms")));
__attribute__((section("tp_btf/trial"), used)) int trial(struct task *task)
{
	return task->pid + kernel_function(task);
}
"""


class Compiler:
    """A clang with a BPF back end.

    Args:
        path: of the program.
        arguments: which come before all others, where the program is more than a compiler.
        headers: the folder of its own <stddef.h> and the like; None if it finds them by itself.

    `identity` tells one compiler from another without starting it (`clang --version` takes up to 0.35 s cold).
    """

    __slots__ = ("command", "identity", "own_headers", "path")

    def __init__(self, path: str, *arguments: str, headers: str | None = None) -> None:
        self.path = path
        self.command = [path, *arguments]
        self.identity = file_identity(path)
        self.own_headers = headers

    def headers(self) -> str:
        """The folder of its own <stddef.h> and the like. The first time, it is found by compiling something.

        Raises:
            UnsupportedError: it cannot compile for eBPF, or cannot be run.
            SkepError: the cache cannot be used.
        """
        folder = cache.cache_folder("compilers")
        note = os.path.join(folder, blake2b(os.fsencode(self.identity), digest_size=20).hexdigest())
        known = cache.read(note)
        if known is not None and os.path.isdir(known):
            return os.fsdecode(known)
        arguments = ["--target=bpfel", "-g", "-O2", "-v", "-x", "c", "-c", "-", "-o", "-"]
        finished = run(self, arguments, _TRIAL, "/")
        said = os.fsdecode(finished.stderr)
        if finished.returncode or b".BTF.ext" not in finished.stdout:
            why = next((line for line in said.splitlines() if "error:" in line), "it makes no BTF")
            raise UnsupportedError(f"{self.path} cannot compile for eBPF: {why}", remedy=_INSTALL)
        # -v lists the folders that it looks into, one a line.
        searched = [line.strip() for line in said.splitlines() if line.startswith(" /")]
        headers = self.own_headers or next(
            (path for path in searched if os.path.isfile(os.path.join(path, "stddef.h"))), "/usr/include"
        )
        cache.trim(folder)
        cache.write(note, os.fsencode(headers))
        return headers


def find_compiler() -> Compiler:
    """A clang of PATH, or that of the extra `skep[compiler]`: the first that can compile for eBPF.

    Raises:
        UnsupportedError: there is none.
        SkepError: the cache cannot be used.
    """
    reason = UnsupportedError("clang, which compiles kernel files, is not installed", remedy=_INSTALL)
    for compiler in _candidates():
        try:
            refuse_untrusted(compiler.path)
            compiler.headers()
        except UnsupportedError as error:
            reason = error
        else:
            return compiler
    raise reason


def _candidates() -> Iterator[Compiler]:
    for folder in os.get_exec_path():
        # A folder of PATH may be relative, and the compiler runs in that of the source.
        path = os.path.abspath(os.path.join(folder, "clang"))
        if os.path.isfile(path) and os.access(path, os.X_OK):
            yield Compiler(path)
    from importlib.util import find_spec

    # The wheel holds Zig, and Zig holds a whole clang behind its first argument. Its headers lie where only Zig looks.
    found = find_spec("ziglang")
    for folder in (found and found.submodule_search_locations) or ():
        if os.path.isfile(os.path.join(folder, "zig")):
            yield Compiler(os.path.join(folder, "zig"), "clang", headers=os.path.join(folder, "lib", "include"))


def file_identity(path: str) -> str:
    """What changes when a file does: where it really is, when it was written, its size."""
    status = os.stat(path)
    return f"{os.path.realpath(path)} {status.st_mtime_ns} {status.st_size}"


def run(compiler: Compiler, arguments: Sequence[str], text: bytes, folder: str) -> CompletedProcess[bytes]:
    """Runs a compiler to its end.

    Args:
        compiler: which.
        arguments: without the compiler's own.
        text: its standard input.
        folder: where it runs.

    Raises:
        UnsupportedError: it cannot be run.
        SkepError: it crashed.
    """
    import signal
    import subprocess

    try:
        finished = subprocess.run(
            [*compiler.command, *arguments], input=text, capture_output=True, check=False, cwd=folder
        )
    except OSError as error:
        raise UnsupportedError(f"{compiler.path} cannot be run: {error.strerror}", remedy=_INSTALL) from error
    if finished.returncode == -signal.SIGINT:
        # Ctrl-C comes to the compiler as it comes to us.
        raise KeyboardInterrupt
    if finished.returncode < 0:
        raise crash(compiler.path, -finished.returncode)
    return finished


def crash(program: str, number: int) -> SkepError:
    """What to say of a program, or a library, that did not survive a source.

    Args:
        program: what it is called.
        number: the signal that ended it.
    """
    return SkepError(
        f"{program} was ended by signal {number}",
        remedy="It may be that memory is short, or that the source nests thousands of levels deep: as in !!!!...x.",
    )
