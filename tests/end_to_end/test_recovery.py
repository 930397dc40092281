"""A position that fell off the oplog: what changed in the gap is found, sent once, and the stream goes on."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.end_to_end.harness import SECRET, Inbox, Watcher
from watcher.demo.mongod import PrivateMongo

COLLECTIONS = ("conversations", "messages", "users", "sessions", "agents", "files")


@pytest.fixture
async def mongo() -> AsyncIterator[PrivateMongo]:
    async with PrivateMongo(oplog_mb=16) as mongo:
        yield mongo


@pytest.fixture
async def database(mongo: PrivateMongo) -> AsyncIterator[Any]:
    async with AsyncMongoClient[dict[str, Any]](mongo.uri, tz_aware=True) as client:
        yield client["LibreChat"]


def settings(mongo: PrivateMongo, url: str, **watcher: Any) -> dict[str, Any]:
    return {
        "webhooks": {"url": url, "secret": SECRET, "events": ["*", "user.deleted", "watcher.gap"]},
        "watcher": {"mongoUri": mongo.uri_of("LibreChat"), **watcher},
    }


@pytest.mark.parametrize("images", [False, True], ids=["without pre-images", "with pre-images"])
@pytest.mark.parametrize(
    "size",
    [
        pytest.param(40, id="40"),
        pytest.param(1_000, id="1000", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
async def test_creations_updates_and_deletions_of_a_gap_are_told_once(
    mongo, database, receivers, watchers, images, size
):
    inbox = await receivers()
    if images:
        for name in COLLECTIONS:
            await database.create_collection(name, changeStreamPreAndPostImages={"enabled": True})
    old = [a_message(number) for number in range(size * 100)]
    for start in range(0, len(old), 10_000):
        await database.messages.insert_many(old[start : start + 10_000])
    watcher = watchers(settings(mongo, inbox.url, memory="always"))
    await watcher.start()
    await scanned(watcher, "messages", seconds=600)
    await database.messages.insert_one(a_message(-1))
    await inbox.until_accepted(1)
    assert await watcher.stop() == 0

    new = [a_message(len(old) + number) for number in range(size)]
    await database.messages.insert_many(new)
    for row in old[:size]:
        await edit(database, row, f"edited {row['messageId']}")
    await database.messages.delete_many({"_id": {"$in": [row["_id"] for row in old[size : 2 * size]]}})
    # The short way to the same, where a minute is too long: the oplog is cut.
    await (roll_over(database) if size > 100 else mongo.cut_oplog())
    inbox.receipts.clear()
    began = time.monotonic()
    await watcher.start(seconds=600)
    streaming_after = time.monotonic() - began
    await database.messages.insert_one(a_message(-2))
    await inbox.until(lambda _: told(inbox, recovered=False) == {"message.created": ["m-2"]}, seconds=120)
    await inbox.until_accepted(3 * size + 2, seconds=300)

    expected = {
        "message.created": sorted(row["messageId"] for row in new),
        "message.updated": sorted(row["messageId"] for row in old[:size]),
        "message.deleted": sorted(row["messageId"] for row in old[size : 2 * size]),
    }
    assert told(inbox, recovered=True) == expected
    [gap] = gaps(inbox)
    assert gap["repaired"] is True
    assert gap["counts"] == dict.fromkeys(expected, size)
    edited = datas(inbox, "message.updated")[0]
    assert edited["changed"] == ["text"]
    assert all(data["reason"] == "user" for data in datas(inbox, "message.deleted"))
    told_at, open_at = (logged_at(watcher, event) for event in ("recovery.finished", "stream.opened"))
    after_the_scan = (open_at - told_at).total_seconds()
    print(
        f"\n{len(old)} rows, {3 * size} changes in the gap: streaming again after {streaming_after:.1f} s,"
        f" {after_the_scan:.2f} s after the last row was looked at"
    )
    assert 0 <= after_the_scan < 5


async def test_without_a_memory_stamps_tell_and_what_was_deleted_is_not_known(
    mongo, database, receivers, watchers
):
    inbox = await receivers()
    for name in COLLECTIONS:
        await database.create_collection(name, changeStreamPreAndPostImages={"enabled": True})
    old = [a_message(number) for number in range(100)]
    await database.messages.insert_many(old)
    watcher = watchers(settings(mongo, inbox.url))
    await watcher.start()
    assert await watcher.stop() == 0
    await asyncio.sleep(1.1)  # an ObjectId tells whole seconds

    await edit(database, old[0], "edited")
    await database.messages.delete_one({"_id": old[1]["_id"]})
    await database.messages.insert_one(a_message(100))
    await mongo.cut_oplog()
    await watcher.start()
    await inbox.until_accepted(3)

    assert told(inbox, recovered=True) == {"message.created": ["m100"], "message.updated": ["m0"]}
    assert "changed" not in datas(inbox, "message.updated")[0]
    assert gaps(inbox)[0]["counts"] == {"message.created": 1, "message.updated": 1}


@pytest.mark.long
async def test_a_recovery_that_is_killed_goes_on_and_repeats_only_the_same(
    mongo, database, receivers, watchers
):
    inbox = await receivers()
    old = [a_message(number) for number in range(4_000)]
    await database.messages.insert_many(old)
    watcher = watchers(settings(mongo, inbox.url, memory="always"))
    await watcher.start()
    await scanned(watcher, "messages")
    assert await watcher.stop() == 0

    await database.messages.insert_many([a_message(number) for number in range(4_000, 6_000)])
    await database.messages.delete_many({"_id": {"$in": [row["_id"] for row in old[:2_000]]}})
    await mongo.cut_oplog()
    kills, dice = 0, random.Random(4)
    while '"recovery.finished"' not in watcher.log and kills < 8:
        watcher.launch()
        await begun(watcher, times=kills + 1)
        await asyncio.sleep(dice.uniform(0.05, 0.4))  # somewhere in the middle
        watcher.kill9()
        kills += 1
    await watcher.start()
    await inbox.until(lambda _: len(inbox.ids) >= 4_001, seconds=60)

    assert kills > 1
    assert told(inbox, recovered=True) == {
        "message.created": sorted(f"m{number}" for number in range(4_000, 6_000)),
        "message.deleted": sorted(f"m{number}" for number in range(2_000)),
    }
    bodies = {(receipt.id, receipt.body) for receipt in inbox.receipts}
    assert len(bodies) == len(inbox.ids)
    assert gaps(inbox)[0]["counts"] == {"message.created": 2_000, "message.deleted": 2_000}


async def test_a_conversation_goes_before_its_messages_which_went_with_it(
    mongo, database, receivers, watchers
):
    inbox = await receivers()
    await database.conversations.insert_many([a_conversation("c1"), a_conversation("c2")])
    await database.messages.insert_many([a_message(number, "c1") for number in range(4)])
    await database.users.insert_one({"email": "ada@example.com", "name": "Ada", "password": "S3CRET"})
    watcher = watchers(settings(mongo, inbox.url))
    await watcher.start()
    await scanned(watcher, "conversations", "messages", "users")
    assert await watcher.stop() == 0

    await database.conversations.delete_one({"conversationId": "c1"})
    await database.messages.delete_many({"conversationId": "c1"})
    # Pinned, without a stamp; and a turn, which stamps and changes nothing that is told.
    await database.conversations.update_one({"conversationId": "c2"}, {"$set": {"pinned": True}})
    await mongo.cut_oplog()
    await watcher.start()
    await inbox.until_accepted(7)

    order = [(receipt.event, json.loads(receipt.body)["data"].get("reason")) for receipt in inbox.accepted]
    assert Counter(
        event_and_reason for event_and_reason in order if event_and_reason[0] != "watcher.gap"
    ) == {
        ("conversation.updated", None): 1,
        ("conversation.deleted", "user"): 1,
        ("message.deleted", "cascade"): 4,
    }
    deleted = [event for event, _ in order if event.endswith(".deleted")]
    assert deleted[0] == "conversation.deleted"
    [pinned] = datas(inbox, "conversation.updated")
    assert (pinned["changed"], pinned["pinned"], pinned["recovered"]) == (["pinned"], True, True)
    assert b"S3CRET" not in (watcher.folder / "state.db").read_bytes()


async def test_with_restart_the_gap_is_told_and_not_repaired(mongo, database, receivers, watchers):
    inbox = await receivers()
    watcher = watchers(settings(mongo, inbox.url, onPositionLost="restart"))
    await watcher.start()
    await database.messages.insert_one(a_message(1))
    await inbox.until_accepted(1)
    assert await watcher.stop() == 0

    await database.messages.insert_one(a_message(2))
    await mongo.cut_oplog()
    await watcher.start()
    await database.messages.insert_one(a_message(3))
    await inbox.until_accepted(3)

    assert told(inbox, recovered=False) == {"message.created": ["m1", "m3"]}
    [gap] = gaps(inbox)
    assert (gap["repaired"], gap["counts"]) == (False, {})
    assert gap["from"] < gap["to"]
    assert "127.0.0.1" not in gap["reason"]


async def test_a_database_in_which_nothing_is_as_remembered_is_not_taken_for_a_mass_deletion(
    mongo, database, receivers, watchers
):
    inbox = await receivers()
    await database.messages.insert_many([a_message(number) for number in range(100)])
    watcher = watchers(settings(mongo, inbox.url))
    await watcher.start()
    await scanned(watcher, "messages")
    assert await watcher.stop() == 0

    await database.messages.delete_many({})
    await mongo.cut_oplog()
    watcher.launch()

    assert await watcher.ended() == 3
    assert "names another database" in watcher.log
    assert not inbox.receipts

    # It was all deleted on purpose: the message's own cure.
    again = watchers(settings(mongo, inbox.url, onPositionLost="restart", state=watcher.state))
    await again.start()
    await inbox.until_accepted(1)
    assert [gap["repaired"] for gap in gaps(inbox)] == [False]


def a_message(number: int, conversation: str | None = None) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "messageId": f"m{number}",
        "conversationId": conversation or f"c{number % 97}",
        "user": "u1",
        "text": f"text of {number}",
        "isCreatedByUser": True,
        "unfinished": False,
        "createdAt": now,
        "updatedAt": now,
    }


def a_conversation(name: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"conversationId": name, "user": "u1", "title": "New Chat", "createdAt": now, "updatedAt": now}


async def edit(database: Any, row: dict[str, Any], text: str) -> None:
    change = {"$set": {"text": text, "updatedAt": datetime.now(UTC)}}
    await database.messages.update_one({"_id": row["_id"]}, change)


async def roll_over(database: Any) -> None:
    """Write until the oplog's beginning has moved past what was there."""
    oplog = database.client.local["oplog.rs"]
    last = await oplog.find_one(sort=[("$natural", -1)])
    block = "x" * 1_000_000
    async with asyncio.timeout(240):
        while (await oplog.find_one(sort=[("$natural", 1)]))["ts"] <= last["ts"]:
            await database.client.junk.blocks.insert_many([{"block": block} for _ in range(8)])
            await database.client.junk.blocks.delete_many({})


