"""The MongoDB source reads a real MongoDB to the letter, and says of each failure who must act."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from tests.contracts.change_source_contract import ChangeSourceContract, World, changes_of, ids
from watcher.adapters.mongo import connect
from watcher.adapters.mongo import source as source_module
from watcher.adapters.mongo.decode import CODEC, change_of, plain
from watcher.adapters.mongo.ladder import BATCH_CHANGES
from watcher.adapters.mongo.progress import token_time
from watcher.adapters.mongo.source import MongoSource
from watcher.core.changes import Change, Checkpoint
from watcher.core.facts import Fact, Unreadable
from watcher.demo.mongod import PrivateMongo
from watcher.errors import PositionLost, SourceRefused, SourceUnavailable
from watcher.ports import Batch

Client = AsyncMongoClient[dict[str, Any]]
Database = AsyncDatabase[dict[str, Any]]

NOISE: Mapping[str, Sequence[str]] = {"messages": ["updatedAt"], "agents": [], "conversations": []}
PRE_IMAGES: dict[str, Any] = {"changeStreamPreAndPostImages": {"enabled": True}}


def _unheard(fact: Fact) -> None:
    raise AssertionError(f"unexpected {fact}")


def a_source(
    uri: str, database: str, *, observe: Callable[[Fact], None] = _unheard, start_from: datetime | None = None
) -> MongoSource:
    return MongoSource(
        uri, database, noise=NOISE, noise_to_memory=NOISE, observe=observe, start_from=start_from
    )


@pytest.fixture
def source(mongodb_uri: str, database: str) -> MongoSource:
    return a_source(mongodb_uri, database)


@pytest.fixture
def db(mongo_client: Client, database: str) -> Database:
    return mongo_client[database]


@dataclass
class MongoWorld:
    source: MongoSource
    db: Database

    async def insert(self, row: Mapping[str, Any]) -> None:
        await self.db.messages.insert_one(dict(row))


class TestMongoSourceContract(ChangeSourceContract):
    @pytest.fixture
    def world(self, source: MongoSource, db: Database) -> World:
        return MongoWorld(source, db)


# ---------------------------------------------------------------------------- what a change shows


async def test_with_pre_images_before_and_after_are_exact(source: MongoSource, db: Database) -> None:
    """Against MongoDB's own post-images, over updates of every kind that touch dots and arrays."""
    await db.command({"create": "messages", **PRE_IMAGES})
    dice = random.Random(7)
    async with source.open(None) as batches:
        start = (await anext(batches)).checkpoint
        for name in ("a", "b"):
            await db.messages.insert_one(
                {"_id": name, "n": 0, "tags": [1, 2, 3], "deep": {"rows": [{"v": 0}]}}
            )
        for number in range(250):
            await db.messages.update_one({"_id": dice.choice("ab")}, _any_update(dice, number))
        truth = await _post_images(db, start)
        changes = await changes_of(batches, len(truth))

    assert len(truth) > 150
    row: dict[str, Any] = {}
    for change in changes:
        assert change.after == truth[change.id], change
        assert change.before == row.get(change.document_id)
        row[change.document_id] = change.after


async def test_without_pre_images_each_update_shows_its_own_values(source: MongoSource, db: Database) -> None:
    async with source.open(None) as batches:
        await db.messages.insert_one({"_id": "a", "title": "one", "owner": "u"})
        await db.messages.update_one({"_id": "a"}, {"$set": {"title": "two"}})
        await db.messages.update_one({"_id": "a"}, {"$set": {"title": "three"}})
        changes = await changes_of(batches, 3)

    assert [change.after and change.after["title"] for change in changes] == ["one", "two", "three"]
    assert [change.before for change in changes] == [None, None, None]
    assert all(change.after and change.after["owner"] == "u" for change in changes)


async def test_an_update_of_a_row_that_is_gone_has_no_after(source: MongoSource, db: Database) -> None:
    async with source.open(None) as batches:
        await db.messages.insert_one({"_id": "a", "text": "hi"})
        await db.messages.update_one({"_id": "a"}, {"$set": {"text": "ho"}})
        await db.messages.delete_one({"_id": "a"})
        _, update, delete = await changes_of(batches, 3)

    assert (update.after, update.updated) == (None, {"text": "ho"})
    assert (delete.operation, delete.document_id, delete.before, delete.after) == ("delete", "a", None, None)


