"""The judge is judged: each promise is broken once, by spoiling the program, and the crash points show it."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import a_request
from tests.crashes.crashing import a_world, broken_promises, copies, crashes, judged
from tests.crashes.scenarios import SCENARIOS, Scenario
from watcher.adapters.sqlite.changing import Changing
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.adapters.sqlite.statements import SQL
from watcher.adapters.sqlite.statements import settle as settle_statement
from watcher.core.attempts import Attempt
from watcher.core.circuits import Circuit
from watcher.core.events import EventId
from watcher.core.lanes import Lane
from watcher.core.outcomes import Answered
from watcher.core.verdicts import Dead, Delivered, RetryAt, decide
from watcher.pipeline import dispatch
from watcher.pipeline.dispatch import Dispatcher
from watcher.ports import Settlement

Patch = pytest.MonkeyPatch
append, settle, remember = SqliteOutbox.append, SqliteOutbox.settle, SqliteOutbox.remember
send, lane_settle = Dispatcher._send, Lane.settle


def the_position_first(patch: Patch) -> None:
    async def spoiled(self, entries, **given):
        await append(self, [], checkpoint=given["checkpoint"], through=given["through"])
        return await append(self, entries, **given)

    patch.setattr(SqliteOutbox, "append", spoiled)


def the_position_later_and_ids_by_chance(patch: Patch) -> None:
    async def spoiled(self, entries, *, checkpoint, **given):
        position = await self.position()
        before = position.checkpoint if position else checkpoint
        new = await append(self, entries, checkpoint=before, **given)
        await append(self, [], checkpoint=checkpoint, through=given["through"])
        return new

    patch.setattr(SqliteOutbox, "append", spoiled)
    patch.setattr("watcher.core.planning.event_id", lambda *_: EventId(f"webhook_{uuid.uuid4().hex}"))


def marks_are_not_stored(patch: Patch) -> None:
    async def spoiled(self, entries, **given):
        return await append(self, entries, **{**given, "marks": ()})

    patch.setattr(SqliteOutbox, "append", spoiled)


def what_is_learned_is_stored_later(patch: Patch) -> None:
    async def spoiled(self, entries, *, learned, **given):
        new = await append(self, entries, **given)
        await append(self, [], checkpoint=given["checkpoint"], through=given["through"], learned=learned)
        return new

    patch.setattr(SqliteOutbox, "append", spoiled)


def a_page_counts_as_read_before_its_rows_are_stored(patch: Patch) -> None:
    async def spoiled(self, rows, scan):
        await remember(self, {}, scan)
        await remember(self, rows, scan)

    patch.setattr(SqliteOutbox, "remember", spoiled)


def holds_end_at_once(patch: Patch) -> None:
    async def spoiled(self, entries, *, through, **given):
        return await append(self, entries, through=through + timedelta(days=1), **given)

    patch.setattr(SqliteOutbox, "append", spoiled)


def holds_never_end(patch: Patch) -> None:
    patch.setitem(SQL, "held_due", f"SELECT * FROM ({SQL['held_due']}) WHERE false")


def what_came_to_nothing_stays_held(patch: Patch) -> None:
    patch.setattr(Changing, "lift", lambda *_: None)


def settled_before_it_is_sent(patch: Patch) -> None:
    async def spoiled(self, launch, started):
        now = self._clock.now()
        await self._outbox.settle(
            [
                Settlement(
                    stored=row,
                    verdict=Delivered(),
                    attempt=Attempt(at=now, took=timedelta(0), status=200),
                )
                for row in launch.parcel.members
            ]
        )
        return await send(self, launch, started)

    patch.setattr(Dispatcher, "_send", spoiled)


def never_settled(patch: Patch) -> None:
    async def spoiled(self, settlements, **given):
        pass

    patch.setattr(SqliteOutbox, "settle", spoiled)


def the_next_one_does_not_wait_for_a_retry(patch: Patch) -> None:
    def spoiled(self, parcel, verdict, **given):
        lane_settle(self, parcel, Delivered() if isinstance(verdict, RetryAt) else verdict, **given)

    patch.setattr(Lane, "settle", spoiled)


def everything_at_once(patch: Patch) -> None:
    offer = Lane.offer

    def spoiled(self, rows, *, now):
        for row in rows:
            offer(self, [replace(row, delivery=replace(row.delivery, entity=row.delivery.id))], now=now)

    patch.setattr(Lane, "offer", spoiled)


def the_newest_first(patch: Patch) -> None:
    patch.setitem(SQL, "pending", SQL["pending"].replace("ORDER BY seq", "ORDER BY seq DESC"))


def dead_at_once(patch: Patch) -> None:
    def spoiled(outcome, **_):
        return Delivered() if outcome == Answered(status=200) else Dead(reason="gave up")

    patch.setattr(dispatch, "decide", spoiled)


def what_is_for_one_that_is_down_dies(patch: Patch) -> None:
    patch.setattr(dispatch, "decide", lambda outcome, **given: decide(outcome, **{**given, "standing": None}))


def one_that_is_down_is_sent_everything(patch: Patch) -> None:
    patch.setattr(Circuit, "slots", lambda self, clock: 64)


def a_wait_is_forgotten_by_a_restart(patch: Patch) -> None:
    def spoiled(rows):
        return settle_statement(rows).replace("due_at = new.due_at", "due_at = NULL")

    patch.setattr("watcher.adapters.sqlite.changing.settle", spoiled)


def batches_are_not_bound(patch: Patch) -> None:
    async def spoiled(self, members, batch):
        pass

    patch.setattr(SqliteOutbox, "bind", spoiled)


def other_bytes_each_time(patch: Patch) -> None:
    def spoiled(parcel, endpoint, *, now):
        request = a_request(parcel, endpoint, now=now)
        return replace(request, body=request.body + b" " * parcel.attempts)

    patch.setattr(dispatch, "compose", spoiled)


def one_id_for_every_endpoint(patch: Patch) -> None:
    patch.setattr(
        "watcher.core.planning.event_id", lambda change, event, _: EventId(f"webhook_{change}{event}")
    )


def endpoints_take_turns(patch: Patch) -> None:
    turns: dict[asyncio.AbstractEventLoop, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def spoiled(self, launch, started):
        async with turns[asyncio.get_running_loop()]:
            return await send(self, launch, started)

    patch.setattr(Dispatcher, "_send", spoiled)


def what_is_pending_is_forgotten(patch: Patch) -> None:
    patch.setitem(
        SQL, "forget", SQL["forget"].replace("settled_at < :before", "true").replace(":state", "'pending'")
    )


@pytest.mark.parametrize(
    ("spoil", "scenario", "shown_as"),
    [
        (the_position_first, "answers", "lost at crm"),
        (the_position_later_and_ids_by_chance, "answers", "has the ids"),
        (marks_are_not_stored, "endings", "nobody owes"),
        (marks_are_not_stored, "sessions", "came to nothing"),
        (what_is_learned_is_stored_later, "endings, from memory", "lost at crm"),
        (a_page_counts_as_read_before_its_rows_are_stored, "endings, from memory", "lost at crm"),
        (holds_end_at_once, "answers", "came to nothing, and was sent"),
        (holds_never_end, "answers", "is still {'held'} at crm"),
        (what_came_to_nothing_stays_held, "answers", "came to nothing, and was sent"),
        (settled_before_it_is_sent, "answers", "called delivered, and was never accepted"),
        (never_settled, "answers", "is still {'pending'} at crm"),
        (the_next_one_does_not_wait_for_a_retry, "every kind of answer", "while this was not over"),
        (everything_at_once, "every kind of answer", "while this was not over"),
        (the_newest_first, "every kind of answer", "while this was not over"),
        (dead_at_once, "every kind of answer", "is dead after 1 attempts"),
        (what_is_for_one_that_is_down_dies, "down", "died while crm was down"),
        (one_that_is_down_is_sent_everything, "down", "beside another"),
        (a_wait_is_forgotten_by_a_restart, "every kind of answer", "s too early"),
        (batches_are_not_bound, "batches", "changed its batch at crm"),
        (other_bytes_each_time, "every kind of answer", "had other bytes"),
        (one_id_for_every_endpoint, "every kind of answer", "lost at"),
        (endpoints_take_turns, "deaths", "kept waiting"),
        (what_is_pending_is_forgotten, "every kind of answer", "lost at crm"),
    ],
)
def test_a_broken_promise_shows(
    spoil: Callable[[Patch], None],
    scenario: str,
    shown_as: str,
    tmp_path: Path,
    monkeypatch: Patch,
):
    spoil(monkeypatch)
    [told] = [each for each in SCENARIOS if each.name == scenario]

    assert any(shown_as in promise for promise in _shown(told, tmp_path))


def test_ids_by_chance_show_when_a_state_is_put_back_from_an_older_copy(tmp_path: Path, monkeypatch: Patch):
    """While the state is as it was left nothing is planned twice, and no crash could show them."""
    monkeypatch.setattr("watcher.core.planning.event_id", lambda *_: EventId(f"webhook_{uuid.uuid4().hex}"))
    world = a_world(SCENARIOS[0], tmp_path)

    older = copies(world)
    assert world.verdict() == []

    shown = broken_promises(world.restored(older[0]))
    assert any("has the ids" in promise for promise in shown), shown


def _shown(scenario: Scenario, folder: Path) -> Iterator[str]:
    """Every promise that is seen broken, as it is seen."""
    try:
        cut = crashes(a_world(scenario, folder))
    except AssertionError as error:
        yield str(error)
        return
    yield from cut.end.verdict()
    yield from judged(cut.worlds)
