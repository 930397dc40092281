"""A full disk under the state delays events, and loses none."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any

import httpx

from tests.chaos.disk import small_disk
from tests.end_to_end.harness import SECRET, Watcher

CONVERSATIONS = 7


def a_message(number: int) -> dict[str, Any]:
    conversation = f"c{number % CONVERSATIONS}"
    return {"messageId": f"m{number}", "conversationId": conversation, "user": "u1", "text": "x" * 4_000}


async def told(watcher: Watcher) -> dict[str, Any]:
    """What `/readyz` says; nothing of it while the program is just starting."""
    async with httpx.AsyncClient() as client:
        try:
            answer: dict[str, Any] = (await client.get(f"http://127.0.0.1:{watcher.port}/readyz")).json()
        except httpx.TransportError:
            return {"ready": False}
    return answer


async def test_a_full_disk_is_told_waited_out_and_nothing_is_lost(
    librechat, uri, receivers, watchers, tmp_path
):
    inbox = await receivers()
    with small_disk(tmp_path / "disk") as disk:
        state = f"sqlite:///{str(disk.folder / 'state.db').lstrip('/')}"
        watcher = watchers(
            {
                "webhooks": {"url": inbox.url, "secret": SECRET},
                "watcher": {"mongoUri": uri, "state": state},
            }
        )
        await watcher.start()
        written = 0

        async def write(count: int) -> None:
            nonlocal written
            for _ in range(count):
                await librechat.messages.insert_one(a_message(written))
                written += 1

        await write(10)
        await inbox.until_accepted(written)
        disk.fill(watcher)
        async with asyncio.timeout(60):
            while (await told(watcher))["ready"]:
                await write(1)
        full = await told(watcher)
        await write(100)
        watcher.kill9()
        await write(100)
        watcher.launch()
        disk.fill(watcher)
        await write(100)
        came = len(inbox.accepted)
        disk.make_room(watcher)

        async with asyncio.timeout(60):
            while not (await told(watcher))["ready"]:
                await write(1)
        await inbox.until(lambda _: len({receipt.id for receipt in inbox.accepted}) >= written, seconds=60)
        assert await watcher.stop() == 0

    print(f"\n{written} events, {came} before there was room, {len(inbox.accepted) - written} repeats")
    assert not full["parts"]["store"]["ready"]
    assert "this disk" in full["parts"]["store"]["says"]
    assert '"event": "store.failed"' in watcher.log
    bodies, order = defaultdict(set), defaultdict(list)
    for receipt in inbox.accepted:
        data = json.loads(receipt.body)["data"]
        if receipt.id not in bodies:
            order[data["conversationId"]].append(data["messageId"])
        bodies[receipt.id].add(receipt.body)
    assert order == {
        f"c{first}": [f"m{number}" for number in range(first, written, CONVERSATIONS)]
        for first in range(CONVERSATIONS)
    }
    assert all(len(versions) == 1 for versions in bodies.values())
