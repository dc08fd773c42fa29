"""The wheel, installed where there is neither libbpf nor its headers nor a compiler: it brings what it needs.

Needs root, for a mount namespace in which the system's own are hidden.
"""

import glob
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from skep.session.api import tool_names

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def distributions(tmp_path_factory):
    """The folder of a wheel and a source distribution, made now."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, ROOT / "scripts" / "wheel", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def wheel(distributions):
    (wheel,) = distributions.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def environment(wheel, tmp_path_factory):
    """A virtual environment with the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "--quiet", "install", wheel], check=True)
    return folder


@pytest.fixture
def installed(environment, tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """installed(*arguments): runs the installed skep where libbpf, libelf and all headers of the system are hidden."""
    libraries = [path for name in ("libbpf", "libelf") for path in glob.glob(f"/usr/lib/*/{name}[.-]*so*")]
    assert libraries
    hide = "mount -t tmpfs none /usr/include\n"
    hide += "".join(f"mount --bind /dev/null {path}\n" for path in libraries if not os.path.islink(path))

    def run(*arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
        command = shlex.join([str(environment / "bin" / "skep"), *arguments])
        script = f"{hide}PATH={environment}/bin:{path} exec {command}"
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")}
        return subprocess.run(
            ["unshare", "--mount", "sh", "-euc", script],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=variables,
        )

    return run


def test_is_one_for_every_python_and_holds_the_kernel_files_and_the_licences(wheel):
    assert "-cp311-abi3-manylinux" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    for name in names:
        if name.endswith(".bpf.c") and "/templates/" not in name:
            assert f"{name.removesuffix('.c')}.o" in names
    assert "skep/cli/templates/tracepoint.bpf.c" in names
    assert "skep/spec/include/skep.h" in names
    assert {"LGPL-2.1", "LGPL-3", "copyright"} <= {os.path.basename(name) for name in names if "/licenses/" in name}
    assert {name.split("-")[0] for name in names if name.startswith("skep.libs/l")} == {
        "skep.libs/libbpf",
        "skep.libs/libelf",
    }
    assert not [name for name in names if name.startswith("skep/_native/") and name.endswith((".c", ".h"))]


def test_the_source_distribution_holds_nothing_that_is_built(distributions):
    (source,) = distributions.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = archive.getnames()
    assert [name for name in names if name.endswith("/_native/native.h")]
    assert not [name for name in names if name.endswith((".o", ".so", "/_libbpf.c"))]


def test_runs_a_tool(installed):
    finished = installed("run", "opensnoop", "--", shutil.which("true"))
    assert finished.returncode == 0, finished.stderr
    assert "/etc/ld.so.cache" in finished.stdout


def test_knows_its_tools(installed):
    for name in tool_names():
        finished = installed("info", name)
        assert finished.returncode == 0, finished.stderr
        assert "Programs" in finished.stdout


def test_compiles_with_the_headers_that_it_carries(installed, tmp_path):
    (tmp_path / "carried.bpf.c").write_text(
        """#include "vmlinux.h"
        #include <bpf/bpf_helpers.h>
        #include <bpf/bpf_core_read.h>
        #include <bpf/bpf_endian.h>
        #include <bpf/bpf_tracing.h>
        #include <bpf/usdt.bpf.h>

        SEC("usdt/libc.so.6:libc:setjmp") int BPF_USDT(jump, void *buffer) { return bpf_htons(ESRCH); }
        char LICENSE[] SEC("license") = "GPL";
        """
    )
    # There is no compiler ...
    finished = installed("build", "carried.bpf.c")
    assert finished.returncode == 3
    assert "clang" in finished.stderr
    # ... until there is one.
    finished = installed("build", "carried.bpf.c", path="/usr/bin")
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "carried.bpf.o").stat().st_size