async def scanned(watcher: Watcher, *collections: str, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            lines = [json.loads(line) for line in watcher.log.splitlines() if line.startswith("{")]
            done = {line["collection"] for line in lines if line["event"] == "scan.finished"}
            if done >= set(collections):
                return
            await asyncio.sleep(0.05)


def logged_at(watcher: Watcher, event: str) -> datetime:
    """When it was logged last."""
    lines = [json.loads(line) for line in watcher.log.splitlines() if f'"event": "{event}"' in line]
    return datetime.fromisoformat(lines[-1]["timestamp"])


async def begun(watcher: Watcher, *, times: int) -> None:
    async with asyncio.timeout(20):
        while watcher.log.count('"recovery.began"') < times:  # noqa: ASYNC110 (another process writes it)
            await asyncio.sleep(0.005)


def datas(inbox: Inbox, event: str) -> list[dict[str, Any]]:
    return [json.loads(receipt.body)["data"] for receipt in inbox.accepted if receipt.event == event]


def gaps(inbox: Inbox) -> list[dict[str, Any]]:
    return datas(inbox, "watcher.gap")


def told(inbox: Inbox, *, recovered: bool) -> dict[str, list[str]]:
    """The messages of each event, sorted; what came twice under one id counts once."""
    found: dict[str, set[tuple[str, str]]] = {}
    for receipt in inbox.accepted:
        data = json.loads(receipt.body)["data"]
        if "messageId" in data and data.get("recovered", False) is recovered:
            found.setdefault(receipt.event, set()).add((receipt.id, data["messageId"]))
    return {event: sorted(message for _, message in pairs) for event, pairs in found.items()}
