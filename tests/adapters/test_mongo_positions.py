"""A position serves whatever is watched from it on: other collections, and other noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from tests.contracts.change_source_contract import changes_of
from watcher.adapters.mongo.source import MongoSource
from watcher.core.changes import Checkpoint
from watcher.core.facts import Fact

Database = AsyncDatabase[dict[str, Any]]

SOURCES: dict[str, dict[str, Sequence[str]]] = {
    "messages": {"messages": []},
    "messages without noise": {"messages": ["text", "updatedAt"]},
    "others": {"conversations": [], "users": []},
    "one more": {"messages": [], "conversations": [], "users": []},
}


@pytest.fixture
def db(mongo_client: AsyncMongoClient[dict[str, Any]], database: str) -> Database:
    return mongo_client[database]


def a_source(uri: str, database: str, noise: dict[str, Sequence[str]]) -> MongoSource:
    return MongoSource(uri, database, noise=noise, noise_to_memory=noise, observe=_unheard)


@pytest.mark.parametrize("watched", SOURCES.values(), ids=SOURCES.keys())
async def test_every_position_of_one_stream_serves_any_other(
    mongodb_uri: str, db: Database, watched: dict[str, Sequence[str]]
) -> None:
    """Of a change itself (which the other may not watch, or take for noise), and between changes."""
    await db.create_collection("messages", changeStreamPreAndPostImages={"enabled": True})
    async with a_source(mongodb_uri, db.name, {"messages": []}).open(None) as batches:
        tokens = [(await anext(batches)).checkpoint.token]
        await db.messages.insert_one({"_id": "m", "text": "hi"})
        await db.messages.update_one({"_id": "m"}, {"$set": {"text": "ho"}})
        await db.messages.delete_one({"_id": "m"})
        tokens += [change.id for change in await changes_of(batches, 3)]
        tokens.append((await anext(batches)).checkpoint.token)
    await db.conversations.insert_one({"_id": "c"})
    await db.users.insert_one({"_id": "u"})
    await db.messages.insert_one({"_id": "last"})
    expected = [name for name, collection in AFTER if collection in watched]

    for token in tokens:
        source = a_source(mongodb_uri, db.name, watched)
        async with source.open(Checkpoint(token=token, at=None)) as batches:
            found = await changes_of(batches, len(expected))
            while found[-1].document_id != expected[-1]:
                found += await changes_of(batches, 1)
        assert [change.document_id for change in found][-len(expected) :] == expected


async def test_a_position_inside_of_a_transaction_serves_another_stream(
    mongodb_uri: str, mongo_client: AsyncMongoClient[dict[str, Any]], db: Database
) -> None:
    """All changes of a transaction bear the same time; only their tokens tell them apart."""
    for name in ("messages", "conversations"):
        await db.create_collection(name)
    async with a_source(mongodb_uri, db.name, {"messages": []}).open(None) as batches:
        await anext(batches)
        async with mongo_client.start_session() as session, await session.start_transaction():
            for number in range(3):
                await db.messages.insert_one({"_id": f"m{number}"}, session=session)
                await db.conversations.insert_one({"_id": f"c{number}"}, session=session)
        changes = await changes_of(batches, 3)

    for number, change in enumerate(changes):
        source = a_source(mongodb_uri, db.name, {"conversations": []})
        async with source.open(Checkpoint(token=change.id, at=None)) as batches:
            first = await anext(batches)
            found = await changes_of(batches, 3 - number)
        assert first.checkpoint.token >= change.id
        assert [each.document_id for each in found] == [f"c{n}" for n in range(number, 3)]


async def test_a_position_does_not_go_back_when_its_own_change_is_kept_out(
    mongodb_uri: str, db: Database
) -> None:
    """Stored as it is then, it would tell the new settings of a change from before them."""
    async with a_source(mongodb_uri, db.name, {"messages": []}).open(None) as batches:
        await anext(batches)
        await db.messages.insert_one({"_id": "m"})
        (change,) = await changes_of(batches, 1)
    await db.conversations.insert_one({"_id": "c"})

    tokens: list[str] = []
    async with a_source(mongodb_uri, db.name, {"conversations": []}).open(
        Checkpoint(token=change.id, at=None)
    ) as batches:
        async for batch in batches:
            tokens.append(batch.checkpoint.token)
            if batch.changes:
                break

    assert tokens == sorted(tokens)
    assert tokens[0] == change.id


AFTER = (("c", "conversations"), ("u", "users"), ("last", "messages"))


def _unheard(fact: Fact) -> None:
    raise AssertionError(f"unexpected {fact}")
