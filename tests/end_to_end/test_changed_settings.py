"""Between two runs an operator may change what is watched and sent: the position stays good."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from tests.end_to_end.harness import SECRET

OWN = {
    "collection": "conversations",
    "replaces": True,
    "noise": ["updatedAt"],
    "entity": {"conversation": "row.conversationId"},
    "user": "row.user",
    "rules": [
        {
            "event": "conversation.created",
            "summary": "A conversation was begun.",
            "operations": ["insert"],
            "data": {"conversationId": "row.conversationId", "pinned": "row.pinned"},
            "examples": [
                {
                    "given": {"operation": "insert", "after": {"conversationId": "c"}},
                    "sends": {"conversationId": "c"},
                }
            ],
        }
    ],
}


def settings(
    uri: str, name: str, url: str, *, mappings: Sequence[str] = (), **endpoint: Any
) -> dict[str, Any]:
    return {
        "webhooks": {"secret": SECRET, "endpoints": [{"name": name, "url": url, **endpoint}]},
        "watcher": {"mongoUri": uri, "mappings": list(mappings)},
    }


def told(inbox: Any) -> list[tuple[str, str]]:
    return [
        (receipt.event, data.get("messageId") or data.get("conversationId") or data.get("userId"))
        for receipt in inbox.accepted
        for data in [json.loads(receipt.body)["data"]]
    ]


async def write(librechat: Any, number: int) -> None:
    """The message is last: whoever was told of it has read the others, too."""
    row = {"conversationId": f"c{number}", "user": "u1", "endpoint": "openAI"}
    await librechat.conversations.insert_one({**row, "title": "New Chat", "pinned": True})
    await librechat.conversations.insert_one({**row, "conversationId": f"d{number}", "endpoint": "google"})
    await librechat.messages.insert_one({**row, "messageId": f"m{number}", "text": "hi"})


@pytest.mark.parametrize("end", ["stop", "kill9"])
async def test_other_subscriptions_and_filters_go_on_where_the_last_run_was(
    librechat, uri, receivers, watchers, end
):
    messages, others = await receivers(), await receivers()
    watcher = watchers(settings(uri, "a", messages.url, events=["message.*"]))
    await watcher.start()
    await write(librechat, 1)
    await messages.until_accepted(1)
    await watcher.stop() if end == "stop" else watcher.kill9()

    await write(librechat, 2)
    user = await librechat.users.insert_one({"email": "a@b.c", "provider": "local"})
    watcher.configure(
        settings(
            uri,
            "b",
            others.url,
            events=["conversation.*", "user.*"],
            filters=[{"event": "conversation.*", "condition": {"endpoint": "openAI"}}],
        )
    )
    await watcher.start()
    await write(librechat, 3)

    await others.until_accepted(3)
    # What the first run read is past: nobody subscribed to it then.
    assert sorted(told(others)) == [
        ("conversation.created", "c2"),
        ("conversation.created", "c3"),
        ("user.registered", str(user.inserted_id)),
    ]
    assert told(messages) == [("message.created", "m1")]
    assert [json.loads(line)["resumed"] for line in watcher.log.splitlines() if "stream.opened" in line] == [
        False,
        True,
    ]


async def test_other_mappings_go_on_where_the_last_run_was(librechat, uri, receivers, watchers):
    inbox = await receivers()
    watcher = watchers(settings(uri, "a", inbox.url, events=["message.*"]))
    await watcher.start()
    await write(librechat, 1)
    await inbox.until_accepted(1)
    await watcher.stop()

    await write(librechat, 2)
    own = watcher.folder / "mine.yaml"
    own.write_text(yaml.safe_dump(OWN, sort_keys=False))
    watcher.configure(settings(uri, "b", inbox.url, mappings=[str(own)], events=["conversation.created"]))
    await watcher.start()

    await inbox.until_accepted(3)
    # Of different conversations: in which order they arrive is promised to nobody.
    assert sorted(told(inbox)[1:]) == [("conversation.created", "c2"), ("conversation.created", "d2")]
    data = [json.loads(receipt.body)["data"] for receipt in inbox.accepted[1:]]
    assert {"conversationId": "c2", "pinned": True} in data
