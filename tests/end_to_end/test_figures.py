"""Figures outlive the program: a kill -9 costs them a minute at most, and a stop nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient

from tests.end_to_end.harness import SECRET, Watcher
from tests.end_to_end.test_cockpit import TOKEN, api, until, write

FIGURES = "/api/endpoints/default/figures"


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.long)])
def state(request: pytest.FixtureRequest, mongodb_uri: str) -> Any:
    """Where the state is; None: in a file beside the settings."""
    if request.param == "sqlite":
        yield {}
        return
    name = f"state_{uuid4().hex[:8]}"
    yield {"state": f"{mongodb_uri}{name}"}
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        client.drop_database(name)


@pytest.fixture
def settings(uri: str, state: dict[str, str]) -> Callable[[str], dict[str, Any]]:
    def make(url: str) -> dict[str, Any]:
        return {
            "webhooks": {"url": url, "secret": SECRET, "retries": 0},
            "watcher": {"mongoUri": uri, "http": {"token": TOKEN}, **state},
        }

    return make


async def numbers(watcher: Watcher) -> tuple[int, int]:
    async with api(watcher) as client:
        told = (await client.get(FIGURES)).json()["all"]
    return told["delivered"], told["failed"]


async def test_figures_outlive_the_program_and_are_added_to(librechat, watchers, receivers, settings):
    inbox = await receivers()
    watcher = watchers(settings(inbox.url))
    await watcher.start()
    await write(librechat, 0, 5)
    await inbox.until_accepted(5)
    assert await numbers(watcher) == (0, 0), "they are written once a minute"
    assert await watcher.stop() == 0

    await watcher.start()
    assert await numbers(watcher) == (5, 0), "what is left is written at the end"
    await watcher.kill9_and_start()
    await write(librechat, 5, 3)
    await inbox.until_accepted(8)
    assert await watcher.stop() == 0

    words = ["endpoints", "figures", "default", "--json", "--config", str(watcher.config)]
    shown = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "watcher", *words], capture_output=True, check=True
    )
    told = json.loads(shown.stdout)["byEvent"]["message.created"]
    assert (told["delivered"], told["failed"], told["success"]) == (8, 0, 1.0)
    assert 0 < told["p50Ms"] <= told["p99Ms"] < 5_000


@pytest.mark.long
@pytest.mark.timeout(
    240
)  # MongoDB keeps what a killed program had begun for a minute, and drops nothing meanwhile
async def test_a_kill_costs_a_minute_of_figures_at_most(librechat, watchers, receivers, settings):
    inbox = await receivers()
    watcher = watchers(settings(inbox.url))
    await watcher.start()
    await write(librechat, 0, 5)
    await inbox.until_accepted(5)
    async with api(watcher) as client:
        await until(client, FIGURES, lambda told: told["all"]["delivered"] == 5, seconds=65)

    await write(librechat, 5, 3)
    await inbox.until_accepted(8)
    await watcher.kill9_and_start()

    assert await numbers(watcher) == (5, 0)
