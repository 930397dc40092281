"""The outbox's file: killed processes, full disks, foreign files, and queries that never scan."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement, checkpoint_of
from watcher.adapters.sqlite import log
from watcher.adapters.sqlite.database import SCHEMA_VERSION, connect
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.adapters.sqlite.reading import SqliteReader
from watcher.adapters.sqlite.statements import SQL
from watcher.core.backfill import Backfill
from watcher.core.deliveries import Hold
from watcher.core.events import EventId
from watcher.core.searching import Wanted
from watcher.core.verdicts import Dead
from watcher.errors import OutboxBroken, OutboxError, OutboxLocked
from watcher.ports import Counts

WRITER = """
import asyncio, sys
from pathlib import Path
from tests.builders import NOON, a_checkpoint, a_delivery
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.core.events import EventId

async def main():
    async with SqliteOutbox.open(Path(sys.argv[1])) as outbox:
        stored = await outbox.position()
        number = int(stored.checkpoint.token, 16) if stored else 0
        while True:
            number += 1
            batch = [a_delivery(id=EventId(f"webhook_{number}_{part}")) for part in range(3)]
            await outbox.append(batch, checkpoint=a_checkpoint(f"{number:08X}"), through=NOON)
            print(number, flush=True)

asyncio.run(main())
"""


async def test_a_write_that_fails_when_who_asked_is_gone_is_no_fault_of_the_program(tmp_path: Path):
    loop, faults = asyncio.get_running_loop(), list[Any]()
    loop.set_exception_handler(lambda _, context: faults.append(context))

    def fails(_: sqlite3.Connection) -> None:
        time.sleep(0.05)
        raise OutboxError("the disk is full")

    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        asking = asyncio.create_task(outbox._writer.do(fails))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()
        del asking
    gc.collect()
    assert faults == []


def test_what_was_acknowledged_survives_kill_9_and_agrees_with_the_position(tmp_path):
    path, dice, acknowledged = tmp_path / "state.db", random.Random(1), 0

    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": "."},
        )
        assert child.stdout
        acknowledged = int(child.stdout.readline())
        time.sleep(
            dice.uniform(0.02, 0.2)
        )  # any moment will do: what matters is that it is not ours to choose
        child.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, child.stdout.read().split())])
        child.wait()

        with sqlite3.connect(path) as db:
            (count, last) = db.execute(
                "SELECT count(*), (SELECT token FROM position) FROM deliveries"
            ).fetchone()
        assert int(last, 16) >= acknowledged
        assert count == 3 * int(last, 16)


async def test_a_second_process_is_kept_away_and_told_why(tmp_path):
    async with SqliteOutbox.open(tmp_path / "state.db"):
        with pytest.raises(OutboxLocked, match=r"another `librechat-watcher run`"):
            async with SqliteOutbox.open(tmp_path / "state.db"):
                pass

    async with SqliteOutbox.open(tmp_path / "state.db"):
        pass  # free again


async def test_the_position_can_be_looked_at_while_run_is_at_work(tmp_path):
    path = tmp_path / "state.db"
    assert await SqliteReader(path).checkpoint() is None

    async with SqliteOutbox.open(path) as outbox:
        assert await SqliteReader(path).checkpoint() is None
        await outbox.append([], checkpoint=a_checkpoint("82FF"), through=NOON)

        assert await SqliteReader(path).checkpoint() == a_checkpoint("82FF")


async def test_what_became_of_a_row_can_be_looked_at_while_run_is_at_work_and_without_it(tmp_path):
    path, delivery = tmp_path / "state.db", a_delivery()
    assert await SqliteReader(path).fates(delivery.row, limit=9) == []

    async with SqliteOutbox.open(path) as outbox:
        await outbox.append([delivery], checkpoint=a_checkpoint(), through=NOON)
        beside = await SqliteReader(path).fates(delivery.row, limit=9)

    assert [fate.id for fate in beside] == [delivery.id]
    assert await SqliteReader(path).fates(delivery.row, limit=9) == beside


async def test_a_file_that_is_only_just_being_made_holds_nothing(tmp_path):
    path = tmp_path / "state.db"
    path.touch()

    assert await SqliteReader(path).checkpoint() is None
    assert await SqliteReader(path).fates(a_delivery().row, limit=9) == []


async def test_only_its_owner_may_read_what_people_wrote(tmp_path):
    path = tmp_path / "folder" / "state.db"

    async with SqliteOutbox.open(path) as outbox:
        await outbox.append([a_delivery()], checkpoint=a_checkpoint(), through=NOON)

        modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}

    assert set(modes.values()) == {"0o600"}
    assert oct(path.parent.stat().st_mode & 0o777) == "0o700"


@pytest.mark.parametrize(
    ("prepare", "word"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), "not a database"),
        (lambda path: _foreign(path), "another program"),
        (lambda path: _newer(path), "newer librechat-watcher"),
        (lambda path: path.mkdir(), "unable to open"),
        (lambda path: path.parent.joinpath("state.db.lock").mkdir(), "cannot be kept there"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_with_a_cure(tmp_path, prepare, word):
    path = tmp_path / "state.db"
    prepare(path)

    with pytest.raises((OutboxError, OutboxBroken), match=word) as refused:
        async with SqliteOutbox.open(path):
            pass

    where, _, cure = str(refused.value).partition("\n")
    assert str(path) in where
    assert cure.startswith("  ")


async def test_a_full_disk_refuses_the_write_and_the_next_one_goes_when_there_is_room(tmp_path):
    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        await outbox._writer.do(lambda db: None)
        pages = outbox._writer._connection.execute("PRAGMA page_count").fetchone()[0]
        outbox._writer._connection.execute(f"PRAGMA max_page_count = {pages + 5}")
        big = [a_delivery(body=b"x" * 50_000) for _ in range(4)]

        with pytest.raises(OutboxError, match="full"):
            await outbox.append(big, checkpoint=a_checkpoint("8201"), through=NOON)
        assert await outbox.position() is None
        assert await outbox.pending("crm", after=0, limit=9, max_bytes=10**9) == []

        outbox._writer._connection.execute("PRAGMA max_page_count = 100000")
        assert await outbox.append(big, checkpoint=a_checkpoint("8202"), through=NOON) == 4


async def test_one_bad_write_does_not_take_its_neighbours_along(tmp_path):
    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        import asyncio

        def bad(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO marks VALUES ('half', 1)")
            raise sqlite3.IntegrityError("bad")

        results = await asyncio.gather(
            outbox.append([a_delivery()], checkpoint=a_checkpoint("8201"), through=NOON),
            outbox._writer.do(bad),
            outbox.append([a_delivery()], checkpoint=a_checkpoint("8202"), through=NOON),
            return_exceptions=True,
        )

        assert results[0] == results[2] == 1
        assert isinstance(results[1], OutboxError)
        assert await outbox.marks() == []
        assert await checkpoint_of(outbox) == a_checkpoint("8202")


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("pending", "pending_in_order"),
        ("any_pending", "pending_in_order"),
        ("oldest", "pending_in_order"),
        ("pending_of", "pending_of_entity"),
        ("members", "pending_of_batch"),
        ("held_due", "held_by_time"),
        ("held_of_row", "held_by_key"),
        ("held_of_entity", "held_by_entity"),
        ("forget", "settled_by_time"),
        ("of_row", "of_row"),
    ],
)
def test_what_runs_often_finds_its_rows_by_an_index_and_needs_no_sorting(tmp_path, name, index):
    db = connect(tmp_path / "state.db", writing=True)
    names = (
        "endpoint",
        "after",
        "limit",
        "entity",
        "start",
        "batch",
        "through",
        "key",
        "state",
        "before",
        "lifted",
        "row",
        "ahead",
        "spot",
    )

    plan = " / ".join(
        row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", dict.fromkeys(names, "[]"))
    )

    db.close()
    assert f"USING INDEX {index}" in plan or f"USING COVERING INDEX {index}" in plan
    assert "SCAN deliveries" not in plan
    assert "TEMP B-TREE" not in plan or name == "held_of_row"


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (a)")


def _newer(path: Path) -> None:
    connect(path, writing=True).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


async def test_what_is_settled_while_a_page_is_read_is_in_it_once(tmp_path, monkeypatch):
    path = tmp_path / "state.db"
    first, second = a_delivery(), a_delivery()
    read = log._ids

    def read_while_it_is_settled(db: sqlite3.Connection, *query: Any) -> list[EventId]:
        found = list(read(db, *query))
        with closing(connect(path, writing=True)) as other:
            other.execute("UPDATE deliveries SET state = 'delivered' WHERE id = ?", [second.id])
        return found

    async with SqliteOutbox.open(path) as outbox:
        await outbox.append([first, second], checkpoint=a_checkpoint(), through=NOON)
        (row, _) = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        await outbox.settle([a_settlement(row)])
        monkeypatch.setattr(log, "_ids", read_while_it_is_settled)
        page = await outbox.search(Wanted(), after=None, limit=9)

    assert sorted(fate.id for fate in page) == sorted([first.id, second.id])


async def test_what_a_command_beside_sends_again_stands_behind_what_was_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    dead, delivered = a_delivery(), a_delivery()
    async with SqliteOutbox.open(path) as outbox:
        await outbox.append([dead, delivered], checkpoint=a_checkpoint(), through=NOON)
        rows = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        await outbox.settle([a_settlement(rows[0], Dead(reason="status 500")), a_settlement(rows[1])])
        long_after = NOON + timedelta(days=99)
        await outbox.forget(delivered_before=long_after, dead_before=NOON, marks_before=NOON, limit=9)

        async with SqliteOutbox.beside(path) as beside:
            assert await beside.replay([dead.id]) == {"crm": 1}

        # Who sends has read up to there.
        await outbox.appended("crm", after=rows[-1].seq)
        (again,) = await outbox.pending("crm", after=rows[-1].seq, limit=9, max_bytes=10**9)
    assert again.delivery.id == dead.id


async def test_what_a_command_beside_stores_is_noticed_and_stands_in_order(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    asked = Backfill(name="x", since=NOON, until=NOON, events=())
    first, filled, last = a_delivery(), a_delivery(), a_delivery()
    async with SqliteOutbox.open(path) as running:
        await running.append([first], checkpoint=a_checkpoint(), through=NOON)
        [row] = await running.pending("crm", after=0, limit=9, max_bytes=10**9)
        noticed = asyncio.create_task(running.appended("crm", after=row.seq))
        async with SqliteOutbox.beside(path) as beside:
            await beside.fill([filled], asked)

        await asyncio.wait_for(noticed, 10)
        await running.append([last], checkpoint=a_checkpoint(), through=NOON)

        rows = await running.pending("crm", after=0, limit=9, max_bytes=10**9)
        assert [each.delivery.id for each in rows] == [first.id, filled.id, last.id]
        assert await running.counts() == {"crm": Counts(pending=3)}


async def test_a_quiet_store_is_not_read_again_and_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("watcher.adapters.sqlite.outbox.OTHERS_SECONDS", 0.01)
    path, reads = tmp_path / "state.db", 0
    async with SqliteOutbox.open(path) as running, SqliteOutbox.beside(path) as beside:
        read = running._read

        async def counting(work: Any) -> Any:
            nonlocal reads
            reads += 1
            return await read(work)

        monkeypatch.setattr(running, "_read", counting)
        noticed = asyncio.create_task(running.appended("crm", after=0))
        await asyncio.wait({noticed}, timeout=0.3)
        assert (noticed.done(), reads) == (False, 1)

        await beside.append([a_delivery()], checkpoint=a_checkpoint(), through=NOON)
        await asyncio.wait_for(noticed, 10)


async def test_who_is_behind_takes_from_nobody_what_was_just_stored(tmp_path: Path, monkeypatch) -> None:
    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        for _ in range(2):
            both = [a_delivery(endpoint="crm"), a_delivery(endpoint="slow")]
            await outbox.append(both, checkpoint=a_checkpoint(), through=NOON)
        await outbox.pending("slow", after=0, limit=1, max_bytes=10**9)

        await outbox.appended("slow", after=0)  # of which it is not known in memory any more
        monkeypatch.setattr(outbox, "_read", None)

        assert len(await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)) == 2


async def test_a_body_goes_where_its_delivery_goes(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    sent, held = a_delivery(), a_delivery(hold=Hold(key="messages:1", until=NOON + timedelta(minutes=1)))
    async with SqliteOutbox.open(path) as outbox:
        await outbox.append([sent, held], checkpoint=a_checkpoint(), through=NOON)
        (row,) = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        await outbox.settle([a_settlement(row)])

        await outbox.append(
            [], checkpoint=a_checkpoint(), through=NOON + timedelta(minutes=2)
        )  # ends the hold
        await outbox.replay([sent.id])
        rows = await outbox.pending("crm", after=row.seq, limit=9, max_bytes=10**9)
        assert [row.delivery.body for row in rows] == [held.body, sent.body]
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT seq FROM bodies").fetchall() == [(row.seq,) for row in rows]

        await outbox.settle([a_settlement(row) for row in rows])
        much_later = NOON + timedelta(days=99)
        await outbox.forget(delivered_before=much_later, dead_before=NOON, marks_before=NOON, limit=9)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT seq FROM bodies").fetchall() == []