@pytest.mark.parametrize("images", [{}, PRE_IMAGES], ids=["without pre-images", "with them"])
async def test_an_update_that_only_shortens_an_array_is_told_with_what_is_left(
    source: MongoSource, db: Database, images: dict[str, Any]
) -> None:
    tags = ["a long enough tag", "another of them", "and a third one"]
    await db.create_collection("messages", **images)
    async with source.open(None) as batches:
        await db.messages.insert_one({"_id": "a", "tags": tags})
        await db.messages.update_one({"_id": "a"}, [{"$set": {"tags": {"$slice": ["$tags", 1]}}}])
        _, update = await changes_of(batches, 2)

    assert (update.updated, update.removed, update.untold) == ({"tags": tags[:1]}, (), ())
    assert update.after == {"_id": "a", "tags": tags[:1]}


async def test_of_an_array_shortened_in_a_row_that_is_gone_the_name_is_told(
    source: MongoSource, db: Database
) -> None:
    async with source.open(None) as batches:
        start = (await anext(batches)).checkpoint
    await db.messages.insert_one({"_id": "a", "tags": ["a long enough tag", "another of them"]})
    await db.messages.update_one({"_id": "a"}, [{"$set": {"tags": {"$slice": ["$tags", 1]}}}])
    await db.messages.delete_one({"_id": "a"})

    async with source.open(start) as batches:
        _, update, _ = await changes_of(batches, 3)

    assert (update.after, update.updated, update.untold) == (None, {}, ("tags",))


async def test_a_replace_is_told_as_its_difference(source: MongoSource, db: Database) -> None:
    await db.command({"create": "agents", **PRE_IMAGES})
    async with source.open(None) as batches:
        await db.agents.insert_one({"_id": "a", "name": "x", "model": "m", "old": 1})
        await db.agents.replace_one({"_id": "a"}, {"name": "y", "model": "m"})
        await db.messages.insert_one({"_id": "m", "old": 1})
        await db.messages.replace_one({"_id": "m"}, {"text": "t"})
        _, known, _, unknown = await changes_of(batches, 4)

    assert (known.operation, known.updated, known.removed) == ("replace", {"name": "y"}, ("old",))
    assert known.after == {"_id": "a", "name": "y", "model": "m"}
    assert (unknown.before, unknown.updated, unknown.removed) == (None, {"text": "t"}, ())


async def test_times_are_the_servers_wall_time(source: MongoSource, db: Database) -> None:
    async with source.open(None) as batches:
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        await db.messages.insert_one({"_id": "a", "createdAt": datetime(2020, 1, 1, tzinfo=UTC)})
        (change,) = await changes_of(batches, 1)

    assert before <= change.at <= datetime.now(UTC)
    assert change.after == {"_id": "a", "createdAt": datetime(2020, 1, 1, tzinfo=UTC)}


async def test_only_the_watched_collections_of_this_database_are_seen(
    source: MongoSource, db: Database, mongo_client: Client, database: str
) -> None:
    async with source.open(None) as batches:
        await db.transactions.insert_one({"_id": "no"})
        await mongo_client[f"{database}_other"].messages.insert_one({"_id": "no"})
        await mongo_client.drop_database(f"{database}_other")
        await db.messages.insert_one({"_id": "yes"})
        changes = await changes_of(batches, 1)

    assert ids(changes) == ["yes"]


# ------------------------------------------------------------------------------- what never stops it


async def test_an_odd_document_does_not_stop_the_stream(source: MongoSource, db: Database) -> None:
    invalid = bson.encode({"_id": "utf8", "text": "XXXX"}).replace(b"XXXX", b"\xff\xfe\xfd!")
    far = bson.encode({"_id": "date", "expiredAt": bson.datetime_ms.DatetimeMS(8_640_000_000_000_000)})

    async with source.open(None) as batches:
        await db.messages.with_options(codec_options=CODEC).insert_many(
            [RawBSONDocument(invalid), RawBSONDocument(far)]
        )
        await db.messages.insert_one({"_id": {"k": bson.ObjectId("0" * 24)}, "x": bson.MinKey()})
        odd = await changes_of(batches, 3)

    assert ids(odd) == ["utf8", "date", '{"k": "000000000000000000000000"}']
    assert odd[0].after == {"_id": "utf8", "text": "\ufffd\ufffd\ufffd!"}
    assert odd[1].after is not None
    assert odd[1].after["expiredAt"].year == 9999


