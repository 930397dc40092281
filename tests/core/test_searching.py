"""Searching: what is asked for, and by which way it is looked for."""

from __future__ import annotations

import pytest

from watcher.core.events import EventType
from watcher.core.searching import MANY, Wanted, by_event

SOME = Wanted(events=(EventType("message.created"),))


@pytest.mark.parametrize(
    ("wanted", "found", "all_there", "expected"),
    [
        (SOME, 50 * MANY, 50 * MANY, True),
        (SOME, MANY, MANY, False),
        (SOME, 2 * MANY, 50 * MANY, False),
        (SOME, 49 * MANY, 50 * MANY, True),
        (Wanted(), 50 * MANY, 50 * MANY, False),
    ],
)
def test_events_lead_to_what_is_wanted_where_there_are_many_and_their_states_are_not_rare(
    wanted, found, all_there, expected
):
    assert by_event(wanted, found=found, all_there=all_there) is expected
