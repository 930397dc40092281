"""The same ledger and the same judge, with nothing made up: LibreChat's writes in a real MongoDB, receivers
on sockets, and the program as a process that kills itself at points of all kinds."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from tests.builders import an_endpoint
from tests.crashes.actions import ACTIONS, act, by_chance
from tests.crashes.ledger import Ledger
from tests.crashes.promises import Evidence, broken
from tests.crashes.receivers import Attempt
from tests.crashes.stores import ROWS, rows_in
from tests.crashes.stream import COLLECTIONS, Stream
from tests.end_to_end.conftest import receivers
from tests.end_to_end.harness import SECRET, Inbox, Watcher
from watcher.adapters.mongo.source import MongoSource
from watcher.core.changes import Change, Document
from watcher.receiver import Receipt

__all__ = ["receivers"]

Database = AsyncDatabase[dict[str, Any]]

ROOT = Path(__file__).parents[2]
HOLD = timedelta(seconds=3)
UNSURE = (timedelta(seconds=2.2), timedelta(seconds=3.5))
"""Ages of an answer between which it is a close thing whether its hold is over: nobody touches it then."""

PER_SECOND = 10
RETRIES = (0.1, 0.2, 0.4, 0.8, *[1.0] * 12)
EVENTS = ("*", "user.deleted")
FOR_EVER = 10**9
LONG = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize("images", [True, False], ids=["pre-images", "lookups"])
async def test_the_ledger_is_read_as_from_a_real_mongodb(mongo_client, mongodb_uri, database, images):
    script = by_chance(random.Random(1), 120, hold=HOLD)
    db = await prepared(mongo_client[database], images=images)
    nothing: dict[str, tuple[str, ...]] = dict.fromkeys(COLLECTIONS, ())
    source = MongoSource(mongodb_uri, database, noise=nothing, noise_to_memory=nothing, observe=print)
    async with source.open(None) as batches:
        beginning = (await anext(batches)).checkpoint
    for change in script.changes:
        await perform(db, change)

    told: list[Change] = []
    async with source.open(beginning) as batches, asyncio.timeout(30):
        while len(told) < len(script.changes):
            told += (await anext(batches)).changes

    stream = Stream(
        script, images=images, sizes=lambda: 1, written=len(script.changes), now=script.moments[-1].at
    )
    expected = [stream.seen(change) for change in script.changes]
    assert [contents(change) for change in told] == [contents(change) for change in expected]
    assert {change.operation for change in told} == {"insert", "update", "delete"}


@pytest.mark.parametrize("images", [True, False], ids=["pre-images", "memory"])
@pytest.mark.parametrize(
    ("seed", "deaths"), [(1, 2), *[pytest.param(seed, 20, marks=LONG) for seed in (2, 3, 4)]]
)
async def test_whatever_is_written_and_wherever_it_is_killed_every_promise_is_kept(
    mongo_client, mongodb_uri, database, receivers, tmp_path, images, seed, deaths
):
    db = await prepared(mongo_client[database], images=images)
    inboxes = {"crm": await receivers(fail=0.2, rng=random.Random(seed)), "audit": await receivers()}

    await Played(db, f"{mongodb_uri}{database}", tmp_path, inboxes, seed=seed).live(deaths=deaths)


class DoomedWatcher(Watcher):
    """`librechat-watcher run` that is dead after so many points (see doomed.py)."""

    points = FOR_EVER

    def launch(self) -> subprocess.Popen[bytes]:
        doomed = [sys.executable, "-m", "tests.crashes.doomed", str(self.points)]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*doomed, "run", "--config", str(self.config), "--log", "json"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        return self.process


class Played:
    """One ledger, as it is written; and the program that follows it, killed again and again."""

    def __init__(self, db: Database, uri: str, folder: Path, inboxes: dict[str, Inbox], *, seed: int) -> None:
        self._db = db
        self._inboxes = inboxes
        self._dice = random.Random(seed)
        self._ledger = Ledger(now=_now(), hold=HOLD)
        self._enough = asyncio.Event()
        self._state = folder / "state.db"
        endpoints = [
            {"name": name, "url": inbox.url, "events": list(EVENTS)} for name, inbox in inboxes.items()
        ]
        self._watcher = DoomedWatcher(
            folder,
            {
                "webhooks": {"secret": SECRET, "retryDelays": list(RETRIES), "endpoints": endpoints},
                "watcher": {"mongoUri": uri, "unfinishedHold": HOLD.total_seconds()},
            },
        )

    async def live(self, *, deaths: int) -> None:
        watcher = self._watcher
        try:
            await watcher.start()
            self._ledger.watched()
            watcher.kill9()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write())
                for _ in range(deaths):
                    watcher.points = self._dice.randrange(3, 120)
                    process = watcher.launch()
                    assert await asyncio.to_thread(process.wait) == -signal.SIGKILL, watcher.log
                self._enough.set()

            watcher.points = FOR_EVER
            await watcher.start()
            for inbox in self._inboxes.values():
                await inbox.until(self._complete, seconds=40)
            assert await watcher.stop() == 0

            attempts = sum(len(inbox.receipts) for inbox in self._inboxes.values())
            print(f"\n{len(self._ledger.changes)} changes, {attempts} attempts, {deaths} deaths")
            assert broken(self._evidence()) == []
        finally:
            if watcher.process and watcher.process.poll() is None:
                watcher.kill9()

    async def _write(self) -> None:
        """Until it is enough; so that each run of the program has something to die of."""
        ledger, dice, done = self._ledger, self._dice, 0
        ledger.open(ledger.register())
        while not self._enough.is_set():
            await asyncio.sleep(dice.expovariate(PER_SECOND))
            ledger.now = max(_now(), ledger.now)
            act(ledger, dice.choice(ACTIONS), dice.randrange(6), but=self._close_things())
            for change in ledger.changes[done:]:
                await perform(self._db, change)
            done = len(ledger.changes)

    def _close_things(self) -> set[str]:
        """Answers at an age at which nobody can say whether their hold is over."""
        first, last = UNSURE
        drafts = self._ledger.of("messages", unfinished=True)
        return {message for message in drafts if first < self._ledger.age(message) < last}

    def _complete(self, receipts: list[Receipt]) -> bool:
        """Was as much accepted as is owed?"""
        accepted = {receipt.id for receipt in receipts if receipt.status == 200}
        return len(accepted) >= sum(owed.fate == "sent" for owed in self._ledger.owed)

    def _evidence(self) -> Evidence:
        with closing(sqlite3.connect(self._state)) as db:
            rows = rows_in(db.execute(ROWS).fetchall())
        waits = tuple(timedelta(seconds=wait) for wait in RETRIES)
        endpoints = [an_endpoint(name=name, retry_delays=waits) for name in self._inboxes]
        return Evidence(
            owed=self._ledger.owed, endpoints=endpoints, attempts=list(self._attempts()), rows=rows
        )

    def _attempts(self) -> Iterator[Attempt]:
        """The receipts, as if each were of a life of its own: on a socket nobody knows."""
        for name, inbox in self._inboxes.items():
            for number, receipt in enumerate(inbox.receipts):
                yield Attempt(
                    endpoint=name,
                    request=receipt.id,
                    body=receipt.body,
                    life=number,
                    number=receipt.attempt,
                    at=receipt.received_at,
                    began=2 * number,
                    answer="ok" if receipt.status == 200 else "error",
                    arrived=2 * number,
                    answered=2 * number + 1,
                    accepted=receipt.status == 200,
                    heard=2 * number + 1,
                )


async def prepared(db: Database, *, images: bool) -> Database:
    for name in COLLECTIONS:
        await db.create_collection(name, changeStreamPreAndPostImages={"enabled": images})
    return db


async def perform(db: Database, change: Change) -> None:
    collection = db[change.collection]
    match change.operation:
        case "insert":
            await collection.insert_one(dict(change.after or {}))
        case "update":
            await collection.update_one({"_id": change.document_id}, {"$set": change.updated})
        case _:
            await collection.delete_one({"_id": change.document_id})


def contents(change: Change) -> tuple[Any, ...]:
    """What is in it, but for what is cut on the way, and for when it was written."""
    subject = (change.collection, change.operation, change.document_id)
    return *subject, *map(_without_cut, (change.before, change.after, change.updated)), list(change.removed)


def _without_cut(document: Document | None) -> Document | None:
    return document and {
        name: value for name, value in document.items() if name not in ("messages", "refreshTokenHash")
    }


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1_000 * 1_000)
