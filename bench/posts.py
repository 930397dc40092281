"""POSTs and nothing else: the watcher's own sender against aiohttp, at the same receiver, in turn."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
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

Post = Callable[[Request], Awaitable[None]]


async def posts(*, count: int, in_flight: int = 64) -> Mapping[str, Figures]:
    """By client: how many a second, and what one of them costs this process."""
    body = json.dumps(a_message(0, "yardstick"), default=str).encode()
    with a_receiver() as receiver:
        # What is measured is the sending: all is composed before.
        requests = [
            Request(endpoint="bench", url=receiver.url, headers=_headers(number), body=body, timeout=TIMEOUT)
            for number in range(count)
        ]
        figures = {}
        for name, client in CLIENTS.items():
            async with client() as post:
                await _all(post, requests[:WARM], in_flight=in_flight)
                figures[name] = await _measured(post, requests, in_flight=in_flight)
        return figures


@asynccontextmanager
async def own() -> AsyncIterator[Post]:
    async with HttpSender() as sender:

        async def post(request: Request) -> None:
            outcome = await sender.send(request)
            assert isinstance(outcome, Answered), outcome

        yield post


@asynccontextmanager
async def by_aiohttp() -> AsyncIterator[Post]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def post(request: Request) -> None:
            async with (
                asyncio.timeout(request.timeout.total_seconds()),
                session.post(request.url, data=request.body, headers=request.headers) as answer,
            ):
                await answer.read()

        yield post


CLIENTS: Mapping[str, Callable[[], AbstractAsyncContextManager[Post]]] = {"own": own, "aiohttp": by_aiohttp}


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


async def _measured(post: Post, requests: Sequence[Request], *, in_flight: int) -> Figures:
    began, used = time.perf_counter(), _cpu_seconds()
    await _all(post, requests, in_flight=in_flight)
    return {
        "posts_per_second": len(requests) / (time.perf_counter() - began),
        "cpu_us_per_post": (_cpu_seconds() - used) / len(requests) * 1e6,
    }


async def _all(post: Post, requests: Sequence[Request], *, in_flight: int) -> None:
    left = iter(requests)

    async def some() -> None:
        for request in left:
            await post(request)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(some())


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
