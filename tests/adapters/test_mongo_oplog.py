"""The oplog's reach, read from real servers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import Timestamp
from pymongo import AsyncMongoClient

from tests.adapters.mongo_servers import PASSWORD
from tests.builders import a_checkpoint
from watcher.adapters.mongo.oplog import MongoOplog
from watcher.adapters.mongo.source import MongoSource
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.core.changes import Checkpoint
from watcher.core.facts import OplogMeasured, OplogScarce
from watcher.core.headroom import Reach
from watcher.demo.mongod import PrivateMongo
from watcher.errors import SourceUnavailable
from watcher.pipeline.headroom import EVERY, Headroom
from watcher.testing import Facts, FakeClock

Client = AsyncMongoClient[dict[str, Any]]

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def reach(uri: str, position: Checkpoint) -> Reach | None:
    async with MongoOplog.open(uri, "LibreChat") as oplog:
        return await oplog.reach(position)


def a_token(at: datetime) -> str:
    return f"82{int(at.timestamp()):08X}{1:08X}2B0429296E1404"


async def test_it_goes_from_the_first_entry_to_the_last_and_the_position_by_its_token() -> None:
    """On a server that belongs to no set, an oplog can be written by hand."""
    async with PrivateMongo(replica_set=False) as mongo, Client(mongo.uri) as client:
        oplog = await client["local"].create_collection("oplog.rs", capped=True, size=1_000_000)
        for hour in (0, 1, 3):
            await oplog.insert_one({"ts": Timestamp(NOON + hour * HOUR, 1), "op": "n", "o": {}})
        # Of a quiet LibreChat the last change is long ago; the position went on.
        by_token = await reach(mongo.uri, Checkpoint(token=a_token(NOON + 2 * HOUR), at=NOON - 9 * HOUR))
        by_time = await reach(mongo.uri, a_checkpoint("82AA", at=NOON + HOUR))
        by_nothing = await reach(mongo.uri, a_checkpoint("82AA", at=None))

    assert by_token == Reach(first=NOON, last=NOON + 3 * HOUR, position=NOON + 2 * HOUR)
    assert by_time == Reach(first=NOON, last=NOON + 3 * HOUR, position=NOON + HOUR)
    assert by_nothing is None


async def test_a_position_that_stands_while_the_oplog_is_cut_is_warned_of_before_it_is_lost(
    tmp_path: Path,
) -> None:
    """The whole way: an oplog that is cut, the store's position, and what is told."""
    clock, facts = FakeClock(), Facts()
    position = Checkpoint(token=a_token(NOON + 5 * HOUR), at=None)
    async with (
        PrivateMongo(replica_set=False) as mongo,
        Client(mongo.uri) as client,
        MongoOplog.open(mongo.uri, "LibreChat") as oplog,
        SqliteOutbox.open(tmp_path / "state.db") as outbox,
    ):
        await outbox.append([], checkpoint=position, through=NOON)
        entries = await client["local"].create_collection("oplog.rs", capped=True, size=10_000_000)
        await entries.insert_many([{"ts": Timestamp(NOON + n * HOUR / 4, 1)} for n in range(4 * 10 + 1)])
        watching = asyncio.create_task(Headroom(oplog, outbox, clock=clock, observe=facts).watch())
        for quarter in range(1, 21):  # a quarter of an hour of it is cut every 30 s
            await facts.until(OplogMeasured, quarter)
            await entries.delete_many({"ts": {"$lt": Timestamp(NOON + quarter * HOUR / 4, 1)}})
            clock.advance(EVERY)
        watching.cancel()

    measured = facts.of(OplogMeasured)
    assert [fact.headroom for fact in measured] == [5 * HOUR - n * HOUR / 4 for n in range(20)]
    assert [fact.left for fact in measured] == [None, *(EVERY * (20 - n) for n in range(1, 20))]
    assert [fact.scarce for fact in measured] == [False] + [True] * 19
    assert facts.of(OplogScarce)[0].headroom == 4.75 * HOUR


async def test_the_position_of_a_stream_is_at_the_end_of_it(mongodb_uri: str, database: str) -> None:
    noise: dict[str, list[str]] = {"messages": []}
    source = MongoSource(mongodb_uri, database, noise=noise, noise_to_memory=noise, observe=print)
    async with source.open(None) as batches:
        position = (await anext(batches)).checkpoint

    found = await reach(mongodb_uri, position)

    assert found is not None
    assert abs(found.behind) < timedelta(seconds=30)
    assert found.headroom >= timedelta(0)


@pytest.mark.parametrize(("user", "seen"), [("reader", False), ("reader of local", True)])
async def test_it_takes_read_on_local(guarded_mongo: PrivateMongo, user: str, seen: bool) -> None:
    uri = guarded_mongo.uri_of("LibreChat", user=user, password=PASSWORD)

    assert (await reach(uri, a_checkpoint()) is not None) is seen


async def test_where_there_is_no_oplog_it_is_not_known(standalone_mongo: PrivateMongo) -> None:
    assert await reach(standalone_mongo.uri, a_checkpoint()) is None


@pytest.mark.usefixtures("impatient")
async def test_nobody_there_is_an_outage_and_not_a_missing_right() -> None:
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:9: nobody answers"):
        await reach("mongodb://me:s3cret@127.0.0.1:9/LibreChat", a_checkpoint())
