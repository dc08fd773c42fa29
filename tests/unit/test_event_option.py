"""`--event MAP=TYPE`: several for one map, of several maps; what is no such thing."""

from __future__ import annotations

import pytest

from skep.base.errors import UsageError
from skep.cli.options import run_parser


def test_types_are_collected_by_map() -> None:
    options = run_parser()[0].parse(["--event", "a=struct one", "--event", "b = u32", "--event", "a=two_t"])

    assert options.events == {"a": ["struct one", "two_t"], "b": ["u32"]}


def test_no_type_is_asked_for_twice_over() -> None:
    """What one command line said is not what the next one says."""
    run_parser()[0].parse(["--event", "a=struct one"])

    assert run_parser()[0].parse([]).events == {}


@pytest.mark.parametrize("text", ["events", "events=", "=struct event", " = "])
def test_what_is_no_map_and_type_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="it takes MAP=TYPE") as raised:
        run_parser()[0].parse(["--event", text])

    assert raised.value.remedy == "--event 'events=struct event'"
