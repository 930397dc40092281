"""Several replicas on one state in MongoDB: each event once and in order, whoever dies, freezes or comes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.end_to_end.harness import SECRET, Inbox, Watcher

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
    watchers: Sequence[Watcher], names: set[str], *, seconds: float = 20
) -> list[set[str]]:
    """What each holds, when all is held, and evenly."""
    shares: list[set[str]] = []
    for _ in range(int(seconds / 0.1)):
        shares = [await held(watcher) for watcher in watchers]
        sizes = [len(share) for share in shares]
        if set().union(*shares) == names and sum(sizes) == len(names) and max(sizes) - min(sizes) <= 1:
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


@pytest.mark.parametrize("how", ["kill9", "freeze"])
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
