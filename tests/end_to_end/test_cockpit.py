"""The page and the API of the real program: what went wrong is seen, and put right."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiohttp import ClientSession, web

from tests.end_to_end.harness import SECRET, Inbox, Watcher, free_port
from watcher.core.endpoints import Secret
from watcher.demo.mongod import PrivateMongo
from watcher.receiver import Receiver

TOKEN = "a-token-of-some-length"
WORDS = "what somebody wrote to somebody"


class Moody:
    """A receiver that fails until it is told not to."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.receiver = Receiver(
            [Secret(key=SECRET.encode())], on_receipt=self.inbox.take, fail=1.0, status=500
        )

    def mend(self) -> None:
        self.receiver._fail = 0.0


@pytest.fixture
async def moody() -> AsyncIterator[Moody]:
    made = Moody()
    async with made.receiver:
        made.inbox.url = made.receiver.url
        yield made


@pytest.fixture
def settings(uri: str) -> Callable[..., dict[str, Any]]:
    def make(inbox: Inbox, **keys: Any) -> dict[str, Any]:
        return {
            "webhooks": {"url": inbox.url, "secret": SECRET, "retries": 0, **keys},
            "watcher": {"mongoUri": uri, "http": {"token": TOKEN}},
        }

    return make


async def write(librechat: Any, start: int, count: int) -> None:
    for number in range(start, start + count):
        await librechat.messages.insert_one(
            {
                "messageId": f"m{number}",
                "conversationId": f"c{number % 3}",
                "user": f"u{number % 2}",
                "text": WORDS,
                "isCreatedByUser": True,
            }
        )


@asynccontextmanager
async def api(watcher: Watcher, *, prefix: str = "", port: int = 0) -> AsyncIterator[httpx.AsyncClient]:
    base = f"http://127.0.0.1:{port or watcher.port}{prefix}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=20) as client:
        yield client


async def until(
    client: httpx.AsyncClient, path: str, done: Callable[[Any], bool], *, seconds: float = 20
) -> Any:
    told: Any = None
    for _ in range(int(seconds / 0.1)):
        told = (await client.get(path)).json()
        if done(told):
            return told
        await asyncio.sleep(0.1)
    raise AssertionError(f"after {seconds} s {path} tells {told}")


async def test_dead_deliveries_are_seen_replayed_and_arrive_as_what_they_were(
    librechat, watchers, moody, settings
):
    watcher = watchers(settings(moody.inbox))
    await watcher.start()
    await write(librechat, 0, 4)
    async with api(watcher) as client:
        seen = await until(client, "/api/overview", lambda told: told["counts"]["dead"] >= 1)
        assert any(each["state"] == "dead" for each in seen["attention"])
        page = (await client.get("/api/deliveries?state=dead&user=u0")).json()
        chosen = page["deliveries"][0]["id"]
        told = (await client.get(f"/api/deliveries/{chosen}")).json()
        assert told["attempts"][0]["status"] == 500
        assert WORDS not in str(told)
        failed = [receipt for receipt in moody.inbox.receipts if receipt.id == chosen]

        moody.mend()
        done = (await client.post("/api/deliveries/replay", json={"ids": [chosen]})).json()
        assert done["changed"] == 1
        await client.post("/api/endpoints/default/resume")  # rather than to wait for the next probe
        await until(client, f"/api/deliveries/{chosen}", lambda told: told["state"] == "delivered")
        assert await watcher.metric('watcher_deliveries_replayed_total{endpoint="default"}') == 1
        assert await watcher.metric('watcher_deliveries_cancelled_total{endpoint="default"}') == 0

    arrived = [receipt for receipt in moody.inbox.accepted if receipt.id == chosen]
    assert [receipt.body for receipt in arrived] == [failed[0].body]
    assert WORDS not in watcher.log


