"""A dozen of Debian's bpfcc-tools, as they are. `make test-bcc` runs all of them."""

from __future__ import annotations

import os

import pytest

from tests.bcc.inside import show
from tests.bcc.package import unpacked
from tests.bcc.tools import TOOLS

BY_NAME = {tool.name: tool for tool in TOOLS}


@pytest.mark.parametrize(
    "name",
    ["bpflist", "exitsnoop", "gethostlatency", "memleak", "runqlat", "syscount", "tcplife", "tcpstates", "trace"],
)
def test_a_tool_shows_what_it_is_for(name, tmp_path):
    assert show(unpacked(), BY_NAME[name], {**os.environ, "PYTHONUNBUFFERED": "1"}, tmp_path) == ("checked", "")
