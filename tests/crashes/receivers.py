"""The receivers, and their log: what they were sent and what they answered, in one order over all crashes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal

from watcher.core.outcomes import Answered, Outcome, Unreachable
from watcher.core.requests import Request
from watcher.ports import Clock

Answer = Literal["ok", "slow", "error", "later", "lost", "silent", "refused"]
"""How a receiver takes a request: with 200, at once or after a while; with 500, or with 429 and a time; with
a 200 that never reaches us; with nothing until we give up; or there is nobody."""

Answers = Callable[[str, int, int], Answer]
"""By endpoint, how many requests it was sent before, and how many of them were this very one."""

Body = dict[str, Any]

THINKS = timedelta(seconds=2)


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One request on its way: the moments (numbers, in one order) at which things happened to it."""

    endpoint: str
    request: str
    """`X-Webhook-ID`: of the event, or of the batch."""
    body: bytes
    life: int
    """Which run of the program made it."""
    number: int
    """`X-Webhook-Attempt`."""
    at: datetime
    began: int
    answer: Answer
    arrived: int | None = None
    answered: int | None = None
    accepted: bool = False
    """The answer was a 2xx, whether or not anybody heard it."""
    heard: int | None = None
    heard_at: datetime | None = None

    @property
    def batch(self) -> str | None:
        """The batch's id; None for what goes alone."""
        return self.request if json.loads(self.body)["event"] == "batch" else None

    @property
    def carried(self) -> Sequence[Body]:
        return carried(self.body)


class Receivers:
    """Everybody who is sent webhooks. They outlive every crash."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.log: list[Attempt] = []
        self.moment = 0

    def copy(self) -> Receivers:
        other = Receivers(self.answers)
        other.log, other.moment = [replace(attempt) for attempt in self.log], self.moment
        return other

    def begins(self, request: Request, life: int, at: datetime) -> Attempt:
        headers = dict(request.headers)
        identity = headers["X-Webhook-ID"]
        mine = [attempt for attempt in self.log if attempt.endpoint == request.endpoint]
        again = sum(attempt.request == identity for attempt in mine)
        attempt = Attempt(
            endpoint=request.endpoint,
            request=identity,
            body=request.body,
            life=life,
            number=int(headers["X-Webhook-Attempt"]),
            at=at,
            began=self._next(),
            answer=self.answers(request.endpoint, len(mine), again),
        )
        self.log.append(attempt)
        return attempt

    def arrives(self, attempt: Attempt) -> None:
        attempt.arrived = self._next()

    def answers_it(self, attempt: Attempt) -> None:
        attempt.answered = self._next()
        attempt.accepted = attempt.answer in ("ok", "slow", "lost")

    def heard(self, attempt: Attempt, at: datetime) -> None:
        attempt.heard, attempt.heard_at = self._next(), at

    def hang_up(self, attempt: Attempt) -> None:
        """Nobody waits for the answer any more. What has arrived is dealt with all the same."""
        if attempt.arrived is not None and attempt.answered is None and attempt.answer != "silent":
            self.answers_it(attempt)

    def hang_up_all(self) -> None:
        for attempt in self.log:
            self.hang_up(attempt)

    def _next(self) -> int:
        self.moment += 1
        return self.moment


class Wire:
    """A `Sender` to them, for one run of the program."""

    def __init__(self, receivers: Receivers, *, life: int, clock: Clock) -> None:
        self._receivers = receivers
        self._life = life
        self._clock = clock

    async def send(self, request: Request, *, on_written: Callable[[], object] = lambda: None) -> Outcome:
        receivers = self._receivers
        attempt = receivers.begins(request, self._life, self._clock.now())
        try:
            await _a_moment()
            if attempt.answer == "refused":
                receivers.heard(attempt, self._clock.now())
                return Unreachable(reason="refused: nothing listens")
            on_written()
            receivers.arrives(attempt)

            await _a_moment()
            if attempt.answer == "silent":
                await self._clock.sleep(request.timeout)
                receivers.heard(attempt, self._clock.now())
                return Unreachable(reason="timeout: no answer")
            if attempt.answer == "slow":
                await self._clock.sleep(THINKS)
            receivers.answers_it(attempt)

            await _a_moment()
            receivers.heard(attempt, self._clock.now())
        finally:
            receivers.hang_up(attempt)
        return _outcome(attempt.answer)


def _outcome(answer: Answer) -> Outcome:
    match answer:
        case "error":
            return Answered(status=500)
        case "later":
            return Answered(status=429, retry_after=timedelta(seconds=7))
        case "lost":
            return Unreachable(reason="disconnected: before an answer")
        case _:
            return Answered(status=200)


async def _a_moment() -> None:
    await asyncio.sleep(0)


@cache
def carried(body: bytes) -> Sequence[Body]:
    """The events in a body: one, or a batch's."""
    document = json.loads(body)
    return document["data"]["events"] if document["event"] == "batch" else [document]
