"""Scripts print what they print under BCC itself, of the same events: as recorded in tests/bcc/golden."""

import sys

import pytest

from tests.bcc.golden.cases import HERE_TOO, Case
from tests.bcc.golden.golden import printed
from tests.bcc.package import unpacked

SKEP = [sys.executable, "-c", "from skep.cli import main; raise SystemExit(main())", "bcc"]
# Seconds: a busy machine compiles slowly.
LIMIT = 60


@pytest.mark.parametrize("case", HERE_TOO, ids=lambda case: case.name)
def test_a_script_prints_what_it_prints_under_bcc(case: Case):
    assert printed(case, SKEP, unpacked() / "usr/sbin", {}, LIMIT) == case.recorded
