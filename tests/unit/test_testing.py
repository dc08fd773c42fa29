"""What `assert_event` finds, and what it says where it finds nothing."""

from __future__ import annotations

from typing import NamedTuple

import pytest


class Event(NamedTuple):
    comm: str
    ret: int


EVENTS = [Event("sh", 0), Event("cat", 3), Event("cat", -2)]


def test_the_first_event_that_has_all_values_is_returned(assert_event):
    assert assert_event(iter(EVENTS), comm="cat") == Event("cat", 3)
    assert assert_event(EVENTS, comm="cat", ret=lambda ret: ret < 0) == Event("cat", -2)
    assert assert_event(EVENTS, ret=pytest.approx(3.0)) == Event("cat", 3)
    assert assert_event(EVENTS) == Event("sh", 0)


@pytest.mark.parametrize(
    ("events", "fields", "message"),
    [
        (EVENTS, {"comm": "cat", "ret": 0, "pid": 1}, "the nearest has comm: 'sh', ret: 0, pid: 'no such field'"),
        (
            EVENTS,
            {"comm": "dog"},
            r"none of 3 events has {'comm': 'dog'}\nthe nearest has comm: 'sh'\nEvent\(comm='sh'",
        ),
        ([], {"comm": "cat"}, "there are no events at all"),
    ],
)
def test_where_none_has_them_the_nearest_is_shown(assert_event, events, fields, message):
    with pytest.raises(pytest.fail.Exception, match=message):
        assert_event(events, **fields)
