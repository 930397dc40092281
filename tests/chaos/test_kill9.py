"""Killed again and again under load, with a receiver that fails one time in five: the ledger must balance."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import defaultdict

import pytest

from tests.end_to_end.harness import SECRET

PER_SECOND = 200
CONVERSATIONS = 40
RETRIES = [0.2, 0.4, 0.8, *[1] * 12]


async def write(librechat, *, seconds: float) -> dict[str, list[str]]:
    """Inserts and edits at a steady pace; returns, per conversation, what was committed, in order."""
    dice = random.Random(7)
    ledger: dict[str, list[str]] = defaultdict(list)
    began = time.monotonic()
    for number in range(int(PER_SECOND * seconds)):
        await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        conversation = f"c{dice.randrange(CONVERSATIONS)}"
        text = f"{number} {'é🧵' * dice.randrange(20)}"
        written = ledger[conversation]
        if written and dice.random() < 0.4:
            row = dice.choice(written).split(" ")[0]
            await librechat.messages.update_one({"_id": row}, {"$set": {"text": text}})
        else:
            row = f"row{number}"
            await librechat.messages.insert_one(
                {
                    "_id": row,
                    "messageId": row,
                    "conversationId": conversation,
                    "user": "u1",
                    "text": text,
                    "ratio": 0.1 + number,
                }
            )
        written.append(f"{row} {text}")
    return ledger


@pytest.mark.parametrize(
    "seconds", [15, pytest.param(300, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
async def test_nothing_is_lost_and_each_resend_is_the_same(librechat, uri, receivers, watchers, seconds):
    inbox = await receivers(fail=0.2, rng=random.Random(3))
    watcher = watchers(
        {
            "webhooks": {
                "url": inbox.url,
                "secret": SECRET,
                "retryDelays": RETRIES,
            },
            "watcher": {"mongoUri": uri},
        }
    )
    await watcher.start()

    writing = asyncio.create_task(write(librechat, seconds=seconds))
    kills, dice = 0, random.Random(5)
    while not writing.done():
        await asyncio.sleep(dice.uniform(1.0, 3.5))
        watcher.kill9()
        kills += 1
        await watcher.start()
    ledger = await writing

    total = sum(len(rows) for rows in ledger.values())
    await inbox.until(lambda _: len({receipt.id for receipt in inbox.accepted}) >= total, seconds=60)

    bodies: dict[str, set[bytes]] = defaultdict(set)
    for receipt in inbox.receipts:
        bodies[receipt.id].add(receipt.body)
    first_accepted: dict[str, str] = {}
    arrived: dict[str, list[str]] = defaultdict(list)
    for receipt in inbox.accepted:
        data = json.loads(receipt.body)["data"]
        if receipt.id not in first_accepted:
            first_accepted[receipt.id] = receipt.id
            arrived[data["conversationId"]].append(f"{data['messageId']} {data['text']}")
    repeats = len(inbox.accepted) - len(first_accepted)
    print(
        f"\n{total} changes, {kills} kills, {len(inbox.receipts)} attempts, {repeats} repeats, "
        f"{len(inbox.receipts) - len(inbox.accepted)} answers failed"
    )

    assert kills >= 2
    assert dict(arrived) == dict(ledger), "lost, invented or out of order"
    assert all(len(versions) == 1 for versions in bodies.values())
    assert all(receipt.signature_ok for receipt in inbox.receipts)
    assert repeats <= kills * 64
