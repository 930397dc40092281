"""The reading of one connection's answers, bounded before the status has come.

aiohttp reads interim answers (1xx) for as long and as fast as they come: one receiver could keep the whole
event loop busy. And it forgets a status for what is wrong behind it in the same segment. Laws: what comes
before the status is bounded; what follows takes nothing from it; what comes after an answer is nobody's."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from watcher.adapters.http_faults import Flood

HEAD_BYTES = 32_768
"""Interim answers, status line and headers: four times what common proxies pass on of them."""

END_OF_HEAD = re.compile(rb"(?<![^\n])\r?\n")
"""An empty line. The first may be the end of one that came before: nothing is read differently for it."""


OVERRUN = "followed by more than it announced"


class BoundedAnswer(ResponseHandler):
    """Gives up on a receiver that does not come to its status; hangs up when it speaks unasked."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._room = 0
        self._interim = False
        self._answered = True
        """Nothing is asked, or the status has come."""
        self._flood: Flood | None = None
        self.blemish = ""
        """What is wrong with an answer that was read to its end."""
        self.ended: asyncio.Future[BaseException | None] = loop.create_future()
        """Done when the connection is; with what ended it, if that was no ordinary end."""

    @property
    def begun(self) -> bool:
        """Has something come, but not the whole of the status and the headers?"""
        return not self._answered and self._room < HEAD_BYTES

    def set_response_params(self, **options: Any) -> None:
        """A request goes out: its answer begins anew."""
        self._room, self._interim, self._answered = HEAD_BYTES, False, False
        super().set_response_params(**options)

    def data_received(self, data: bytes) -> None:
        read = 0
        while read < len(data) and not self._answered:
            if self._flood or self._exception:
                return None
            # One head at a time: of what is fed together, nothing counts if any of it is wrong.
            end_of_head = END_OF_HEAD.search(data, read, read + self._room)
            piece = data[read : end_of_head.end() if end_of_head else read + self._room]
            super().data_received(piece)
            read += len(piece)
            self._room -= len(piece)
            if self._room <= 0 and not self._answered:
                return self._give_up()
        rest = data[read:]
        if rest and self._is_idle():
            return self._hang_up()
        # No data is aiohttp's own way to go on after a pause.
        return super().data_received(rest) if rest or not data else None

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """A message was read: the answer, if it is no interim one."""
        message, _ = data
        if self._answered:
            return self._hang_up()
        if 100 <= message.code < 200 and message.code != 101:
            self._interim = True
            return None
        self._answered = True
        if message.code == 204 and _announces_a_body(message):
            # It comes yet, and would be taken for the beginning of the next answer.
            self.force_close()
            self.blemish = "a 204 that announces a body"
        return super().feed_data(data, size)

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self.ended.done():
            self.ended.set_result(exc)
        super().connection_lost(exc)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """The flood stays the reason, whatever closing the connection brings about."""
        super().set_exception(self._flood or exc, *cause)
        if self._answered and isinstance(exc, HttpProcessingError):
            self._spoilt(exc)

    def _is_idle(self) -> bool:
        """Has the answer ended? A status 408 for an idle connection must not be taken for the next answer."""
        return self._parser is not None and (self._payload is None or self._payload.is_eof())

    def _spoilt(self, exc: HttpProcessingError) -> None:
        """What followed the status is no HTTP. Who reads the body would wait for its end, untold."""
        if self._is_idle():
            self.blemish = self.blemish or OVERRUN
        elif self._payload is not None:
            self._payload.set_exception(exc)

    def _hang_up(self) -> None:
        self.blemish = self.blemish or OVERRUN
        self.force_close()
        if self.transport is not None:
            self.transport.close()

    def _give_up(self) -> None:
        much = "interim answers (1xx) without end" if self._interim else "the answer's headers are too large"
        self._flood = Flood(much)
        self.set_exception(self._flood)
        if self.transport is not None:
            self.transport.abort()


def _announces_a_body(message: RawResponseMessage) -> bool:
    return message.chunked or message.headers.get("Content-Length", "0") != "0"
