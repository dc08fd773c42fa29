"""Scripts print what they print under BCC itself, of the same events: as recorded in tests/bcc/golden."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skep.kernel import btf
from skep.kernel.features import has_probes
from tests.bcc.golden.cases import HERE_TOO, KPROBES, PROBED, RUNTIME, Case
from tests.bcc.golden.golden import printed
from tests.bcc.package import unpacked

SKEP = [sys.executable, "-c", "from skep.cli import main; raise SystemExit(main())", "bcc"]
# The same, which takes the types of the kernel for those of another.
AGAINST = "import sys; from skep.kernel import btf; build = sys.argv.pop(1); btf._build_id = lambda: build"
# Seconds: a busy machine compiles slowly, and a guest is slow in all.
LIMIT = 600 if "SKEP_VM_KERNEL" in os.environ else 60
TOP = Path(__file__).parents[2]
BUILT = TOP / "build" / "bcc"


@pytest.fixture(scope="module", autouse=True)
def programs():
    """What provokes, built on the host: elsewhere is no compiler."""
    if "SKEP_VM_KERNEL" not in os.environ:
        subprocess.run(["make", "-s", *(str(each.relative_to(TOP)) for each in (PROBED, RUNTIME))], cwd=TOP, check=True)


@pytest.mark.parametrize("case", HERE_TOO, ids=lambda case: case.name)
def test_a_script_prints_what_it_prints_under_bcc(case: Case):
    assert printed(case, SKEP, unpacked() / "usr/sbin", {}, LIMIT) == case.recorded


@pytest.fixture
def skep_of_here():
    """The command, and its environment: in a guest with what was compiled here, against the types of this kernel."""
    (BUILT / "skep").mkdir(mode=0o700, parents=True, exist_ok=True)
    note = BUILT / "build-id"
    if "SKEP_VM_KERNEL" not in os.environ:
        note.write_text(btf._build_id() or "")
    command = [SKEP[0], "-c", f"{AGAINST}; {SKEP[2]}", note.read_text(), "bcc"]
    return command, {"XDG_CACHE_HOME": str(BUILT)}


@pytest.mark.floors("6.12")
@pytest.mark.compiles
@pytest.mark.parametrize("case", KPROBES, ids=lambda case: case.name)
def test_a_script_of_kprobes_prints_what_it_prints_under_bcc(case: Case, skep_of_here):
    command, environment = skep_of_here
    if not has_probes("kprobe"):
        # Compiled it is in any case.
        with pytest.raises(AssertionError, match="this kernel has no kprobes"):
            printed(case, command, unpacked() / "usr/sbin", environment, LIMIT)
        pytest.skip("this kernel has no kprobes (CONFIG_KPROBE_EVENTS)")
    assert printed(case, command, unpacked() / "usr/sbin", environment, LIMIT) == case.recorded
