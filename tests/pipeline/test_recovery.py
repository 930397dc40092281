"""The repair of a gap, over rows and an outbox in memory: what it sends, in which order, and what it learns.

The whole of it, over a real MongoDB and a process that is killed: tests/end_to_end/test_recovery.py."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.builders import a_change, an_endpoint
from tests.core.test_recovery import object_id
from watcher.config.mappings import load_mappings
from watcher.core.changes import Change, Checkpoint
from watcher.core.events import Entity
from watcher.core.facts import Recovered, Recovering, RecoveryBegan
from watcher.core.memory import Remembered
from watcher.core.planning import Plan
from watcher.errors import PositionLost, SourceUnavailable
from watcher.pipeline.capture import capture
from watcher.pipeline.recovery import Recoverer
from watcher.pipeline.remembering import Memory
from watcher.ports import Batch
from watcher.testing import Facts, FakeClock, MemoryOutbox, ScriptedRows, ScriptedSource

NOON = datetime.fromisoformat("2026-11-24T12:00:00Z")
LATER = NOON + timedelta(hours=1)
MEANWHILE = NOON + timedelta(minutes=10)
ALL = frozenset({"conversations", "messages", "users", "sessions", "agents", "files"})


async def no_wait() -> None:
    """There is room."""


class Site:
    """A LibreChat without pre-images, a watcher that has seen some changes, and then a gap."""

    def __init__(
        self,
        *changes: Change,
        imageless: frozenset[str] = ALL,
        events: tuple[str, ...] = ("*", "user.deleted", "watcher.gap"),
    ) -> None:
        self.plan = Plan.of(
            load_mappings(),
            [an_endpoint(events=events)],
            unfinished_hold=timedelta(seconds=60),
        )
        self.clock, self.facts, self.outbox, self.rows = (
            FakeClock(NOON),
            Facts(),
            MemoryOutbox(),
            ScriptedRows(),
        )
        self.memory = self._memory()
        self._imageless = imageless
        self._before = [
            self._batch(1, through=NOON - timedelta(hours=1)),
            self._batch(2, *changes, through=NOON),
        ]

    async def watch(self) -> None:
        """Deal with the changes before the gap."""
        source = ScriptedSource(self._before, {2: SourceUnavailable("killed")})
        with pytest.raises(SourceUnavailable):
            await capture(source, self.plan, self.outbox, self.memory, clock=self.clock, observe=self.facts)

    async def recover(self) -> list[tuple[str, dict[str, Any]]]:
        """Lose the position and repair the gap; what waits to be sent then: event and data."""
        recoverer = self.recoverer()
        await recoverer.lost(PositionLost("at host:27017", why="older than the oplog"))
        await recoverer.finish()
        return await self.waiting()

    def recoverer(self) -> Recoverer:
        """As a new start makes one."""
        self.memory = self._memory()
        return Recoverer(
            ScriptedSource([self._batch(9, through=LATER), self._batch(10, through=LATER)]),
            self.plan,
            self.outbox,
            self.memory,
            self.rows,
            until_room=no_wait,
            on_position_lost="recover",
            clock=self.clock,
            observe=self.facts,
        )

    async def waiting(self) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.outbox.pending("crm", after=0, limit=999, max_bytes=10**9)
        return [(row.delivery.event, json.loads(row.delivery.body)["data"]) for row in rows]

    def store(self, collection: str, identity: str, **fields: Any) -> None:
        self.rows.rows[Entity(f"{collection}:{identity}")] = {"_id": identity, **fields}

    def _memory(self) -> Memory:
        return Memory(self.plan.remembered, self.outbox, clock=self.clock, observe=self.facts)

    def _batch(self, number: int, *changes: Change, through: datetime) -> Batch:
        checkpoint = Checkpoint(token=f"82{number:02X}", at=changes[-1].at if changes else None)
        return Batch(changes=changes, checkpoint=checkpoint, through=through, imageless=self._imageless)


async def test_a_gap_in_which_nothing_happened_sends_nothing_but_that_there_was_one() -> None:
    site = Site(an_insert("messages", MESSAGE, **a_message()))
    site.store("messages", MESSAGE, **a_message())
    await site.watch()

    _, (event, data) = await site.recover()

    assert event == "watcher.gap"
    assert data == {
        "from": "2026-11-24T12:00:00.000Z",
        "to": "2026-11-24T13:00:00.000Z",
        "reason": "older than the oplog",
        "repaired": True,
        "counts": {},
    }
    position = await site.outbox.position()
    assert position is not None
    assert (position.checkpoint.token, position.through, position.recovery) == ("8209", LATER, None)


async def test_a_gap_is_told_where_nothing_else_is_subscribed_to() -> None:
    site = Site(events=("watcher.gap",))
    await site.watch()

    [(event, data)] = await site.recover()

    assert (event, data["repaired"], data["counts"]) == ("watcher.gap", True, {})
    position = await site.outbox.position()
    assert position is not None
    assert (position.checkpoint.token, position.through, position.recovery) == ("8209", LATER, None)


async def test_a_session_renewed_in_the_gap_is_neither_a_login_nor_a_logout() -> None:
    old, new = object_id(NOON - timedelta(days=1), "o"), object_id(MEANWHILE, "n")
    site = Site(an_insert("sessions", old, expiration=LATER + timedelta(days=7), user="u1"))
    await site.watch()
    before = len(await site.waiting())
    # An upsert stores `user` before `expiration`.
    site.store("sessions", new, user="u1", expiration=LATER + timedelta(days=7))

    events = [event for event, _ in (await site.recover())[before:]]

    assert "user.logout" not in events
    assert events.count("user.login") == 1  # the first one, which waited for its moment


async def test_a_login_and_a_logout_of_the_gap_are_told() -> None:
    old, new = object_id(NOON - timedelta(days=1), "o"), object_id(MEANWHILE, "n")
    site = Site(an_insert("sessions", old, expiration=LATER + timedelta(days=7), user="u1"))
    await site.watch()
    site.store("sessions", new, expiration=LATER + timedelta(days=7), user="u2")

    told = [(event, data["userId"]) for event, data in await site.recover() if event != "watcher.gap"]

    assert sorted(told) == [("user.login", "u1"), ("user.login", "u2"), ("user.logout", "u1")]


async def test_an_answer_that_was_held_and_finished_in_the_gap_is_sent_once_as_it_ended() -> None:
    born = NOON - timedelta(seconds=10)
    half = a_message(unfinished=True, text="half", createdAt=born, updatedAt=born)
    identity = object_id(born)
    for imageless in (ALL, frozenset[str]()):
        site = Site(an_insert("messages", identity, **half), imageless=imageless)
        await site.watch()
        finished = NOON + timedelta(seconds=5)
        site.store(
            "messages", identity, **{**half, "text": "whole", "unfinished": False, "updatedAt": finished}
        )

        told = [(event, data["text"]) for event, data in await site.recover() if event != "watcher.gap"]

        assert told == [("message.created", "whole")]


async def test_an_answer_that_is_held_and_never_ended_is_sent_as_it_is() -> None:
    born = NOON - timedelta(seconds=10)
    half = a_message(unfinished=True, text="half", createdAt=born, updatedAt=born)
    site = Site(an_insert("messages", object_id(born), **half))
    await site.watch()
    site.store("messages", object_id(born), **half)

    told = [(event, data) for event, data in await site.recover() if event != "watcher.gap"]

    assert [(event, data["text"], data["unfinished"]) for event, data in told] == [
        ("message.created", "half", True)
    ]


async def test_an_account_s_end_takes_what_belongs_to_it_along() -> None:
    rows = {
        ("users", "u1"): {"email": "ada@example.com"},
        ("conversations", "r1"): {"conversationId": "c1", "user": "u1"},
        ("messages", "r2"): {"messageId": "m1", "conversationId": "c1", "user": "u1"},
        ("files", "r3"): {"file_id": "f1", "user": "u1", "filepath": "/f"},
    }
    site = Site(*(an_insert(collection, identity, **row) for (collection, identity), row in rows.items()))
    await site.watch()
    before = len(await site.waiting())

    told = [(event, data.get("reason")) for event, data in (await site.recover())[before:]]

    assert [each for each in told if each[0].endswith(".deleted")] == [
        ("user.deleted", "user"),
        ("conversation.deleted", "cascade"),
        ("file.deleted", "cascade"),
        ("message.deleted", "cascade"),
    ]


async def test_what_was_found_is_remembered_and_not_found_again() -> None:
    born = object_id(MEANWHILE)
    site = Site(an_insert("messages", MESSAGE, **a_message()))
    await site.watch()
    site.store("messages", born, **a_message(messageId="m2", createdAt=MEANWHILE, updatedAt=MEANWHILE))

    first = await site.recover()
    again = await site.recover()

    assert [event for event, _ in first].count("message.deleted") == 1
    assert len(again) == len(first)  # the gap, too: its bounds and so its id are the same
    assert site.facts.of(Recovered)[1].counts == {}


async def test_a_row_that_came_and_was_scanned_during_the_repair_is_not_taken_for_deleted() -> None:
    site = Site(an_insert("messages", MESSAGE, **a_message()))
    site.store("messages", MESSAGE, **a_message())
    await site.watch()
    young = Entity(f"messages:{object_id(LATER)}")
    [scan] = [
        each for each in await site.outbox.memories(site.plan.remembered) if each.collection == "messages"
    ]
    seen = Remembered(fields={"messageId": "m2"}, exact_after=LATER + timedelta(seconds=2))
    await site.outbox.remember({young: seen}, scan)

    told = [event for event, _ in await site.recover()]

    assert "message.deleted" not in told
    assert young in await site.outbox.recall([young])  # the stream may tell of its end yet


async def test_a_repair_that_breaks_off_goes_on_from_its_last_page() -> None:
    site = Site(*(an_insert("messages", f"r{number:04}", **a_message()) for number in range(3)))
    await site.watch()
    pages = 0

    def breaking() -> None:
        nonlocal pages
        pages += 1
        if pages == 3:
            site.rows.refuse = SourceUnavailable("election")

    site.rows.after_each = breaking
    with pytest.raises(SourceUnavailable):
        await site.recover()
    await site.recoverer().finish()

    assert [fact.resumed for fact in site.facts.of(RecoveryBegan)] == [False, True]
    stages = [(fact.phase, fact.collection) for fact in site.facts.of(Recovering)]
    assert len(stages) == len(set(stages)) == 12
    assert site.facts.of(Recovered)[0].counts == {"message.deleted": 3}


MESSAGE = object_id(NOON - timedelta(days=2))


def a_message(**fields: Any) -> dict[str, Any]:
    stamp = NOON - timedelta(days=2)
    base = {"messageId": "m1", "conversationId": "c1", "user": "u1", "text": "hi", "unfinished": False}
    return {**base, "createdAt": stamp, "updatedAt": stamp, **fields}


def an_insert(collection: str, identity: str, **row: Any) -> Change:
    return a_change(
        collection=collection,
        document_id=identity,
        after={"_id": identity, **row},
        at=NOON - timedelta(seconds=10),
    )
