"""Several replicas on one state in MongoDB: each event once and in order, whoever dies, freezes or comes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.chaos.proxy import Proxy
from tests.end_to_end.harness import SECRET, Inbox, Watcher
from watcher.demo.mongod import PrivateMongo

FAIL_OVER_SECONDS = 10
"""Promised in CONTRACT §6."""


@pytest.fixture
def settings(uri: str) -> Callable[..., dict[str, Any]]:
    def make(*inboxes: Inbox, **keys: Any) -> dict[str, Any]:
        endpoints = [{"name": f"e{number}", "url": inbox.url} for number, inbox in enumerate(inboxes)]
        return {
            "webhooks": {"secret": SECRET, "retryDelays": [0.2] * 50, "endpoints": endpoints, **keys},
            "watcher": {"mongoUri": uri, "state": f"{uri}_state"},
        }

    return make


@pytest.fixture(autouse=True)
async def _no_state_is_left(mongo_client: AsyncMongoClient[dict[str, Any]], database: str) -> Any:
    yield
    # What a killed replica had open would hold up the drop for a minute.
    await mongo_client.admin.command({"killAllSessions": []})
    await mongo_client.drop_database(f"{database}_state")


async def write(librechat: Any, start: int, count: int, *, pause: float = 0.0) -> None:
    for number in range(start, start + count):
        await librechat.messages.insert_one(
            {
                "messageId": f"m{number}",
                "conversationId": f"c{number % 7}",
                "user": "u1",
                "text": "hi",
                "isCreatedByUser": True,
            }
        )
        await asyncio.sleep(pause)


def numbers(inbox: Inbox) -> list[int]:
    """Which messages were accepted, each when it came first."""
    ids = [json.loads(receipt.body)["data"]["messageId"] for receipt in inbox.accepted]
    return [int(each[1:]) for each in dict.fromkeys(ids)]


def assert_each_once_and_in_order(inbox: Inbox, count: int) -> None:
    found = numbers(inbox)
    assert sorted(found) == list(range(count))
    assert all(one < two for rest in range(7) for one, two in pairwise([n for n in found if n % 7 == rest]))
    bodies: dict[str, bytes] = {}
    for receipt in inbox.receipts:
        assert bodies.setdefault(receipt.id, receipt.body) == receipt.body


async def held(watcher: Watcher) -> set[str]:
    lines = (await watcher.get("/metrics")).text.splitlines()
    return {
        line.partition('lease="')[2].partition('"')[0]
        for line in lines
        if line.startswith("watcher_lease_held{") and line.endswith(" 1.0")
    }


async def until_shared(
    watchers: Sequence[Watcher], names: set[str], *, seconds: float = 20, even: bool = True
) -> list[set[str]]:
    """What each holds, when all is held, by all of them, and evenly."""
    shares: list[set[str]] = []
    for _ in range(int(seconds / 0.1)):
        shares = [await held(watcher) for watcher in watchers]
        sizes = [len(share) for share in shares]
        is_even = max(sizes) - min(sizes) <= 1 if even else min(sizes) > 0
        if set().union(*shares) == names and sum(sizes) == len(names) and is_even:
            return shares
        await asyncio.sleep(0.1)
    logs = "\n".join(watcher.log[-3_000:] for watcher in watchers)
    raise AssertionError(f"after {seconds} s they hold {shares}\n{logs}")


async def test_replicas_share_the_work_evenly_and_again_when_one_comes_or_goes(
    librechat, receivers, watchers, settings
):
    inboxes = [await receivers() for _ in range(4)]
    names = {"capture", *(f"endpoint:e{number}" for number in range(4))}
    one, two, three = (watchers(settings(*inboxes)) for _ in range(3))

    await one.start()
    await until_shared([one], names)
    await asyncio.gather(two.start(), three.start())
    await until_shared([one, two, three], names)
    await write(librechat, 0, 40)
    for inbox in inboxes:
        await inbox.until_accepted(40)

    assert await two.stop() == 0
    await until_shared([one, three], names)
    await write(librechat, 40, 40)
    for inbox in inboxes:
        await inbox.until_accepted(80)
        assert_each_once_and_in_order(inbox, 80)
        assert len(inbox.accepted) == 80, "who leaves in order leaves nothing to be sent again"
    assert await one.stop() == await three.stop() == 0


@pytest.mark.parametrize("how", ["kill9", pytest.param("freeze", marks=pytest.mark.long)])
async def test_who_dies_or_freezes_is_replaced_and_writes_nothing_any_more(
    librechat, receivers, watchers, settings, how
):
    inboxes = [await receivers() for _ in range(3)]
    names = {"capture", *(f"endpoint:e{number}" for number in range(3))}
    replicas = [watchers(settings(*inboxes)) for _ in range(2)]
    for watcher in replicas:
        await watcher.start()
    shares = await until_shared(replicas, names)
    victim = next(watcher for watcher, share in zip(replicas, shares, strict=True) if "capture" in share)
    other = replicas[1 - replicas.index(victim)]
    writing = asyncio.create_task(write(librechat, 0, 600, pause=0.02))
    await inboxes[0].until_accepted(50)

    began = time.monotonic()
    victim.kill9() if how == "kill9" else victim.freeze()
    await until_shared([other], names, seconds=FAIL_OVER_SECONDS)
    last = len(inboxes[0].accepted)
    await inboxes[0].until(lambda _: len(inboxes[0].accepted) > last)
    print(f"\nfail-over after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < FAIL_OVER_SECONDS
    if how == "freeze":
        victim.thaw()
        await until_shared(replicas, names)
        assert "lease.ended" in victim.log

    await writing
    for inbox in inboxes:
        await inbox.until(lambda _, inbox=inbox: len(numbers(inbox)) >= 600, seconds=40)
        assert_each_once_and_in_order(inbox, 600)


async def test_replicas_with_different_settings_serve_what_each_knows(
    librechat, receivers, watchers, settings
):
    inboxes = [await receivers() for _ in range(3)]
    all_of_them, one_of_them = watchers(settings(*inboxes)), watchers(settings(inboxes[0]))
    await all_of_them.start()
    await one_of_them.start()
    names = {"capture", *(f"endpoint:e{number}" for number in range(3))}
    shares = await until_shared([all_of_them, one_of_them], names, even=False)
    assert shares == [names - {"endpoint:e0"}, {"endpoint:e0"}], "the reader knows all, the other one its own"

    await asyncio.sleep(3)
    assert [await held(watcher) for watcher in (all_of_them, one_of_them)] == shares, "nothing wanders"
    await write(librechat, 0, 20)
    for inbox in inboxes:
        await inbox.until(lambda _, inbox=inbox: len(numbers(inbox)) >= 20)
        assert_each_once_and_in_order(inbox, 20)


@pytest.mark.long
@pytest.mark.parametrize("how", ["hang", "cut"])
async def test_who_is_cut_off_from_mongodb_is_replaced_and_sends_nothing_until_it_is_back(
    librechat, receivers, watchers, settings, private_mongo, database, how
):
    inboxes = [await receivers() for _ in range(3)]
    names = {"capture", *(f"endpoint:e{number}" for number in range(3))}
    async with Proxy(private_mongo.ports[0]) as line:
        behind = f"mongodb://127.0.0.1:{line.port}/{database}?directConnection=true"
        made = [settings(*inboxes, headers={"X-Replica": name}) for name in ("cut off", "other")]
        made[0]["watcher"] |= {"mongoUri": behind, "state": behind.replace(database, f"{database}_state")}
        cut_off, other = (watchers(each) for each in made)
        await cut_off.start()  # first, so that it holds everything until the other one comes
        await other.start()
        await until_shared([cut_off, other], names)
        writing = asyncio.create_task(write(librechat, 0, 600, pause=0.02))
        for inbox in inboxes:
            await inbox.until_accepted(30)

        line.hang() if how == "hang" else line.cut()
        began = time.monotonic()
        await until_shared([other], names, seconds=FAIL_OVER_SECONDS)
        assert time.monotonic() - began < FAIL_OVER_SECONDS
        replaced = [len(inbox.receipts) for inbox in inboxes]
        await writing
        for inbox in inboxes:
            await inbox.until(lambda _, inbox=inbox: len(numbers(inbox)) >= 600, seconds=40)
        senders = [
            receipt.headers["X-Replica"]
            for inbox, since in zip(inboxes, replaced, strict=True)
            for receipt in inbox.receipts[since:]
        ]
        assert set(senders) == {"other"}
        assert (await cut_off.get("/readyz")).status_code == 503

        await line.heal()
        await until_shared([cut_off, other], names)
        await write(librechat, 600, 50)
        for inbox in inboxes:
            await inbox.until(lambda _, inbox=inbox: len(numbers(inbox)) >= 650, seconds=40)
            assert_each_once_and_in_order(inbox, 650)
        # While there is a line: a transaction that nobody ends holds up the drop of its database.
        assert await cut_off.stop() == await other.stop() == 0


JUMPING = """
import itertools
from datetime import timedelta
from watcher.adapters.clock import SystemClock
from watcher.__main__ import main

