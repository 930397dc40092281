"""The HTTP server: probes and scrapes for everybody, the page and the API for who has the token."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from watcher.admin.access import HEADERS
from watcher.admin.answers import IS_OFF, failed
from watcher.admin.desk import Desk
from watcher.admin.readiness import Readiness
from watcher.errors import ConfigError, Problem, WatcherError

LARGEST_BODY = 256 * 1024
"""A thousand ids fit in it."""

LONGEST_LINE = 256 * 1024
"""Of a request: the longest query that the API takes fits in it."""

_IS_OF_PAGE_OR_API = re.compile(r"/|/api(/.*)?", re.DOTALL)

MUTE = logging.getLogger("watcher.admin.server")
"""For aiohttp: of a malformed request it would log the client's own bytes, with any secret in them."""
MUTE.disabled = True


@asynccontextmanager
async def serving(
    host: str,
    port: int,
    *,
    readiness: Callable[[], Readiness],
    metrics: Callable[[], Awaitable[tuple[bytes, str]]],
    desk: Desk | None = None,
) -> AsyncIterator[None]:
    """Serve while the `async with` lasts. `metrics` gives a body and its content type. `desk`: what the page
    and the API work on.

    Raises ConfigError when the address cannot be listened on."""

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        state = readiness()
        document = {
            "ready": state.ready,
            "parts": {name: {"ready": part.ready, "says": part.says} for name, part in state.parts.items()},
        }
        return web.json_response(document, status=200 if state.ready else 503)

    async def scrape(_: web.Request) -> web.Response:
        try:
            body, content_type = await metrics()
        except WatcherError as error:
            return web.json_response({"error": str(error)}, status=503)
        except Exception as error:
            # The type only: what went wrong with our own code may quote anything.
            return web.json_response({"error": f"internal: {type(error).__name__}"}, status=500)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def unknown(request: web.Request) -> web.Response:
        off = desk is not None and desk.token is None and _IS_OF_PAGE_OR_API.fullmatch(request.path)
        return failed(404, IS_OFF if off else "not found")

    app = web.Application(client_max_size=LARGEST_BODY)
    app.on_response_prepare.append(_add_headers)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", scrape)
    if desk is not None and desk.token is not None:
        # Shapes and their description are megabytes, and a tenth of a start: only for who has turned them on.
        from watcher.admin.api.serving import add_api
        from watcher.admin.pages import add_page

        add_api(app, desk, desk.token)
        add_page(app)
    app.router.add_route("*", "/{path:.*}", unknown)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=MUTE,
        shutdown_timeout=1.0,
        max_line_size=LONGEST_LINE,
        # A gigabyte of zeros, packed in a megabyte, would keep the whole program busy for a second.
        auto_decompress=False,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigError([_cannot_listen(host, port, error)]) from error
        yield
    finally:
        await runner.cleanup()


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _cannot_listen(host: str, port: int, error: OSError) -> Problem:
    return Problem(
        where="watcher.http.listen",
        what=f"cannot listen on {host}:{port}: {error.strerror or error}",
        cure="Choose a free port, or an address of this machine (WATCHER_HTTP=127.0.0.1:8686).",
    )
