"""Tailing: each event once, in order, and nothing is kept that has been shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.builders import NOON, a_checkpoint, a_delivery
from watcher.core.deliveries import Delivery, Hold, Lift
from watcher.core.events import Entity, EventId, EventType
from watcher.core.marks import REMEMBERED, Mark
from watcher.core.memory import Remembered
from watcher.showing import ROWS_REMEMBERED, NothingRemembered, ShowingOutbox, Shown, together

LATER = NOON + timedelta(minutes=1)


class Stage:
    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self.facts: list[Any] = []
        self.outbox = ShowingOutbox(self.shown.append, self.facts.append)

    async def append(self, *entries: Delivery | Lift, through: Any = NOON, **what: Any) -> None:
        await self.outbox.append(entries, checkpoint=a_checkpoint(), through=through, **what)

    @property
    def ids(self) -> list[EventId]:
        return [each.delivery.id for each in self.shown]


def for_each(number: int, *endpoints: str) -> list[Delivery]:
    """One event for several endpoints."""
    ids = [EventId(f"webhook_{number:020d}{endpoint:>20}") for endpoint in endpoints]
    return [
        a_delivery(
            id=identity, endpoint=endpoint, row=Entity("messages:1"), body=b'{"id":"%b"}' % identity.encode()
        )
        for identity, endpoint in zip(ids, endpoints, strict=True)
    ]


async def test_what_would_go_out_is_shown_and_kept_no_longer():
    stage, deliveries = Stage(), [a_delivery() for _ in range(3)]

    await stage.append(*deliveries)
    await stage.append()

    assert stage.ids == [each.id for each in deliveries]
    assert await stage.outbox.counts() == {}


async def test_what_is_held_is_shown_when_its_hold_ends_and_what_is_cancelled_never():
    stage = Stage()
    waiting = a_delivery(hold=Hold(key="messages:1", until=LATER))
    given_up = a_delivery(hold=Hold(key="messages:2", until=LATER))

    await stage.append(waiting, given_up)
    assert stage.ids == []
    await stage.append(Lift(key="messages:2", to="cancelled", reason="finished"))
    await stage.append(through=LATER)

    assert stage.ids == [waiting.id]
    assert await stage.outbox.counts() == {}


async def test_what_can_never_be_sent_is_not_shown_and_not_kept():
    stage = Stage()

    await stage.append(a_delivery(refused="KeyError in the rule at x.yaml:3"))

    assert stage.shown == []
    assert await stage.outbox.counts() == {}


async def test_old_marks_and_rows_beyond_the_bound_are_forgotten():
    stage = Stage()
    await stage.outbox.memories({"messages": frozenset({"user"})})
    seen = Remembered(fields={"user": "u1"}, exact_after=NOON)
    rows = {Entity(f"messages:{number}"): seen for number in range(ROWS_REMEMBERED + 5)}

    await stage.append(marks=[Mark(entity=Entity("user:u1"), at=NOON)], learned=rows)
    assert len(await stage.outbox.marks()) == 1
    await stage.append(through=NOON + REMEMBERED + timedelta(seconds=1))

    assert await stage.outbox.marks() == []
    assert len(await stage.outbox.recall(rows)) == ROWS_REMEMBERED
    newest = Entity(f"messages:{ROWS_REMEMBERED + 4}")
    assert await stage.outbox.recall([Entity("messages:4"), newest]) == {newest: seen}


async def test_collections_of_which_nothing_is_remembered_are_told():
    stage = Stage()

    await stage.outbox.memories({})
    await stage.outbox.memories({"users": frozenset({"email"}), "files": frozenset({"user"})})

    assert stage.facts == [NothingRemembered(collections=("files", "users"))]


def test_an_event_for_several_endpoints_is_one_and_names_them():
    first, second = for_each(1, "crm", "audit"), for_each(2, "audit")

    shown = list(together([*first, *second]))

    assert [each.endpoints for each in shown] == [("crm", "audit"), ("audit",)]
    assert [each.delivery for each in shown] == [first[0], second[0]]


def test_two_events_that_look_alike_are_two():
    deliveries = [*for_each(1, "crm", "audit"), *for_each(2, "crm", "audit")]

    assert [each.endpoints for each in together(deliveries)] == [("crm", "audit")] * 2
    assert list(together([])) == []


def test_two_events_that_are_told_alike_in_one_form_are_two():
    created = a_delivery(endpoint="slack", body=b'"hi"', row=Entity("messages:1"))
    updated = a_delivery(
        endpoint="discord", body=b'"hi"', row=Entity("messages:1"), event=EventType("message.updated")
    )

    assert [each.endpoints for each in together([created, updated])] == [("slack",), ("discord",)]
