"""Every transaction of the outbox, in a process that is killed before each of its statements, and between its
commit and the moment at which anybody hears of it: all of it is there afterwards, or nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from tests.crashes.doomed import TRANSACTIONS, do
from watcher.adapters.sqlite.outbox import SqliteOutbox

ROOT = Path(__file__).parents[2]

Contents = dict[str, Sequence[Any]]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what each killed process left."""
    folder = tmp_path_factory.mktemp("killed")
    subprocess.run(
        [sys.executable, "-m", "tests.crashes.doomed", "everywhere", str(folder)], cwd=ROOT, check=True
    )
    return folder


@pytest.mark.parametrize("name", TRANSACTIONS)
async def test_a_killed_transaction_is_there_as_a_whole_or_not_at_all(
    name: str, killed: Path, tmp_path: Path
) -> None:
    state = Path(copy(killed / "before.db", tmp_path / "state.db"))
    before = contents(state)
    await do(state, name)
    after = contents(state)
    assert before != after

    found = []
    for point in count(1):
        path = killed / f"{name}-{point}.db"
        if not path.exists():
            break
        async with SqliteOutbox.open(path):
            pass  # its lock is free, and its log is read
        found.append(contents(path))

    print(f"\n{name}: killed at {len(found)} points")
    assert len(found) >= 4  # BEGIN, a statement, COMMIT, and after it
    assert found == [before] * (len(found) - 1) + [after]


def contents(path: Path) -> Contents:
    """All that is in a state, but for the wall clock's time."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.row_factory = sqlite3.Row
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    return {name: [_timeless(row) for row in rows] for name, rows in tables.items()}


def _timeless(row: sqlite3.Row) -> dict[str, Any]:
    """Cancelled and refused deliveries bear the time at which it was noticed."""
    return {name: row[name] for name in row.keys() if name != "settled_at"}  # noqa: SIM118