async def test_what_is_cancelled_while_its_endpoint_is_paused_never_arrives(
    librechat, watchers, receivers, settings
):
    inbox = await receivers()
    watcher = watchers(settings(inbox))
    await watcher.start()
    async with api(watcher) as client:
        await client.post("/api/endpoints/default/pause", json={"reason": "maintenance"})
        await watcher.until_logged("endpoint.paused")
        await write(librechat, 0, 6)
        await until(client, "/api/overview", lambda told: told["counts"]["pending"] == 6)
        asked = {"filter": {"conversation": "c1"}, "expected": 2}
        assert (await client.post("/api/deliveries/cancel", json=asked)).json()["changed"] == 2
        await client.post("/api/endpoints/default/resume")
        await inbox.until_accepted(4)
        told = await until(client, "/api/overview", lambda told: told["counts"]["pending"] == 0)

        assert told["counts"] == {"held": 0, "pending": 0, "delivered": 4, "dead": 0, "cancelled": 2}
        assert all(b'"c1"' not in receipt.body for receipt in inbox.receipts)
        ping = (await client.post("/api/endpoints/default/ping")).json()
        assert (ping["ok"], inbox.receipts[-1].signature_ok) == (True, True)


async def test_the_command_line_puts_right_what_a_run_holds(librechat, watchers, moody, settings):
    watcher = watchers(settings(moody.inbox))
    await watcher.start()
    await write(librechat, 0, 3)

    def deliveries(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "watcher", "deliveries", *words, "--config", str(watcher.config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async with api(watcher) as client:
        await until(client, "/api/overview", lambda told: told["counts"]["dead"] == 3)
        moody.mend()
        done = await asyncio.to_thread(deliveries, "replay", "--state", "dead", "--yes")
        assert done.returncode == 0, done.stderr
        await moody.inbox.until_accepted(3)
        await until(client, "/api/overview", lambda told: told["counts"]["delivered"] == 3)


async def test_page_and_api_lie_behind_a_proxy_under_a_path(librechat, watchers, receivers, settings):
    watcher = watchers(settings(await receivers()))
    await watcher.start()
    async with (
        proxied("/ops/watcher", watcher.port) as port,
        api(watcher, prefix="/ops/watcher", port=port) as client,
    ):
        page = (await client.get("/")).text
        for name in ("page.css", "page.js"):
            assert f'"./{name}"' in page
            assert (await client.get(f"/{name}")).status_code == 200
        assert (await client.get("/api/overview")).json()["ready"] is True


@asynccontextmanager
async def proxied(prefix: str, target: int) -> AsyncIterator[int]:
    """A reverse proxy that takes the path in front away, as nginx's `proxy_pass …/;` does."""
    async with ClientSession() as session:

        async def pass_on(request: web.Request) -> web.Response:
            url = f"http://127.0.0.1:{target}{str(request.rel_url).removeprefix(prefix)}"
            kept: Mapping[str, str] = {"Authorization": request.headers.get("Authorization", "")}
            async with session.request(
                request.method, url, headers=kept, data=await request.read()
            ) as answer:
                headers = {"Content-Type": answer.headers["Content-Type"]}
                return web.Response(status=answer.status, body=await answer.read(), headers=headers)

        app = web.Application()
        app.router.add_route("*", prefix + "/{rest:.*}", pass_on)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield port
        finally:
            await runner.cleanup()


async def test_that_mongodb_is_away_is_told_with_words_that_help(watchers, receivers, settings):
    inbox = await receivers()
    async with PrivateMongo() as mongo:
        made = settings(inbox)
        made["watcher"]["mongoUri"] = mongo.uri_of("LibreChat")
        watcher = watchers(made)
        await watcher.start()
        async with api(watcher) as client:
            assert (await client.get("/api/overview")).json()["attention"] == []
            mongo.kill9()

            told = await until(client, "/api/overview", lambda told: not told["ready"], seconds=30)

            assert any(each["part"] == "stream" and "MongoDB" in each["text"] for each in told["attention"])
            assert (await client.get("/api/deliveries")).status_code == 200, "the log is the state's"
