"""What `check` wants to know of a receiver: does its name resolve, does it listen, is its certificate good,
does it take ours? By the same route as a delivery, and in the same words. Nothing is posted."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from watcher.adapters.http_faults import fault, files_fault
from watcher.adapters.http_line import Line, Progress, tls_objection
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
            secure = urlsplit(url).scheme == "https"
            objection = await tls_objection(progress, within=OBJECTION_SECONDS) if secure else None
        finally:
            connection.close()
        return None if objection is None else fault(objection)
    except Exception as error:
        if limit.expired():
            return f"timeout: {line.where(progress)} after {TIMEOUT_SECONDS:g} s"
        return await line.why(error, progress)
    finally:
        await line.close()
