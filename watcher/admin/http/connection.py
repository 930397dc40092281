"""One connection: its requests are answered in their order, one at a time.

Nobody holds one for nothing: who sends no whole request, or takes no answer, is left after a while."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import cast

from watcher.admin.http.messages import Request, Response, failed
from watcher.admin.http.parsing import Parser, Refused

Handler = Callable[[Request], Awaitable[Response]]

PATIENCE_SECONDS = 60.0
"""For a whole request, after the connection was made or the last answer given, and for an answer to be taken.
Probes and scrapes, which come more often, keep their connections."""

MOST_CONNECTIONS = 100
"""Held at once: a page has six, probes and scrapes one or two each. When one more comes, the oldest on which
nothing is being answered is left: who asks is not kept out by those who do not."""

LINGER_SECONDS = 1.0
"""How long what a refused client still sends is thrown away: closed at once, the system would throw away our
answer with it."""


class Connection(asyncio.Protocol):
    """Of one client."""

    _transport: asyncio.Transport
    _parser: Parser
    _deadline: asyncio.TimerHandle

    def __init__(
        self, handler: Handler, headers: Mapping[str, str], open_ones: dict[Connection, None]
    ) -> None:
        """`headers`: of every answer. `open_ones`: it is in there for as long as it is open; the oldest is
        the first."""
        self._handler = handler
        self._headers = headers
        self._open_ones = open_ones
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._refused: Refused | None = None
        self._answering: asyncio.Task[None] | None = None
        self._ending = False
        self._is_taken = asyncio.Event()
        """What was written, but for what fits the transport's buffer."""
        self._is_taken.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        peer = transport.get_extra_info("peername")
        self._parser = Parser(str(peer[0]) if peer else "", take=self._take, go_on=self._go_on)
        self._leave_in(PATIENCE_SECONDS)
        self._open_ones[self] = None
        if len(self._open_ones) > MOST_CONNECTIONS:
            idle = next(each for each in self._open_ones if each._answering is None)
            del self._open_ones[idle]
            idle.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_ones.pop(self, None)
        self._deadline.cancel()
        self._is_taken.set()

    def pause_writing(self) -> None:
        self._is_taken.clear()

    def resume_writing(self) -> None:
        self._is_taken.set()

    def data_received(self, data: bytes) -> None:
        if self._refused is not None or self._ending:
            return
        try:
            self._parser.feed(data)
        except Refused as refused:
            self._refused = refused
        if self._answering is None and (self._waiting or self._refused):
            self._deadline.cancel()
            # What comes meanwhile waits on the wire, and not here.
            self._transport.pause_reading()
            self._answering = asyncio.get_running_loop().create_task(self._answer())

    def end(self) -> asyncio.Task[None] | None:
        """Nothing more is asked; what was is answered by the task."""
        self._ending = True
        if self._answering is None:
            self._transport.close()
        return self._answering

    def abort(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
        self._transport.abort()

    def _take(self, request: Request, keeps: bool) -> None:
        self._waiting.append((request, keeps))

    def _go_on(self) -> None:
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _answer(self) -> None:
        try:
            await self._answer_waiting()
        except BaseException:
            self._transport.abort()  # nobody else would: without a deadline, and unread
            raise

    async def _answer_waiting(self) -> None:
        keeps = True
        while self._waiting and keeps and not self._transport.is_closing():
            request, keeps = self._waiting.popleft()
            response = await self._handler(request)
            keeps = keeps and not self._ending
            self._write(response, keeps=keeps, bare=request.method == "HEAD")
            self._leave_in(PATIENCE_SECONDS)
            await self._is_taken.wait()
            # Thousands of requests fit in what comes at once, and the loop has more to do than these.
            await asyncio.sleep(0)
            self._deadline.cancel()
        self._answering = None
        if self._transport.is_closing():
            return
        if not keeps:
            self._transport.close()
            self._leave_in(PATIENCE_SECONDS)  # what the buffer holds may never be taken
        elif self._refused is not None:
            self._write(failed(self._refused.status, str(self._refused)), keeps=False)
            with suppress(OSError):  # it was reset meanwhile
                self._transport.write_eof()
            self._transport.resume_reading()
            self._leave_in(LINGER_SECONDS)
        else:
            self._transport.resume_reading()
            self._leave_in(PATIENCE_SECONDS)

    def _write(self, response: Response, *, keeps: bool, bare: bool = False) -> None:
        if self._transport.is_closing():
            return
        headers = {
            "Content-Type": response.content_type,
            "Content-Length": str(len(response.body)),
            "Date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
            **({} if keeps else {"Connection": "close"}),
            **self._headers,
            **response.headers,
        }
        told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n{told}\r\n".encode(
            "latin-1"
        )
        self._transport.write(head if bare else head + response.body)

    def _leave_in(self, seconds: float) -> None:
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)
