"""The Sender: one POST, one Outcome. Law: whatever a receiver does comes back as a value.

Each endpoint has connections of its own, so that none waits for another's. How many requests may be in
flight is counted by the dispatcher; there is no second limit here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from watcher.adapters.http.answers import Answer
from watcher.adapters.http.faults import NO_CREDENTIALS, files_fault
from watcher.adapters.http.line import Line, Unanswered
from watcher.adapters.http.resolver import PatientResolver
from watcher.adapters.http.waits import retry_after
from watcher.core.outcomes import Answered, Outcome, Unreachable
from watcher.core.requests import Request


class HttpSender:
    """Sends requests until its `async with` block ends; then every connection is closed."""

    def __init__(self, *, wall: Callable[[], datetime] | None = None) -> None:
        self._resolver = PatientResolver()
        self._wall = wall or (lambda: datetime.now(UTC))
        self._lines: dict[str, Line] = {}
        self._told: dict[str, tuple[Answer, Answered]] = {}
        """Of each endpoint the last answer, and what was made of it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lines = list(self._lines.values())
        self._lines.clear()
        await asyncio.gather(*(line.close() for line in lines))

    async def send(self, request: Request, *, on_written: Callable[[], object] = lambda: None) -> Outcome:
        """POST the request once: no redirect followed, whole attempt within its timeout.

        Never raises for what a receiver or the network does. Cancelling it cuts the attempt."""
        try:
            line = self._line(request)
        except OSError as error:
            return Unreachable(reason=files_fault(error))

        try:
            answer = await line.ask(request, on_written)
        except Unanswered as unanswered:
            return Unreachable(reason=str(unanswered))

        if answer.status == 407 and request.route.proxy is not None:
            # Only a proxy says so, and without a tunnel its answers come as the receiver's do.
            return Unreachable(reason=NO_CREDENTIALS)
        return self._answered(request.endpoint, answer)

    def _line(self, request: Request) -> Line:
        line = self._lines.get(request.endpoint)
        if line is not None and (line.route is request.route or line.route == request.route):
            return line
        fresh = Line(request.route, resolver=self._resolver)
        self._lines[request.endpoint] = fresh
        if line is not None:
            line.retire()
        return fresh

    def _answered(self, endpoint: str, answer: Answer) -> Answered:
        told = self._told.get(endpoint)
        if told is not None and told[0] is answer:
            return told[1]

        outcome = Answered(
            status=answer.status,
            retry_after=self._retry_after(answer),
            # Latin-1 can decode whatever came, and what it gives can be printed and stored.
            headers=tuple([(str(name, "latin-1"), str(value, "latin-1")) for name, value in answer.fields]),
            answer=answer.body.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}"),
            left=answer.left,
        )
        if outcome.retry_after is None:  # which may be counted from now
            self._told[endpoint] = (answer, outcome)
        return outcome

    def _retry_after(self, answer: Answer) -> timedelta | None:
        asked = date = None
        for name, value in answer.fields:
            match len(name):
                case 11 if asked is None and name.lower() == b"retry-after":
                    asked = value.decode("latin-1")
                case 4 if date is None and name.lower() == b"date":
                    date = value.decode("latin-1")
        return None if asked is None else retry_after(asked, date=date, now=self._wall())
