"""A dozen of Debian's bpfcc-tools, as they are. `make test-bcc` runs all of them.

Those that need kprobes run on 6.12 alone. What they become is compiled here, against the types of this kernel, and is
run there: a guest would take a minute for each.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from skep.kernel import btf
from skep.kernel.features import has_probes
from tests.bcc.inside import show
from tests.bcc.package import unpacked
from tests.bcc.tools import TOOLS

BY_NAME = {tool.name: tool for tool in TOOLS}
# The cache of what is compiled here for guests, which see this folder, and cannot write to it.
BUILT = Path(__file__).resolve().parents[2] / "build" / "bcc"


@pytest.mark.parametrize(
    "name",
    ["bpflist", "exitsnoop", "gethostlatency", "memleak", "runqlat", "syscount", "tcplife", "tcpstates", "trace"],
)
def test_a_tool_shows_what_it_is_for(name, tmp_path):
    assert show(unpacked(), BY_NAME[name], {**os.environ, "PYTHONUNBUFFERED": "1"}, tmp_path) == ("checked", "")


@pytest.mark.floors("6.12")
@pytest.mark.compiles
@pytest.mark.parametrize("name", ["execsnoop", "killsnoop", "tcpconnect"])
def test_a_tool_of_kprobes_shows_what_it_is_for(name, tmp_path):
    note = BUILT / "build-id"
    if "SKEP_VM_KERNEL" not in os.environ:
        (BUILT / "skep").mkdir(mode=0o700, parents=True, exist_ok=True)
        note.write_text(btf._build_id() or "")
    run = f"import skep.kernel.btf as btf; btf._build_id = lambda: {note.read_text()!r}"
    command = [sys.executable, "-c", f"{run}; from skep.cli import main; raise SystemExit(main())", "bcc"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "XDG_CACHE_HOME": str(BUILT)}

    seen = show(unpacked(), BY_NAME[name], env, tmp_path, command)

    if has_probes("kprobe"):
        assert seen == ("checked", "")
    else:
        assert seen[1].endswith("this kernel has no kprobes (CONFIG_KPROBE_EVENTS)")
