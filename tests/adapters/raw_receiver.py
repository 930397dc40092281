"""Receivers made of bare sockets, for whatever behaviour a test gives them; and requests to send there."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from watcher.adapters.http.sender import HttpSender
from watcher.core.outcomes import Outcome, Unreachable
from watcher.core.requests import Request

TOKEN = "tok3n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Connection:
    """The receiver's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    requests: list[bytes]

    async def request(self) -> bytes | None:
        """The next request, head and body; None when the sender has closed."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            request = head + await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self.requests.append(request)
        return request

    async def say(self, answer: bytes) -> None:
        self.writer.write(answer)
        await self.writer.drain()

    async def closed_by_sender(self) -> None:
        """Return when the sender's end is closed."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass


@dataclass
class RawReceiver:
    """What a receiver saw."""

    url: str
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    gone: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    """Numbers of connections whose behaviour has ended."""


Behaviour = Callable[[Connection], Awaitable[None]]


@asynccontextmanager
async def receiving(behave: Behaviour, context: ssl.SSLContext | None = None) -> AsyncIterator[RawReceiver]:
    handlers: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        receiver.connections += 1
        number = receiver.connections
        try:
            await behave(Connection(reader, writer, number, receiver.requests))
        except (ConnectionError, asyncio.CancelledError):
            pass  # cancelled at the end of the test: asyncio's server would tell of it as of a failure
        finally:
            writer.close()
            handlers.discard(task)
            receiver.gone.put_nowait(number)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    scheme = "https" if context else "http"
    receiver = RawReceiver(url=f"{scheme}://localhost:{port}/hook?token={TOKEN}")
    try:
        yield receiver
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


def saying(answer: bytes, *, close: bool = False) -> Behaviour:
    """Answers every request with these bytes."""

    async def behave(connection: Connection) -> None:
        while await connection.request() is not None:
            await connection.say(answer)
            if close:
                return

    return behave


async def hanging(connection: Connection) -> None:
    await connection.request()
    await connection.closed_by_sender()


def a_request(url: str, *, endpoint: str = "crm", timeout: float = 3.0, **changes: Any) -> Request:
    headers = (
        ("Content-Type", "application/json"),
        ("User-Agent", "LibreChat-Webhooks/1.0"),
        ("X-Key", TOKEN),
    )
    whole: dict[str, Any] = {"headers": headers, "body": b'{"event":"message.created"}', **changes}
    return Request(endpoint=endpoint, url=url, timeout=timedelta(seconds=timeout), **whole)


async def outcome_of(behave: Behaviour, *, timeout: float = 3.0, **changes: Any) -> Outcome:
    async with receiving(behave) as receiver, HttpSender() as sender:
        return await sender.send(a_request(receiver.url, timeout=timeout, **changes))


def reason(outcome: Outcome) -> str:
    assert isinstance(outcome, Unreachable)
    assert TOKEN not in outcome.reason
    return outcome.reason


Law = Callable[[], Coroutine[Any, Any, None]]


def laws_in(module: Mapping[str, Any]) -> list[Law]:
    """The asynchronous tests of a module."""
    return [
        value
        for name, value in module.items()
        if name.startswith("test_") and inspect.iscoroutinefunction(value)
    ]


def named(law: Law) -> str:
    return getattr(law, "__name__", "law").removeprefix("test_")
