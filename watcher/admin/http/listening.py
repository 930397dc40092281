"""Listening: an address is served for as long as an `async with` lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from watcher.admin.http.connection import Connection, Handler

PARTING_SECONDS = 1.0
"""What answers that are under way may take at the end."""


@asynccontextmanager
async def listening(
    host: str, port: int, handler: Handler, *, headers: Mapping[str, str]
) -> AsyncIterator[None]:
    """`headers`: of every answer. `handler`: never raises.

    Raises OSError when the address is not to be had."""
    connections: dict[Connection, None] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(handler, headers, connections), host, port)
    try:
        yield
    finally:
        server.close()
        if answering := [task for each in list(connections) if (task := each.end()) is not None]:
            await asyncio.wait(answering, timeout=PARTING_SECONDS)
        for each in list(connections):
            each.abort()
