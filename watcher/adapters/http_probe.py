"""What `check` wants to know of a receiver: does its name resolve, does it listen, is its certificate good?
Nothing is posted."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from urllib.parse import urlsplit

from watcher.adapters.http_faults import fault

TIMEOUT_SECONDS = 5.0


async def reach(url: str) -> str | None:
    """Connect to the URL's host (with TLS for https) and hang up. None: it answers; else why not."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname, port, ssl=ssl.create_default_context() if secure else None
            )
    except TimeoutError:
        return f"timeout: nothing answered within {TIMEOUT_SECONDS:g} s"
    except OSError as error:
        return fault(error)
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await writer.wait_closed()
    return None
