"""The straight line: a write in MongoDB, a verified webhook at the receiver."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

from tests.bodies import misfits
from tests.end_to_end.harness import SECRET
from watcher.core.events import DOCUMENTED
from watcher.demo.script import ordinary_day


def settings(uri: str, url: str, **webhooks):
    return {
        "webhooks": {"url": url, "secret": SECRET, **webhooks},
        "watcher": {"mongoUri": uri},
    }


def a_message(number: int, conversation: str, **fields):
    return {
        "messageId": f"m{number}",
        "conversationId": conversation,
        "user": "u1",
        "text": f"text {number}",
        "isCreatedByUser": True,
        "unfinished": False,
        "number": number,
        **fields,
    }


async def test_one_day_of_librechat_gives_exactly_its_events_each_verified(
    librechat, uri, receivers, watchers
):
    inbox = await receivers()
    await watchers(settings(uri, inbox.url)).start()

    acts = ordinary_day(librechat)
    for act in acts:
        await act.write()

    expected = Counter(name for act in acts for name in act.sends)
    await inbox.until_accepted(expected.total())
    assert Counter(receipt.event for receipt in inbox.receipts) == expected
    assert set(expected) == set(DOCUMENTED)
    assert all(receipt.signature_ok for receipt in inbox.receipts)
    for receipt in inbox.receipts:
        body = json.loads(receipt.body)
        assert list(body) == ["event", "timestamp", "data", "userId", "webhookId"]
        assert misfits(body) == []
        assert body["webhookId"] == receipt.id == receipt.headers["X-Webhook-ID"]
        assert receipt.headers["User-Agent"] == "LibreChat-Webhooks/1.0"
        assert b"never-leaves" not in receipt.body
        assert b"never.leaves" not in receipt.body


async def test_nothing_is_read_before_the_first_start_and_everything_after_it(
    librechat, uri, receivers, watchers
):
    inbox = await receivers()
    await librechat.messages.insert_one(a_message(1, "c1"))
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()
    await librechat.messages.insert_one(a_message(2, "c1"))
    await inbox.until_accepted(1)

    assert await watcher.stop() == 0
    await librechat.messages.insert_one(a_message(3, "c1"))
    await watcher.start()

    await inbox.until_accepted(2)
    assert [json.loads(receipt.body)["data"]["messageId"] for receipt in inbox.receipts] == ["m2", "m3"]


async def test_a_failed_delivery_is_tried_again_after_each_delay_and_then_dead(
    librechat, uri, receivers, watchers
):
    inbox = await receivers(fail=1.0, status=500)
    delays = [0.3, 0.6, 1.2]
    watcher = watchers(settings(uri, inbox.url, retryDelays=delays))
    await watcher.start()

    await librechat.messages.insert_one(a_message(1, "c1"))
    await librechat.messages.insert_one(a_message(2, "c1"))
    await inbox.until(lambda receipts: len(receipts) == 8)

    first, second = inbox.receipts[:4], inbox.receipts[4:]
    for attempts in (first, second):
        assert [receipt.attempt for receipt in attempts] == [1, 2, 3, 4]
        assert len({(receipt.id, receipt.body) for receipt in attempts}) == 1
        waits = [(b.received_at - a.received_at).total_seconds() for a, b in pairwise(attempts)]
        for wait, delay in zip(waits, delays, strict=True):
            assert delay <= wait < delay + 0.5
    assert first[0].id != second[0].id
    await asyncio.sleep(1.5)  # longer than the longest delay: nothing more may come
    assert len(inbox.receipts) == 8


async def test_no_second_holds_more_requests_than_the_limit(librechat, uri, receivers, watchers):
    inbox = await receivers()
    await watchers(settings(uri, inbox.url, rateLimit={"maxPerSecond": 20})).start()

    await librechat.messages.insert_many([a_message(number, f"c{number}") for number in range(90)])
    await inbox.until_accepted(90)

    times = [receipt.received_at for receipt in inbox.receipts]
    busiest = max(sum(start <= at < start + timedelta(seconds=1) for at in times) for start in times)
    assert 15 <= busiest <= 20


async def test_the_surplus_over_the_limit_goes_in_batches(librechat, uri, receivers, watchers):
    inbox = await receivers()
    await watchers(settings(uri, inbox.url, rateLimit={"maxPerSecond": 5, "batchSize": 10})).start()

    await librechat.messages.insert_many([a_message(number, f"c{number % 7}") for number in range(100)])
    members: list[dict[str, Any]] = []

    def all_here(receipts):
        members[:] = [
            event
            for receipt in receipts
            for body in [json.loads(receipt.body)]
            for event in (body["data"]["events"] if body["event"] == "batch" else [body])
        ]
        return len(members) >= 100

    await inbox.until(all_here)

    batches = [receipt for receipt in inbox.receipts if receipt.event == "batch"]
    assert len(inbox.receipts) <= 20
    assert batches
    assert all(receipt.signature_ok and 2 <= len(receipt.members) <= 10 for receipt in batches)
    assert [misfit for receipt in batches for misfit in misfits(json.loads(receipt.body))] == []
    for conversation in range(7):
        order = [e["data"]["messageId"] for e in members if e["data"]["conversationId"] == f"c{conversation}"]
        assert order == [f"m{number}" for number in range(100) if number % 7 == conversation]


async def test_a_hanging_endpoint_does_not_slow_another(librechat, uri, receivers, watchers):
    hanging = await receivers(delay=timedelta(seconds=60))
    quick = await receivers()
    both = {
        "webhooks": {
            "secret": SECRET,
            "timeout": 3000,
            "endpoints": [{"name": "hanging", "url": hanging.url}, {"name": "quick", "url": quick.url}],
        },
        "watcher": {"mongoUri": uri},
    }
    await watchers(both).start()

    ages = []
    for number in range(150):  # more than the hanging endpoint has slots
        before = time.monotonic()
        await librechat.messages.insert_one(a_message(number, f"c{number}"))
        await quick.until_accepted(number + 1)
        ages.append(time.monotonic() - before)

    assert len(hanging.receipts) >= 32
    assert sorted(ages)[len(ages) // 2] < 0.5
    assert max(ages) < 2.5  # below the time-out of the one that hangs


async def test_a_stop_lets_the_attempt_in_flight_end_and_sends_it_no_second_time(
    librechat, uri, receivers, watchers
):
    inbox = await receivers(delay=timedelta(seconds=1.5))
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()
    await librechat.messages.insert_one(a_message(1, "c1"))
    await inbox.until(lambda receipts: len(receipts) == 1)

    began = time.monotonic()
    code = await watcher.stop()

    assert code == 0
    assert 1.0 < time.monotonic() - began < 8
    await watcher.start()
    await librechat.messages.insert_one(a_message(2, "c1"))
    await inbox.until_accepted(2)
    assert [receipt.attempt for receipt in inbox.receipts] == [1, 1]
    assert inbox.receipts[0].id != inbox.receipts[1].id


async def test_malformed_documents_never_stop_the_stream(librechat, uri, receivers, watchers):
    inbox = await receivers()
    await watchers(settings(uri, inbox.url)).start()

    odd = [None, 1, 1.5, float("nan"), True, "", "x", [], [1, [2]], {}, {"a": {"$b": 1}}]
    for collection in ("conversations", "messages", "users", "sessions", "agents", "files"):
        for value in odd:
            keys = (
                "conversationId",
                "messageId",
                "user",
                "text",
                "content",
                "feedback",
                "expiration",
                "files",
            )
            row = await librechat[collection].insert_one(dict.fromkeys(keys, value))
            await librechat[collection].update_one(
                {"_id": row.inserted_id},
                {"$set": {"title": value, "feedback": {"rating": value}, "text": value}},
            )
            await librechat[collection].delete_one({"_id": row.inserted_id})
    await librechat.messages.insert_one(a_message(1, "the-last"))

    await inbox.until(lambda receipts: any(b"the-last" in receipt.body for receipt in receipts))
    assert all(receipt.signature_ok for receipt in inbox.receipts)
