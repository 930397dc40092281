"""Tracing: a document's deliveries by its `_id` or LibreChat's id; or why nothing is known of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient

from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement, an_endpoint, state_file
from tests.config.settings_texts import loaded
from watcher.adapters.mongo import connect
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.config.settings import Settings
from watcher.core.deliveries import Delivery
from watcher.core.events import Entity
from watcher.errors import InputError, OutboxError
from watcher.tracing import NEWEST, Trace, trace

ROW = "6b044d4773a41b0b86a68795"
OLD_STATE = Path(__file__).parent / "adapters" / "states" / "1.sql"


@pytest.fixture
def settings(tmp_path: Path, mongodb_uri: str, database: str) -> Settings:
    text = f"watcher: {{mongoUri: '{mongodb_uri}{database}', state: 'sqlite://{tmp_path}/state.db'}}"
    return replace(loaded(tmp_path, text, need_endpoints=False), endpoints=(an_endpoint(name="crm"),))


def of_row(identity: str = ROW, collection: str = "messages", **fields: Any) -> Delivery:
    return a_delivery(row=Entity(f"{collection}:{identity}"), **fields)


async def store(settings: Settings, *deliveries: Delivery, token: str = "826B044D470000000100") -> None:
    async with SqliteOutbox.open(state_file(settings)) as outbox:
        await outbox.append(deliveries, checkpoint=a_checkpoint(token), through=NOON)


def told(found: Trace) -> dict[str, list[str]]:
    return {row.row: [fate.id for fate in row.fates] for row in found.rows}


async def test_by_its_id_in_mongodb_the_state_alone_tells(settings: Settings) -> None:
    deliveries = [of_row(), of_row(endpoint="audit")]
    await store(settings, *deliveries, of_row("another"))

    found = await trace(replace(settings, mongo_uri="mongodb://127.0.0.1:1/nobody"), "messages", ROW)

    assert told(found) == {f"messages:{ROW}": [each.id for each in deliveries]}
    assert found.notes == ()


async def test_an_id_of_librechats_own_is_looked_up(
    settings: Settings, mongo_client: AsyncMongoClient[dict[str, Any]]
) -> None:
    # Ids are unique per user and tenant only.
    rows: list[dict[str, Any]] = [
        {"_id": ObjectId(ROW), "messageId": "m1"},
        {"_id": "another", "messageId": "m1"},
        {"_id": "x", "messageId": "m2"},
    ]
    await mongo_client[settings.database].messages.insert_many(rows)
    first, second = of_row(), of_row("another")
    await store(settings, first, second, of_row("x"))

    found = await trace(settings, "messages", "m1")

    assert told(found) == {f"messages:{ROW}": [first.id], "messages:another": [second.id]}


@pytest.mark.parametrize(
    ("collection", "field"),
    [("conversations", "conversationId"), ("agents", "id"), ("files", "file_id"), ("users", "_id")],
)
async def test_each_collection_has_an_id_of_its_own(
    settings: Settings, mongo_client: AsyncMongoClient[dict[str, Any]], collection: str, field: str
) -> None:
    await mongo_client[settings.database][collection].insert_one({"_id": "row", field: "own"})
    identity = "own" if field == "_id" else "row"
    delivery = of_row(identity, collection)
    await store(settings, delivery)

    assert told(await trace(settings, collection, "own")) == {f"{collection}:{identity}": [delivery.id]}


async def test_of_many_deliveries_the_newest_are_told(settings: Settings) -> None:
    deliveries = [of_row() for _ in range(NEWEST + 1)]
    await store(settings, *deliveries)

    (row,) = (await trace(settings, "messages", ROW)).rows

    assert [fate.id for fate in row.fates] == [each.id for each in deliveries[1:]]


async def test_beside_a_run_it_is_told_as_it_stands(settings: Settings) -> None:
    async with SqliteOutbox.open(state_file(settings)) as outbox:
        await outbox.append([of_row()], checkpoint=a_checkpoint(), through=NOON)
        (stored,) = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        await outbox.settle([a_settlement(stored)])

        (row,) = (await trace(settings, "messages", ROW)).rows

    assert [(fate.state, fate.status) for fate in row.fates] == [("delivered", 200)]


# ---------------------------------------------------------------------- where nothing is known


async def test_why_nothing_is_known_is_told_with_what_is_subscribed_read_and_kept(settings: Settings) -> None:
    await store(settings, of_row("another"))

    found = await trace(settings, "messages", ROW)

    notes = "\n".join(found.notes)
    assert found.rows == ()
    assert "has this `_id` or `messageId` now" in notes
    assert "crm (message.created, message.updated, message.feedback, message.deleted)" in notes
    assert "before the first start" in notes
    assert "has read up to 2026-11-23T14:27:19+00:00" in notes
    assert "delivered is kept for 3 days, what is dead for 30 days" in notes
    assert "explain FILE" in notes
    assert "earlier version" not in notes


async def test_a_row_that_is_there_and_sent_nothing_is_named(
    settings: Settings, mongo_client: AsyncMongoClient[dict[str, Any]]
) -> None:
    await mongo_client[settings.database].messages.insert_one({"_id": ObjectId(ROW), "messageId": "m1"})
    await store(settings)

    found = await trace(settings, "messages", "m1")

    assert told(found) == {f"messages:{ROW}": []}
    assert "or a filter refused it" in found.notes[0]


async def test_where_nobody_subscribes_that_is_the_reason(settings: Settings) -> None:
    await store(settings)
    listening = replace(settings, endpoints=(an_endpoint(events=("agent.*",)),))

    found = await trace(listening, "messages", ROW)

    assert found.notes[-1].startswith("No endpoint subscribes to any of message.created, message.updated")


async def test_where_run_was_never_started_that_is_the_reason(settings: Settings) -> None:
    found = await trace(settings, "messages", ROW)

    assert "`run` was never started" in found.notes[-1]
    assert not state_file(settings).exists(), "who only asks makes no state"


async def test_a_mongodb_that_does_not_answer_is_told_and_the_state_tells_all_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "SELECTION_SECONDS", 0.2)
    await store(settings)
    away = replace(settings, mongo_uri="mongodb://me:S3CRET@127.0.0.1:1/LibreChat")

    found = await trace(away, "messages", "m1")

    assert "could not be looked up: MongoDB at 127.0.0.1:1" in found.notes[0]
    assert "S3CRET" not in "".join(found.notes)
    assert "or a filter refused it" in found.notes[1]


async def test_without_a_uri_the_id_in_mongodb_is_asked_for(settings: Settings) -> None:
    await store(settings)

    found = await trace(replace(settings, mongo_uri=""), "messages", "m1")

    assert "Without MONGO_URI" in found.notes[0]


async def test_that_an_earlier_version_did_not_note_rows_is_told(settings: Settings) -> None:
    with closing(sqlite3.connect(state_file(settings))) as db:
        db.executescript(OLD_STATE.read_text())

    with pytest.raises(OutboxError, match="older librechat-watcher"):
        await trace(settings, "messages", ROW)

    await store(settings)
    assert "An earlier version stored some" in "\n".join((await trace(settings, "messages", ROW)).notes)


async def test_a_collection_without_a_mapping_is_refused_with_the_one_that_was_meant(
    settings: Settings,
) -> None:
    with pytest.raises(InputError, match="did you mean messages"):
        await trace(settings, "message", ROW)
