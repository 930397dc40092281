"""A real Chromium walks over the page of the real program: `walk.mjs` does, and tells each step."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.end_to_end.conftest import librechat, receivers, uri, watchers  # noqa: F401 (fixtures)
from tests.end_to_end.harness import SECRET, Inbox, free_port
from watcher.core.endpoints import Secret
from watcher.receiver import Receiver

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TOKEN = "ein-Schlüssel-für-5-€"

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

    app, port = web.Application(), free_port()
    app.router.add_post("/", mend)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with failing:
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
            BASE_URL=f"http://127.0.0.1:{watcher.port}/",
            TOKEN=TOKEN,
            FAILING="crm",
            HEALTHY="default",
            MEND_URL=f"http://127.0.0.1:{port}/",
            CHROMIUM=str(CHROMIUM),
            SHOTS=str(tmp_path),
        )
    await runner.cleanup()

    assert code == 0, told


def _message(number: int) -> dict[str, Any]:
    return {
        "messageId": f"m{number}",
        "conversationId": f"c{number % 7}",
        "user": f"u{number % 3}",
        "text": f"message {number}",
        "isCreatedByUser": True,
    }


async def _walk(**variables: str) -> tuple[int, str]:
    walking = await asyncio.create_subprocess_exec(
        "node",
        "walk.mjs",
        cwd=HERE,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await walking.communicate()
    return walking.returncode or 0, told.decode(errors="replace")
