"""Debian's kernels, fetched once with apt and unpacked into a cache folder; nothing gets installed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from skep.base.errors import UsageError, VmError

__all__ = ["KERNELS", "Kernel", "cache_folder", "fetch", "package_name"]

KERNELS: Mapping[str, str] = {
    "6.12": "linux-image-6.12-cloud-amd64",
    "6.1": "linux-image-cloud-amd64",
}
"""The kernels on offer: release series to the Debian meta-package that names the current package of that series."""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package.

    Args:
        version: the release series, a key of `KERNELS`.
        folder: where the package is unpacked: `boot` and `lib/modules` are below it.
        release: the full release, as `uname -r` prints it.
    """

    version: str
    folder: Path
    release: str

    @property
    def image(self) -> Path:
        """The compressed kernel image."""
        return self.folder / "boot" / f"vmlinuz-{self.release}"

    def modules(self, names: Iterable[str]) -> list[Path]:
        """Give the module files that provide `names`, dependencies first.

        Args:
            names: module names without ending, in the order in which they are wanted. A name that the kernel has built
                in needs no file and gives none.

        Source: `modules.dep`, written by depmod(8); a line lists a module's dependencies with the innermost last.
        """
        folder = self.folder / "lib" / "modules" / self.release
        dependencies: dict[str, list[str]] = {}
        for line in (folder / "modules.dep").read_text().splitlines():
            module, _, needed = line.partition(":")
            dependencies[PurePosixPath(module).name.partition(".")[0]] = [module, *needed.split()]
        files = [file for name in names for file in reversed(dependencies.get(name, []))]
        return [folder / file for file in dict.fromkeys(files)]


def fetch(version: str) -> Kernel:
    """Give the newest packaged kernel of a series, downloading it if the cache has none.

    The cache is `$XDG_CACHE_HOME/skep/kernels`, or `~/.cache/skep/kernels`. A kernel that is there is used as it is;
    remove its folder to get a newer one. Runs that fetch at the same time wait for each other.

    Args:
        version: a key of `KERNELS`.

    Raises:
        VmError: a tool of the host is missing, or apt cannot deliver the package.
        UsageError: there is no such kernel.
    """
    if version not in KERNELS:
        raise UsageError(f"no kernel {version!r}; there are {', '.join(KERNELS)}")
    cache = cache_folder()
    folder = cache / version
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache):
            # Another run may have delivered it while this one waited for the lock.
            if not folder.exists():
                _deliver(version, folder)
    (image,) = (folder / "boot").glob("vmlinuz-*")
    return Kernel(version, folder, image.name.removeprefix("vmlinuz-"))


def cache_folder() -> Path:
    """Give the folder that holds the unpacked kernels."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "skep" / "kernels"


def package_name(version: str, description: str) -> str:
    """Find the versioned package in the description of the meta-package.

    Args:
        version: a key of `KERNELS`.
        description: what `apt-cache show` prints for the meta-package.

    Raises:
        VmError: the meta-package names no package of that series, as on another Debian release.
    """
    found = re.search(rf"^Depends:.*?\b(linux-image-{re.escape(version)}\.[^ ,]+)", description, re.MULTILINE)
    if found is None:
        raise VmError(f"Debian's package {KERNELS[version]} does not give a kernel {version} here: is this Debian 12?")
    return found[1]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # The lock is on the folder itself, so that no lock file stays behind.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _deliver(version: str, folder: Path) -> None:
    # The name is fixed, so that what a killed run left behind is removed by the next one. The lock is held.
    partial = folder.with_name(f"{version}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    unpacked = partial / "kernel"
    unpacked.mkdir(parents=True)
    try:
        package = _download(version, partial)
    except VmError:
        # A new machine has no package lists, and those of an old one name versions that are no longer there.
        _output(["apt-get", "--quiet", "update"], partial)
        package = _download(version, partial)
    (archive,) = partial.glob("*.deb")
    _output(["dpkg", "-x", str(archive), str(unpacked)], partial)
    # Installing the package would do this; modprobe and Kernel.modules read the result.
    _output(["depmod", "--basedir", str(unpacked), package.removeprefix("linux-image-")], partial)
    unpacked.rename(folder)
    shutil.rmtree(partial)


def _download(version: str, folder: Path) -> str:
    """Puts the package of that series into a folder, and gives its name."""
    description = _output(["apt-cache", "show", "--no-all-versions", KERNELS[version]], folder)
    package = package_name(version, description)
    sys.stderr.write(f"skep vm: fetching {package}\n")
    _output(["apt-get", "download", package], folder)
    return package


def _output(command: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise VmError(f"{command[0]} is missing: kernels are fetched with Debian's apt, dpkg and kmod") from error
    if done.returncode:
        raise VmError(
            f"{' '.join(command)} failed: {done.stderr.strip()}",
            remedy="Are bookworm and bookworm-security among the package sources of apt?",
        )
    return done.stdout
