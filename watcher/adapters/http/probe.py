"""What `check` wants to know of a receiver: does its name resolve, does it listen, is its certificate good,
does it take ours? By the same route as a delivery, and in the same words. Nothing is posted."""

from __future__ import annotations

import asyncio
import ssl

from watcher.adapters.http.connecting import Connector, Progress
from watcher.adapters.http.faults import Late, fault, files_fault
from watcher.adapters.http.heads import origin_of
from watcher.adapters.http.resolver import PatientResolver
from watcher.core.routes import Route

TIMEOUT_SECONDS = 5.0
OBJECTION_SECONDS = 0.5  # a round trip: with TLS 1.3 a missing certificate is told after the handshake


async def reach(url: str, route: Route) -> str | None:
    """Connect to the URL's host (with TLS for https) and hang up. None: it answers; else why not."""
    try:
        connector = Connector(route, resolver=PatientResolver())
    except OSError as error:
        return files_fault(error)

    progress = Progress(proxied=route.proxy is not None)
    deadline = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
    try:
        async with asyncio.timeout_at(deadline) as limit:
            origin = origin_of(url)
            connection = await connector.open(origin, deadline, progress)
    except Exception as error:
        if limit.expired() or isinstance(error, Late):
            return f"timeout: {progress.where} after {TIMEOUT_SECONDS:g} s"
        return progress.why(error)

    try:
        objection = await connection.objection(within=OBJECTION_SECONDS) if origin.secure else None
    finally:
        connection.abort()
    return fault(objection) if isinstance(objection, ssl.SSLError) else None
