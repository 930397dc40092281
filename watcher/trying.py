"""Trying: what an endpoint would have got of what happened lately, before it is made or changed.

The law: it is the line that `run` has, on a stream of its own: mapping, holds, filters, body. Nothing is
stored, nothing is sent, and it ends: when there is enough, when it has caught up, or after some seconds."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from watcher.config.mappings import load_mappings
from watcher.config.settings import Settings
from watcher.core.changes import Checkpoint
from watcher.core.deliveries import Delivery
from watcher.core.endpoints import Endpoint
from watcher.core.events import EventType
from watcher.core.facts import Fact, Refused
from watcher.core.forms import Failed
from watcher.core.planning import Plan, anybody
from watcher.core.requests import address_of
from watcher.core.searching import change_part
from watcher.core.shortfalls import in_lines, shortfalls
from watcher.core.trials import Trial, Tried
from watcher.errors import SourceError
from watcher.pipeline.capture import capture
from watcher.pipeline.remembering import Memory
from watcher.ports import Batch, ChangeSource, Clock, always
from watcher.showing import ShowingOutbox, Shown
from watcher.sourcing import source_of

WINDOWS = (timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24))
"""How far back is looked, until there is enough. Each is read anew: MongoDB reads its oplog forwards."""

LASTS = timedelta(seconds=8)
"""For all of them: a person waits for it, and MongoDB has other things to do."""

REFUSALS = 10_000
"""Of which the reason is kept: events that are held come to be shown long after they were refused."""

EVERYBODY, CANDIDATE = "everybody", "candidate"


async def recent(settings: Settings, endpoint: Endpoint, *, limit: int, clock: Clock) -> Trial:
    """Raises ConfigError for bad mapping files."""
    mappings = load_mappings(settings.mapping_paths)
    candidate = replace(endpoint, name=CANDIDATE)
    everybody = replace(anybody(mappings), name=EVERYBODY)
    plan = Plan.of(mappings, (everybody, candidate), unfinished_hold=settings.unfinished_hold, recover=False)
    best = Trial(since=None, tried=(), caught_up=False, trouble=None)
    ends = clock.monotonic() + LASTS.total_seconds()
    for window in WINDOWS:
        since = clock.now() - window
        newest = Newest(limit, until=clock.now())
        try:
            async with asyncio.timeout(max(0.1, ends - clock.monotonic())):
                await _read(settings, plan, newest, since, clock=clock)
        except SourceError as error:
            return replace(best, trouble=str(error))
        except TimeoutError:
            pass
        if not newest.caught_up and best.caught_up:
            return best
        best = Trial(
            since=since,
            tried=[_judged(each, newest.refusal(each), candidate) for each in reversed(newest.found)],
            caught_up=newest.caught_up,
            trouble=None,
        )
        if len(newest.found) >= limit or not newest.caught_up:
            break
    return best


class Newest:
    """The last events of a stream, each as everybody gets it and as the candidate does."""

    def __init__(self, limit: int, *, until: datetime) -> None:
        self.found: deque[dict[str, Delivery]] = deque(maxlen=limit)
        self.caught_up = False
        self.reached = asyncio.Event()
        """The time up to which it was asked for is over."""
        self._until = until
        self._refusals: dict[tuple[str, EventType], str] = {}

    def take(self, shown: Shown) -> None:
        """Deliveries of one event stand together, everybody's first."""
        delivery = shown.delivery
        if EVERYBODY in shown.endpoints:
            self.found.append(dict.fromkeys(shown.endpoints, delivery))
        elif self.found:
            self.found[-1][CANDIDATE] = delivery

    def hear(self, fact: Fact) -> None:
        """Bodies that could not be made are no deliveries that go out: only a fact tells why."""
        if isinstance(fact, Refused) and fact.endpoint == CANDIDATE:
            self._refusals[change_part(fact.id), fact.event] = fact.reason
            if len(self._refusals) > REFUSALS:
                del self._refusals[next(iter(self._refusals))]

    def refusal(self, deliveries: Mapping[str, Delivery]) -> str | None:
        """Why there is no body for the candidate."""
        whole = deliveries[EVERYBODY]
        return self._refusals.get((change_part(whole.id), whole.event))

    def through(self, time: datetime) -> None:
        if time >= self._until:
            self.caught_up = True
            self.reached.set()


class _Followed:
    """A source of which it is noticed how far what it gave has been dealt with."""

    def __init__(self, source: ChangeSource, newest: Newest) -> None:
        self._source = source
        self._newest = newest

    @asynccontextmanager
    async def open(
        self, checkpoint: Checkpoint | None, *, hurried: Callable[[], bool] = always
    ) -> AsyncIterator[AsyncIterator[Batch]]:
        async with self._source.open(checkpoint) as batches:  # in any case: somebody waits for the end of it
            yield self._through(batches)

    async def _through(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        async for batch in batches:
            yield batch
            self._newest.through(batch.through)


async def _read(settings: Settings, plan: Plan, newest: Newest, since: datetime, *, clock: Clock) -> None:
    outbox = ShowingOutbox(newest.take, _unobserved)
    source = source_of(settings, plan, start_from=since, start_name="the time", observe=_unobserved)
    followed = _Followed(source, newest)
    memory = Memory(plan.remembered, outbox, clock=clock, observe=_unobserved)
    reading = asyncio.ensure_future(capture(followed, plan, outbox, memory, clock=clock, observe=newest.hear))
    reached = asyncio.ensure_future(newest.reached.wait())
    try:
        await asyncio.wait({reading, reached}, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()
    finally:
        for task in (reading, reached):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(reading, return_exceptions=True)


def _unobserved(_: object) -> None:
    """Nobody is told: what a trial meets is its own."""


def _judged(deliveries: Mapping[str, Delivery], refusal: str | None, candidate: Endpoint) -> Tried:
    whole, own = deliveries[EVERYBODY], deliveries.get(CANDIDATE)
    told = json.loads(whole.body)
    subject = {**told["data"], "userId": told["userId"]}
    refused = refusal
    if own is not None and refused is None:
        address = address_of(own, candidate)
        refused = address.reason if isinstance(address, Failed) else None
    return Tried(
        id=(own or whole).id,
        event=whole.event,
        at=whole.at,
        subscribed=candidate.subscribes(whole.event),
        misses=tuple(
            line
            for each in candidate.filters_of(whole.event)
            for missing in shortfalls(each.condition, subject)
            for line in in_lines(missing)
        ),
        body=own.body if own is not None and refused is None else None,
        whole=whole.body,
        refused=refused,
    )
