"""Rows as large as MongoDB takes them: their events arrive, cut to 1 MB, and nothing waits behind them."""

from __future__ import annotations

import json
from typing import Any

from pymongo import AsyncMongoClient

from tests.end_to_end.harness import SECRET
from watcher.core.encoding import MAX_BODY_BYTES
from watcher.demo.mongod import PrivateMongo

LARGE = "é" * 7_500_000
"""15 MB in UTF-8. With a pre-image as large, an update of it is beyond what one change may be."""


async def test_inserted_updated_replaced_and_deleted_it_is_told_each_time(receivers, watchers):
    inbox = await receivers()
    async with (
        PrivateMongo(oplog_mb=1000) as mongo,
        AsyncMongoClient[dict[str, Any]](mongo.uri) as client,
    ):
        messages = client.LibreChat.messages
        await client.LibreChat.create_collection("messages", changeStreamPreAndPostImages={"enabled": True})
        watcher = watchers(
            {
                "webhooks": {"url": inbox.url, "secret": SECRET},
                "watcher": {"mongoUri": mongo.uri_of("LibreChat")},
            }
        )
        await watcher.start()

        row = {"_id": "r", "messageId": "m1", "conversationId": "c1", "user": "u1"}
        await messages.insert_one({**row, "text": f"{LARGE}{'x' * 900_000}"})
        await messages.update_one({"_id": "r"}, {"$set": {"text": f"updated {LARGE}"}})
        await messages.replace_one({"_id": "r"}, {**row, "text": f"replaced {LARGE}"})
        await messages.delete_one({"_id": "r"})
        await messages.insert_one({"messageId": "m2", "conversationId": "c1", "user": "u1", "text": "small"})

        await inbox.until_accepted(5)

    told = [(receipt.event, json.loads(receipt.body)["data"]) for receipt in inbox.accepted]
    assert [event for event, _ in told] == [
        "message.created",
        "message.updated",
        "message.updated",
        "message.deleted",
        "message.created",
    ]
    assert [data.get("text", "")[:8] for _, data in told] == ["éééééééé", "updated ", "replaced", "", "small"]
    assert [data.get("truncated") for _, data in told] == [["text"], ["text"], ["text"], None, None]
    assert {(data["conversationId"], data["userId"]) for _, data in told} == {("c1", "u1")}
    assert all(len(receipt.body) <= MAX_BODY_BYTES for receipt in inbox.receipts)
    assert all(receipt.signature_ok for receipt in inbox.receipts)
    thinned = [json.loads(line) for line in watcher.log.splitlines() if '"change.thinned"' in line]
    assert [(line["operation"], line["left_out"]) for line in thinned] == [
        ("update", ["text"]),
        ("replace", ["text"]),
    ]
