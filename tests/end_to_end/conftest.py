"""Fixtures of the end-to-end tests: receivers, watchers and LibreChat's database; all end with the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.end_to_end.harness import SECRET, Inbox, Watcher
from watcher.core.endpoints import Secret
from watcher.receiver import Receiver


@pytest.fixture
async def receivers() -> AsyncIterator[Callable[..., Any]]:
    """Open receivers: `inbox = await receivers(fail=0.2, delay=...)`."""
    async with AsyncExitStack() as stack:

        async def open_one(**options: Any) -> Inbox:
            inbox = Inbox()
            receiver = await stack.enter_async_context(
                Receiver([Secret(key=SECRET.encode())], on_receipt=inbox.take, **options)
            )
            inbox.url = receiver.url
            return inbox

        yield open_one


@pytest.fixture
def watchers(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Watcher]]:
    """Make watchers; whatever still runs at the end of the test is killed."""
    made: list[Watcher] = []

    def make(settings: dict[str, Any]) -> Watcher:
        folder = tmp_path / f"watcher{len(made)}"
        folder.mkdir()
        made.append(Watcher(folder, settings))
        return made[-1]

    yield make
    for watcher in made:
        if watcher.process and watcher.process.poll() is None:
            watcher.kill9()


@pytest.fixture
async def librechat(mongo_client: AsyncMongoClient[dict[str, Any]], database: str) -> Any:
    """LibreChat's database, with its collections and their pre-images on."""
    db = mongo_client[database]
    for name in ("conversations", "messages", "users", "sessions", "agents", "files"):
        await db.create_collection(name, changeStreamPreAndPostImages={"enabled": True})
    return db


@pytest.fixture
def librechat_without_images(mongo_client: AsyncMongoClient[dict[str, Any]], database: str) -> Any:
    """LibreChat's database as it comes: nobody ran `prepare`."""
    return mongo_client[database]


@pytest.fixture
def uri(mongodb_uri: str, database: str) -> str:
    return f"{mongodb_uri}{database}"
