"""Names, subscriptions and ids of events."""

from __future__ import annotations

import pytest

from watcher.core.changes import ChangeId
from watcher.core.events import BEYOND, DOCUMENTED, EventId, EventType, batch_id, event_id, subscribes

CHANGE = ChangeId("826B044D47000000142B022C0100296E5A1004")


def test_a_star_means_the_sixteen_only():
    assert len(DOCUMENTED) == 16
    assert all(subscribes("*", event) for event in DOCUMENTED)
    assert not any(subscribes("*", event) for event in BEYOND)


@pytest.mark.parametrize(
    ("pattern", "event", "wanted"),
    [
        ("message.created", "message.created", True),
        ("message.created", "message.updated", False),
        ("message.*", "message.updated", True),
        ("message.*", "conversation.updated", False),
        ("user.*", "user.logout", True),
        ("user.*", "user.session.expired", False),
        ("user.session.expired", "user.session.expired", True),
    ],
)
def test_subscriptions(pattern, event, wanted):
    assert subscribes(pattern, EventType(event)) is wanted


def test_an_id_follows_from_change_event_and_endpoint_and_sorts_by_time():
    ident = event_id(CHANGE, EventType("message.created"), "crm")

    assert ident == event_id(CHANGE, EventType("message.created"), "crm")
    assert ident.startswith("webhook_6b044d4700000014")
    assert len({ident, event_id(CHANGE, EventType("message.updated"), "crm")}) == 2
    assert len({ident, event_id(CHANGE, EventType("message.created"), "slack")}) == 2


def test_a_batch_s_id_follows_from_its_members_in_their_order():
    one, two = EventId("webhook_" + "1" * 40), EventId("webhook_" + "2" * 40)

    assert batch_id((one, two)) == batch_id((one, two))
    assert batch_id((one, two)) != batch_id((two, one))
    assert batch_id((one, two)) != batch_id((one,))
