"""The stage: a replica set of three, people who write, a watcher, three receivers, proxies in between.

Or several replicas of the watcher, without proxies: there it is the replicas that things happen to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from pymongo import AsyncMongoClient

from tests.chaos.clocking import Clocking
from tests.chaos.commits import Commits
from tests.chaos.faults import (
    ConnectionsForgotten,
    Fault,
    LineCut,
    LineHung,
    PrimaryFrozen,
    PrimaryKilled,
    ReceiverIn,
    SteppedDown,
    WatcherFrozen,
    WatcherKilled,
    WatcherKilledStarting,
    WatcherStopped,
)
from tests.chaos.ledger import Ledger
from tests.chaos.proxy import Proxy
from tests.chaos.receiver import Arrival, Mood, Receiver
from tests.chaos.referee import Referee
from tests.chaos.schedule import Hand
from tests.chaos.writer import COLLECTIONS, Writer
from tests.end_to_end.harness import SECRET, Watcher
from watcher.demo.mongod import PrivateMongo

DATABASE = "LibreChat"

Tempers = Mapping[str, Mapping[Mood, float]]

TEMPERS: Tempers = {
    "good": {},
    "flaky": {"failing": 0.2},
    "crooked": {"failing": 0.02, "silent": 0.005, "late": 0.005, "breaking": 0.02, "short": 0.02},
}
"""The endpoints, and how each answers on an ordinary day."""

TEMPERS_OF_REPLICAS: Tempers = {
    "good": {},
    "flaky": {"failing": 0.01, "breaking": 0.05},
    "paced": {"failing": 0.02},
}
"""Not many 503: they slow an endpoint down, and what it gets then says little about fail-overs."""

RATE_LIMITS = {"paced": {"maxPerSecond": 50, "batchSize": 10}}

TIMEOUT_SECONDS = {"good": 5.0, "flaky": 5.0, "crooked": 1.5, "paced": 5.0}
RETRY_DELAYS = [0.2, 0.4, 0.8, *[1.0] * 900]
"""Nothing turns dead: what is dead has not arrived, and could not be told from what is lost."""

SLOTS = 64
"""Requests that an endpoint has in flight at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All parts, started."""

    mongo: PrivateMongo
    receivers: dict[str, Receiver]
    """By endpoint."""
    writer: Writer
    commits: Commits
    ledger: Ledger
    referee: Referee
    clocking: Clocking
    watchers: Sequence[Watcher] = ()
    members: Sequence[Proxy] = ()
    """The lines to the members."""
    lines: dict[str, Proxy] = field(default_factory=dict)
    """By endpoint, too."""

    @property
    def watcher(self) -> Watcher:
        """The only one."""
        (watcher,) = self.watchers
        return watcher

    async def first_event(self, *, patience_seconds: float) -> tuple[float, float]:
        """Write once to the primary itself, so that no driver's fail-over comes in between. When it was
        committed, and when the good endpoint had the event."""
        file = str(uuid4())
        port = self.mongo.ports[await self.mongo.primary()]
        async with (
            asyncio.timeout(patience_seconds),
            AsyncMongoClient[dict[str, Any]](
                "127.0.0.1", port, directConnection=True, w="majority"
            ) as client,
        ):
            await client[DATABASE].files.insert_one({"_id": file, "file_id": file, "filepath": "/x"})
            committed = time.monotonic()
            mark = self.ledger.note(f"file:{file}", "file.uploaded", file)
            return committed, await self.referee.accepted(mark, "good")

    async def everything_arrived(self, *, patience_seconds: float) -> bool:
        """Wait until nothing is owed any more, or nothing comes any more."""
        owed, since = self.referee.missing(self.ledger), time.monotonic()
        while owed and time.monotonic() - since < patience_seconds:
            await asyncio.sleep(0.2)
            left = self.referee.missing(self.ledger)
            if left < owed:
                owed, since = left, time.monotonic()
        return not owed


@asynccontextmanager
async def staged(
    folder: Path, *, seed: str, per_second: float, pre_images: bool = True
) -> AsyncIterator[Stage]:
    """Build it, with a watcher that is ready."""
    async with (
        _set_up(TEMPERS, seed=seed, per_second=per_second, pre_images=pre_images) as stage,
        _proxied(stage.mongo.ports) as members,
        _lines(stage.receivers) as lines,
    ):
        ports = {name: line.port for name, line in lines.items()}
        watcher = Watcher(folder, _settings([proxy.port for proxy in members], ports))
        async with _at_work([watcher]):
            yield replace(stage, watchers=[watcher], members=members, lines=lines)


@asynccontextmanager
async def staged_replicas(
    folder: Path, *, seed: str, per_second: float, replicas: int
) -> AsyncIterator[Stage]:
    """Build it, with several that share one state in MongoDB and are ready."""
    async with _set_up(TEMPERS_OF_REPLICAS, seed=seed, per_second=per_second) as stage:
        ports = {name: receiver.port for name, receiver in stage.receivers.items()}
        watchers = []
        for number in range(replicas):
            (own := folder / f"replica{number}").mkdir()
            watchers.append(Watcher(own, _settings(stage.mongo.ports, ports, state="mongodb")))
        async with _at_work(watchers):
            yield replace(stage, watchers=watchers)


@asynccontextmanager
async def _set_up(
    tempers: Tempers, *, seed: str, per_second: float, pre_images: bool = True
) -> AsyncIterator[Stage]:
    """All but watchers, and what stands between them and the rest."""
    ledger, referee, clocking = Ledger(), Referee(tempers), Clocking(tempers)

    def take(arrival: Arrival) -> None:
        clocking.take(arrival)
        referee.take(arrival)

    async with (
        PrivateMongo(members=3, oplog_mb=512, patience_seconds=120) as mongo,
        _receiving(tempers, take, seed) as receivers,
        AsyncMongoClient[dict[str, Any]](
            mongo.uri,
            w="majority",
            wTimeoutMS=5_000,
            heartbeatFrequencyMS=500,
            connectTimeoutMS=1_000,
        ) as client,
    ):
        options: dict[str, Any] = {"changeStreamPreAndPostImages": {"enabled": True}} if pre_images else {}
        for name in COLLECTIONS:
            await client[DATABASE].create_collection(name, **options)
        commits = Commits(client[DATABASE])
        yield Stage(
            mongo=mongo,
            receivers=receivers,
            writer=Writer(commits, ledger, per_second=per_second, seed=seed),
            commits=commits,
            ledger=ledger,
            referee=referee,
            clocking=clocking,
        )


@asynccontextmanager
async def _at_work(watchers: Sequence[Watcher]) -> AsyncIterator[None]:
    """Ready; killed in the end if somebody has not stopped them."""
    try:
        for watcher in watchers:
            await watcher.start()
        yield
    finally:
        for watcher in watchers:
            if watcher.process and watcher.process.poll() is None:
                watcher.kill9()


def hands(stage: Stage) -> Sequence[Hand]:
    """Everything that may go wrong, in parts that go wrong at the same time."""
    everyone = tuple(stage.lines)
    killed, mongo, members = WatcherKilled(stage.watcher, everyone), stage.mongo, stage.members
    crooked = stage.receivers["crooked"]
    moods: Sequence[Mood] = ("failing", "silent", "late", "breaking", "short")
    return [
        Hand(
            name="processes",
            faults=[
                (killed, 8),
                (WatcherKilledStarting(killed), 1),
                (WatcherFrozen(stage.watcher, everyone), 1),
            ],
            pause=(0.2, 4),
            hold=(0, 1),
        ),
        Hand(
            name="primaries",
            faults=[(PrimaryKilled(mongo), 4), (SteppedDown(mongo), 2), (PrimaryFrozen(mongo), 1)],
            pause=(4, 12),
            hold=(1, 5),
        ),
        Hand(
            name="network to MongoDB",
            faults=[
                (LineCut(members, "MongoDB"), 2),
                (LineHung(members, "MongoDB"), 1),
                (ConnectionsForgotten(members, "MongoDB"), 1),
            ],
            pause=(4, 16),
            hold=(0.2, 4),
        ),
        Hand(
            name="network to receivers",
            faults=[
                (kind([stage.lines[name]], name, (name,)), 1)
                for name in stage.lines
                for kind in (LineCut, LineHung, ConnectionsForgotten)
            ],
            pause=(2, 8),
            hold=(0.2, 4),
        ),
        Hand(
            name="receiver",
            faults=[(ReceiverIn(crooked, mood), 1) for mood in moods],
            pause=(2, 8),
            hold=(0.5, 4),
        ),
    ]


def hands_on_replicas(stage: Stage) -> Sequence[Hand]:
    """One replica after the other dies, freezes or is stopped; and now and then it is MongoDB's turn."""
    everyone = tuple(stage.receivers)
    faults: list[tuple[Fault, float]] = []
    for watcher in stage.watchers:
        faults += [
            (WatcherKilled(watcher, everyone), 2),
            (WatcherFrozen(watcher, everyone), 2),
            (WatcherStopped(watcher), 1),
        ]
    return [
        Hand(name="replicas", faults=faults, pause=(3, 5), hold=(8, 12)),
        Hand(name="primaries", faults=[(SteppedDown(stage.mongo), 1)], pause=(20, 40), hold=(0, 1)),
        Hand(
            name="receiver",
            faults=[(ReceiverIn(stage.receivers["flaky"], "failing"), 1)],
            pause=(5, 15),
            hold=(0.5, 3),
        ),
    ]


