"""A scan sees every row once, whatever its `_id` is, and of each no more than was asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from bson import Binary, Decimal128, ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from watcher.adapters.mongo.rows import MongoRows
from watcher.adapters.mongo.source import MongoSource
from watcher.core.changes import Checkpoint
from watcher.core.memory import PRESENT, Remembered
from watcher.core.recovery import Row
from watcher.errors import SourceUnavailable
from watcher.ports import Page

ODD_IDS: list[Any] = [
    None,
    1,
    2.5,
    Decimal128("3"),
    "text",
    "a:b",
    {"nested": {"id": 1}},
    b"bytes",
    ObjectId("6b044d4773a41b0b86a68795"),
    True,
    datetime(2026, 1, 1, tzinfo=UTC),
]


@pytest.fixture
def librechat(mongo_client: AsyncMongoClient[dict[str, Any]], database: str) -> AsyncDatabase[dict[str, Any]]:
    return mongo_client[database]


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_every_row_is_in_one_page_whatever_its_id(librechat, mongodb_uri, limit):
    await librechat.messages.insert_many([{"_id": each, "user": "u1"} for each in ODD_IDS])

    pages = await every_page(mongodb_uri, librechat.name, limit)

    assert [len(page.rows) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    rows = [row for page in pages for row in page.rows]
    assert len(rows) == len(set(rows)) == len(ODD_IDS)
    assert "messages:6b044d4773a41b0b86a68795" in rows
    assert {page.total for page in pages} == {len(ODD_IDS)}


async def test_a_row_that_goes_between_two_pages_hides_no_other(librechat, mongodb_uri):
    await librechat.messages.insert_many([{"_id": f"{number}"} for number in range(5)])
    async with MongoRows.open(mongodb_uri, librechat.name) as source:
        first = await source.page("messages", frozenset(), after=None, limit=2)
        await librechat.messages.delete_many({"_id": {"$in": ["1", "2"]}})

        second = await source.page("messages", frozenset(), after=first.after, limit=9)

    assert list(second.rows) == ["messages:3", "messages:4"]
    assert second.after is None


async def test_only_what_is_asked_for_is_read_and_secrets_and_paths_are_veiled(librechat, mongodb_uri):
    await librechat.files.insert_one({"_id": "f", "file_id": "f1", "filepath": "/private", "text": "private"})

    (page,) = await every_page(mongodb_uri, librechat.name, 9, "files", "file_id", "filepath")

    [memory] = page.rows.values()
    assert memory.fields == {"file_id": "f1", "filepath": PRESENT}


async def test_a_page_is_exact_from_a_time_after_its_reading_on(librechat, mongodb_uri):
    await librechat.messages.insert_one({"_id": "m"})
    before = datetime.now(UTC)

    (page,) = await every_page(mongodb_uri, librechat.name, 9)

    [memory] = page.rows.values()
    assert isinstance(memory, Remembered)
    assert before - timedelta(seconds=1) <= memory.exact_after <= datetime.now(UTC) + timedelta(seconds=1)


async def test_a_collection_that_is_not_there_has_no_rows(librechat, mongodb_uri):
    (page,) = await every_page(mongodb_uri, librechat.name, 9)

    assert (page.rows, page.after, page.total) == ({}, None, 0)


async def test_a_server_that_is_not_there_is_waited_for():
    options = "serverSelectionTimeoutMS=200"
    async with MongoRows.open(f"mongodb://127.0.0.1:1/?{options}", "LibreChat") as source:
        with pytest.raises(SourceUnavailable):
            await source.page("messages", frozenset(), after=None, limit=9)


async def test_rows_of_more_than_16_mb_together_are_no_end(librechat, mongodb_uri):
    big = "x" * 6_000_000
    await librechat.messages.insert_many([{"_id": number, "text": big} for number in range(7)])

    pages = await every_page(mongodb_uri, librechat.name, 100, "messages", "text")

    assert [row for page in pages for row in page.rows] == [f"messages:{number}" for number in range(7)]
    assert len(pages) > 1


async def test_rows_that_came_or_were_stamped_since_are_found_whole_but_without_secrets(
    librechat, mongodb_uri
):
    old, since, new = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
    rows = {
        "untouched": {"_id": an_id(old, 1), "updatedAt": old},
        "updated": {"_id": an_id(old, 2), "updatedAt": new},
        "rated": {"_id": an_id(old, 3), "updatedAt": old, "feedback": {"_id": an_id(new, 9)}},
        "came": {"_id": an_id(new, 4), "subagentTask": {"private": True}},
        "odd": {"_id": an_id(old, 5), "updatedAt": "2026-01-03"},
    }
    await librechat.messages.insert_many([{**row, "text": name} for name, row in rows.items()])

    async with MongoRows.open(mongodb_uri, librechat.name) as source:
        stamps = ["updatedAt", "feedback._id"]
        found = await every_touched(source, "messages", stamps, since=since, limit=2)
        everything = await every_touched(source, "messages", None, since=since, limit=2)

    assert [row.fields["text"] for row in found] == ["updated", "rated", "came"]
    assert "subagentTask" not in found[2].fields
    assert len(everything) == len(rows)


async def test_rows_are_as_they_were_at_the_position_from_which_the_stream_goes_on(librechat, mongodb_uri):
    ids = [an_id(datetime(2026, 1, 1, tzinfo=UTC), number) for number in range(3)]
    await librechat.messages.insert_many([{"_id": each, "text": "before"} for each in ids])
    noise = {"messages": ()}
    stream = MongoSource(
        mongodb_uri, librechat.name, noise=noise, noise_to_memory=noise, observe=lambda fact: None
    )
    async with stream.open(None) as batches:
        position = (await anext(batches)).checkpoint
    await librechat.messages.update_one({"_id": ids[0]}, {"$set": {"text": "after"}})
    await librechat.messages.delete_one({"_id": ids[1]})
    await librechat.messages.insert_one({"text": "after"})

    async with MongoRows.open(mongodb_uri, librechat.name) as source:
        then = await source.touched(
            "messages", None, since=ids[0].generation_time, as_of=position, after=None, limit=9
        )
        there = await source.existing("messages", [str(each) for each in ids], as_of=position)
        now = await source.existing("messages", [str(each) for each in ids], as_of=None)
    async with stream.open(position) as batches:
        changes = [change async for change in first_changes(batches, 3)]

    assert then.exact
    assert [row.fields["text"] for row in then.rows] == ["before"] * 3
    assert (len(there), len(now)) == (3, 2)
    assert [change.operation for change in changes] == ["update", "delete", "insert"]


async def test_where_the_server_keeps_no_such_snapshot_rows_are_read_as_they_are_now(librechat, mongodb_uri):
    await librechat.messages.insert_one({"text": "now"})
    long_ago = Checkpoint(token="8269000000000000012B0429296E1404", at=None)

    async with MongoRows.open(mongodb_uri, librechat.name) as source:
        found = await source.touched(
            "messages", None, since=datetime(2026, 1, 1, tzinfo=UTC), as_of=long_ago, after=None, limit=9
        )

    assert not found.exact
    assert [row.fields["text"] for row in found.rows] == ["now"]


async def test_a_row_is_known_to_exist_whatever_its_id(librechat, mongodb_uri):
    odd = [*ODD_IDS, "7", "6b044d4773a41b0b86a68790", uuid4().hex, "[1]", Binary.from_uuid(uuid4())]
    await librechat.messages.insert_many([{"_id": each} for each in odd])
    pages = await every_page(mongodb_uri, librechat.name, 100)
    ids = [row.partition(":")[2] for page in pages for row in page.rows]

    async with MongoRows.open(mongodb_uri, librechat.name) as source:
        there = await source.existing("messages", [*ids, "nowhere", "9" * 30], as_of=None)

    assert there == set(ids)


def an_id(moment: datetime, number: int) -> ObjectId:
    return ObjectId(f"{int(moment.timestamp()):08x}{number:016x}")


async def first_changes(batches, count):
    async for batch in batches:
        for change in batch.changes:
            yield change
            count -= 1
            if not count:
                return


async def every_touched(source: MongoRows, collection: str, stamps, *, since: datetime, limit: int):
    rows: list[Row] = []
    after = None
    while True:
        found = await source.touched(collection, stamps, since=since, as_of=None, after=after, limit=limit)
        rows += found.rows
        after = found.after
        if after is None:
            return rows


async def every_page(uri: str, database: str, limit: int, collection: str = "messages", *names: str):
    pages: list[Page] = []
    after = None
    async with MongoRows.open(uri, database) as source:
        while not pages or after is not None:
            page = await source.page(collection, frozenset(names), after=after, limit=limit)
            pages.append(page)
            after = page.after
    return pages
