"""The HTTP server: probes and scrapes for everybody, the page and the API for who has the token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from watcher.admin.access import HEADERS
from watcher.admin.desk import Desk
from watcher.admin.http.listening import listening
from watcher.admin.http.messages import Request, Response, as_json, failed
from watcher.admin.http.routes import Handler, Routes
from watcher.admin.readiness import Readiness
from watcher.errors import ConfigError, Problem, WatcherError

IS_OFF = (
    "the page and the API are off: no token is configured."
    " Set watcher.http.token (WATCHER_ADMIN_TOKEN) to a long random text, and start again."
)


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
    routes: Routes = Routes()
    api: Handler = _unknown
    for path, handler in (
        ("/livez", _livez),
        ("/readyz", _ready(readiness)),
        ("/metrics", _scraped(metrics)),
    ):
        for method in ("GET", "HEAD"):
            routes.add(method, path, handler)
    if desk is not None and desk.token is not None:
        # Shapes and their description are megabytes, and a tenth of a start: only for who has turned them on.
        from watcher.admin.api.serving import api_of
        from watcher.admin.pages import add_page

        add_page(routes)
        api = api_of(desk, desk.token)
    elif desk is not None:
        routes.add("GET", "/", _is_off)
        api = _is_off

    async def answer(request: Request) -> Response:
        found = routes.found(request)
        handler = api if request.segments[0] == "api" else found.handler or _unknown
        try:
            return await handler(request, found.filled)
        except WatcherError as error:
            return failed(503, str(error))
        except Exception as error:
            # The type only: what went wrong with our own code may quote anything.
            return failed(500, f"internal: {type(error).__name__}")

    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(listening(host, port, answer, headers=HEADERS))
        except OSError as error:
            raise ConfigError([_cannot_listen(host, port, error)]) from error
        yield


async def _livez(request: Request, _: str) -> Response:
    return Response(body=b"ok\n")


def _ready(readiness: Callable[[], Readiness]) -> Handler:
    async def readyz(request: Request, _: str) -> Response:
        state = readiness()
        parts = {name: {"ready": part.ready, "says": part.says} for name, part in state.parts.items()}
        return as_json({"ready": state.ready, "parts": parts}, status=200 if state.ready else 503)

    return readyz


def _scraped(metrics: Callable[[], Awaitable[tuple[bytes, str]]]) -> Handler:
    async def scrape(request: Request, _: str) -> Response:
        body, content_type = await metrics()
        return Response(body=body, content_type=content_type)

    return scrape


async def _is_off(request: Request, _: str) -> Response:
    return failed(404, IS_OFF)


async def _unknown(request: Request, _: str) -> Response:
    return failed(404, "not found")


def _cannot_listen(host: str, port: int, error: OSError) -> Problem:
    return Problem(
        where="watcher.http.listen",
        what=f"cannot listen on {host}:{port}: {error.strerror or error}",
        cure="Choose a free port, or an address of this machine (WATCHER_HTTP=127.0.0.1:8686).",
    )
