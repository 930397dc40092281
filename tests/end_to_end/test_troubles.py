"""What goes wrong at night is said within 30 s: by readiness, metrics, alerts and the page, with its cure."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.chaos.proxy import Proxy
from tests.end_to_end.harness import SECRET, Inbox, Watcher, free_port
from tests.end_to_end.lookout import Lookout
from tests.end_to_end.test_cockpit import TOKEN, write
from tests.end_to_end.test_replicas import held, until_shared
from watcher.demo.mongod import PrivateMongo

Settings = Callable[..., dict[str, Any]]


@pytest.fixture
def settings(uri: str) -> Settings:
    def make(url: str, *, mongo: str = uri, webhooks: dict[str, Any] | None = None, **keys: Any) -> Any:
        return {
            "webhooks": {"url": url, "secret": SECRET, **(webhooks or {})},
            "watcher": {"mongoUri": mongo, "http": {"token": TOKEN}, **keys},
        }

    return make


@asynccontextmanager
async def watched(watcher: Watcher) -> AsyncIterator[Lookout]:
    """It runs, and there is nothing to say of it."""
    await watcher.start()
    async with Lookout(watcher, TOKEN) as lookout:
        await lookout.look()
        assert lookout.ready
        assert lookout.attention == []
        yield lookout


# ------------------------------------------------------------------ MongoDB


@pytest.mark.parametrize(
    ("state", "how"),
    [
        ("sqlite", "kill9"),
        pytest.param("mongodb", "kill9", marks=pytest.mark.long),
        pytest.param("sqlite", "freeze", marks=pytest.mark.long),
        pytest.param("mongodb", "freeze", marks=pytest.mark.long),
    ],
)
async def test_mongodb_is_away(watchers, receivers, settings, state, how):
    inbox = await receivers()
    async with PrivateMongo() as mongo:
        keys = {"state": "mongodb"} if state == "mongodb" else {}
        async with watched(watchers(settings(inbox.url, mongo=mongo.uri_of("LibreChat"), **keys))) as lookout:
            mongo.kill9() if how == "kill9" else mongo.freeze()

            part = "stream" if state == "sqlite" else "leases"
            cure = (
                "Is it running, and is this its host" if state == "sqlite" else "can it be reached from here"
            )
            await lookout.until_said(part=part, cure=cure, alert="NotReading")
            assert not lookout.ready

            if how == "freeze":
                mongo.thaw()
            else:
                await mongo.start()
            await lookout.until_quiet(alert="NotReading")
            assert not lookout.alerts("StateNotWritten")


# ------------------------------------------------------------------ the disk

AS_ROOT = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
UNSHARE = ["unshare", *AS_ROOT, "--mount"]
CAN_MOUNT = shutil.which("unshare") is not None and (
    subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0
)
ON_A_SMALL_DISK = """
import os, sys
script = 'mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"'
program = [sys.executable, "-m", "watcher", *sys.argv[1:]]
os.execvp("unshare", [*{unshare!r}, "sh", "-c", script, {folder!r}, *program])
"""
"""The program, with a disk of its own that nobody else sees, and that is gone when it ends."""


@pytest.mark.long
@pytest.mark.skipif(not CAN_MOUNT, reason="this user may not mount anything")
async def test_the_disk_is_full(librechat, watchers, receivers, settings, tmp_path):
    inbox = await receivers()
    disk = tmp_path / "disk"
    disk.mkdir()
    watcher = watchers(settings(inbox.url, state=f"sqlite:///{str(disk).lstrip('/')}/state.db"))
    watcher.program = ["-c", ON_A_SMALL_DISK.format(unshare=UNSHARE, folder=str(disk))]
    async with watched(watcher) as lookout:
        filler = Path(f"/proc/{watcher.process.pid}/root{disk}/filler")
        await asyncio.to_thread(fill_up, filler)

        await lookout.until_said(part="store", cure="Free some space on this disk", alert="StateNotWritten")
        assert not lookout.ready

        await write(librechat, 0, 5)
        await asyncio.to_thread(filler.unlink)
        await inbox.until_accepted(5)
        await lookout.until_quiet(alert="StateNotWritten")


def fill_up(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


@pytest.mark.long  # tests/chaos/test_full_disk.py fills one each time
async def test_the_disk_refuses_to_write(librechat, watchers, receivers, settings):
    inbox = await receivers()
    watcher = watchers(settings(inbox.url))
    async with watched(watcher) as lookout:
        await write(librechat, 0, 1)
        await inbox.until_accepted(1)
        largest = max(file.stat().st_size for file in watcher.folder.glob("state.db*"))
        before = resource.prlimit(watcher.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(watcher.process.pid, resource.RLIMIT_FSIZE, (largest, before[1]))
        await write(librechat, 1, 20)

        await lookout.until_said(part="store", cure="Look at this disk", alert="StateNotWritten")
        assert not lookout.ready

        resource.prlimit(watcher.process.pid, resource.RLIMIT_FSIZE, before)
        await inbox.until_accepted(21)
        await lookout.until_quiet(alert="StateNotWritten")


MANY = 400
"""More than fits into a megabyte."""


@pytest.mark.long  # tests/end_to_end/test_backpressure.py fills one each time
async def test_the_store_is_full(librechat, watchers, receivers, settings):
    port = free_port()
    watcher = watchers(
        settings(f"http://127.0.0.1:{port}/", webhooks={"retryDelays": [1] * 500}, maxStore="1MB")
    )
    async with watched(watcher) as lookout:
        await librechat.messages.insert_many([a_large_message(number) for number in range(MANY)])

        await lookout.until_said(part="store", cure="or raise watcher.maxStore", alert="CapturePaused")
        assert not lookout.ready

        inbox = await receivers(port=port)
        await inbox.until_accepted(MANY, seconds=60)
        await lookout.until_quiet(alert="CapturePaused")


def a_large_message(number: int) -> dict[str, Any]:
    ids = {"messageId": f"m{number}", "conversationId": f"c{number % 20}", "user": "u1"}
    return {**ids, "text": "x" * 5_000, "isCreatedByUser": True}


# ------------------------------------------------------------------ a receiver


@pytest.mark.long
@pytest.mark.parametrize("events", [1, 40], ids=["one event", "many events"])
async def test_a_receiver_is_dead(librechat, watchers, receivers, settings, events):
    port = free_port()
    watcher = watchers(settings(f"http://127.0.0.1:{port}/"))
    async with watched(watcher) as lookout:
        await librechat.messages.insert_many([a_large_message(number) for number in range(events)])

        await lookout.until_said(
            part="endpoints", cure="Bring the receiver back", alert="EndpointDown", endpoint="default"
        )
        assert "refused" in lookout.parts["endpoints"]["says"]
        assert lookout.ready, "whoever restarts us for a receiver makes it worse"

        inbox = await receivers(port=port)
        await inbox.until_accepted(events, seconds=60)
        await lookout.until_quiet(alert="EndpointDown")


# ------------------------------------------------------------------ a lease


@pytest.fixture
async def shared(
    settings: Settings, mongo_client: AsyncMongoClient[dict[str, Any]], database: str, uri: str
) -> Any:
    """Settings of replicas that share a state."""

    def make(inbox: Inbox, *, mongo: str = uri) -> dict[str, Any]:
        state = mongo.replace(database, f"{database}_state")
        return settings(inbox.url, mongo=mongo, state=state)

    yield make
    # What a killed replica had open would hold up the drop for a minute.
    await mongo_client.admin.command({"killAllSessions": []})
    await mongo_client.drop_database(f"{database}_state")


ALL = {"capture", "endpoint:default"}


@pytest.mark.long
@pytest.mark.parametrize("waits", [False, True])
async def test_a_lease_is_lost_to_another_replica(librechat, watchers, receivers, shared, waits):
    inbox = await receivers()
    frozen, other = watchers(shared(inbox)), watchers(shared(inbox))
    async with watched(frozen) as lookout:
        await other.start()
        await until_shared([frozen, other], ALL)
        lost = await held(frozen)
        frozen.freeze()
        await until_shared([other], ALL)
        frozen.thaw()

        await lookout.until_said(part="leases", cure="Is it short of CPU", alert="LeasesLost")
        assert all(lease in lookout.parts["leases"]["says"] for lease in lost)
        assert lookout.ready, "the other one does it now"

        await write(librechat, 0, 5)
        await inbox.until_accepted(5)
        if waits:  # it is told of for a minute
            await lookout.until_quiet(alert="LeasesLost", seconds=90)


@pytest.mark.long
async def test_a_replica_is_cut_off_from_its_leases(
    librechat, watchers, receivers, shared, private_mongo, database
):
    inbox = await receivers()
    async with Proxy(private_mongo.ports[0]) as line:
        behind = f"mongodb://127.0.0.1:{line.port}/{database}?directConnection=true"
        cut_off, other = watchers(shared(inbox, mongo=behind)), watchers(shared(inbox))
        async with watched(cut_off) as lookout:
            await other.start()
            await until_shared([cut_off, other], ALL)
            line.hang()

            await lookout.until_said(
                part="leases", cure="can it be reached from here", alert="StateNotWritten"
            )
            assert not lookout.ready
            await until_shared([other], ALL)
            await write(librechat, 0, 5)
            await inbox.until_accepted(5)

            await line.heal()
            await lookout.until_quiet(alert="StateNotWritten", seconds=120)
            # While there is a line: a transaction that nobody ends holds up the drop of its database.
            assert await cut_off.stop() == await other.stop() == 0
