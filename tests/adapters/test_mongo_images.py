"""Pre-images turned on or off under an open stream are noticed by its changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from tests.contracts.change_source_contract import PATIENCE_SECONDS, ids
from watcher.adapters.mongo import images
from watcher.adapters.mongo.connect import Client
from watcher.adapters.mongo.images import ASK_SECONDS, PreImages
from watcher.adapters.mongo.source import MongoSource
from watcher.core.changes import Change
from watcher.core.facts import Fact
from watcher.ports import Batch

Database = AsyncDatabase[dict[str, Any]]


@pytest.fixture
async def messages(mongo_client: AsyncMongoClient[dict[str, Any]], database: str) -> Database:
    db = mongo_client[database]
    await db.create_collection("messages", changeStreamPreAndPostImages={"enabled": True})
    return db


@pytest.fixture
def source(mongodb_uri: str, database: str) -> MongoSource:
    """With a memory it wants to hear of `expiredAt`, which is noise otherwise."""
    return MongoSource(
        mongodb_uri,
        database,
        noise={"messages": ["expiredAt"]},
        noise_to_memory={"messages": []},
        observe=_unheard,
    )


async def test_turned_off_and_on_again_under_a_stream_they_are_missed_and_believed(
    source: MongoSource, messages: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "ASK_SECONDS", 0.0)
    async with source.open(None) as batches:
        assert (await anext(batches)).imageless == frozenset()
        await messages.messages.insert_one({"_id": "a", "user": "u"})
        await keep(messages, False)
        # The update gives it away; what is noise to all but the memory came before it.
        await messages.messages.insert_one({"_id": "b"})
        await messages.messages.update_one({"_id": "b"}, {"$set": {"expiredAt": 1}})
        await messages.messages.update_one({"_id": "b"}, {"$set": {"text": "hi"}})

        seen = await until(batches, "update", "b", "text")
        assert [sorted(change.updated) for change, _ in seen if change.operation == "update"] == [
            ["expiredAt"],
            ["text"],
        ]
        assert {imageless for _, imageless in seen} == {frozenset({"messages"})}
        # The position is now of a change that is noise where there are pre-images.
        await messages.messages.update_one({"_id": "b"}, {"$set": {"expiredAt": 2}})
        await until(batches, "update", "b", "expiredAt")

        await keep(messages, True)
        await messages.messages.update_one({"_id": "a"}, {"$set": {"expiredAt": 1}})
        await messages.messages.update_one({"_id": "a"}, {"$set": {"text": "ho"}})
        await messages.messages.update_one({"_id": "a"}, {"$set": {"expiredAt": 2}})
        await messages.messages.delete_one({"_id": "a"})

        seen = await until(batches, "delete", "a")
        assert [change.operation for change, _ in seen] == ["update", "delete"]
        deletion, imageless = seen[-1]
        assert deletion.before == {"_id": "a", "user": "u", "expiredAt": 2, "text": "ho"}
        assert imageless == frozenset()


async def test_nothing_is_lost_or_told_twice_when_the_stream_is_opened_anew(
    source: MongoSource, messages: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "ASK_SECONDS", 0.0)
    names = [f"row{number}" for number in range(60)]

    async def write() -> None:
        for number, name in enumerate(names):
            if number % 10 == 5:
                await keep(messages, number % 20 == 5)
            await messages.messages.insert_one({"_id": name})
            await messages.messages.update_one({"_id": name}, {"$set": {"text": "hi"}})

    async with source.open(None) as batches:
        writing = asyncio.create_task(write())
        seen = await until(batches, "update", names[-1])
        await writing

    assert ids([change for change, _ in seen]) == [name for name in names for _ in range(2)]


async def test_changes_from_before_they_were_kept_ask_now_and_then_and_change_nothing(
    mongo_client: Client, messages: Database
) -> None:
    believed = PreImages(mongo_client, messages.name, ["messages"])
    await believed.ask()
    old = {"operationType": "update", "ns": {"coll": "messages"}}

    assert believed.doubted([old], now=100.0)
    assert await believed.ask() is False
    assert not believed.doubted([old], now=100.0 + ASK_SECONDS / 2)
    assert believed.doubted([old], now=100.0 + ASK_SECONDS)


@pytest.mark.parametrize(
    ("operation", "image", "kept", "doubted"),
    [
        ("insert", None, True, False),
        ("update", None, True, True),
        ("replace", None, True, True),
        ("delete", None, True, True),
        ("delete", {"_id": 1}, True, False),
        ("delete", {"_id": 1}, False, True),
        ("delete", None, False, False),
        ("insert", None, False, False),
    ],
)
def test_which_changes_say_otherwise(
    mongo_client: Client, operation: str, image: Any, kept: bool, doubted: bool
) -> None:
    believed = PreImages(mongo_client, "lc", ["messages"])
    believed.missing = frozenset() if kept else frozenset({"messages"})
    event = {"operationType": operation, "ns": {"coll": "messages"}, "fullDocumentBeforeChange": image}

    assert believed.doubted([event], now=1.0) is doubted


async def keep(db: Database, kept: bool) -> None:
    await db.command({"collMod": "messages", "changeStreamPreAndPostImages": {"enabled": kept}})


async def until(
    batches: AsyncIterator[Batch], operation: str, row: str, name: str | None = None
) -> list[tuple[Change, frozenset[str]]]:
    """Changes, each with what its batch says has no pre-images, to the one that is named."""
    seen: list[tuple[Change, frozenset[str]]] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            batch = await anext(batches)
            seen += [(change, batch.imageless) for change in batch.changes]
            for change in batch.changes:
                if (change.operation, change.document_id) == (operation, row) and (
                    name is None or name in change.updated
                ):
                    return seen


def _unheard(fact: Fact) -> None:
    raise AssertionError(f"unexpected {fact}")
