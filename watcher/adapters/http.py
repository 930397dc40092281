"""The Sender on aiohttp: one POST, one Outcome. Law: whatever a receiver does comes back as a value.

Each endpoint has connections of its own, so that none waits for another's. How many requests may be in
flight is counted by the dispatcher; there is no second limit here."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

from aiohttp import (
    AddrInfoType,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from watcher.adapters.http_faults import cut_unanswered, fault
from watcher.adapters.resolver import PatientResolver
from watcher.core.outcomes import Answered, Outcome, Unreachable
from watcher.core.requests import Request

IDLE_SECONDS = 4.0  # below the 5 s of Node and uvicorn: a connection taken up again is seldom a dead one
ANSWER_BYTES = 16_384  # read only so that the connection can carry the next request; errors fit in it
ANSWER_TIME = timedelta(seconds=1)  # a slot is worth more than a connection kept
LONGEST_WAIT = timedelta(days=365)  # keeps any `Retry-After` inside what a datetime can hold


class AiohttpSender:
    """Sends requests until its `async with` block ends; then every connection is closed."""

    def __init__(
        self, *, ssl_context: ssl.SSLContext | None = None, wall: Callable[[], datetime] | None = None
    ) -> None:
        self._ssl = ssl_context or _trusting_the_system()
        self._wall = wall or (lambda: datetime.now(UTC))
        self._lines: dict[str, _Line] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._lines:
            _, line = self._lines.popitem()
            await line.close()

    async def send(self, request: Request, *, on_written: Callable[[], object] = lambda: None) -> Outcome:
        """POST the request once: no redirect followed, whole attempt within its timeout.

        Never raises for what a receiver or the network does. Cancelling it cuts the attempt."""
        line = self._line(request.endpoint)
        progress = _Progress(on_written)
        deadline = asyncio.get_running_loop().time() + request.timeout.total_seconds()
        try:
            async with asyncio.timeout_at(deadline) as limit:
                response = await _ask(line, request, progress)
        except Exception as error:
            if limit.expired():
                where = _where(line, progress)
                return Unreachable(reason=f"timeout: {where} after {request.timeout.total_seconds():g} s")
            return Unreachable(reason=fault(error))

        try:
            await _finish(response, deadline)
        finally:
            response.close()  # nothing, when all of it was read: then the connection is back in the pool
        return Answered(
            status=response.status,
            retry_after=retry_after(
                response.headers.get("Retry-After"), date=response.headers.get("Date"), now=self._wall()
            ),
            # Latin-1 can decode whatever came, and what it gives can be printed and stored.
            headers=tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers
            ),
        )

    def _line(self, endpoint: str) -> _Line:
        line = self._lines.get(endpoint)
        if line is None:
            line = self._lines[endpoint] = _Line(self._ssl)
        return line


def retry_after(value: str | None, *, date: str | None, now: datetime) -> timedelta | None:
    """The span that a `Retry-After` header (RFC 9110 §10.2.3) asks for; None when it says nothing usable.

    A date is taken relative to the receiver's own clock (`Date`) where it told it, else to `now`.

    >>> retry_after("120", date=None, now=datetime.now(UTC))
    datetime.timedelta(seconds=120)
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        # Ten digits are three centuries; int() refuses to read more than 4300 of them.
        return LONGEST_WAIT if len(text) > 9 else min(timedelta(seconds=int(text)), LONGEST_WAIT)
    until = _http_date(text)
    if until is None:
        return None
    since = (_http_date(date) if date else None) or now
    return max(timedelta(0), min(until - since, LONGEST_WAIT))


class _Line:
    """The connections to one endpoint."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.resolver = PatientResolver()
        self.kept = _session(_Connector(ssl=context, resolver=self.resolver, keepalive_timeout=IDLE_SECONDS))
        self.fresh = _session(_Connector(ssl=context, resolver=self.resolver, force_close=True))

    async def close(self) -> None:
        await self.kept.close()
        await self.fresh.close()


@dataclass(slots=True)
class _Progress:
    """How far an attempt got."""

    on_written: Callable[[], object]
    opened: bool = False
    """A connection of its own was begun; else it came from the pool."""
    connected: bool = False


_progress: ContextVar[_Progress] = ContextVar("_progress")


class _Connector(TCPConnector):
    """Connections without a limit, which note their part in the attempt's progress.

    aiohttp's tracing would tell as much, and cost a fifth of the request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(limit=0, socket_factory=_open, **options)

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        connection = await super().connect(req, traces, timeout)
        progress = _progress.get()
        progress.connected = True
        progress.on_written()
        return connection


def _open(address: AddrInfoType) -> socket.socket:
    _progress.get().opened = True
    family, kind, protocol, *_ = address
    return socket.socket(family, kind, protocol)


async def _ask(line: _Line, request: Request, progress: _Progress) -> ClientResponse:
    _progress.set(progress)
    try:
        return await _post(line.kept, request)
    except Exception as error:
        if progress.opened or not cut_unanswered(error):
            raise

    # The receiver closed an idle connection just as it was used: its right, and no failure. It may have
    # read the request, so it may get it twice, with the same id. Once only, and not on a pooled
    # connection, which may be as dead: a receiver that dies of this request must not be fed it again.
    progress.connected = False
    return await _post(line.fresh, request)


async def _post(session: ClientSession, request: Request) -> ClientResponse:
    return await session.post(
        _url(request.url),
        data=request.body,
        headers=request.headers,
        allow_redirects=False,
    )


def _url(text: str) -> URL:
    # Taken as written where that can go over the wire: yarl would turn the `%2F` of a signed query into `/`.
    return URL(text, encoded=text.isascii() and " " not in text)


async def _finish(response: ClientResponse, deadline: float) -> None:
    """Read the answer to its end, so that the connection can be reused; leave a long or slow one."""
    content = response.content
    if content.at_eof():
        return
    until = min(deadline, asyncio.get_running_loop().time() + ANSWER_TIME.total_seconds())
    room = ANSWER_BYTES
    with suppress(Exception):  # the status has come, and decides: how the rest ends does not matter
        async with asyncio.timeout_at(until):
            while room > 0 and (chunk := await content.readany()):
                room -= len(chunk)


def _where(line: _Line, progress: _Progress) -> str:
    if progress.connected:
        return "connected, but no answer"
    return "still looking up the host name" if line.resolver.busy else "still connecting"


def _session(connector: TCPConnector) -> ClientSession:
    return ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(),  # none of aiohttp's own: one deadline covers the attempt
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
        read_bufsize=ANSWER_BYTES,
    )


def _trusting_the_system() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date if date.tzinfo else date.replace(tzinfo=UTC)  # the asctime form has no zone
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