async def test_an_agent_larger_than_an_event_may_be_passes(source: MongoSource, db: Database) -> None:
    """9 MB of old versions before, 9 MB after: untrimmed this is error 10334, for ever."""
    await db.command({"create": "agents", **PRE_IMAGES})
    async with source.open(None) as batches:
        await db.agents.insert_one({"_id": "g", "name": "x", "versions": [{"p": "v" * 9_000_000}]})
        await db.agents.update_one({"_id": "g"}, {"$set": {"name": "y"}, "$push": {"versions": {"p": "w"}}})
        _, update = await changes_of(batches, 2)

    assert (update.before, update.after) == ({"_id": "g", "name": "x"}, {"_id": "g", "name": "y"})


async def test_a_dropped_database_does_not_end_the_stream(
    source: MongoSource, db: Database, mongo_client: Client, database: str
) -> None:
    async with source.open(None) as batches:
        start = (await anext(batches)).checkpoint
        await db.messages.insert_one({"_id": "before"})
        await mongo_client.drop_database(database)
        await db.messages.insert_one({"_id": "after"})
        assert ids(await changes_of(batches, 2)) == ["before", "after"]

    # Every position on the way serves, the one of the drop itself too.
    async with source.open(start) as batches:
        positions: list[tuple[Checkpoint, int]] = []
        while not positions or positions[-1][1] < 2:
            batch = await anext(batches)
            positions.append((batch.checkpoint, len(batch.changes) + (positions[-1][1] if positions else 0)))
    for checkpoint, count in positions:
        async with source.open(checkpoint) as batches:
            assert ids(await changes_of(batches, 2 - count)) == ["before", "after"][count:]


async def test_a_dropped_or_renamed_collection_does_not_end_the_stream(
    source: MongoSource, db: Database
) -> None:
    async with source.open(None) as batches:
        await db.messages.insert_one({"_id": "a"})
        await db.messages.drop()
        await db.conversations.insert_one({"_id": "b"})
        await db.conversations.rename("messages")
        await db.messages.insert_one({"_id": "c"})
        changes = await changes_of(batches, 3)

    assert ids(changes) == ["a", "b", "c"]


async def test_a_backlog_comes_in_batches_of_bounded_size(source: MongoSource, db: Database) -> None:
    async with source.open(None) as batches:
        start = (await anext(batches)).checkpoint
    await db.messages.insert_many([{"_id": f"{number:05}"} for number in range(BATCH_CHANGES * 3 + 1)])

    sizes: list[int] = []
    async with source.open(start) as batches:
        while sum(sizes) < BATCH_CHANGES * 3 + 1:
            sizes.append(len((await anext(batches)).changes))

    assert [size for size in sizes if size] == [BATCH_CHANGES] * 3 + [1]


async def test_time_outs_in_the_uri_do_not_cut_the_stream(mongodb_uri: str, db: Database) -> None:
    source = a_source(f"{mongodb_uri}?socketTimeoutMS=50&timeoutMS=50", db.name)

    async with source.open(None) as batches:
        for _ in range(3):  # each waits longer than that
            await anext(batches)
        await db.messages.insert_one({"_id": "a"})
        assert ids(await changes_of(batches, 1)) == ["a"]


# --------------------------------------------------------------------------------------- where it begins


async def test_a_first_start_may_lie_in_the_past(mongodb_uri: str, source: MongoSource, db: Database) -> None:
    async with source.open(None) as batches:
        await db.messages.insert_one({"_id": "a"})
        (change,) = await changes_of(batches, 1)

    async with a_source(mongodb_uri, db.name, start_from=change.at).open(None) as batches:
        assert ids(await changes_of(batches, 1)) == ["a"]


async def test_a_position_serves_even_if_nothing_was_written_since(
    source: MongoSource, mongo_client: Client
) -> None:
    """A stream that begins in silence begins one tick after the newest write: ahead of it, and not lost."""
    was_silent = False
    while not was_silent:
        position = (await _first(source.open(None))).checkpoint

        await _first(source.open(position))

        newest = (await mongo_client.admin.command("hello"))["lastWrite"]["opTime"]["ts"]
        begins = token_time(position.token)
        was_silent = begins is not None and begins > newest


