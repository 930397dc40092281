"""Rows close to the limit of 16 MB, with pre-images: each change gives its event, and the stream goes on.

With the row before it a change of such a row is more than MongoDB may answer with (10334)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.end_to_end.harness import SECRET, Inbox
from watcher.core.events import DOCUMENTED

BULK = "x" * 15_000_000
OTHER_BULK = "y" * 15_000_000
PATIENCE = 60.0
"""Seconds: MongoDB stores, and copies, up to 100 MB in each of these tests."""


def settings(uri: str, url: str) -> dict[str, Any]:
    return {
        "webhooks": {"url": url, "secret": SECRET, "events": list(DOCUMENTED)},
        "watcher": {"mongoUri": uri},
    }


@pytest.mark.parametrize("field", ["versions", "instructions"])
async def test_an_agent_gives_its_events(field, librechat, uri, receivers, watchers):
    """All its versions stand in its row: they are cut in MongoDB. Instructions are not."""
    inbox = await receivers()
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()

    agent = {"id": "agent_one", "name": "One", "author": "u1", "provider": "openAI"}
    await librechat.agents.insert_one({"_id": "a", **agent, field: BULK})
    await librechat.agents.update_one({"_id": "a"}, {"$set": {field: OTHER_BULK, "name": "Two"}})
    await inbox.until_accepted(2, seconds=PATIENCE)
    await librechat.agents.delete_one({"_id": "a"})

    await inbox.until_accepted(3, seconds=PATIENCE)
    ids = {"agentId": "agent_one", "userId": "u1"}
    changed = sorted({field, "name"} - {"versions"})
    assert told(inbox) == [
        ("agent.created", {**ids, "name": "One", "provider": "openAI"}),
        ("agent.updated", {**ids, "name": "Two", "provider": "openAI", "changed": changed}),
        ("agent.deleted", {**ids, "reason": "user"}),
    ]
    assert "stream.lost" not in watcher.log


@pytest.mark.parametrize("field", ["messages", "system"])
async def test_a_conversation_gives_its_events(field, librechat, uri, receivers, watchers):
    """The ids of all its messages stand in its row: they are cut in MongoDB. What a person wrote is not."""
    inbox = await receivers()
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()

    ids = {"conversationId": "c1", "userId": "u1"}
    row = {"_id": "c", "conversationId": "c1", "user": "u1", "title": "Long"}
    await librechat.conversations.insert_one({**row, field: BULK})
    await librechat.conversations.update_one({"_id": "c"}, {"$set": {field: OTHER_BULK, "title": "Longer"}})
    await librechat.conversations.replace_one({"_id": "c"}, {**row, field: BULK, "title": "Longest"})
    await inbox.until_accepted(3, seconds=PATIENCE)
    await librechat.conversations.delete_one({"_id": "c"})

    await inbox.until_accepted(4, seconds=PATIENCE)
    assert [(event, data.get("title")) for event, data in told(inbox)] == [
        ("conversation.created", "Long"),
        ("conversation.updated", "Longer"),
        ("conversation.updated", "Longest"),
        ("conversation.deleted", None),
    ]
    assert all(ids.items() <= data.items() for _, data in told(inbox))
    assert "stream.lost" not in watcher.log


async def test_a_message_gives_its_events_and_those_behind_it_theirs(librechat, uri, receivers, watchers):
    inbox = await receivers()
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()
    watcher.kill9()  # all of it waits in the oplog when the watcher is back

    row = {"conversationId": "c1", "user": "u1", "unfinished": False}
    await librechat.messages.insert_one({"_id": "m", "messageId": "m1", **row, "text": BULK})
    await librechat.messages.update_one({"_id": "m"}, {"$set": {"text": OTHER_BULK}})
    await librechat.messages.insert_many(
        [{"messageId": f"m{number}", **row, "text": "small"} for number in range(2, 50)]
    )
    await watcher.start()

    await inbox.until_accepted(50, seconds=PATIENCE)
    (created, first), (updated, second), *others = told(inbox)
    assert (created, first["truncated"], set(first["text"])) == ("message.created", ["text"], {"x"})
    assert (updated, second["truncated"], set(second["text"])) == ("message.updated", ["text"], {"y"})
    assert [data["messageId"] for _, data in others] == [f"m{number}" for number in range(2, 50)]
    assert "stream.lost" not in watcher.log


def told(inbox: Inbox) -> list[tuple[str, dict[str, Any]]]:
    return [(receipt.event, json.loads(receipt.body)["data"]) for receipt in inbox.accepted]


@pytest.mark.parametrize(
    "shared",
    [pytest.param(False, id="SQLite", marks=pytest.mark.long), pytest.param(True, id="MongoDB")],
)
async def test_a_backlog_of_large_messages_for_many_endpoints_is_stored_in_parts(
    librechat, uri, watchers, receivers, mongo_client, database, shared
):
    """Together their bodies are 144 MB: no transaction of MongoDB's takes so much, nor a pod of 256 MB."""
    inbox = await receivers()
    chosen = {
        "webhooks": {
            "secret": SECRET,
            "timeout": 20_000,
            "endpoints": [{"name": f"e{number}", "url": inbox.url} for number in range(10)],
        },
        "watcher": {"mongoUri": uri, **({"state": f"{uri}_state"} if shared else {})},
    }
    watcher = watchers(chosen)
    await watcher.start()
    assert await watcher.stop() == 0
    for number in range(16):
        await librechat.messages.insert_one(
            {"messageId": f"m{number}", "conversationId": "c1", "user": "u1", "text": "x" * 900_000}
        )

    await watcher.start()
    peak = 0.0
    async with asyncio.timeout(PATIENCE):
        while len(inbox.ids) < 160:
            peak = max(peak, watcher.resident_mb)
            await asyncio.sleep(0.05)
    print(f"\nresident at most {peak:.0f} MB")

    assert await watcher.stop() == 0
    assert "store.failed" not in watcher.log
    assert peak < 256
    await mongo_client.drop_database(f"{database}_state")
