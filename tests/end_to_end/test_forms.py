"""One run, endpoints of every form: each gets its events as it wants them, and no more than it may know."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from contextlib import closing
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks.webhooks import Webhook

from tests.end_to_end.harness import SECRET

HASH_KEY = "a key of hashes"


def h(text: str) -> str:
    return hmac.new(HASH_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def endpoint(name: str, url: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "url": url, "secret": SECRET, "events": ["message.created"], **keys}


def a_message(number: int, **fields: Any) -> dict[str, Any]:
    row = {
        "messageId": f"m{number}",
        "conversationId": "c1",
        "user": "u1",
        "text": f"<b> & text {number}",
        "isCreatedByUser": True,
        **fields,
    }
    return {name: value for name, value in row.items() if value is not None}


def bodies(inbox: Any) -> list[Any]:
    return [json.loads(receipt.body) for receipt in inbox.accepted]


async def test_each_endpoint_gets_its_events_in_its_form(librechat, uri, receivers, watchers):
    names = ("plain", "private", "cloud", "own", "slack", "discord", "teams", "addressed")
    inbox = {name: await receivers() for name in names}
    hiding = {"omit": ["conversationId"], "hash": ["userId"], "hashKey": HASH_KEY, "textLength": True}
    own = {"text": "{{ data.text | upper }} by {{ userId }}", "n": "{{ data.files | default([]) | length }}"}
    url = inbox["addressed"].url + "of/{{ userId }}/{{ data.text }}?event={{ event }}"
    watcher = watchers(
        {
            "webhooks": {
                "endpoints": [
                    endpoint("plain", inbox["plain"].url, events=["*"], signing="both"),
                    endpoint("private", inbox["private"].url, **hiding),
                    endpoint("cloud", inbox["cloud"].url, format="cloudevents", signing="standard", **hiding),
                    endpoint("own", inbox["own"].url, transform=own, signing="standard"),
                    endpoint("slack", inbox["slack"].url, preset="slack"),
                    endpoint("discord", inbox["discord"].url, preset="discord"),
                    endpoint("teams", inbox["teams"].url, preset="teams"),
                    endpoint(
                        "addressed",
                        url,
                        transform={"id": "{{ data.messageId }}"},
                        headers={"X-Text": "{{ data.text }}"},
                    ),
                ]
            },
            "watcher": {"mongoUri": uri},
        }
    )
    await watcher.start()

    await librechat.conversations.insert_one({"conversationId": "c1", "user": "u1", "title": "New Chat"})
    await librechat.messages.insert_one(a_message(1))
    await inbox["plain"].until_accepted(2)
    for each in inbox.values():
        await each.until_accepted(1)

    told = {name: [receipt.event for receipt in each.receipts] for name, each in inbox.items()}
    got = {name: bodies(each)[-1] for name, each in inbox.items()}
    assert told.pop("plain") == ["conversation.created", "message.created"]
    assert all(events == ["message.created"] for events in told.values())
    assert all(receipt.signature_ok for each in inbox.values() for receipt in each.receipts)
    assert got["plain"]["data"]["text"] == "<b> & text 1"
    assert (got["private"]["userId"], got["private"]["data"]) == (
        h("u1"),
        {"messageId": "m1", "userId": h("u1"), "textLength": 12, "isCreatedByUser": True},
    )

    cloud = inbox["cloud"].accepted[0]
    read = from_http_event(HTTPMessage(headers=dict(cloud.headers), body=cloud.body))
    assert (read.get_type(), read.get_id(), read.get_subject()) == ("message.created", cloud.id, None)
    assert (read.get_data(), read.get_extension("userid")) == (got["private"]["data"], h("u1"))
    assert cloud.headers["Content-Type"] == "application/cloudevents+json"

    assert got["own"] == {"text": "<B> & TEXT 1 by u1", "n": 0}
    assert got["slack"]["text"] == "New message\n&lt;b&gt; &amp; text 1"
    assert got["discord"]["content"].startswith("**New message**\n\\<b\\> & text 1\n")
    assert got["teams"]["attachments"][0]["content"]["version"] == "1.4"

    for name in ("plain", "cloud", "own"):
        [*_, receipt] = inbox[name].receipts
        Webhook(SECRET.encode()).verify(receipt.body, dict(receipt.headers))  # raises, if it is not right
        assert ("X-Webhook-Signature" in receipt.headers) is (name == "plain")

    addressed = inbox["addressed"].accepted[0]
    assert got["addressed"] == {"id": "m1"}
    assert addressed.headers["X-Text"] == "<b> & text 1"


async def test_a_template_that_fails_for_an_event_is_dead_there_and_goes_on_elsewhere(
    librechat, uri, receivers, watchers
):
    plain, own = await receivers(), await receivers()
    watcher = watchers(
        {
            "webhooks": {
                "endpoints": [
                    endpoint("plain", plain.url),
                    endpoint("own", own.url, transform="{{ data.text }}", omit=["userId"]),
                ]
            },
            "watcher": {"mongoUri": uri},
        }
    )
    await watcher.start()

    await librechat.messages.insert_many([a_message(1, text=None), a_message(2, text="S3CRET words")])
    await plain.until_accepted(2)
    await own.until_accepted(1)

    reason = "transform: data.text is undefined (event message.created)"
    assert bodies(own) == ["S3CRET words"]
    lines = [json.loads(line) for line in watcher.log.splitlines()]
    (refused,) = [line for line in lines if line["event"] == "delivery.refused"]
    assert (refused["endpoint"], refused["reason"], refused["level"]) == ("own", reason, "error")
    assert "S3CRET" not in watcher.log
    assert 'watcher_refused_total{endpoint="own"} 1.0' in (await watcher.get("/metrics")).text
    await watcher.stop()
    with closing(sqlite3.connect(watcher.folder / "state.db")) as db:
        (row,) = db.execute(
            "SELECT reason, bodies.body FROM deliveries JOIN bodies USING (seq) WHERE state = 'dead'"
        ).fetchall()
    assert row[0] == reason
    assert json.loads(row[1])["data"] == {"messageId": "m1", "conversationId": "c1", "isCreatedByUser": True}


async def test_what_waits_goes_to_the_corrected_url(librechat, uri, receivers, watchers):
    right = await receivers()
    keys = {"transform": {"id": "{{ data.messageId }}"}, "retryDelays": [1] * 60}
    settings = {
        "webhooks": {"endpoints": [endpoint("own", "http://127.0.0.1:9/{{ userId }}", **keys)]},
        "watcher": {"mongoUri": uri},
    }
    watcher = watchers(settings)
    await watcher.start()
    await librechat.messages.insert_one(a_message(1))
    await watcher.until_logged("delivery.attempted")
    await watcher.stop()

    settings["webhooks"]["endpoints"][0] |= {
        "url": right.url + "v2/{{ data.conversationId }}",
        "headers": {"X-User": "{{ userId }}"},
    }
    watcher.configure(settings)
    await watcher.start()
    await right.until_accepted(1)

    (receipt,) = right.accepted
    assert json.loads(receipt.body) == {"id": "m1"}
    assert receipt.headers["X-User"] == "u1"


async def test_transformed_bodies_and_cloud_events_go_in_batches(librechat, uri, receivers, watchers):
    own, cloud = await receivers(), await receivers()
    rate = {"rateLimit": {"maxPerSecond": 2, "batchSize": 50}}
    watcher = watchers(
        {
            "webhooks": {
                "endpoints": [
                    endpoint("own", own.url, transform={"id": "{{ data.messageId }}"}, **rate),
                    endpoint("cloud", cloud.url, format="cloudevents", **rate),
                ]
            },
            "watcher": {"mongoUri": uri},
        }
    )
    await watcher.start()

    await librechat.messages.insert_many([a_message(n, conversationId=f"c{n}") for n in range(30)])
    await own.until(lambda receipts: any(receipt.event == "batch" for receipt in receipts))
    await cloud.until(lambda receipts: any(receipt.event == "batch" for receipt in receipts))

    batch = next(json.loads(receipt.body) for receipt in own.accepted if receipt.event == "batch")
    assert list(batch) == ["event", "timestamp", "data", "userId", "webhookId"]
    assert all(list(each) == ["id"] for each in batch["data"]["events"])
    receipt = next(receipt for receipt in cloud.accepted if receipt.event == "batch")
    read = from_http_event(HTTPMessage(headers=dict(receipt.headers), body=receipt.body))
    data = read.get_data()
    assert isinstance(data, dict)
    assert {each["type"] for each in data["events"]} == {"message.created"}
