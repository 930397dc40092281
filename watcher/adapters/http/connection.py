"""A Connection: one request at a time, one answer each, no task and no timer of its own for each.

Law: it is used again only when the answer ended where it said, and nothing else is on its way."""

from __future__ import annotations

import asyncio
from typing import cast

from watcher.adapters.http.answers import HEAD_BYTES, Answer, Reader
from watcher.adapters.http.faults import Cut, Flood, Late, Malformed

ANSWER_SECONDS = 1.0
"""For the rest of an answer whose status has come: a slot is worth more than a connection kept."""

PIECE_BYTES = 65_536
"""Bodies up to this size are one write. Of longer ones no more is handed over than the other side takes."""

MEMO_BYTES = 2048
TICK_SECONDS = 0.001  # uvloop's timers count in whole ones, and may be early by half of it


class Memo:
    """The last whole answer and its bytes. Most answers of a receiver are the same for a second at least:
    what is byte for byte the same need not be read again."""

    __slots__ = ("answer", "data")

    def __init__(self) -> None:
        self.data = b""
        self.answer: Answer | None = None


class Connection(asyncio.Protocol):
    """Opened by `connecting.py`; closed by whom it belongs to, or by the other side."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader = Reader()
        self._waiter: asyncio.Future[Answer] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._unsent: memoryview | None = None
        self._paused = False
        self._early = b""
        """What came before anything was asked."""
        self.ended: asyncio.Future[BaseException | None] = loop.create_future()
        """Done when the connection is; with what ended it, if that was no ordinary end."""
        self.memo = Memo()
        """May be shared by connections to the same receiver."""
        self.usable = False
        """May be asked the next request."""
        self.idle_since = 0.0

    def post(
        self, head: bytes, body: bytes, deadline: float, *, headers_only: bool = False
    ) -> asyncio.Future[Answer]:
        """Send a request; the future holds its answer, or Cut, Flood, Malformed or Late where there is none.

        `headers_only`: no more of the answer is wanted. Who gives up must `abort`."""
        self._reader.begin(headers_only=headers_only)
        self._waiter = waiter = self._loop.create_future()
        self.usable = False
        self._deadline = deadline
        if self._timer is None or self._timer_at > deadline:
            self._set_timer()
        if self.ended.done():
            pass  # uvloop's transports raise where nothing can be written any more
        elif len(body) <= PIECE_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self._unsent = memoryview(body)
            self._write_on()
        if self._early or self.ended.done():
            self._catch_up()
        return waiter

    def secured(self, transport: asyncio.Transport) -> None:
        """TLS was put between: this is the transport now, and what comes is another's."""
        self.transport = transport
        self._reader.renew()

    async def objection(self, *, within: float) -> BaseException | None:
        """What ended the connection, if anything does so soon: with TLS 1.3 a certificate that is missing is
        told after the handshake."""
        await asyncio.wait({self.ended}, timeout=within)
        return self.ended.result() if self.ended.done() else None

    def close(self) -> None:
        """In good order."""
        self.usable = False
        self.transport.close()

    def abort(self) -> None:
        """At once, whatever is on its way."""
        self.usable = False
        self._waiter = self._unsent = None
        self.transport.abort()

    def _catch_up(self) -> None:
        """With what had happened before anything was asked: it is the answer, whatever is asked."""
        early, self._early = self._early, b""
        if early:
            self.data_received(early)
            if self._waiter is None:
                self.abort()  # it may have more to say unasked
        if self.ended.done():
            self._lost(self.ended.result())
            self._reader.close()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not say so
        self.usable = True

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:
            self._unasked(data)
            return
        reader, memo = self._reader, self.memo
        if not reader.begun and data == memo.data and memo.answer is not None and self._unsent is None:
            reader.begun = True
            self._settle(memo.answer, keep=True)
            return

        whole = not reader.begun
        try:
            reader.feed(data)
        except (Flood, Malformed) as error:
            self._fail(error)
            return
        if reader.done:
            answer = reader.answer
            if whole and reader.keep and len(data) <= MEMO_BYTES:
                memo.data, memo.answer = data, answer
            self._settle(answer, keep=reader.keep)
        elif reader.status:
            self._deadline = min(self._deadline, self._loop.time() + ANSWER_SECONDS)
            self._set_timer()

    def eof_received(self) -> None:
        self._lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(exc)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._lost(exc)
        if not self._early:
            self._reader.close()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._write_on()

    # How an attempt ends

    def _settle(self, answer: Answer, *, keep: bool) -> None:
        waiter, self._waiter = self._waiter, None
        # An answer that came before the whole request was taken: the rest would be taken for the next one.
        if self._unsent is not None or self.transport.get_write_buffer_size():
            self.abort()
        elif keep and not self.transport.is_closing():
            self.usable = True
        elif answer.left:
            self.abort()
        else:
            self.close()
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    def _fail(self, error: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _lost(self, exc: BaseException | None) -> None:
        """Nothing more will be read."""
        self.usable = False
        if self._waiter is None:
            return
        self._unsent = None
        reader = self._reader
        if reader.status:
            reader.end(cleanly=exc is None)
            self._settle(reader.answer, keep=False)
        else:
            cut = Cut(begun=reader.begun)
            cut.__cause__ = exc
            self._fail(cut)

    def _unasked(self, data: bytes) -> None:
        """A status 408 for an idle connection must not be taken for the next answer. Before the first request
        it is an answer: some refuse whoever connects."""
        first = not self.idle_since and not self._reader.begun
        if first and len(self._early) + len(data) <= HEAD_BYTES:
            self._early += data
        else:
            self.abort()

    # Time, and room

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._deadline
        self._timer = self._loop.call_at(self._deadline, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        """One timer serves many requests: most are over long before, and the one under way is a later one."""
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() + TICK_SECONDS < self._deadline:
            self._set_timer()
            return
        reader = self._reader
        if reader.status:
            reader.give_up()
            self._settle(reader.answer, keep=False)
        elif reader.begun:
            self._fail(Late("connected, but the answer's headers did not end"))
        else:
            self._fail(Late("connected, but no answer"))

    def _write_on(self) -> None:
        while self._unsent is not None and not self._paused:
            piece, rest = self._unsent[:PIECE_BYTES], self._unsent[PIECE_BYTES:]
            self._unsent = rest if len(rest) else None
            self.transport.write(piece)
