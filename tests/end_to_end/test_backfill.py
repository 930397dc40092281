"""Documents from before: sent beside a running `run` or without one, once, and under ids that last."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId

from tests.end_to_end.harness import SECRET, Watcher
from watcher.adapters.sqlite.backfills import unfinished
from watcher.adapters.sqlite.reading import SqliteReader

LONG_AGO = datetime(2026, 1, 5, tzinfo=UTC)
BEFORE = "2026-01-01"


def settings(uri: str, url: str, **webhooks: Any) -> dict[str, Any]:
    return {"webhooks": {"url": url, "secret": SECRET, **webhooks}, "watcher": {"mongoUri": uri}}


async def test_beside_a_run_what_is_stored_is_delivered_by_it(librechat, uri, receivers, watchers):
    inbox = await receivers()
    await fill_librechat(librechat)
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()

    code, out = await backfill(watcher, "--since", BEFORE)
    await librechat.messages.insert_one({"messageId": "live", "conversationId": "c1", "user": "u1"})

    assert (code, "15 new deliveries" in out) == (0, True), out
    await inbox.until_accepted(16)
    told = Counter(receipt.event for receipt in inbox.accepted)
    assert told == {
        "user.registered": 1,
        "conversation.created": 1,
        "message.created": 11 + 1,
        "agent.created": 1,
        "file.uploaded": 1,
    }
    stamps = {json.loads(receipt.body)["timestamp"][:10] for receipt in inbox.accepted[:15]}
    assert stamps == {"2026-01-05"}
    assert not any("recovered" in json.loads(receipt.body)["data"] for receipt in inbox.accepted)
    # An answer that was never finished is sent as it is, at once.
    assert any(json.loads(receipt.body)["data"].get("unfinished") for receipt in inbox.accepted)


async def test_given_again_it_sends_nothing_twice_and_after_a_new_state_the_same_ids(
    librechat, uri, receivers, watchers
):
    inbox = await receivers()
    await fill_librechat(librechat)
    one, other = watchers(settings(uri, inbox.url)), watchers(settings(uri, inbox.url))

    assert (await backfill(one, "--since", BEFORE))[0] == 0
    first = {receipt.id: receipt.body for receipt in inbox.accepted}
    code, out = await backfill(one, "--since", BEFORE)
    assert (code, " 0 new deliveries; all delivered" in out) == (0, True), out
    assert len(inbox.accepted) == len(first) == 15
    assert (await backfill(other, "--since", BEFORE))[0] == 0

    assert {receipt.id: receipt.body for receipt in inbox.accepted[15:]} == first
    figures = await SqliteReader(one.folder / "state.db").figures(LONG_AGO, datetime.now(UTC))
    assert sum(figure.delivered for figure in figures) == 15, "what it sends by itself counts as well"


async def test_only_the_time_and_the_events_that_are_asked_for(librechat, uri, receivers, watchers):
    inbox = await receivers()
    await fill_librechat(librechat)
    await librechat.messages.insert_one({"messageId": "now", "conversationId": "c1", "user": "u1"})
    watcher = watchers(
        settings(uri, inbox.url, filters=[{"event": "*", "condition": {"text": {"$ne": "m3"}}}])
    )

    code, out = await backfill(
        watcher, "--since", BEFORE, "--until", "2026-02-01", "--event", "message.created"
    )

    assert code == 0, out
    told = sorted(json.loads(receipt.body)["data"]["messageId"] for receipt in inbox.accepted)
    assert told == sorted({f"m{number}" for number in range(11)} - {"m3"})


async def test_killed_in_the_middle_it_goes_on_and_sends_each_once(librechat, uri, receivers, watchers):
    inbox = await receivers()
    rows = [a_message(number) for number in range(4_000)]
    await librechat.messages.insert_many(rows)
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()

    process = launch(watcher, "--since", BEFORE)
    await asyncio.to_thread(until_some_are_filled, watcher.folder / "state.db")
    process.kill()
    process.wait()
    while not (halfway := await under_way(watcher))["rows"]:
        pass  # it is looked at now and then
    assert 0 < halfway.pop("rows") < 4_000
    assert halfway == {"active": 1, "expected_rows": 4_000}

    code, out = await backfill(watcher, "--since", BEFORE)
    await inbox.until_accepted(4_000, seconds=60)

    assert code == 0, out
    assert set((await under_way(watcher)).values()) == {0}
    assert len(inbox.ids) == len(inbox.accepted) == 4_000


def until_some_are_filled(state: Path) -> None:
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as db:
        while not any(each.rows for each in unfinished(db)):
            time.sleep(0.005)


async def under_way(watcher: Watcher) -> dict[str, float]:
    """What a `run` tells of the backfills of others."""
    names = ("active", "rows", "expected_rows")
    return {name: await watcher.metric(f"watcher_backfill_{name}") or 0.0 for name in names}


async def test_what_cannot_be_filled_is_told_with_its_cure(librechat, uri, receivers, watchers):
    inbox = await receivers()
    watcher = watchers(settings(uri, inbox.url, events=["message.created"]))

    for event, cure in (("message.deleted", "Known:"), ("agent.created", "events:")):
        code, out = await backfill(watcher, "--since", BEFORE, "--event", event)
        assert (code, cure in out) == (2, True), out
    code, out = await backfill(watcher, "--since", BEFORE, "--until", "2025-12-01")
    assert (code, "--until" in out) == (2, True), out
    code, out = await backfill(watcher, "--since", "yesterday")
    assert code == 2
    assert "Traceback" not in out


async def test_since_ever_is_a_time_like_others(librechat, uri, receivers, watchers):
    inbox = await receivers()
    await fill_librechat(librechat)
    watcher = watchers(settings(uri, inbox.url))

    code, out = await backfill(watcher, "--since", "0001-01-01")

    assert (code, "15 new deliveries" in out) == (0, True), out


async def test_what_waits_for_an_endpoint_that_is_gone_is_not_waited_for(librechat, uri, receivers, watchers):
    inbox, down = await receivers(), await receivers(fail=1.0)
    await fill_librechat(librechat)
    watcher = watchers(settings(uri, down.url, retryDelays=[600]))
    process = launch(watcher, "--since", BEFORE)
    await down.until(lambda receipts: len(receipts) > 0)
    process.kill()
    process.wait()

    one_more = {"endpoints": [{"name": "crm", "url": inbox.url, "secret": SECRET}]}
    watcher.configure({"webhooks": one_more, "watcher": {"mongoUri": uri}})
    code, out = await backfill(watcher, "--since", BEFORE)

    assert code == 0, out
    assert inbox.accepted


async def fill_librechat(database: Any) -> None:
    await database.users.insert_one({"_id": an_id(1), "email": "ada@example.com", "password": "S3CRET"})
    await database.conversations.insert_one({"_id": an_id(2), "conversationId": "c1", "user": "u1"})
    await database.messages.insert_many([a_message(number) for number in range(10)])
    await database.messages.insert_one({**a_message(10), "unfinished": True})
    await database.agents.insert_one({"_id": an_id(3), "id": "agent_one", "author": "u1", "name": "One"})
    await database.files.insert_one({"_id": an_id(4), "file_id": "f1", "user": "u1", "filepath": "/f"})
    await database.files.insert_one({"_id": an_id(5), "file_id": "f2", "user": "u1"})  # never had a file
    await database.sessions.insert_one({"_id": an_id(6), "user": "u1", "expiration": LONG_AGO})


def a_message(number: int) -> dict[str, Any]:
    ids = {"messageId": f"m{number}", "conversationId": f"c{number % 50}", "user": "u1"}
    return {"_id": an_id(100 + number), **ids, "text": f"m{number}"}


def an_id(number: int) -> ObjectId:
    moment = LONG_AGO + timedelta(seconds=number)
    return ObjectId(f"{int(moment.timestamp()):08x}{number:016x}")


def launch(watcher: Watcher, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "watcher", "backfill", "--config", str(watcher.config), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=Path.cwd())


async def backfill(watcher: Watcher, *arguments: str) -> tuple[int, str]:
    process = launch(watcher, *arguments)
    out, _ = await asyncio.to_thread(process.communicate, None, 60)
    return process.returncode, out.decode()
