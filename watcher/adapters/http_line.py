"""A Line: the connections to one endpoint, all made as its route says.

Law: no connection of one route serves a request of another, and none goes where the route forbids."""

from __future__ import annotations

import asyncio
import base64
import functools
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from aiohttp import AddrInfoType, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from watcher.adapters.http_answer import BoundedAnswer
from watcher.adapters.http_faults import PrivateAddress, cut_unanswered, fault, proxy_fault
from watcher.adapters.resolver import PatientResolver
from watcher.adapters.tls import context_of
from watcher.core.addresses import is_private
from watcher.core.requests import USER_AGENT, Request
from watcher.core.routes import DIRECT, Proxy, Route

IDLE_SECONDS = 4.0  # below the 5 s of Node and uvicorn: a connection taken up again is seldom a dead one
OBJECTION_SECONDS = 0.1  # the alert has come already where the connection was cut because of it
ANSWER_BYTES = 16_384  # read only so that the connection can carry the next request; errors fit in it


@dataclass(slots=True)
class Progress:
    """How far an attempt got."""

    on_written: Callable[[], object] = lambda: None
    opened: bool = False
    """A connection of its own was begun; else it came from the pool."""
    reached: bool = False
    """TCP has connected us; TLS may still be to come."""
    tunnelled: bool = False
    """The proxy has connected us: what comes now is the receiver's."""
    connected: bool = False
    answer: ResponseHandler | None = None
    """What reads the answer, once connected."""

    @property
    def blemish(self) -> str:
        """What is wrong with an answer that was read to its end."""
        return self.answer.blemish if isinstance(self.answer, BoundedAnswer) else ""


class Line:
    """Connections, opened as they are needed. Raises OSError when the files of its TLS cannot be used."""

    def __init__(self, route: Route, *, system: ssl.SSLContext) -> None:
        """`system`: the context of a plain route, one for all lines."""
        self.route = route
        self._resolver = PatientResolver()
        connector = functools.partial(
            _Connector,
            route,
            # Files are read here, in the event loop: milliseconds, once for each change of them.
            ssl=system if route.tls == DIRECT.tls else context_of(route.tls),
            system=system,
            resolver=self._resolver,
        )
        self._kept_connector = connector(keepalive_timeout=IDLE_SECONDS)
        self._kept = _session(self._kept_connector)
        self._fresh = _session(connector(force_close=True))
        self._proxy = None if route.proxy is None else URL(route.proxy.url)
        self._authorization = None if route.proxy is None else _authorization(route.proxy)
        self._users = 0
        self._left = False

    def enter(self) -> None:
        """A request begins to use it; `leave` must follow."""
        self._users += 1

    async def leave(self) -> None:
        self._users -= 1
        await self._close_when_unused()

    async def retire(self) -> None:
        """No request will begin to use it any more; those that do end as ever."""
        self._left = True
        await self._close_when_unused()

    async def close(self) -> None:
        await self._kept.close()
        await self._fresh.close()

    async def ask(self, request: Request, progress: Progress) -> ClientResponse:
        """The answer, as soon as its status and headers are there."""
        _progress.set(progress)
        try:
            return await self._post(self._kept, request)
        except Exception as error:
            if progress.opened or not cut_unanswered(error):
                raise

        # The receiver closed an idle connection just as it was used: its right, and no failure. It may have
        # read the request, so it may get it twice, with the same id. Once only, and not on a pooled
        # connection, which may be as dead: a receiver that dies of this request must not be fed it again.
        progress.connected = progress.tunnelled = progress.reached = False
        return await self._post(self._fresh, request)

    async def connect(self, url: str, progress: Progress) -> Connection:
        """A connection on which nothing was asked yet."""
        _progress.set(progress)
        target = _url(url)
        request = ClientRequest(
            "POST",
            target,
            loop=asyncio.get_running_loop(),
            proxy=self._proxy,
            proxy_headers=self._proxy_headers(target),
        )
        return await self._kept_connector.connect(request, [], ClientTimeout())

    async def why(self, error: Exception, progress: Progress) -> str:
        """The reason for an `Unreachable`."""
        if self._is_with_the_proxy(progress):
            return proxy_fault(error)
        objection = await tls_objection(progress, within=OBJECTION_SECONDS) if cut_unanswered(error) else None
        return fault(objection or error)

    def where(self, progress: Progress) -> str:
        """How far an attempt got that took too long."""
        if progress.connected:
            begun = isinstance(progress.answer, BoundedAnswer) and progress.answer.begun
            return "connected, but the answer's headers did not end" if begun else "connected, but no answer"
        if self._resolver.busy:
            return "still looking up the host name" + (" of the proxy" if self._proxy else "")
        if self._is_with_the_proxy(progress):
            return "still waiting for the proxy"
        return "connected, but TLS was not answered" if progress.reached else "still connecting"

    def _is_with_the_proxy(self, progress: Progress) -> bool:
        return self._proxy is not None and not (progress.tunnelled or progress.connected)

    async def _post(self, session: ClientSession, request: Request) -> ClientResponse:
        url, headers = _url(request.url), request.headers
        if self._authorization is not None and url.scheme == "http":
            # Without a tunnel the request itself is what the proxy reads.
            headers = (*headers, ("Proxy-Authorization", self._authorization))
        return await session.post(
            url,
            data=request.body,
            headers=headers,
            allow_redirects=False,
            proxy=self._proxy,
            proxy_headers=self._proxy_headers(url),
        )

    def _proxy_headers(self, url: URL) -> dict[str, str] | None:
        """What goes with CONNECT; None without a tunnel."""
        if self._proxy is None or url.scheme == "http":
            return None
        authorization = {"Proxy-Authorization": self._authorization} if self._authorization else {}
        return {"User-Agent": USER_AGENT, **authorization}

    async def _close_when_unused(self) -> None:
        if self._left and not self._users:
            await self.close()


