"""`explain --document` beside a `run` at work: what became of one message, from its hold on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.end_to_end.harness import SECRET, Watcher
from watcher.adapters.sqlite.reading import SqliteReader
from watcher.core.deliveries import Fate
from watcher.core.events import Entity

ROOT = Path(__file__).parents[2]


async def test_a_document_is_followed_from_its_hold_to_its_end(librechat, uri, receivers, watchers):
    inbox = await receivers(fail=1.0, status=503)
    crm = {"url": inbox.url, "secret": SECRET, "retryDelays": [60], "events": ["message.created"]}
    watcher = watchers({"webhooks": crm, "watcher": {"mongoUri": uri}})
    await watcher.start()

    answer = {"messageId": "m1", "conversationId": "c1", "user": "u1", "unfinished": True, "text": "half-way"}
    inserted = await librechat.messages.insert_one({**answer, "createdAt": datetime.now(UTC)})
    row = Entity(f"messages:{inserted.inserted_id}")
    held = await told(watcher, row, lambda fate: fate.state == "held")
    assert held["heldUntil"] is not None

    await librechat.messages.update_one({"messageId": "m1"}, {"$set": {"unfinished": False}})
    pending = await told(watcher, row, lambda fate: fate.attempts == 1)
    assert (pending["state"], pending["status"], pending["endpoint"]) == ("pending", 503, "default")
    assert pending["webhookId"] == inbox.receipts[0].id
    assert pending["nextTryAt"] > pending["attemptedAt"]

    # The first half was cancelled when the whole came; and without `run` the same is told, by its _id too.
    assert await watcher.stop() == 0
    words = await asyncio.to_thread(explain, watcher, str(inserted.inserted_id))
    assert words.returncode == 0
    assert words.stdout.startswith(f"{row}: 2 deliveries")
    assert "cancelled" in words.stdout
    assert "its row was finished or rewritten" in words.stdout
    assert "1 failed attempt, answered 503" in words.stdout
    assert "half-way" not in words.stdout + words.stderr


async def told(watcher: Watcher, row: Entity, wanted: Callable[[Fate], bool]) -> Any:
    """What is told of the newest delivery by LibreChat's id, as soon as it is as wanted."""
    for _ in range(1_000):
        fates = await SqliteReader(watcher.folder / "state.db").fates(row, limit=1)
        if fates and wanted(fates[-1]):
            break
        await asyncio.sleep(0.02)
    done = await asyncio.to_thread(explain, watcher, "m1", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["rows"][-1]["deliveries"][-1]


def explain(watcher: Watcher, identity: str, *options: str) -> subprocess.CompletedProcess[str]:
    asked = ["explain", "--config", str(watcher.config), "--document", "messages", identity, *options]
    return subprocess.run(
        [sys.executable, "-m", "watcher", *asked],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
