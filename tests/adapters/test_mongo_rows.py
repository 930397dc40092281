"""A scan sees every row once, whatever its `_id` is, and of each no more than was asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from watcher.adapters.mongo.rows import MongoRows
from watcher.core.memory import PRESENT, Remembered
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


async def every_page(uri: str, database: str, limit: int, collection: str = "messages", *names: str):
    pages: list[Page] = []
    after = None
    async with MongoRows.open(uri, database) as source:
        while not pages or after is not None:
            page = await source.page(collection, frozenset(names), after=after, limit=limit)
            pages.append(page)
            after = page.after
    return pages
