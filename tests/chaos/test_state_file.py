"""What hands and disks do to the state's file: said clearly, or of no harm; never rubbish at a receiver."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.harness import SECRET, Inbox, Watcher

CURE = "Put a good copy in its place"


def settings(uri: str, url: str) -> dict[str, Any]:
    return {
        "webhooks": {"url": url, "secret": SECRET, "retryDelays": [0.2] * 300},
        "watcher": {"mongoUri": uri},
    }


def a_message(number: int, text: str = "text") -> dict[str, Any]:
    return {"messageId": f"m{number}", "conversationId": f"c{number % 5}", "user": "u1", "text": text}


async def ended(watcher: Watcher) -> int:
    assert watcher.process is not None
    return await asyncio.to_thread(watcher.process.wait, 90)  # what nobody reads is found after a minute


def message_ids(inbox: Inbox) -> list[str]:
    return [json.loads(receipt.body)["data"]["messageId"] for receipt in inbox.accepted]


async def test_a_state_deleted_under_a_running_watcher_stops_it_and_the_next_start_begins_anew(
    librechat, uri, receivers, watchers
):
    inbox = await receivers()
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()
    await librechat.messages.insert_one(a_message(1))
    await inbox.until_accepted(1)

    for file in watcher.folder.glob("state.db*"):
        file.unlink()
    await librechat.messages.insert_one(a_message(2))

    assert await ended(watcher) == 1
    assert "was deleted or replaced while `run` worked on this state" in watcher.log
    assert "startFrom" in watcher.log

    # Nothing is known of what was sent, nor of what was not.
    await watcher.start()
    await librechat.messages.insert_one(a_message(3))
    await inbox.until_accepted(2)
    assert message_ids(inbox) == ["m1", "m3"]
    assert watcher.log.count('"resumed": false') == 2


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 10))])
async def test_bytes_overwritten_in_a_stopped_state_never_reach_a_receiver(
    librechat, uri, receivers, watchers, seed
):
    dice = random.Random(seed)
    inbox = await receivers(fail=1.0)
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()
    await librechat.messages.insert_many([a_message(number, "x" * 2_000) for number in range(60)])
    await inbox.until(lambda receipts: len({receipt.id for receipt in receipts}) >= 5)
    await asyncio.to_thread(_until_stored, watcher.folder / "state.db", 60)
    assert await watcher.stop() == 0
    path = watcher.folder / "state.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "VACUUM"
        )  # of a row that grew, a copy stays behind where nothing reads: no place to aim at
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        bodies = dict(db.execute("SELECT id, bodies.body FROM deliveries JOIN bodies USING (seq)").fetchall())
    receipts = len(inbox.receipts)
    content, aim = path.read_bytes(), dice.choice(list(bodies.values()))
    assert content.count(aim) == 1
    place = content.find(aim)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(dice.randbytes(3 * 4_096))

    watcher.launch()
    code = await ended(watcher)

    assert code == 1
    assert CURE in watcher.log
    assert len(bodies) == 60
    print(f"\n{len(inbox.receipts) - receipts} requests before the damage was met")
    assert all(receipt.body == bodies[receipt.id] for receipt in inbox.receipts)


def _until_stored(path: Path, count: int) -> None:
    with sqlite3.connect(path) as db:
        while db.execute("SELECT count(*) FROM deliveries").fetchone()[0] < count:
            pass


async def test_a_truncated_state_is_refused(librechat, uri, receivers, watchers):
    inbox = await receivers()
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()
    await librechat.messages.insert_many([a_message(number) for number in range(50)])
    await inbox.until_accepted(50)
    assert await watcher.stop() == 0
    path = watcher.folder / "state.db"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)

    watcher.launch()

    assert await ended(watcher) == 1
    assert CURE in watcher.log


async def test_after_a_kill_and_the_wal_s_deletion_an_earlier_moment_is_gone_on_from(
    librechat, uri, receivers, watchers
):
    inbox = await receivers()
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()
    total = 600
    for start in range(0, total, 100):
        rows = [a_message(number, "x" * 10_000) for number in range(start, start + 100)]
        await librechat.messages.insert_many(rows)
        await inbox.until_accepted(start + 100)
    watcher.kill9()
    (watcher.folder / "state.db-wal").unlink()
    (watcher.folder / "state.db-shm").unlink()
    await librechat.messages.insert_one(a_message(total))

    watcher.launch()
    try:
        await inbox.until(lambda _: f"m{total}" in message_ids(inbox), seconds=20)
    except AssertionError:
        assert watcher.process is not None
        assert watcher.process.poll() == 1
        assert CURE in watcher.log
        return

    print(f"\n{len(inbox.accepted) - total - 1} repeats")
    bodies: dict[str, set[bytes]] = {}
    for receipt in inbox.accepted:
        bodies.setdefault(receipt.id, set()).add(receipt.body)
    assert len(bodies) == total + 1
    assert all(len(versions) == 1 for versions in bodies.values())
