"""What `check` wants to know of a receiver: does its name resolve, does it listen, is its certificate good,
does it take ours? By the same route as a delivery, and in the same words. Nothing is posted."""

from __future__ import annotations

import asyncio
import ssl

from aiohttp.connector import Connection

from watcher.adapters.http_faults import fault, files_fault
from watcher.adapters.http_line import Line, Progress
from watcher.adapters.tls import context_of
from watcher.core.routes import DIRECT, Route

TIMEOUT_SECONDS = 5.0
OBJECTION_SECONDS = 0.5  # a round trip: with TLS 1.3 a missing certificate is told after the handshake


async def reach(url: str, route: Route) -> str | None:
    """Connect to the URL's host (with TLS for https) and hang up. None: it answers; else why not."""
    try:
        line = Line(route, system=context_of(DIRECT.tls))
    except OSError as error:
        return files_fault(error)

    progress = Progress()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS) as limit:
            connection = await line.connect(url, progress)
        try:
            return await _objection(connection)
        finally:
            connection.close()
    except Exception as error:
        if limit.expired():
            return f"timeout: {line.where(progress)} after {TIMEOUT_SECONDS:g} s"
        return line.why(error, progress)
    finally:
        await line.close()


async def _objection(connection: Connection) -> str | None:
    """What TLS says against us when the handshake is done."""
    protocol = connection.protocol
    closed = None if protocol is None else protocol.closed
    if (
        closed is None
        or connection.transport is None
        or not connection.transport.get_extra_info("ssl_object")
    ):
        return None
    await asyncio.wait({closed}, timeout=OBJECTION_SECONDS)
    error = closed.exception() if closed.done() else None
    if error is not None and isinstance(error.__cause__, ssl.SSLError):
        return fault(error)
    return None
