"""Without pre-images deletions are told all the same, also of rows from before the first start."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.end_to_end.harness import SECRET, Inbox, Watcher

OLD = 2_500
"""More than two pages of the first scan."""


def settings(uri: str, url: str) -> dict[str, Any]:
    return {
        "webhooks": {"url": url, "secret": SECRET, "events": ["*", "user.session.expired"]},
        "watcher": {"mongoUri": uri},
    }


async def test_rows_from_before_the_first_start_are_told_when_they_are_deleted(
    librechat_without_images, uri, receivers, watchers
):
    database, inbox = librechat_without_images, await receivers()
    await database.messages.insert_many([a_message(number) for number in range(OLD)])
    await database.sessions.insert_one({"_id": "s1", "user": "u1", "expiration": in_an_hour()})
    await database.files.insert_one({"_id": "f", "file_id": "f1", "user": "u1", "filepath": "/secret-path"})
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()
    await scanned(watcher, "messages", "files", "sessions")

    await database.messages.delete_one({"messageId": f"m{OLD - 1}"})
    await database.sessions.delete_one({"_id": "s1"})
    await database.files.delete_one({"_id": "f"})

    await inbox.until_accepted(3)
    assert told(inbox) == {
        "message.deleted": {
            "messageId": f"m{OLD - 1}",
            "conversationId": "c1",
            "userId": "u1",
            "reason": "user",
        },
        "user.logout": {"userId": "u1", "sessionId": "s1"},
        "file.deleted": {"fileId": "f1", "userId": "u1", "reason": "user"},
    }
    assert b"secret-path" not in state(watcher)


async def test_deadlines_that_moved_tell_expiry_from_a_persons_deletion(
    librechat_without_images, uri, receivers, watchers
):
    database, inbox = librechat_without_images, await receivers()
    await database.messages.insert_many([a_message(1, expiredAt=in_an_hour()), a_message(2)])
    await database.sessions.insert_one({"_id": "s1", "user": "u1", "expiration": in_an_hour()})
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()
    await scanned(watcher, "messages", "sessions")

    # Nothing but the deadline changes: noise to everybody but the memory.
    past = datetime.now(UTC) - timedelta(seconds=1)
    await database.messages.update_one({"messageId": "m1"}, {"$set": {"expiredAt": past}})
    await database.sessions.update_one({"_id": "s1"}, {"$set": {"expiration": past}})
    await database.messages.delete_one({"messageId": "m1"})
    await database.messages.delete_one({"messageId": "m2"})
    await database.sessions.delete_one({"_id": "s1"})

    await inbox.until_accepted(3)
    got = [(receipt.event, json.loads(receipt.body)["data"].get("reason")) for receipt in inbox.accepted]
    assert sorted(got, key=str) == [
        ("message.deleted", "ttl"),
        ("message.deleted", "user"),
        ("user.session.expired", None),
    ]


async def test_what_was_deleted_while_nobody_watched_is_told_afterwards(
    librechat_without_images, uri, receivers, watchers
):
    database, inbox = librechat_without_images, await receivers()
    await database.messages.insert_many([a_message(number) for number in range(OLD)])
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()
    await scanned(watcher, "messages")
    watcher.kill9()

    await database.messages.insert_one(a_message(OLD, text="short-lived"))
    await database.messages.delete_one({"messageId": f"m{OLD}"})
    await database.messages.delete_one({"messageId": "m0"})
    await watcher.start()

    await inbox.until_accepted(3)
    got = [(receipt.event, json.loads(receipt.body)["data"]["messageId"]) for receipt in inbox.accepted]
    assert got == [
        ("message.created", f"m{OLD}"),
        ("message.deleted", f"m{OLD}"),
        ("message.deleted", "m0"),
    ]


async def test_pre_images_may_be_turned_off_and_on_again_while_it_runs(librechat, uri, receivers, watchers):
    inbox = await receivers()
    await librechat.messages.insert_many([a_message(number) for number in range(3)])
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()

    await librechat.command({"collMod": "messages", "changeStreamPreAndPostImages": {"enabled": False}})
    await librechat.messages.update_one({"messageId": "m0"}, {"$set": {"text": "gives it away"}})
    await scanned(watcher, "messages")
    await librechat.messages.delete_one({"messageId": "m1"})
    await librechat.command({"collMod": "messages", "changeStreamPreAndPostImages": {"enabled": True}})
    await librechat.messages.delete_one({"messageId": "m2"})

    await inbox.until_accepted(3)
    got = [(receipt.event, json.loads(receipt.body)["data"]["messageId"]) for receipt in inbox.accepted]
    assert got == [("message.updated", "m0"), ("message.deleted", "m1"), ("message.deleted", "m2")]


async def test_the_same_rating_again_is_no_new_one(librechat_without_images, uri, receivers, watchers):
    database, inbox = librechat_without_images, await receivers()
    await database.messages.insert_one(a_message(1))
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()
    await scanned(watcher, "messages")
    await asyncio.sleep(1.1)  # `operationTime` counts seconds: what the scan saw is exact from the next on

    for number in range(3):
        rating = {"rating": "thumbsUp", "_id": number}
        await database.messages.update_one({"messageId": "m1"}, {"$set": {"feedback": rating}})
    await database.messages.update_one({"messageId": "m1"}, {"$set": {"feedback": None}})

    await inbox.until_accepted(2)
    ratings = [json.loads(receipt.body)["data"]["feedback"] for receipt in inbox.accepted]
    assert ratings == [{"rating": "thumbsUp"}, None]


# ---------------------------------------------------------------------- helpers


async def scanned(watcher: Watcher, *collections: str) -> None:
    for _ in range(400):
        if all(f'"collection": "{name}"' in finished(watcher) for name in collections):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the first scan did not end:\n{watcher.log}")


def finished(watcher: Watcher) -> str:
    return "\n".join(line for line in watcher.log.splitlines() if '"scan.finished"' in line)


def told(inbox: Inbox) -> dict[str, Any]:
    return {receipt.event: json.loads(receipt.body)["data"] for receipt in inbox.accepted}


def state(watcher: Watcher) -> bytes:
    return b"".join(file.read_bytes() for file in watcher.folder.glob("state.db*"))


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def a_message(number: int, **fields: Any) -> dict[str, Any]:
    row = {"messageId": f"m{number}", "conversationId": "c1", "user": "u1", "text": "hi", "unfinished": False}
    return {**row, **fields}
