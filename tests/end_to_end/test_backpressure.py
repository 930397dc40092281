"""A receiver that is down fills the store up to its limit; MongoDB's oplog is the buffer for the rest."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from pymongo import AsyncMongoClient

from tests.end_to_end.harness import SECRET, Inbox, free_port
from watcher.demo.mongod import PrivateMongo

MESSAGES = 4_000
CONVERSATIONS = 25
LIMIT = 2_000_000
"""Room for about a third of them."""


async def test_everything_arrives_in_order_after_an_outage_that_the_store_could_not_hold(receivers, watchers):
    port = free_port()
    async with (
        PrivateMongo(oplog_mb=256) as mongo,
        AsyncMongoClient[dict[str, Any]](mongo.uri) as client,
    ):
        messages = client.LibreChat.messages
        await client.LibreChat.create_collection("messages", changeStreamPreAndPostImages={"enabled": True})
        watcher = watchers(
            {
                "webhooks": {
                    "url": f"http://127.0.0.1:{port}/",
                    "secret": SECRET,
                    "retryDelays": [1] * 500,  # nothing is dead before it is over
                },
                "watcher": {"mongoUri": mongo.uri_of("LibreChat"), "maxStore": f"{LIMIT // 1_000}kB"},
            }
        )
        await watcher.start()
        before = watcher.resident_mb

        for start in range(0, MESSAGES, 500):
            await messages.insert_many([a_message(number) for number in range(start, start + 500)])
        await watcher.until_logged('"capture.paused"')
        ready = await watcher.get("/readyz")
        paused = await watcher.metric("watcher_capture_paused")
        used = await watcher.metric("watcher_store_bytes")
        read = await watcher.metric("watcher_deliveries_total")
        await client.admin.command({"killAllSessions": []})  # as the server itself does after half an hour
        full = watcher.resident_mb

        inbox = await receivers(port=port)
        await inbox.until_accepted(MESSAGES, seconds=90)
        await watcher.until_logged('"capture.resumed"')
        after = watcher.resident_mb

    print(f"\nresident: {before:.0f} MB before, {full:.0f} MB while full, {after:.0f} MB after")
    assert ready.status_code == 503
    assert ready.json()["parts"]["store"]["says"].startswith("full: ")
    assert "raise watcher.maxStore" in ready.json()["parts"]["store"]["says"]
    assert paused == 1
    assert used is not None
    assert LIMIT <= used < 2 * LIMIT, used
    assert read is not None
    assert read < MESSAGES
    assert '"stream.lost"' in watcher.log, "the cursor was forgotten"
    assert in_order(inbox) == {f"c{number}": expected(number) for number in range(CONVERSATIONS)}
    assert all(receipt.signature_ok for receipt in inbox.receipts)
    assert max(full, after) < before + 100


def a_message(number: int) -> dict[str, Any]:
    return {
        "_id": number,
        "messageId": f"m{number}",
        "conversationId": f"c{number % CONVERSATIONS}",
        "user": "u1",
        "text": "x" * 500,
    }


def expected(conversation: int) -> list[str]:
    return [f"m{number}" for number in range(conversation, MESSAGES, CONVERSATIONS)]


def in_order(inbox: Inbox) -> dict[str, list[str]]:
    """What was accepted, by conversation, each delivery where it came first."""
    seen: set[str] = set()
    arrived: dict[str, list[str]] = defaultdict(list)
    for receipt in inbox.accepted:
        if receipt.id not in seen:
            seen.add(receipt.id)
            data = json.loads(receipt.body)["data"]
            arrived[data["conversationId"]].append(data["messageId"])
    return dict(arrived)
