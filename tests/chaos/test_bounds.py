"""Long outages within bounds: of memory, of the store, of the oplog."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.end_to_end.harness import SECRET, Watcher, free_port
from watcher.core.endpoints import Secret
from watcher.demo.mongod import PrivateMongo
from watcher.receiver import Receipt, Receiver

PER_SECOND = 200
CONVERSATIONS = 50
SETTLED_AFTER = 60.0
"""Seconds after which the memory of a program that has begun to work is what it is."""


class Ledger:
    """What arrived, by conversation, each delivery where it came first; no more of it is kept."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.arrived: dict[str, list[str]] = defaultdict(list)
        self.forged = 0
        self.repeats = 0
        self._news = asyncio.Event()

    async def until(self, count: int, *, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while len(self.ids) < count:
                self._news.clear()
                await self._news.wait()

    def take(self, receipt: Receipt) -> None:
        self.forged += not receipt.signature_ok
        if receipt.status != 200:
            return
        if receipt.id in self.ids:
            self.repeats += 1
            return
        self.ids.add(receipt.id)
        self._news.set()
        data = json.loads(receipt.body)["data"]
        self.arrived[data["conversationId"]].append(data["messageId"])


def settings(mongo: PrivateMongo, port: int, **watcher: Any) -> dict[str, Any]:
    return {
        "webhooks": {
            "url": f"http://127.0.0.1:{port}/",
            "secret": SECRET,
            "retryDelays": [1, 2, 5, 10, *[15] * 900],  # nothing is dead before it is over
        },
        "watcher": {"mongoUri": mongo.uri_of("LibreChat"), **watcher},
    }


async def collection(client: AsyncMongoClient[dict[str, Any]]) -> Any:
    await client.LibreChat.create_collection("messages", changeStreamPreAndPostImages={"enabled": True})
    return client.LibreChat.messages


async def write(messages: Any, *, seconds: float) -> dict[str, list[str]]:
    """New messages at a steady pace; returns, per conversation, what was committed, in order."""
    ledger: dict[str, list[str]] = defaultdict(list)
    began, total, written = time.monotonic(), int(PER_SECOND * seconds), 0
    while written < total:
        await asyncio.sleep(0.05)
        due = min(total, int((time.monotonic() - began) * PER_SECOND))
        rows = [a_message(number) for number in range(written, due)]
        if rows:
            await messages.insert_many(rows)
        for row in rows:
            ledger[row["conversationId"]].append(row["messageId"])
        written = due
    return ledger


def a_message(number: int) -> dict[str, Any]:
    return {
        "messageId": f"m{number}",
        "conversationId": f"c{number % CONVERSATIONS}",
        "user": "u1",
        "text": "x" * 700,
    }


async def memory_of(watcher: Watcher, samples: list[tuple[float, float]]) -> None:
    began = time.monotonic()
    while True:
        samples.append((time.monotonic() - began, watcher.resident_mb))
        await asyncio.sleep(2)


@pytest.mark.parametrize("seconds", [pytest.param(600, marks=[pytest.mark.long, pytest.mark.timeout(2_400)])])
async def test_a_receiver_that_is_down_costs_disk_and_no_memory(watchers, seconds):
    port, ledger = free_port(), Ledger()
    async with (
        PrivateMongo(oplog_mb=1000) as mongo,
        AsyncMongoClient[dict[str, Any]](mongo.uri) as client,
    ):
        watcher = watchers(settings(mongo, port))
        await watcher.start()
        down: list[tuple[float, float]] = []
        measuring = asyncio.create_task(memory_of(watcher, down))
        written = await write(await collection(client), seconds=seconds)
        measuring.cancel()
        total = sum(len(rows) for rows in written.values())
        used = await watcher.metric("watcher_store_bytes") or 0

        back: list[tuple[float, float]] = []
        measuring = asyncio.create_task(memory_of(watcher, back))
        began = time.monotonic()
        async with Receiver([Secret(key=SECRET.encode())], on_receipt=ledger.take, port=port):
            await ledger.until(total, seconds=1_200)
            took = time.monotonic() - began
            stopped = await watcher.stop()
        measuring.cancel()

    flat = [mb for at, mb in down if at >= SETTLED_AFTER]
    first = flat[0]
    print(
        f"\n{total} changes in {seconds} s with the receiver down; store {used / 1e6:.0f} MB"
        f"\nresident while down: {first:.1f} MB after {SETTLED_AFTER:.0f} s, then"
        f" {min(flat):.1f} to {max(flat):.1f} MB (start: {down[0][1]:.1f})"
        f"\nafter it came back: all delivered in {took:.0f} s ({total / took:.0f}/s),"
        f" {ledger.repeats} repeats, at most {max(mb for _, mb in back):.1f} MB"
    )
    assert ledger.arrived == written, "lost, invented or out of order"
    assert ledger.forged == 0
    assert stopped == 0
    assert max(abs(mb - first) for mb in flat) <= 20


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_an_oplog_that_runs_out_under_a_paused_watcher_is_told(watchers):
    async with (
        PrivateMongo(oplog_mb=16) as mongo,
        AsyncMongoClient[dict[str, Any]](mongo.uri) as client,
    ):
        watcher = watchers(settings(mongo, free_port(), maxStore="1MB"))
        await watcher.start()
        messages = await collection(client)
        began = time.monotonic()
        seen: list[tuple[float, float | None, float | None, float | None]] = []
        while '"oplog.running_out"' not in watcher.log and time.monotonic() - began < 300:
            await messages.insert_many([{"text": "x" * 10_000, "messageId": "m"} for _ in range(50)])
            await asyncio.sleep(1)
            names = ("window", "headroom", "left")
            found = [await watcher.metric(f"watcher_oplog_{name}_seconds") for name in names]
            if not seen or tuple(found) != seen[-1][1:]:
                seen.append((time.monotonic() - began, *found))
        ready = (await watcher.get("/readyz")).json()["parts"]

    for at, window, headroom, left in seen:
        print(f"\n{at:5.0f} s: window {window} s, headroom {headroom} s, left {left} s", end="")
    print(f"\n{ready['oplog']['says']}")
    assert '"capture.paused"' in watcher.log
    assert '"oplog.running_out"' in watcher.log
    assert ready["oplog"]["ready"] is True
    assert "the oplog" in ready["oplog"]["says"]
