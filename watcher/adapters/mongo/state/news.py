"""News: which endpoints have something new, also when another replica stored it.

A hint only: who waits looks for himself from time to time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from pymongo.errors import PyMongoError

from watcher.adapters.mongo.state.counting import APPENDED
from watcher.adapters.mongo.state.database import State
from watcher.cancelling import heed

AGAIN_SECONDS = 1.0
"""Before the stream is opened again that tells; what it would have told is found by looking meanwhile."""


class News:
    """Wakes who waits for deliveries of an endpoint."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)

    async def follow(self) -> None:
        """Tell, for ever, of what any replica appends."""
        telling: list[dict[str, Any]] = [
            {"$match": {"documentKey._id.hand": APPENDED, "documentKey._id.state": "pending"}},
            {"$project": {"documentKey": 1}},
        ]
        while True:
            with suppress(PyMongoError):
                async with await self._state["counts"].watch(telling) as stream:
                    async for change in stream:
                        heed()
                        self.tell([change["documentKey"]["_id"]["endpoint"]])
            heed()
            await asyncio.sleep(AGAIN_SECONDS)

    def tell(self, endpoints: Iterable[str]) -> None:
        for endpoint in endpoints:
            for news in self._waiting[endpoint]:
                if not news.done():
                    news.set_result(None)

    def expect(self, endpoint: str) -> asyncio.Future[None]:
        """Done as soon as the endpoint has something new. To be given back by `forget`."""
        news = asyncio.get_running_loop().create_future()
        self._waiting[endpoint].add(news)
        return news

    def forget(self, endpoint: str, news: asyncio.Future[None]) -> None:
        self._waiting[endpoint].discard(news)
