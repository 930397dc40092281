"""A state of an earlier version opens and goes on, and comes to be what a new one is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement, checkpoint_of
from watcher.adapters.sqlite import spots
from watcher.adapters.sqlite.database import SCHEMA_VERSION, connect
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.adapters.sqlite.reading import SqliteReader
from watcher.adapters.sqlite.statements import MIGRATIONS
from watcher.core.changes import Checkpoint
from watcher.core.events import Entity, EventId
from watcher.core.marks import Mark
from watcher.core.memory import Remembered
from watcher.core.searching import Wanted
from watcher.errors import OutboxError
from watcher.ports import Counts

STATES = Path(__file__).with_name("states")
"""States as earlier versions wrote them, as SQL: deliveries in every state, a position, marks, a memory."""

OLD = sorted(int(file.stem) for file in STATES.glob("*.sql"))


@pytest.fixture(params=OLD, ids=lambda version: f"from {version}")
def old_state(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(STATES.joinpath(f"{request.param}.sql").read_text())
    return path


def test_every_earlier_version_is_tried() -> None:
    assert [*OLD, SCHEMA_VERSION] == list(range(1, SCHEMA_VERSION + 1))
    assert sorted(MIGRATIONS) == list(range(2, SCHEMA_VERSION + 1))


def test_a_migrated_file_and_a_new_one_are_the_same(old_state: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"

    for path in (old_state, new):
        connect(path, writing=True).close()

    assert schema(old_state) == schema(new)


async def test_what_an_earlier_version_stored_goes_on(old_state: Path) -> None:
    async with SqliteOutbox.open(old_state) as outbox:
        assert await checkpoint_of(outbox) == Checkpoint(token="82AB", at=NOON)
        assert await outbox.counts() == {
            "audit": Counts(pending=1),
            "crm": Counts(held=1, pending=4, delivered=1, dead=2, cancelled=1),
        }
        assert [mark.entity for mark in await outbox.marks()] == ["conversation:c1", "user:u1"]
        assert Mark(entity=Entity("user:u1"), at=NOON, row=Entity("sessions:1")) in await outbox.marks()
        old = Entity("messages:old")
        assert await outbox.recall([old]) == {old: Remembered(fields={"user": "u1"}, exact_after=NOON)}

        rows = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        names = [row.delivery.id.removeprefix("webhook_") for row in rows]
        assert names == ["retried", "batched", "pending", "let_go"]
        assert rows[2].delivery.row == "", "stored before rows were noted"
        assert {row.delivery.context for row in rows} == {None}
        assert rows[0].attempts == 1
        entity = rows[0].delivery.entity
        assert await outbox.pending_of("crm", entity, start=0, limit=9, max_bytes=10**9) == rows

        fresh = a_delivery(row=Entity("messages:fresh"))
        await outbox.append([fresh], checkpoint=a_checkpoint("82AC"), through=NOON.replace(minute=1))
        await outbox.settle([a_settlement(rows[0])])

        assert (await outbox.counts())["crm"] == Counts(pending=5, delivered=2, dead=2, cancelled=1)
        assert [fate.id for fate in await outbox.fates(Entity("messages:fresh"), limit=9)] == [fresh.id]


async def test_a_migrated_file_is_migrated_once(old_state: Path) -> None:
    for _ in range(2):
        async with SqliteOutbox.open(old_state) as outbox:
            assert (await outbox.counts())["audit"] == Counts(pending=1)


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    old_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = schema(old_state)
    monkeypatch.setitem(MIGRATIONS, SCHEMA_VERSION, [*MIGRATIONS[SCHEMA_VERSION], "DROP TABLE nobody"])

    with pytest.raises(OutboxError, match="nobody"):
        connect(old_state, writing=True)

    assert schema(old_state) == before
    monkeypatch.undo()
    connect(old_state, writing=True).close()


async def test_a_position_can_be_looked_at_in_every_version(old_state: Path) -> None:
    before = schema(old_state)

    assert await SqliteReader(old_state).checkpoint() == Checkpoint(token="82AB", at=NOON)

    assert schema(old_state) == before, "who only looks changes nothing"


async def test_what_every_version_counted_can_be_looked_at(old_state: Path) -> None:
    assert (await SqliteReader(old_state).counts())["audit"] == Counts(pending=1)


async def test_what_an_earlier_version_stored_is_searched_and_sent_again(old_state: Path) -> None:
    async with SqliteOutbox.open(old_state) as outbox:
        dead = Wanted(states=("dead",))
        assert [fate.id for fate in await outbox.search(dead, after=None, limit=9)] == [
            "webhook_refused",
            "webhook_dead",
        ]
        told = await outbox.dossier(EventId("webhook_delivered"))
        assert told is not None
        assert (told.fate.status, told.attempts, told.fate.user) == (200, [], None)
        assert await outbox.replay([EventId("webhook_refused"), EventId("webhook_dead")]) == {"crm": 1}
        told = await outbox.dossier(EventId("webhook_dead"))
        again = (await outbox.pending("crm", after=0, limit=9, max_bytes=10**9))[-1].delivery
        assert told is not None
        assert (again.id, again.body) == ("webhook_dead", told.body)
        assert again.body


async def test_whose_what_an_earlier_version_stored_is_goes_on_being_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spots, "EPOCH", 4)
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(STATES.joinpath("6.sql").read_text())

    async with SqliteOutbox.open(path) as outbox:
        await outbox.replay([EventId("webhook_dead")])
        new = a_delivery(user="ann", id=EventId("webhook_new"))
        await outbox.append([new], checkpoint=a_checkpoint("82AC"), through=NOON)

        for wanted, names in (
            (Wanted(user="ann"), ["retried", "new", "dead", "batched"]),
            (Wanted(conversation="c1"), ["retried", "dead", "batched"]),
            (Wanted(conversation="c2"), ["theirs"]),
            (Wanted(user="bob"), ["let_go"]),
        ):
            fates = await outbox.search(wanted, after=None, limit=9)
            assert [fate.id.removeprefix("webhook_") for fate in fates] == names
            assert sum((await outbox.number(wanted)).values()) == len(names)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT epoch, first_id, last_id FROM epochs").fetchall() == [
            (0, "webhook_dead", "webhook_retried"),
            (1, "webhook_batched", "webhook_refused"),
            (2, "webhook_cancelled", "webhook_theirs"),
            (3, "webhook_dead", "webhook_new"),
        ]


async def test_what_an_earlier_version_cannot_tell_is_said_with_the_cure(old_state: Path) -> None:
    with pytest.raises(OutboxError, match="older librechat-watcher") as refused:
        await SqliteReader(old_state).fates(Entity("messages:1"), limit=9)

    assert "run" in str(refused.value).partition("\n")[2]


async def test_beside_a_run_of_an_earlier_version_nothing_is_written(old_state: Path) -> None:
    before = schema(old_state)

    with pytest.raises(OutboxError, match="older librechat-watcher"):
        async with SqliteOutbox.beside(old_state):
            pass

    assert schema(old_state) == before, "that run would not read what a newer one stores"


def schema(path: Path) -> list[object]:
    """Tables, indexes and version. SQLite writes an added column behind the others, spaced in its own way."""
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        version = db.execute("PRAGMA user_version").fetchone()
    spaced = [
        (kind, name, " ".join((sql or "").replace(")", " )").replace(",", " ,").split()))
        for kind, name, sql in found
    ]
    return [version, *spaced]