@asynccontextmanager
async def _proxied(ports: Sequence[int]) -> AsyncIterator[Sequence[Proxy]]:
    """A proxy for each member. What the members tell of each other leads through the proxies, too."""
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(Proxy(port)) for port in ports]
        renaming = {
            f"127.0.0.1:{port}".encode(): f"127.0.0.1:{proxy.port}".encode()
            for port, proxy in zip(ports, proxies, strict=True)
        }
        for proxy in proxies:
            proxy.renaming = renaming
        yield proxies


@asynccontextmanager
async def _receiving(
    tempers: Tempers, take: Callable[[Arrival], None], seed: str
) -> AsyncIterator[dict[str, Receiver]]:
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(
                Receiver(
                    name,
                    SECRET.encode(),
                    on_arrival=take,
                    temper=temper,
                    late_seconds=TIMEOUT_SECONDS[name] + 0.5,
                    dice=Random(f"{seed} {name}"),
                )
            )
            for name, temper in tempers.items()
        }


@asynccontextmanager
async def _lines(receivers: Mapping[str, Receiver]) -> AsyncIterator[dict[str, Proxy]]:
    """The line to each receiver, by endpoint."""
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(Proxy(receiver.port))
            for name, receiver in receivers.items()
        }


def _settings(members: Sequence[int], receivers: Mapping[str, int], **keys: Any) -> dict[str, Any]:
    """The ports where both are found, and further keys of `watcher`."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in members)
    return {
        "webhooks": {
            "secret": SECRET,
            "retryDelays": RETRY_DELAYS,
            "endpoints": [
                {
                    "name": name,
                    "url": f"http://127.0.0.1:{port}/",
                    "timeout": int(TIMEOUT_SECONDS[name] * 1000),
                    **({"rateLimit": RATE_LIMITS[name]} if name in RATE_LIMITS else {}),
                }
                for name, port in receivers.items()
            ],
        },
        # An answer that an election holds up must not be told half-way.
        "watcher": {
            "mongoUri": f"mongodb://{hosts}/{DATABASE}?replicaSet=rs0",
            "unfinishedHold": 600,
            **keys,
        },
    }
