"""A real Chromium walks over the page of the real program: `walk.mjs` and `managing.mjs` tell each step."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.end_to_end.conftest import librechat, receivers, uri, watchers  # noqa: F401 (fixtures)
from tests.end_to_end.harness import SECRET, Inbox, free_port
from watcher.core.endpoints import Secret
from watcher.core.signing import signature
from watcher.receiver import Receiver

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TOKEN = "ein-Schlüssel-für-5-€"

Handler = Callable[[web.Request], Awaitable[web.Response]]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
    pytest.mark.skipif(
        not (HERE / "node_modules").is_dir(), reason="`make test-browser` installs what the walk needs"
    ),
]


@pytest.mark.timeout(300)
async def test_an_operator_finds_a_failing_receiver_and_puts_it_right(
    librechat,  # noqa: F811
    uri,  # noqa: F811
    watchers,  # noqa: F811
    receivers,  # noqa: F811
    tmp_path,
):
    healthy, refused = await receivers(), Inbox()
    failing = Receiver([Secret(key=SECRET.encode())], on_receipt=refused.take, fail=1.0, status=500)

    async def mend(_: web.Request) -> web.Response:
        failing._fail = 0.0
        return web.Response()

    async with failing, _answering({"": mend}) as control:
        watcher = watchers(
            {
                "webhooks": {
                    "url": healthy.url,
                    "secret": SECRET,
                    "endpoints": [{"name": "crm", "url": failing.url, "retries": 0}],
                },
                "watcher": {"mongoUri": uri, "http": {"token": TOKEN}},
            }
        )
        await watcher.start()
        for number in range(120):
            await librechat.messages.insert_one(_message(number))
        code, told = await _walk(
            "walk.mjs",
            BASE_URL=f"http://127.0.0.1:{watcher.port}/",
            TOKEN=TOKEN,
            FAILING="crm",
            HEALTHY="default",
            MEND_URL=control,
            SHOTS=str(tmp_path),
        )

    assert code == 0, told


@pytest.mark.timeout(300)
async def test_an_operator_makes_changes_and_drops_an_endpoint(
    librechat,  # noqa: F811
    uri,  # noqa: F811
    watchers,  # noqa: F811
    receivers,  # noqa: F811
    tmp_path,
):
    healthy, inbox = await receivers(), Inbox()
    webhooks = {"url": healthy.url, "secret": SECRET}
    old = {"name": "old", "url": f"http://127.0.0.1:{free_port()}/", "retryDelays": [600]}
    keyless = {"mongoUri": uri, "http": {"token": TOKEN}}
    keyed = {**keyless, "secretKey": "a key of more than thirty-two characters"}
    watcher = watchers({"webhooks": {**webhooks, "endpoints": [old]}, "watcher": dict(keyed)})
    numbers = itertools.count()

    async def write(_: web.Request) -> web.Response:
        await librechat.messages.insert_one(_message(next(numbers)))
        return web.Response()

    async def signed(request: web.Request) -> web.Response:
        given = {name.lower(): value for name, value in inbox.receipts[-1].headers.items()}
        secret = Secret(key=await request.read())
        is_signed = given["x-webhook-signature"] == signature(inbox.receipts[-1].body, secret)
        return web.Response(status=200 if is_signed and given["x-customer"] == "hidden-later" else 409)

    def starting_with(settings: dict[str, Any]) -> Handler:
        async def start(_: web.Request) -> web.Response:
            assert await watcher.stop() == 0
            watcher.configure({"webhooks": webhooks, "watcher": dict(settings)})
            await watcher.start()
            return web.Response()

        return start

    answers = {
        "write": write,
        "signed": signed,
        "restart": starting_with(keyed),
        "keyless": starting_with(keyless),
    }
    async with Receiver([], on_receipt=inbox.take) as receiver, _answering(answers) as control:
        await watcher.start()
        for _ in range(30):
            await librechat.messages.insert_one(_message(next(numbers)))
        await healthy.until_accepted(30)
        code, told = await _walk(
            "managing.mjs",
            BASE_URL=f"http://127.0.0.1:{watcher.port}/",
            TOKEN=TOKEN,
            RECEIVER=receiver.url,
            CONTROL=control,
            SHOTS=str(tmp_path),
        )

    assert code == 0, told


def _message(number: int) -> dict[str, Any]:
    return {
        "messageId": f"m{number}",
        "conversationId": f"c{number % 7}",
        "user": f"u{number % 3}",
        "text": f"words of somebody {number}",
        "isCreatedByUser": True,
    }


@asynccontextmanager
async def _answering(answers: Mapping[str, Handler]) -> AsyncIterator[str]:
    """Where the walk may ask for what only the test can do."""
    app, port = web.Application(), free_port()
    for path, answer in answers.items():
        app.router.add_post(f"/{path}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}/"
    finally:
        await runner.cleanup()


async def _walk(walk: str, **variables: str) -> tuple[int, str]:
    walking = await asyncio.create_subprocess_exec(
        "node",
        walk,
        cwd=HERE,
        env={**os.environ, "CHROMIUM": str(CHROMIUM), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await walking.communicate()
    return walking.returncode or 0, told.decode(errors="replace")
