"""Changes beyond 16 MB are told, in real sizes on a real MongoDB; what was left out of them is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from tests.adapters.mongo_servers import running
from tests.contracts.change_source_contract import changes_of, ids
from watcher.adapters.mongo import ladder as ladder_module
from watcher.adapters.mongo.decode import CODEC
from watcher.adapters.mongo.ladder import BATCH_CHANGES, LARGE_BYTES, STEPS, Ladder
from watcher.adapters.mongo.source import MongoSource
from watcher.core.changes import Change, Checkpoint
from watcher.core.facts import Fact, Thinned
from watcher.demo.mongod import PrivateMongo

Client = AsyncMongoClient[dict[str, Any]]
Database = AsyncDatabase[dict[str, Any]]

LARGEST = 16 * 1024 * 1024
"""What MongoDB takes as one row."""

LARGE = "x" * 15_000_000
HALF = "h" * 8_000_000


@pytest.fixture(scope="module")
def large_mongo() -> Iterator[PrivateMongo]:
    """With an oplog that a few of these rows do not overrun."""
    with running(PrivateMongo(oplog_mb=1000)) as mongo:
        yield mongo


@pytest.fixture
async def db(large_mongo: PrivateMongo) -> Any:
    async with Client(large_mongo.uri) as client:
        await client.drop_database("lc")
        await client.lc.create_collection("messages", changeStreamPreAndPostImages={"enabled": True})
        yield client.lc


class Reading:
    """A source, and what it told beside its changes."""

    def __init__(self, uri: str) -> None:
        self.told: list[Fact] = []
        noise: dict[str, list[str]] = {"messages": []}
        self.source = MongoSource(uri, "lc", noise=noise, noise_to_memory=noise, observe=self.told.append)

    async def now(self) -> Checkpoint:
        async with self.source.open(None) as batches:
            return (await anext(batches)).checkpoint

    async def since(self, position: Checkpoint, count: int) -> list[Change]:
        async with self.source.open(position) as batches:
            return await changes_of(batches, count)


@pytest.fixture
def reading(large_mongo: PrivateMongo) -> Reading:
    return Reading(large_mongo.uri)


def thinned(operation: Any, *names: str, row_found: bool = True) -> Thinned:
    return Thinned(collection="messages", operation=operation, left_out=tuple(names), row_found=row_found)


async def test_a_row_of_the_largest_size_is_inserted_and_deleted_whole(
    reading: Reading, db: Database
) -> None:
    row = {"_id": "a", "user": "u", "text": ""}
    row["text"] = "x" * (LARGEST - len(bson.encode(row)))
    start = await reading.now()
    await db.messages.insert_one(row)
    await db.messages.delete_one({"_id": "a"})

    inserted, deleted = await reading.since(start, 2)

    assert inserted.after == deleted.before == row
    assert reading.told == []


async def test_an_update_too_large_with_its_pre_image_is_told_with_all_that_it_wrote(
    reading: Reading, db: Database
) -> None:
    await db.messages.insert_one({"_id": "a", "user": "u", "text": LARGE})
    start = await reading.now()
    await db.messages.insert_one({"_id": "before"})
    await db.messages.update_one({"_id": "a"}, {"$set": {"text": LARGE + "y"}})
    await db.messages.insert_one({"_id": "after", "text": "small"})
    await db.messages.delete_one({"_id": "after"})

    changes = await reading.since(start, 4)

    assert ids(changes) == ["before", "a", "after", "after"]
    update, deletion = changes[1], changes[3]
    assert update.updated == {"text": LARGE + "y"}
    assert update.before == {"_id": "a", "user": "u"}
    assert update.after == {"_id": "a", "user": "u", "text": LARGE + "y"}
    assert reading.told == [thinned("update", "text")]
    # From the next change on everything is read whole again.
    assert deletion.before == {"_id": "after", "text": "small"}


async def test_a_replace_too_large_with_its_pre_image_is_told_as_its_difference(
    reading: Reading, db: Database
) -> None:
    await db.messages.insert_one(
        {"_id": "a", "user": "u", "title": "t", "text": LARGE, "gone": HALF[:20_000]}
    )
    start = await reading.now()
    await db.messages.replace_one({"_id": "a"}, {"user": "u", "title": "new", "text": LARGE + "y"})

    (change,) = await reading.since(start, 1)

    assert change.operation == "replace"
    assert change.updated == {"title": "new", "text": LARGE + "y"}
    assert change.removed == ("gone",)
    assert change.after == {"_id": "a", "user": "u", "title": "new", "text": LARGE + "y"}
    assert reading.told == [thinned("replace", "text", "gone", row_found=False)]


async def test_what_a_thin_image_leaves_out_of_the_row_is_looked_up(reading: Reading, db: Database) -> None:
    await db.messages.insert_one({"_id": "a", "user": "u", "text": HALF, "content": HALF})
    start = await reading.now()
    await db.messages.update_one({"_id": "a"}, {"$set": {"content": HALF + "y"}})

    (update,) = await reading.since(start, 1)

    assert update.after == {"_id": "a", "user": "u", "text": HALF, "content": HALF + "y"}
    assert reading.told == [thinned("update", "text", "content")]


async def test_a_row_that_is_gone_is_told_with_what_is_known_of_it(reading: Reading, db: Database) -> None:
    await db.messages.insert_one({"_id": "a", "user": "u", "text": HALF, "content": HALF})
    start = await reading.now()
    await db.messages.update_one({"_id": "a"}, {"$set": {"content": HALF + "y"}})
    await db.messages.delete_one({"_id": "a"})

    update, deletion = await reading.since(start, 2)

    assert update.after == {"_id": "a", "user": "u", "content": HALF + "y"}
    assert deletion.before == {"_id": "a", "user": "u", "text": HALF, "content": HALF + "y"}
    assert reading.told == [thinned("update", "text", "content", row_found=False)]


async def test_without_pre_images_nothing_is_too_large(reading: Reading, db: Database) -> None:
    await db.command({"collMod": "messages", "changeStreamPreAndPostImages": {"enabled": False}})
    start = await reading.now()
    await db.messages.insert_one({"_id": "a", "text": LARGE})
    await db.messages.update_one({"_id": "a"}, {"$set": {"text": LARGE + "y"}})
    await db.messages.replace_one({"_id": "a"}, {"text": LARGE})

    _, update, replace = await reading.since(start, 3)

    assert update.after == {"_id": "a", "text": LARGE + "y"}
    assert replace.after == {"_id": "a", "text": LARGE}
    assert reading.told == []


# ---------------------------------------------------------------------------------- the last step: names


@pytest.fixture
def straight_to_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """No change that LibreChat can write needs it: as if thin images were not known."""
    monkeypatch.setattr(ladder_module, "STEPS", (*STEPS[:2], STEPS[3]))


@pytest.mark.usefixtures("straight_to_names")
@pytest.mark.parametrize("operation", ["update", "replace"])
async def test_of_what_is_too_large_in_any_case_the_row_is_looked_up(
    reading: Reading, db: Database, operation: str
) -> None:
    await db.messages.insert_one({"_id": "a", "user": "u", "text": LARGE, "old": 1})
    start = await reading.now()
    if operation == "update":
        await db.messages.update_one({"_id": "a"}, {"$set": {"text": LARGE + "y"}, "$unset": {"old": ""}})
    else:
        await db.messages.replace_one({"_id": "a"}, {"user": "u", "text": LARGE + "y"})
    await db.messages.insert_one({"_id": "after"})

    change, after = await reading.since(start, 2)

    assert change.operation == operation
    assert change.after == {"_id": "a", "user": "u", "text": LARGE + "y"}
    assert change.updated["text"] == LARGE + "y"
    assert set(change.written) >= ({"text", "old"} if operation == "update" else {"text", "user"})
    assert reading.told == [thinned(operation, "*")]
    assert after.after == {"_id": "after"}


@pytest.mark.usefixtures("straight_to_names")
async def test_of_a_row_that_is_gone_the_names_are_told(reading: Reading, db: Database) -> None:
    await db.messages.insert_one({"_id": "a", "text": LARGE})
    start = await reading.now()
    await db.messages.update_one({"_id": "a"}, {"$set": {"text": LARGE + "y"}})
    await db.messages.delete_one({"_id": "a"})

    update, _ = await reading.since(start, 2)

    assert (update.after, update.updated, update.untold) == (None, {}, ("text",))
    assert reading.told == [thinned("update", "*", row_found=False)]


@pytest.mark.parametrize("step", STEPS[2:], ids=["thin images", "names"])
async def test_no_odd_document_fails_on_a_lower_step(
    reading: Reading, db: Database, monkeypatch: pytest.MonkeyPatch, step: Any
) -> None:
    monkeypatch.setattr(ladder_module, "STEPS", (step,))
    large = "l" * LARGE_BYTES
    rows: list[dict[str, Any]] = [
        {"$set": 1, "$large": large},
        {"a.b": 1, "a.": large, ".": 2},
        {"": 1, " ": large},
        {"list": [large], "nested": {"x": large}, "small": [1]},
        {"min": bson.MinKey(), "nan": float("nan"), "code": bson.Code("x"), "none": None},
        {"far": bson.datetime_ms.DatetimeMS(2**62), "large": large.encode()},
        {},
    ]
    raw = [bson.encode({"_id": str(number), **row}, check_keys=False) for number, row in enumerate(rows)]
    raw.append(bson.encode({"_id": "utf8", "nXXX": "XXXX", "y": large}).replace(b"XXX", b"\xff\xfe!"))
    raw.append(bson.encode({"_id": "twice", "k1": 1, "k2": large}).replace(b"k2", b"k1"))
    start = await reading.now()
    odd = db.messages.with_options(codec_options=CODEC)
    stored = 0
    for row in raw:
        with suppress(PyMongoError):  # some of these no server takes
            await odd.insert_one(RawBSONDocument(row))
            stored += 1
    await db.messages.update_many({}, {"$set": {"more": 1}})
    await db.messages.delete_many({})

    changes = await reading.since(start, stored * 3)

    assert stored >= len(raw) - 1
    deletions = {change.document_id: change.before for change in changes if change.operation == "delete"}
    if step.images:
        assert deletions["3"] == {"_id": "3", "small": [1], "more": 1}
        assert deletions["0"] == {"_id": "0", "$set": 1, "more": 1}
        assert all(before is not None for before in deletions.values())


def test_down_while_it_is_too_large_and_up_when_it_has_been_passed() -> None:
    ladder = Ladder()
    assert [ladder.step, ladder.passed(500)] == [STEPS[0], False]

    assert ladder.down()
    assert [ladder.step, ladder.passed(BATCH_CHANGES - 1)] == [STEPS[1], False]
    assert [ladder.passed(1), ladder.step] == [True, STEPS[0]]

    assert [ladder.down(), ladder.passed(7), ladder.down(), ladder.down()] == [True, False, True, True]
    assert not ladder.down()
    assert [ladder.passed(0), ladder.step] == [False, STEPS[3]]
    assert [ladder.passed(1), ladder.step] == [True, STEPS[0]]
