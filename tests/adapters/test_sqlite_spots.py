"""Spots: deliveries of users, conversations and entities, over many epochs, as by a look at each of them."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement
from watcher.adapters.sqlite import spots
from watcher.adapters.sqlite.database import connect
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.adapters.sqlite.statements import SQL
from watcher.core.backfill import Backfill
from watcher.core.deliveries import Delivery, Hold, State, Stored
from watcher.core.events import Entity, EventId, EventType
from watcher.core.searching import Wanted
from watcher.core.verdicts import Dead

USERS = ("ann", "bob", None)
CONVERSATIONS = ("plumless", "buckeroo", "c3", None)
"""The first two have one checksum."""

ENTITIES = tuple(Entity(f"conversation:{each}") for each in CONVERSATIONS[:3])

EVENTS = (EventType("message.created"), EventType("user.login"))
LONG_AFTER = NOON + timedelta(days=99)


@pytest.fixture(autouse=True)
def _small_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spots, "EPOCH", 4)


def test_two_of_the_conversations_have_one_checksum() -> None:
    assert spots.spot(1, CONVERSATIONS[0]) == spots.spot(1, CONVERSATIONS[1])
    assert spots.spot(1, ENTITIES[0]) == spots.spot(1, ENTITIES[1])


@pytest.mark.parametrize("seed", range(12))
async def test_what_is_found_is_what_looking_at_each_finds(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        await _live(outbox, tmp_path / "state.db", dice)
        everything = await outbox.search(Wanted(), after=None, limit=10_000)
        assert len(everything) > 40

        for _ in range(60):
            wanted, oldest_first = _a_search(dice), dice.random() < 0.5
            looked_at = [fate for fate in everything if wanted.takes(fate, fate.state)]
            numbers: dict[State, int] = {}
            for fate in looked_at:
                numbers[fate.state] = numbers.get(fate.state, 0) + 1

            assert await outbox.number(wanted) == numbers
            found, limit, after = list[EventId](), dice.choice([1, 2, 5, 100]), None
            while page := await outbox.search(wanted, after=after, limit=limit, oldest_first=oldest_first):
                assert len(page) <= limit
                found += [fate.id for fate in page]
                after = page[-1].id
            assert found == sorted((fate.id for fate in looked_at), reverse=not oldest_first)

    _demand_the_law(tmp_path / "state.db")


async def _live(outbox: SqliteOutbox, path: Path, dice: random.Random) -> None:
    """Store, by two processes, what happens now and happened long ago; let go, settle, replay, forget."""
    stored, now = list[Delivery](), 1_000
    for turn in range(25):
        now += dice.randrange(3)
        batch = [
            _made(dice, now if dice.random() < 0.7 else dice.randrange(now)) for _ in range(dice.randrange(8))
        ]
        batch += dice.sample(stored, min(len(stored), dice.randrange(3)))  # there already
        stored += batch
        if dice.random() < 0.2:
            async with SqliteOutbox.beside(path) as beside:
                await beside.fill(batch, Backfill(name="x", since=NOON, until=NOON, events=()))
        else:
            through = NOON + timedelta(minutes=turn)  # ends holds
            await outbox.append(batch, checkpoint=a_checkpoint(), through=through)
        pending = await outbox.pending("crm", after=0, limit=1_000, max_bytes=10**9)
        await _demand_the_lines(outbox, pending, dice)
        some = dice.sample(pending, len(pending) // 2)
        await outbox.settle([a_settlement(row) for row in some[1:]])
        await outbox.settle([a_settlement(row, Dead(reason="status 500")) for row in some[:1]])
        await outbox.replay([each.id for each in dice.sample(stored, min(len(stored), dice.randrange(3)))])
        await outbox.forget(
            delivered_before=LONG_AFTER, dead_before=NOON, marks_before=NOON, limit=dice.randrange(3)
        )


async def _demand_the_lines(outbox: SqliteOutbox, pending: Sequence[Stored], dice: random.Random) -> None:
    """Of each entity all that is pending, in order, from anywhere on."""
    for entity in ENTITIES:
        start, limit = dice.choice([0, *(row.seq for row in pending)]), dice.choice([1, 3, 1_000])
        line = await outbox.pending_of("crm", entity, start=start, limit=limit, max_bytes=10**9)
        assert (
            list(line)
            == [row for row in pending if row.delivery.entity == entity and row.seq >= start][:limit]
        )


def _made(dice: random.Random, second: int) -> Delivery:
    hold = Hold(key=f"messages:{second}", until=NOON + timedelta(minutes=dice.randrange(30)))
    return a_delivery(
        id=EventId(f"webhook_{second:08x}{dice.randrange(4):08x}{dice.getrandbits(96):024x}"),
        endpoint=dice.choice(["crm", "crm", "audit"]),
        event=dice.choice(EVENTS),
        entity=dice.choice(ENTITIES),
        user=dice.choice(USERS),
        conversation=dice.choice(CONVERSATIONS),
        hold=hold if dice.random() < 0.2 else None,
    )


def _a_search(dice: random.Random) -> Wanted:
    user, conversation = dice.choice([*USERS, "nobody"]), dice.choice([*CONVERSATIONS, "nowhere"])
    wanted = Wanted(user=user, conversation=conversation)
    if dice.random() < 0.2:
        wanted = replace(wanted, states=(dice.choice(["held", "pending", "delivered", "dead"]),))
    if dice.random() < 0.2:
        wanted = replace(wanted, events=(dice.choice(EVENTS),))
    if dice.random() < 0.2:
        wanted = replace(wanted, endpoints=("audit",))
    since, until = sorted(NOON.fromtimestamp(dice.randrange(1_030), NOON.tzinfo) for _ in range(2))
    if dice.random() < 0.3:
        wanted = replace(wanted, since=since)
    if dice.random() < 0.3:
        wanted = replace(wanted, until=until)
    return wanted


def _demand_the_law(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(
            "SELECT seq, id, user, user_spot, conversation, conversation_spot, entity, entity_spot"
            " FROM deliveries LEFT JOIN spots USING (seq)"
        ).fetchall()
        (lost,) = db.execute(
            "SELECT count(*) FROM spots WHERE seq NOT IN (SELECT seq FROM deliveries)"
        ).fetchone()
        bounds = {epoch: (first, last) for epoch, first, last in db.execute("SELECT * FROM epochs")}
    for seq, identity, user, user_spot, conversation, conversation_spot, entity, entity_spot in rows:
        assert user_spot == spots.spot(seq, user)
        assert conversation_spot == spots.spot(seq, conversation)
        assert entity_spot == spots.spot(seq, entity)
        first, last = bounds[seq // spots.EPOCH]
        assert first <= identity <= last
    assert bounds.keys() == {row[0] // spots.EPOCH for row in rows}
    assert lost == 0


async def test_nothing_is_left_of_what_is_forgotten(tmp_path: Path) -> None:
    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        rows = [a_delivery(user="ann", conversation=f"c{number}") for number in range(30)]
        await outbox.append(rows, checkpoint=a_checkpoint(), through=NOON)
        pending = await outbox.pending("crm", after=0, limit=99, max_bytes=10**9)
        await outbox.settle([a_settlement(row) for row in pending if row.delivery is not rows[17]])
        before = {"delivered_before": LONG_AFTER, "dead_before": NOON, "marks_before": NOON}
        assert await outbox.forget(**before, limit=99) == 29
        _demand_the_law(tmp_path / "state.db")
        await outbox.settle([a_settlement(pending[17])])
        assert await outbox.forget(**before, limit=99) == 1

    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        assert db.execute("SELECT * FROM spots").fetchall() == []
        assert db.execute("SELECT * FROM epochs").fetchall() == []


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_a_page_of_whom_all_belongs_to_is_read_from_few_epochs(
    tmp_path: Path, oldest_first: bool
) -> None:
    asked = list[str]()
    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        rows = [a_delivery(user="ann") for _ in range(400)]
        await outbox.append(rows, checkpoint=a_checkpoint(), through=NOON)
        outbox._reading.set_trace_callback(asked.append)
        for after in (None, rows[200].id):
            await outbox.search(Wanted(user="ann"), after=after, limit=10, oldest_first=oldest_first)

    epochs = [json.loads(each) for text in asked for each in re.findall(r"epoch IN .*?'(.*?)'", text)]
    assert 6 <= sum(map(len, epochs)) <= 2 * (1 + 2 + 4), "of a hundred"


@pytest.mark.parametrize(
    ("column", "index"), [("user_spot", "of_user"), ("conversation_spot", "of_conversation")]
)
def test_spots_are_sought_epoch_by_epoch(tmp_path: Path, column: str, index: str) -> None:
    with closing(connect(tmp_path / "state.db", writing=True)) as db:
        found = SQL["spotted"].format(what="id", column=column)
        plan = _plan(db, found, checksum=7)
        assert [word for word in plan if "SCAN" in word] == ["SCAN epochs"]
        assert f"SEARCH spots USING COVERING INDEX {index} ({column}=?)" in plan
        assert "SEARCH deliveries USING INTEGER PRIMARY KEY (rowid=?)" in plan
        forget = _plan(db, SQL["forget_epochs"], epochs="[]", size=4)
        assert "SEARCH deliveries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in forget
        assert "SEARCH spots USING INTEGER PRIMARY KEY (rowid=?)" in _plan(db, SQL["forget_spots"], seqs="[]")


def _plan(db: sqlite3.Connection, text: str, **given: object) -> list[str]:
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}", given)]