async def tls_objection(progress: Progress, *, within: float) -> ssl.SSLError | None:
    """What TLS says against us after the handshake, as TLS 1.3 does of a missing certificate.

    It ends the connection. What is being written then fails first, and does not know why."""
    if not isinstance(progress.answer, BoundedAnswer):
        return None
    ended = progress.answer.ended
    await asyncio.wait({ended}, timeout=within)
    error = ended.result() if ended.done() else None
    return error if isinstance(error, ssl.SSLError) else None


_progress: ContextVar[Progress] = ContextVar("_progress")


class _Connector(TCPConnector):
    """Connections without a limit, which note their part in the attempt's progress.

    aiohttp's tracing would tell as much, and cost a fifth of the request."""

    def __init__(self, route: Route, *, system: ssl.SSLContext, **options: Any) -> None:
        super().__init__(limit=0, socket_factory=_open_public if route.deny_private else _open, **options)
        self._system = system
        self._proxied = route.proxy is not None
        self._factory = functools.partial(_answer, self._loop)

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        connection = await super().connect(req, traces, timeout)
        progress = _progress.get()
        progress.connected, progress.answer = True, connection.protocol
        try:
            progress.on_written()
        except asyncio.CancelledError:
            connection.release()  # nothing was written on it
            raise
        return connection

    def _get_ssl_context(self, req: ClientRequest) -> ssl.SSLContext | None:
        if self._proxied and req.proxy is None:
            # The request to the proxy itself: aiohttp would trust it by the receiver's authority, and show it
            # our certificate.
            return self._system if req.is_ssl() else None
        _progress.get().tunnelled = True
        return super()._get_ssl_context(req)


def _answer(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    _progress.get().reached = True
    return BoundedAnswer(loop)


def _open(address: AddrInfoType) -> socket.socket:
    _progress.get().opened = True
    family, kind, protocol, *_ = address
    return socket.socket(family, kind, protocol)


def _open_public(address: AddrInfoType) -> socket.socket:
    """Judges the very address that is connected to next: no name is looked up in between."""
    if is_private(str(address[4][0])):
        raise PrivateAddress
    return _open(address)


def _url(text: str) -> URL:
    # Taken as written where that can go over the wire: yarl would turn the `%2F` of a signed query into `/`.
    return URL(text, encoded=text.isascii() and " " not in text)


def _authorization(proxy: Proxy) -> str | None:
    if proxy.user is None:
        return None
    return "Basic " + base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()


def _session(connector: TCPConnector) -> ClientSession:
    return ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(),  # none of aiohttp's own: one deadline covers the attempt
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
        read_bufsize=ANSWER_BYTES,
    )
