"""The memory's rows in SQLite: a generation that no scan names is cleared away, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.builders import NOON
from watcher.adapters.sqlite import memory
from watcher.adapters.sqlite.database import connect
from watcher.adapters.sqlite.statements import SQL
from watcher.core.events import Entity
from watcher.core.memory import Remembered, Scan

NAMES = frozenset({"messageId"})
KEPT = 5_000


@pytest.fixture
def db(tmp_path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "state.db", writing=True)) as db:
        yield db


def test_rows_that_are_forgotten_are_cleared_away_a_few_at_a_time_and_no_others(db):
    remember(db, "files", 25)
    remember(db, "messages", 20)
    remember(db, "users", 5)

    memory.begin(db, {"messages": NAMES})

    assert [clear_away(db) for _ in range(4)] == [10, 10, 10, 0]
    assert rows(db) == 20
    assert len(memory.recall(db, [Entity("messages:00000"), Entity("messages:00019")])) == 2


def test_what_was_begun_anew_keeps_its_new_rows(db):
    remember(db, "messages", 15)
    memory.begin(db, {})
    remember(db, "messages", 3)

    assert [clear_away(db) for _ in range(3)] == [10, 5, 0]
    assert rows(db) == 3


def test_clearing_away_reads_nothing_of_what_is_kept(db):
    remember(db, "files", 1)
    remember(db, "messages", KEPT)
    remember(db, "users", 1)
    memory.begin(db, {"messages": NAMES})

    steps = Steps()
    db.set_progress_handler(steps, 1)

    assert [clear_away(db), clear_away(db)] == [2, 0]
    assert steps.taken < KEPT


# ---------------------------------------------------------------------- helpers


class Steps:
    """How many instructions SQLite has worked off: at least one for each row that it looks at."""

    def __init__(self) -> None:
        self.taken = 0

    def __call__(self) -> int:
        self.taken += 1
        return 0


def remember(db: sqlite3.Connection, collection: str, count: int) -> None:
    others = {scan.collection: frozenset(scan.names) for scan in memory.scans(db)}
    page = {
        Entity(f"{collection}:{number:05d}"): Remembered(fields={"messageId": f"m{number}"}, exact_after=NOON)
        for number in range(count)
    }
    db.execute("BEGIN")
    memory.begin(db, {**others, collection: NAMES})
    memory.remember(db, page, Scan(collection=collection, names=tuple(NAMES), rows=count, done=True))
    db.execute("COMMIT")


def clear_away(db: sqlite3.Connection) -> int:
    return db.execute(SQL["forget_rows"], {"limit": 10}).rowcount


def rows(db: sqlite3.Connection) -> int:
    (count,) = db.execute("SELECT count(*) FROM memory").fetchone()
    return int(count)
