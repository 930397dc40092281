"""The primary: who it is by what the driver hears, and how to leave one that has fallen silent.

A primary that froze, or that the network cut off without a word, keeps its connections. The driver gives them
up when a heartbeat times out; but the others may have elected a new one long before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pymongo.errors import NetworkTimeout
from pymongo.server_type import SERVER_TYPE

from watcher.adapters.mongo.connect import Client

Address = tuple[str, int | None]

LOOK_SECONDS = 0.5
"""How often to look while an answer is awaited. An empty answer of the stream takes about as long."""


def primary_of(client: Client) -> Address | None:
    """The primary that the driver knows of; None during an election, or behind mongos."""
    for address, server in client.topology_description.server_descriptions().items():
        if server.server_type == SERVER_TYPE.RSPrimary:
            return address
    return None


@asynccontextmanager
async def asking_the_primary(client: Client) -> AsyncIterator[None]:
    """Wait for an answer inside, for as long as whom we ask may be the primary.

    Raises NetworkTimeout when another member is."""
    limit = asyncio.timeout(None)
    watch = _Watch(client, limit)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise NetworkTimeout("silent, and another member is the primary now") from error
    finally:
        watch.end()


class _Watch:
    """Ends the time limit when there is another primary than at the beginning."""

    def __init__(self, client: Client, limit: asyncio.Timeout) -> None:
        self._client = client
        self._limit = limit
        self._asked = primary_of(client)
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_later(LOOK_SECONDS, self._look)

    def end(self) -> None:
        self._next.cancel()

    def _look(self) -> None:
        primary = primary_of(self._client)
        self._asked = self._asked or primary
        if primary in (None, self._asked):
            self._next = self._loop.call_later(LOOK_SECONDS, self._look)
        else:
            self._limit.reschedule(self._loop.time())
