"""How receivers are treated that are down, busy or gone: the real program, real sockets, the wall's clock."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.end_to_end.harness import Watcher
from tests.end_to_end.test_main_line import a_message, settings

Answer = Callable[[], web.Response]


class Moody:
    """A receiver that answers as it is told, and notes when each request came."""

    def __init__(self) -> None:
        self.answer: Answer = web.Response
        self.times: list[datetime] = []
        self.delivered: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        await request.read()
        self.times.append(datetime.now(UTC))
        answer = self.answer()
        if answer.status < 300:
            self.delivered.append(request.headers["X-Webhook-ID"])
        return answer

    async def until(self, done: Callable[[], object], *, seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not done():  # noqa: ASYNC110 (the facts are in another process)
                await asyncio.sleep(0.01)


@asynccontextmanager
async def a_moody_receiver() -> AsyncIterator[Moody]:
    moody, app = Moody(), web.Application()
    app.router.add_post("/", moody.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        moody.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield moody
    finally:
        await runner.cleanup()


def says(status: int, **headers: str) -> Answer:
    return lambda: web.Response(status=status, headers=headers)


def apart(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Messages of as many conversations: nothing of them waits for each other."""
    return [a_message(number, f"c{number}") for number in range(start, start + count)]


def command(watcher: Watcher, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "watcher", *arguments, "--config", str(watcher.config)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_obeyed_to_the_second_by_the_whole_endpoint(librechat, uri, watchers, form):
    def busy() -> web.Response:
        at = datetime.now(UTC) + timedelta(seconds=4)
        return web.Response(
            status=429,
            headers={"Retry-After": "4" if form == "seconds" else format_datetime(at, usegmt=True)},
        )

    async with a_moody_receiver() as receiver:
        watcher = watchers(settings(uri, receiver.url, retryDelays=[0.1] * 5))
        await watcher.start()
        receiver.answer = busy
        await librechat.messages.insert_one(a_message(1, "c1"))
        await receiver.until(lambda: receiver.times)
        await watcher.until_logged('"endpoint.slowed"')
        receiver.answer = web.Response

        await librechat.messages.insert_many(apart(20, start=10))
        await receiver.until(lambda: len(receiver.delivered) == 21)

    waited = (receiver.times[1] - receiver.times[0]).total_seconds()
    # A date has whole seconds, and was cut off by whoever wrote it.
    assert (4 if form == "seconds" else 3) <= waited <= 5
    assert len(receiver.times) == 22


async def test_a_receiver_that_is_down_for_a_while_loses_nothing_and_is_hardly_asked(
    librechat, uri, watchers
):
    async with a_moody_receiver() as receiver:
        watcher = watchers(settings(uri, receiver.url, retryDelays=[0.1, 0.1, 0.1]))
        await watcher.start()
        receiver.answer = says(500)
        await librechat.messages.insert_many(apart(200))
        await watcher.until_logged('"circuit.opened"')
        opened = await watcher.metric('watcher_circuit_open{endpoint="default"}')
        asked = len(receiver.times)
        began = datetime.now(UTC)
        await receiver.until(lambda: len(receiver.times) >= asked + 3)
        spent = (datetime.now(UTC) - began).total_seconds()
        await watcher.kill9_and_start()  # it does not forget
        receiver.answer = web.Response
        await receiver.until(lambda: len(receiver.delivered) == 200)
        await watcher.until_logged('"circuit.closed"')
        listed = command(watcher, "endpoints", "list")

    assert opened == 1
    assert spent > 1.5  # three probes: after 0.5 to 1, 1 to 2, and 2 to 4 s
    assert len(set(receiver.delivered)) == 200
    assert '"verdict": "dead"' not in watcher.log
    assert "200 delivered, 0 dead" in listed


async def test_a_410_pauses_until_an_operator_resumes_it(librechat, uri, watchers):
    async with a_moody_receiver() as receiver:
        watcher = watchers(settings(uri, receiver.url, retryDelays=[0.1]))
        await watcher.start()
        receiver.answer = says(410)
        await librechat.messages.insert_one(a_message(1, "c1"))
        await watcher.until_logged('"endpoint.paused"')
        receiver.answer = web.Response
        await watcher.kill9_and_start()
        await librechat.messages.insert_many(apart(5, start=10))
        await watcher.until_logged('"changes": 5')
        assert len(receiver.times) == 1
        ready = (await watcher.get("/readyz")).text
        listed = command(watcher, "endpoints", "list")

        command(watcher, "endpoints", "resume", "default")
        await receiver.until(lambda: len(receiver.delivered) == 6)

    assert "default is paused since" in ready
    assert "paused since" in listed
    assert "6 pending" in listed


async def test_an_operator_pauses_one_endpoint_and_the_others_go_on(librechat, uri, watchers):
    async with a_moody_receiver() as one, a_moody_receiver() as other:
        watcher = watchers(settings(uri, one.url, endpoints=[{"name": "other", "url": other.url}]))
        await watcher.start()

        command(watcher, "endpoints", "pause", "other", "--reason", "moving house")
        await watcher.until_logged("moving house")
        await librechat.messages.insert_many(apart(5))
        await one.until(lambda: len(one.delivered) == 5)
        assert other.times == []

        command(watcher, "endpoints", "resume", "other")
        await other.until(lambda: len(other.delivered) == 5)


@pytest.mark.parametrize(
    "seconds",
    [5, pytest.param(300, marks=[pytest.mark.long, pytest.mark.timeout(600)])],
    ids=["short", "long"],
)
async def test_a_rate_is_kept_in_every_window_of_a_second_at_a_receiver_with_a_mind_of_its_own(
    librechat, uri, watchers, seconds
):
    """One request in ten is refused, one in ten is slow: still no second at the receiver holds more."""
    limit = 20
    async with a_moody_receiver() as receiver:
        watcher = watchers(
            settings(uri, receiver.url, retryDelays=[0.3] * 50, rateLimit={"maxPerSecond": limit})
        )
        await watcher.start()
        receiver.answer = lambda: web.Response(status=500 if len(receiver.times) % 10 == 0 else 200)
        await librechat.messages.insert_many(apart(limit * seconds))
        await receiver.until(lambda: len(receiver.delivered) == limit * seconds, seconds=2 * seconds + 30)

    second = timedelta(seconds=1)
    busiest = max(
        sum(start <= at < start + second for at in receiver.times[number : number + 3 * limit])
        for number, start in enumerate(receiver.times)
    )
    took = (receiver.times[-1] - receiver.times[0]).total_seconds()
    print(f"\nbusiest second {busiest}, {len(receiver.times) / took:.1f}/s over {took:.0f} s")
    assert busiest <= limit
    assert len(receiver.times) / took > 0.8 * limit