async def test_a_first_start_in_the_future_is_refused(mongodb_uri: str, database: str) -> None:
    source = a_source(mongodb_uri, database, start_from=datetime.now(UTC) + timedelta(hours=1))

    with pytest.raises(SourceRefused, match=r"watcher\.startFrom: .* is yet to come"):
        await _first(source.open(None))


@pytest.mark.parametrize(
    "token",
    ["", "zz", "82ABCD", "00" * 20, "8200000000"],
    ids=["empty", "no hex", "cut", "zeros", "no time"],
)
async def test_a_broken_token_is_a_lost_position(source: MongoSource, token: str) -> None:
    with pytest.raises(PositionLost, match="MongoDB at 127"):
        await _first(source.open(Checkpoint(token=token, at=None)))


async def test_a_token_of_another_history_is_a_lost_position(source: MongoSource, db: Database) -> None:
    async with source.open(None) as batches:
        await db.messages.insert_one({"_id": "a"})
        (change,) = await changes_of(batches, 1)
    older = change.id[:2] + f"{int(change.id[2:10], 16) - 86_400:08X}" + change.id[10:]
    newer = change.id[:2] + f"{int(change.id[2:10], 16) + 86_400:08X}" + change.id[10:]

    with pytest.raises(PositionLost, match="does not know the stored position"):
        await _first(source.open(Checkpoint(token=older, at=None)))
    with pytest.raises(PositionLost, match="ahead of its newest write"):
        await _first(source.open(Checkpoint(token=newer, at=None)))


async def test_a_position_before_the_oplog_is_lost() -> None:
    async with PrivateMongo() as mongo:
        source = a_source(mongo.uri, "lc")
        start_from = datetime.now(UTC)
        async with source.open(None) as batches:
            server_clock_moved = (await anext(batches)).checkpoint
            async with Client(mongo.uri) as client:
                await client.lc.messages.insert_many([{"_id": "a"}, {"_id": "b"}])
            changes = await changes_of(batches, 2)
        await mongo.cut_oplog()

        for token in (server_clock_moved.token, changes[0].id):
            with pytest.raises(PositionLost, match="older than the oplog"):
                await _first(source.open(Checkpoint(token=token, at=None)))
        with pytest.raises(SourceRefused, match=r"watcher\.startFrom: .* is before the oplog"):
            await _first(a_source(mongo.uri, "lc", start_from=start_from).open(None))


# ------------------------------------------------------------------------------------------- outages


async def test_a_power_cut_and_an_election_lose_nothing() -> None:
    async with PrivateMongo() as mongo, Client(mongo.uri) as client:
        source = a_source(mongo.uri, "lc")
        seen: list[Change] = []
        position: Checkpoint | None = None

        async def read_until(count: int) -> None:
            nonlocal position
            async with source.open(position) as batches:
                while len(seen) < count:
                    batch = await anext(batches)
                    seen.extend(batch.changes)
                    position = batch.checkpoint

        await _first(source.open(None))
        async with source.open(None) as batches:
            position = (await anext(batches)).checkpoint
        await client.lc.messages.insert_one({"_id": "a"})
        await read_until(1)

        cut = asyncio.create_task(read_until(2))
        await asyncio.sleep(0.1)
        mongo.kill9()
        with pytest.raises(SourceUnavailable):
            await cut
        await mongo.start()
        await client.lc.messages.insert_one({"_id": "b"})
        await read_until(2)

        await mongo.step_down()
        await client.lc.messages.insert_one({"_id": "c"})
        await read_until(3)

    assert ids(seen) == ["a", "b", "c"]


