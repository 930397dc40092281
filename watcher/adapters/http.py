"""The Sender on aiohttp: one POST, one Outcome. Law: whatever a receiver does comes back as a value.

Each endpoint has connections of its own, so that none waits for another's. How many requests may be in
flight is counted by the dispatcher; there is no second limit here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

from aiohttp import ClientResponse
from aiohttp.http_exceptions import HttpProcessingError

from watcher.adapters.http_faults import NO_CREDENTIALS, files_fault
from watcher.adapters.http_line import ANSWER_BYTES, Line, Progress
from watcher.adapters.tls import context_of
from watcher.core.outcomes import Answered, Outcome, Unreachable
from watcher.core.requests import Request
from watcher.core.routes import DIRECT

KEPT_BYTES = 1024  # of an answer's body: what receivers say of an error fits in it
ANSWER_TIME = timedelta(seconds=1)  # a slot is worth more than a connection kept
LONGEST_WAIT = timedelta(days=365)  # keeps any `Retry-After` inside what a datetime can hold


class AiohttpSender:
    """Sends requests until its `async with` block ends; then every connection is closed."""

    def __init__(self, *, wall: Callable[[], datetime] | None = None) -> None:
        self._system = context_of(DIRECT.tls)
        self._wall = wall or (lambda: datetime.now(UTC))
        self._lines: dict[str, Line] = {}

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
        try:
            line, former = self._line(request)
        except OSError as error:
            return Unreachable(reason=files_fault(error))

        line.enter()
        try:
            if former is not None:
                await former.retire()
            return await self._attempt(line, request, Progress(on_written))
        finally:
            await line.leave()

    async def _attempt(self, line: Line, request: Request, progress: Progress) -> Outcome:
        deadline = asyncio.get_running_loop().time() + request.timeout.total_seconds()
        try:
            async with asyncio.timeout_at(deadline) as limit:
                response = await line.ask(request, progress)
        except Exception as error:
            if limit.expired():
                where = line.where(progress)
                return Unreachable(reason=f"timeout: {where} after {request.timeout.total_seconds():g} s")
            return Unreachable(reason=await line.why(error, progress))

        try:
            answer = bytearray()
            left = await _finish(response, deadline, answer) or progress.blemish
        finally:
            response.close()  # nothing, when all of it was read: then the connection is back in the pool
        if response.status == 407 and request.route.proxy is not None:
            # Only a proxy says so, and without a tunnel its answers come as the receiver's do.
            return Unreachable(reason=NO_CREDENTIALS)
        return Answered(
            status=response.status,
            retry_after=retry_after(
                response.headers.get("Retry-After"), date=response.headers.get("Date"), now=self._wall()
            ),
            # Latin-1 can decode whatever came, and what it gives can be printed and stored.
            headers=tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers
            ),
            answer=answer.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}"),
            left=left,
        )

    def _line(self, request: Request) -> tuple[Line, Line | None]:
        """The endpoint's line; with the one whose place it took, if its route is another now."""
        line = self._lines.get(request.endpoint)
        if line is not None and line.route == request.route:
            return line, None
        self._lines[request.endpoint] = fresh = Line(request.route, system=self._system)
        return fresh, line


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


async def _finish(response: ClientResponse, deadline: float, beginning: bytearray) -> str:
    """Read the answer to its end, so that the connection can be reused; leave a long or slow one, and say so.
    `beginning`: takes up what is kept of it.

    The status has come, and decides: how the rest ends does not matter."""
    content = response.content
    if content.at_eof():
        return ""
    until = min(deadline, asyncio.get_running_loop().time() + ANSWER_TIME.total_seconds())
    room = ANSWER_BYTES
    try:
        async with asyncio.timeout_at(until):
            while room > 0 and (chunk := await content.readany()):
                room -= len(chunk)
                beginning += chunk[: KEPT_BYTES - len(beginning)]
    except TimeoutError:
        return "slow, and was left"
    except HttpProcessingError:
        return "not HTTP after its headers, and was left"
    except Exception:
        return "cut short by the receiver"
    return "" if room > 0 or content.at_eof() else f"longer than {ANSWER_BYTES} bytes, and was left"


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date if date.tzinfo else date.replace(tzinfo=UTC)  # the asctime form has no zone
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
