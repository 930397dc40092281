"""Who is measured side by side: the watcher in its variants, a bare reader that posts, and the peers.

Each is a process that posts every new message of one database to one receiver; what it costs and how fast it
is, is measured from outside, the same for all."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.messages import Database, a_message
from bench.processes import Client, Process, Receiver, a_receiver, a_watcher

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venv-peers"
"""Of the peers, one each: made by `make peers`."""

WARM_SECONDS = 60.0
"""A JVM takes ten of them on a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where somebody works: a folder to write into, a MongoDB and its database, and whom to post to."""

    folder: Path
    uri: str
    database: str
    url: str


Opening = Callable[[Place], AbstractContextManager[Process]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """Somebody who posts. `open` starts the process, and ends it with its `with` block."""

    name: str
    open: Opening


BARE = "bare reader"
WATCHER = "the watcher"
BATCHED = "the watcher, batches of 10"
SHARED = "the watcher, state in MongoDB"

BATCH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the watcher sends."""

    endpoints: int = 1
    batches_per_second: int | None = None
    """The rate limit of each endpoint, beyond which batches of ten form; None: no limit, and no batches."""
    ca: Path | None = None
    """Of the receiver, which speaks TLS."""
    shared: bool = False
    """Its state is in the same MongoDB."""

    def batched(self, single: float) -> Way:
        """In batches. `single`: how many events a second went out singly.

        Batches form when more rows wait in memory (a thousand at most) than may go. With a quarter of what
        goes singly as the limit they form soon and stay; and they may carry 2.5 times as much: if that comes
        out, it is the limit that was measured."""
        return replace(self, batches_per_second=max(1, round(single / self.endpoints / 4)))


def the_watcher(python: Path, name: str = WATCHER, way: Way | None = None) -> Contestant:
    """Signed, durable, in order."""
    way = way or Way()
    keys: dict[str, Any] = {}
    if way.batches_per_second:
        keys["rateLimit"] = {"maxPerSecond": way.batches_per_second, "batchSize": BATCH}
    if way.ca:
        keys["tls"] = {"ca": str(way.ca)}

    def open_(place: Place) -> AbstractContextManager[Process]:
        return a_watcher(
            place.folder,
            f"{place.uri}{place.database}",
            place.url,
            python=python,
            state=f"{place.uri}{place.database}_state" if way.shared else None,
            endpoints=[{"name": f"e{each}", "url": place.url} for each in range(1, way.endpoints)],
            keys=keys,
        )

    return Contestant(name=name, open=open_)


def bare_reader() -> Contestant:
    """The yardstick of latency: reads and posts, and keeps nothing."""
    return Contestant(name=BARE, open=partial(_driver, Path(sys.executable), "bare"))


def peers() -> Sequence[Contestant]:
    """Those whose environment is there."""
    found = []
    for name in ("mq-bridge", "debezium", "mongo-broadcaster"):
        python = ENVIRONMENTS / name / "bin" / "python"
        if not python.exists():
            print(f"{name} is not measured: {ENVIRONMENTS.name}/{name} is not there (make peers)")
        elif name == "debezium" and not shutil.which("java"):
            print(f"{name} is not measured: it needs a JDK 17, and there is no java on PATH")
        else:
            found.append(Contestant(name=name, open=partial(_driver, python, name.replace("-", "_"))))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """A contestant at work: it has posted what it was shown, and waits for more."""

    database: Database
    receiver: Receiver
    process: Process
    ready_seconds: float
    """From its start until the first message came through."""


@asynccontextmanager
async def at_work(
    uri: str, contestant: Contestant, *, certificate: Path | None = None
) -> AsyncIterator[Arena]:
    """On a database and with a receiver of its own. `certificate`: of the receiver, which speaks TLS."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(uri))
        database = client[f"bench_{uuid4().hex[:8]}"]
        for name in (database.name, f"{database.name}_state"):
            stack.push_async_callback(client.drop_database, name)
        await database.messages.insert_one(a_message(0, "before"))

        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = stack.enter_context(a_receiver(certificate=certificate))
        place = Place(folder=folder, uri=uri, database=database.name, url=receiver.url)
        process, began = stack.enter_context(contestant.open(place)), time.monotonic()
        await _until_it_posts(database, receiver, process, folder)
        ready = time.monotonic() - began
        await asyncio.sleep(0.5)  # the others that it was shown
        yield Arena(database=database, receiver=receiver, process=process, ready_seconds=ready)


async def _until_it_posts(database: Database, receiver: Receiver, process: Process, folder: Path) -> None:
    """Write messages until one arrives: nothing else tells of all of them that they have begun."""
    async with asyncio.timeout(WARM_SECONDS):
        while not receiver.events:
            if process.handle.poll() is not None:
                ended = f"ended with status {process.handle.returncode}"
                raise SystemExit(f"{process.handle.args!r} {ended}:\n{_last_words(folder)}")
            await database.messages.insert_one(a_message(0, "first"))
            await asyncio.sleep(0.1)


def _last_words(folder: Path) -> str:
    return "".join(log.read_text() for log in folder.glob("*log"))[-4_000:]


@contextmanager
def _driver(python: Path, module: str, place: Place) -> Iterator[Process]:
    with (
        place.folder.joinpath(f"{module}.log").open("w") as log,
        subprocess.Popen(
            [python, "-m", f"bench.peers.{module}", place.uri, place.database, place.url],
            cwd=place.folder,  # some write logs where they stand
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
            text=True,
        ) as handle,
    ):
        try:
            yield Process(handle=handle)
        finally:
            handle.kill()