async def test_a_frozen_server_is_noticed_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection breaks here, and the stream waits without a time limit."""
    monkeypatch.setattr(connect, "HEARTBEAT_SECONDS", 0.5)
    monkeypatch.setattr(connect, "SELECTION_SECONDS", 0.5)
    monkeypatch.setattr(connect, "GOODBYE_SECONDS", 0.2)
    async with PrivateMongo() as mongo:
        source = a_source(mongo.uri, "lc")
        async with source.open(None) as batches:
            await anext(batches)
            mongo.freeze()
            with pytest.raises(SourceUnavailable, match="stopped answering"):
                await changes_of(batches, 1)

        with pytest.raises(SourceUnavailable, match="nobody answers"):
            await _first(source.open(None))
        mongo.thaw()


async def test_a_frozen_primary_is_left_as_soon_as_there_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Well before a heartbeat could time out."""
    monkeypatch.setattr(connect, "HEARTBEAT_SECONDS", 60)
    async with PrivateMongo(members=3) as mongo, Client(mongo.uri) as client:
        source = a_source(mongo.uri, "lc")
        frozen = await mongo.primary()
        async with source.open(None) as batches, asyncio.timeout(30):
            position = (await anext(batches)).checkpoint
            await client.lc.messages.insert_one({"_id": "a"})
            await changes_of(batches, 1)
            mongo.freeze(frozen)
            with pytest.raises(SourceUnavailable, match="stopped answering"):
                await changes_of(batches, 1)

        async with source.open(position) as batches:
            assert ids(await changes_of(batches, 1)) == ["a"]
        mongo.thaw(frozen)


# ------------------------------------------------------------------------------------------- refusals


async def test_a_standalone_server_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "SELECTION_SECONDS", 0.3)
    async with PrivateMongo(replica_set=False) as mongo:
        host = f"127.0.0.1:{mongo.ports[0]}"

        with pytest.raises(SourceRefused) as refusal:
            await _first(a_source(mongo.uri, "LibreChat").open(None))
        assert "command: mongod --noauth --replSet rs0 --bind_ip_all" in str(refusal.value)
        assert f"librechat-watcher prepare --init-replica-set {host}" in str(refusal.value)

        with pytest.raises(SourceUnavailable, match="is it a replica set at all"):
            await _first(a_source(f"{mongo.uri}?replicaSet=rs0", "LibreChat").open(None))


async def test_read_on_the_database_is_enough_and_less_is_refused() -> None:
    async with PrivateMongo(auth=True) as mongo:
        await mongo.add_user("reader", "s3cret", [{"role": "read", "db": "LibreChat"}])
        await mongo.add_user("nobody", "s3cret", [{"role": "read", "db": "Other"}])

        def source_of(user: str, password: str) -> MongoSource:
            return a_source(mongo.uri_of("LibreChat", user=user, password=password), "LibreChat")

        async with Client(mongo.uri) as client:
            await client.LibreChat.command({"create": "agents", **PRE_IMAGES})
            async with source_of("reader", "s3cret").open(None) as batches:
                await client.LibreChat.agents.insert_one({"_id": "a"})
                await client.LibreChat.agents.update_one({"_id": "a"}, {"$set": {"x": 1}})
                await client.LibreChat.messages.insert_one({"_id": "m"})
                await client.LibreChat.messages.update_one({"_id": "m"}, {"$set": {"x": 1}})
                changes = await changes_of(batches, 4)
            assert [change.after for change in changes if change.operation == "update"] == [
                {"_id": "a", "x": 1},
                {"_id": "m", "x": 1},
            ]

        with pytest.raises(SourceRefused) as refusal:
            await _first(source_of("nobody", "s3cret").open(None))
        assert 'grantRolesToUser("nobody", [{role: "read", db: "LibreChat"}])' in str(refusal.value)
        assert "s3cret" not in str(refusal.value)

        with pytest.raises(SourceRefused, match="rejects the user or the password") as refusal:
            await _first(source_of("reader", "wr0ng").open(None))
        assert "wr0ng" not in str(refusal.value)


async def test_nobody_there_is_an_outage_that_names_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "SELECTION_SECONDS", 0.2)

    with pytest.raises(
        SourceUnavailable, match=r"MongoDB at 127\.0\.0\.1:9: nobody answers: .*Connect call failed"
    ):
        await _first(a_source("mongodb://me:s3cret@127.0.0.1:9/", "lc").open(None))


