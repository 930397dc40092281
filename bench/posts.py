"""POSTs and nothing else: the watcher's own sender against aiohttp, at the same receiver, in turn."""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp

from bench.messages import a_message
from bench.processes import a_receiver
from bench.tables import Figures
from watcher.adapters.http.sender import HttpSender
from watcher.core.outcomes import Answered
from watcher.core.requests import USER_AGENT, Request

TIMEOUT = timedelta(seconds=15)
WARM = 500

Post = Callable[[int], Awaitable[object]]


async def posts(*, count: int, in_flight: int = 64) -> Mapping[str, Figures]:
    """By client: how many a second, and what one of them costs this process."""
    body = json.dumps(a_message(0, "yardstick"), default=str).encode()
    with a_receiver() as receiver:
        clients = {"own": own(receiver.url, body), "aiohttp": by_aiohttp(receiver.url, body)}
        figures = {}
        for name, client in clients.items():
            async with client as post:
                await _all(post, count=WARM, in_flight=in_flight)
                figures[name] = await _measured(post, count=count, in_flight=in_flight)
        return figures


@asynccontextmanager
async def own(url: str, body: bytes) -> AsyncIterator[Post]:
    async with HttpSender() as sender:

        async def post(number: int) -> None:
            request = Request(endpoint="bench", url=url, headers=_headers(number), body=body, timeout=TIMEOUT)
            outcome = await sender.send(request)
            assert isinstance(outcome, Answered), outcome

        yield post


@asynccontextmanager
async def by_aiohttp(url: str, body: bytes) -> AsyncIterator[Post]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def post(number: int) -> None:
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                async with session.post(url, data=body, headers=_headers(number)) as answer:
                    await answer.read()

        yield post


def _headers(number: int) -> tuple[tuple[str, str], ...]:
    """As a signed delivery has them."""
    identity = f"webhook_{number:032x}"
    return (
        ("Content-Type", "application/json"),
        ("X-Webhook-Event", "message.created"),
        ("X-Webhook-ID", identity),
        ("X-Webhook-Attempt", "1"),
        ("User-Agent", USER_AGENT),
        ("X-Webhook-Signature", f"sha256={identity:0>64}"),
    )


async def _measured(post: Post, *, count: int, in_flight: int) -> Figures:
    began, used = time.perf_counter(), _cpu_seconds()
    await _all(post, count=count, in_flight=in_flight)
    return {
        "posts_per_second": count / (time.perf_counter() - began),
        "cpu_us_per_post": (_cpu_seconds() - used) / count * 1e6,
    }


async def _all(post: Post, *, count: int, in_flight: int) -> None:
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await post(number)

    async with asyncio.TaskGroup() as tasks:
        for _ in itertools.repeat(None, in_flight):
            tasks.create_task(some())


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