now, jumps = SystemClock.now, itertools.cycle(timedelta(hours=hours) for hours in (6, -6, 0))
SystemClock.now = lambda self: now(self) + next(jumps)
main()
"""
"""The program, with a time of day that jumps by hours at every look."""


@pytest.mark.long
async def test_leases_do_not_care_what_time_of_day_a_replica_believes_it_is(
    librechat, receivers, watchers, settings
):
    inboxes = [await receivers() for _ in range(3)]
    names = {"capture", *(f"endpoint:e{number}" for number in range(3))}
    jumping, steady = watchers(settings(*inboxes)), watchers(settings(*inboxes))
    jumping.program = ["-c", JUMPING]
    await jumping.start()
    await steady.start()
    shares = await until_shared([jumping, steady], names)

    await write(librechat, 0, 300, pause=0.02)
    for inbox in inboxes:
        await inbox.until(lambda _, inbox=inbox: len(numbers(inbox)) >= 300)
        assert_each_once_and_in_order(inbox, 300)
        assert len(inbox.receipts) == 300
    assert [await held(watcher) for watcher in (jumping, steady)] == shares
    assert '"lost": true' not in jumping.log + steady.log


async def test_the_documented_roles_are_enough_for_all_that_a_replica_does(watchers, receivers):
    inbox = await receivers()
    async with PrivateMongo(auth=True) as mongo:
        roles = [{"role": "read", "db": "LibreChat"}, {"role": "readWrite", "db": "librechat_watcher"}]
        await mongo.add_user("watcher", "w", roles)
        made = {
            "webhooks": {"url": inbox.url, "secret": SECRET},
            "watcher": {"mongoUri": mongo.uri_of("LibreChat", user="watcher", password="w")},
        }
        made["watcher"]["state"] = "mongodb"
        one, other = watchers(made), watchers(json.loads(json.dumps(made)))
        await one.start()
        await other.start()
        shares = await until_shared([one, other], {"capture", "endpoint:default"})
        async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client:
            await write(client.LibreChat, 0, 20)
            await inbox.until_accepted(20)
            victim, left = (one, other) if "capture" in shares[0] else (other, one)
            victim.kill9()
            await until_shared([left], {"capture", "endpoint:default"}, seconds=FAIL_OVER_SECONDS)
            await write(client.LibreChat, 20, 20)
            await inbox.until(lambda _: len(numbers(inbox)) >= 40)
        for words in (["check"], ["endpoints", "pause", "default"], ["backfill", "--since", "2020-01-01"]):
            done = await asyncio.to_thread(command, left, *words)
            assert done.returncode == 0, done.stdout + done.stderr
        assert "Unauthorized" not in one.log + other.log


async def test_check_tells_who_may_not_write_the_state_what_to_grant(watchers, receivers):
    inbox = await receivers()
    async with PrivateMongo(auth=True) as mongo:
        await mongo.add_user("reader", "w", [{"role": "read", "db": "LibreChat"}])
        uri = mongo.uri_of("LibreChat", user="reader", password="w")
        made = {"webhooks": {"url": inbox.url, "secret": SECRET}, "watcher": {"mongoUri": uri}}
        made["watcher"]["state"] = "mongodb"

        done = await asyncio.to_thread(command, watchers(made), "check", "--json")

        found = {each["about"]: each for each in json.loads(done.stdout)["findings"]}
        assert (done.returncode, found["state"]["level"]) == (1, "problem")
        assert 'role: "readWrite", db: "librechat_watcher"' in found["state"]["cure"]
        async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client:
            assert "librechat_watcher" not in await client.list_database_names()


@pytest.mark.parametrize(
    ("state", "blamed"), [("mongodb", "MONGO_URI"), ("mongodb://u:p%ZZ@127.0.0.1:1/state", "watcher.state")]
)
async def test_a_bad_uri_is_blamed_on_the_setting_that_it_stands_in(watchers, receivers, state, blamed):
    inbox = await receivers()
    uri = (
        "mongodb://127.0.0.1:1/LibreChat" if blamed == "watcher.state" else "mongodb://u:p%ZZ@127.0.0.1:1/LC"
    )
    made = {
        "webhooks": {"url": inbox.url, "secret": SECRET},
        "watcher": {"mongoUri": uri, "state": state},
    }

    done = await asyncio.to_thread(command, watchers(made), "run")

    assert done.returncode != 0
    assert f"{blamed}: this is no connection string" in done.stderr


def command(watcher: Watcher, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "watcher", *words, "--config", str(watcher.config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_commands_work_on_a_shared_state_beside_replicas_and_without_them(
    librechat, receivers, watchers, settings
):
    inbox = await receivers()
    watcher = watchers(settings(inbox))

    async def run(*words: str) -> str:
        done = await asyncio.to_thread(command, watcher, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    checked = await run("check")
    assert "none yet" in checked
    await write(librechat, 0, 3)  # before the first start: only a backfill tells of them
    await watcher.start()
    await write(librechat, 3, 2)
    await inbox.until_accepted(2)

    assert "2 delivered" in await run("endpoints", "list")
    await run("backfill", "--since", "2020-01-01", "--event", "message.created")
    await inbox.until(lambda _: len(numbers(inbox)) == 5)
    assert sorted(numbers(inbox)) == [0, 1, 2, 3, 4]
    assert "delivered" in await run("explain", "--document", "messages", "m3")

    await run("endpoints", "pause", "e0")
    await watcher.until_logged("endpoint.paused")
    assert await watcher.stop() == 0
    assert "paused" in await run("endpoints", "list")
    await run("endpoints", "resume", "e0")
    assert "holds a position" in await run("check")


async def test_a_start_waits_for_a_mongodb_that_is_not_there_yet(watchers, receivers, settings):
    inbox = await receivers()
    made = settings(inbox)
    made["watcher"] |= {"mongoUri": "mongodb://127.0.0.1:1/LibreChat", "state": "mongodb"}
    watcher = watchers(made)

    watcher.launch()
    await watcher.until_logged("store.failed")

    assert (await watcher.get("/livez")).status_code == 200
    ready = await watcher.get("/readyz")
    assert ready.status_code == 503
    assert "leases" in ready.text
    assert await watcher.stop() == 0