@pytest.mark.parametrize(
    "uri",
    [
        "postgres://me:s3cret@h/db",
        "mongodb://me:s3/cret@h/db",
        "mongodb://me:s3:cret@h/db",
        "mongodb://me:s3cret@h:port/db",
        "s3cret",
        "",
    ],
)
async def test_a_string_that_is_no_uri_is_refused_without_being_shown(uri: str) -> None:
    with pytest.raises(SourceRefused, match="MONGO_URI: this is no connection string") as refusal:
        await _first(a_source(uri, "lc").open(None))

    error: BaseException | None = refusal.value
    while error is not None:
        assert "s3" not in str(error)
        error = error.__cause__


async def test_collections_that_hold_credentials_are_never_watched(mongodb_uri: str) -> None:
    noise: dict[str, list[str]] = {"messages": [], "tokens": []}
    source = MongoSource(mongodb_uri, "lc", noise=noise, noise_to_memory=noise, observe=_unheard)

    with pytest.raises(SourceRefused, match=r"lc\.tokens holds credentials"):
        await _first(source.open(None))


# ---------------------------------------------------------------------------------------------- helpers


async def _first(opening: AbstractAsyncContextManager[AsyncIterator[Batch]]) -> Batch:
    async with opening as batches:
        return await anext(batches)


async def _post_images(db: Database, start: Checkpoint) -> dict[str, dict[str, Any] | None]:
    """MongoDB's own word on every row after every change since, by change id."""
    truth: dict[str, dict[str, Any] | None] = {}
    async with await db.watch(full_document="required", resume_after={"_data": start.token}) as stream:
        while (event := await stream.try_next()) is not None:
            truth[event["_id"]["_data"]] = plain(event["fullDocument"])
    return truth


def _any_update(dice: random.Random, number: int) -> Any:
    index = dice.randrange(4)
    return dice.choice(
        [
            {"$set": {"text": f"t{number}"}},
            {"$inc": {"n": 1}},
            {"$unset": {"text": ""}},
            {"$push": {"tags": number}},
            {"$push": {"tags": {"$each": [number, number + 1], "$position": 1, "$slice": 6}}},
            {"$pull": {"tags": {"$mod": [3, 0]}}},
            {"$pop": {"tags": dice.choice([1, -1])}},
            {"$set": {f"tags.{index + 4}": number}},
            {"$set": {"tags": [1, 2, 3, 4, 5]}},
            {"$set": {f"deep.rows.{index}.v": number}},
            {"$unset": {f"deep.rows.{index}.v": ""}},
            {"$push": {"deep.rows": {"v": number, "more": {"w": [number]}}}},
            {"$set": {"deep.name.first": f"n{number}", "deep.rows": [{"v": 1}, {"v": 2}]}},
            {"$unset": {"deep.name": ""}},
            {"$set": {f"map.{number % 5}": {"x": number}}},
            {"$set": {f"map.{number % 5}.x": number}},
            {"$rename": {"text": "deep.text"}},
            [{"$set": {"tags": {"$slice": [{"$ifNull": ["$tags", []]}, 2]}, "n": {"$add": ["$n", 1]}}}],
            [{"$set": {"deep.rows": {"$slice": ["$deep.rows", 1]}}}],
        ]
    )


# ---------------------------------------------------------------------------- what must never end the stream


async def test_a_change_that_cannot_be_decoded_is_told_and_passed(
    mongodb_uri: str, database: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(event: Any, rows: Any) -> Any:
        if event["documentKey"]["_id"] == "odd":
            raise ValueError("its text may quote the document")
        return change_of(event, rows)

    monkeypatch.setattr(source_module, "change_of", failing)
    told: list[Fact] = []
    async with a_source(mongodb_uri, database, observe=told.append).open(None) as batches:
        await anext(batches)
        await db.messages.insert_many([{"_id": "odd"}, {"_id": "after"}])

        changes = await changes_of(batches, 1)

    assert ids(changes) == ["after"]
    assert told == [Unreadable(collection="messages", event=None, reason="internal: ValueError")]


async def test_a_file_of_a_tls_option_that_is_not_there_is_refused_without_the_password() -> None:
    source = a_source("mongodb://u:s3cret@127.0.0.1:1/?tls=true&tlsCAFile=/s3cret/nope", "LibreChat")

    with pytest.raises(SourceRefused) as refused:
        async with source.open(None):
            pass

    assert "tlsCAFile" in str(refused.value)
    assert "s3cret" not in str(refused.value)
