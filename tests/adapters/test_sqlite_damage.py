"""A state that was damaged or taken away: it is said, and nothing but what was stored is ever given out."""

from __future__ import annotations

import asyncio
import random
import shutil
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement, checkpoint_of
from watcher.adapters.sqlite.database import connect
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.core.deliveries import Delivery
from watcher.core.events import Entity
from watcher.core.memory import Remembered, Scan
from watcher.core.verdicts import RetryAt
from watcher.errors import OutboxBroken, OutboxError
from watcher.pipeline.housekeeping import EVERY, keep_house
from watcher.testing import Facts, FakeClock

POSITION = a_checkpoint("82AA")
Stored = dict[str, list[Delivery]]


@pytest.fixture(scope="module")
def stored() -> Stored:
    return {
        name: [
            a_delivery(
                endpoint=name,
                body=b'{"n":%d,"%s":0}' % (n, b"x" * 500),
                context=b'{"n":%d,"%s":0}' % (n, b"y" * 200) if n % 2 else None,
            )
            for n in range(120)
        ]
        for name in ("crm", "audit")
    }


async def fill(path: Path, stored: Stored) -> None:
    async with SqliteOutbox.open(path) as outbox:
        await outbox.memories({"messages": frozenset({"user"})})
        rows = {
            Entity(f"messages:{n}"): Remembered(fields={"user": f"u{n}"}, exact_after=NOON) for n in range(99)
        }
        await outbox.remember(rows, Scan(collection="messages", names=("user",), done=True))
        for pair in zip(*stored.values(), strict=True):
            await outbox.append(pair, checkpoint=POSITION, through=NOON)


async def use(path: Path, stored: Stored) -> None:
    """Raises what the store says of itself. Until then, whatever it gives must be what was stored; and what
    it does not give, it must miss when it is looked through."""
    async with SqliteOutbox.open(path) as outbox:
        given = {
            name: [
                _sent(row.delivery) for row in await outbox.pending(name, after=0, limit=999, max_bytes=10**9)
            ]
            for name in stored
        }
        for name, deliveries in stored.items():
            ordered = iter(map(_sent, deliveries))
            assert all(delivery in ordered for delivery in given[name]), "not as stored, or out of order"
        position = await checkpoint_of(outbox)
        assert position in (POSITION, None)
        remembered = await outbox.recall([Entity("messages:7")])
        assert all(row.fields == {"user": "u7"} for row in remembered.values())

        await outbox.examine()
        assert given == {name: list(map(_sent, deliveries)) for name, deliveries in stored.items()}
        assert (position, len(remembered)) == (POSITION, 1)
        await outbox.append([a_delivery()], checkpoint=a_checkpoint("82AB"), through=NOON)


def _sent(delivery: Delivery) -> Delivery:
    """Its row is not sent, and has no checksum."""
    return replace(delivery, row=Entity(""))


async def test_whatever_is_overwritten_is_told_or_does_no_harm(tmp_path, stored):
    sound, told = tmp_path / "sound.db", 0
    await fill(sound, stored)
    size = sound.stat().st_size

    for seed in range(60):
        dice = random.Random(seed)
        path = tmp_path / f"{seed}.db"
        shutil.copy(sound, path)
        with path.open("r+b") as file:
            file.seek(dice.randrange(size))
            file.write(dice.randbytes(min(dice.choice([1, 8, 100, 4096, 20_000]), size - file.tell())))
        try:
            await use(path, stored)
        except (OutboxBroken, OutboxError):
            told += 1

    assert told >= 30  # the rest hit free space


async def test_a_damaged_log_of_attempts_is_told_when_one_more_is_to_be_kept(tmp_path):
    path = tmp_path / "state.db"
    async with SqliteOutbox.open(path) as outbox:
        await outbox.append([a_delivery()], checkpoint=POSITION, through=NOON)
        (row,) = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        await outbox.settle([a_settlement(row, RetryAt(at=NOON, reason="status 500"))])
        with closing(connect(path, writing=True)) as db:
            db.execute("UPDATE deliveries SET log = '[{'")

        with pytest.raises(OutboxBroken, match="malformed"):  # else it would be tried again for ever
            await outbox.settle([a_settlement(row)])


@pytest.mark.parametrize("left", [0.9, 0.5, 0.1, 0.001])
async def test_a_truncated_file_is_refused(tmp_path, stored, left):
    path = tmp_path / "state.db"
    await fill(path, stored)
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * left))

    with pytest.raises((OutboxBroken, OutboxError)) as refused:
        await use(path, stored)

    assert "\n  Put a good copy in its place" in str(refused.value)


async def test_without_the_wal_of_a_killed_run_an_earlier_moment_stands_or_damage_is_told(tmp_path, stored):
    path, left_behind = tmp_path / "state.db", tmp_path / "left.db"
    async with SqliteOutbox.open(path) as outbox:
        for number, pair in enumerate(zip(*stored.values(), strict=True)):
            await outbox.append(pair, checkpoint=a_checkpoint(f"82{number:02X}"), through=NOON)
        shutil.copy(path, left_behind)  # and not what stands in the -wal

    try:
        async with SqliteOutbox.open(left_behind) as outbox:
            await outbox.examine()
            position = await checkpoint_of(outbox)
            given = await outbox.pending("crm", after=0, limit=999, max_bytes=10**9)
    except OutboxBroken:
        return

    # Position and deliveries are of one moment: reading on from there gives the rest again.
    assert len(given) == (int(position.token, 16) - 0x8200 + 1 if position else 0)
    assert [row.delivery for row in given] == stored["crm"][: len(given)]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock"])
@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_file_that_is_taken_away_while_it_is_used_is_missed_before_anything_more_is_stored(
    tmp_path, suffix, how
):
    path = tmp_path / "state.db"
    async with SqliteOutbox.open(path) as outbox:
        await outbox.append([a_delivery()], checkpoint=POSITION, through=NOON)
        taken = f"{path}{suffix}"
        shutil.move(taken, tmp_path / "elsewhere")
        if how == "replaced":
            shutil.copy(tmp_path / "elsewhere", taken)

        with pytest.raises(OutboxBroken, match=f"{taken}: was deleted or replaced"):
            await outbox.append([a_delivery()], checkpoint=a_checkpoint("82AB"), through=NOON)

        assert await checkpoint_of(outbox) == POSITION


async def test_housekeeping_looks_through_the_store_and_waits_out_no_damage(tmp_path, stored):
    path = tmp_path / "state.db"
    await fill(path, stored)
    async with SqliteOutbox.open(path) as outbox:
        # The index that dispatch reads by, with nothing in it any more.
        outbox._writer._connection.executescript(
            "CREATE INDEX empty ON deliveries (endpoint, seq) WHERE state = 'cancelled';"
            "PRAGMA writable_schema = ON;"
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'empty')"
            " WHERE name = 'pending_in_order';"
            "DELETE FROM sqlite_master WHERE name = 'empty';"
        )

    async with SqliteOutbox.open(path) as outbox:
        assert await outbox.pending("crm", after=0, limit=999, max_bytes=10**9) == []
        clock = FakeClock()
        week = timedelta(days=7)
        house = asyncio.create_task(
            keep_house(outbox, outbox, delivered=week, dead=week, clock=clock, observe=Facts())
        )
        async with asyncio.timeout(10):
            while not house.done():
                clock.advance(EVERY)
                await asyncio.sleep(0.01)
        with pytest.raises(OutboxBroken, match="damaged"):
            await house
