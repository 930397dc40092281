"""Supervision: which broken promise is waited out, and which one needs an operator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

from watcher.core.facts import Captured, Fact, StoreFailed, StreamLost, StreamOpened
from watcher.errors import (
    NotRecognised,
    OutboxError,
    PositionLost,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from watcher.pipeline.patience import waits
from watcher.ports import Clock, Observer

SOON = timedelta(seconds=1)
"""A MongoDB without a primary is asked again after this at the latest. Opening waits for one by itself, for
seconds; a longer wait in between would add to the silence when the new primary is there already."""

STEADY = timedelta(minutes=1)
"""A stream that ran this long was healthy: the next outage is waited out from the shortest wait again."""

FRUITLESS = 3
"""Positions that may be lost one after the other, without a change read in between. The third one says that
the oplog is shorter than a recovery takes; more of them would read the whole database again and again."""


class Mender(Protocol):
    """What is done about a lost position, and about one that is half done."""

    async def lost(self, error: PositionLost) -> None:
        """Store a position to go on from; raises the error itself where an operator must decide."""
        ...

    async def finish(self) -> None:
        """Whatever has to be done before the stream is followed on."""
        ...


async def keep_capturing(
    capture: Callable[[Observer], Awaitable[None]],
    mender: Mender,
    *,
    clock: Clock,
    observe: Observer,
    at_work: bool = False,
) -> None:
    """Run `capture(observe)` for ever, starting it again after every outage.

    `at_work`: this program has been running for a while, with other settings. Raises SourceRefused when
    MongoDB refuses before a stream was ever open (later it is waited out: rights can come back), and
    PositionLost when the operator wants that, or when going on is fruitless."""
    watch = _Watch(observe)
    watch.opened = at_work
    lost: PositionLost | None = None
    patience = waits(jitter=clock.jitter)
    while True:
        began = clock.monotonic()
        failure: SourceError | OutboxError
        try:
            if lost is not None:
                await mender.lost(lost)
                lost = None
            await mender.finish()
            await capture(watch)
        except NotRecognised:
            raise
        except PositionLost as error:
            watch.fruitless += 1
            if watch.fruitless >= FRUITLESS or error is lost:
                raise
            lost = error
            continue
        except SourceRefused as error:
            if not watch.opened:
                raise
            failure = error
        except (SourceUnavailable, OutboxError) as error:
            failure = error

        if clock.monotonic() - began >= STEADY.total_seconds():
            patience = waits(jitter=clock.jitter)
        wait = next(patience)
        if isinstance(failure, SourceUnavailable):
            wait = min(wait, SOON)
        if isinstance(failure, OutboxError):
            observe(StoreFailed(doing="append", reason=str(failure), retry_in=wait))
        observe(StreamLost(reason=str(failure), retry_in=wait))
        await clock.sleep(wait)


class _Watch:
    """An Observer that passes facts on, and remembers what supervision must know."""

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self._batches = 0
        self.opened = False
        """A stream was open at some time."""
        self.fruitless = 0
        """Positions lost since the stream last went on."""

    def __call__(self, fact: Fact) -> None:
        match fact:
            case StreamOpened():
                self.opened, self._batches = True, 0
            case Captured():
                self._batches += 1
                if self._batches > 1:  # the first comes from the opening alone
                    self.fruitless = 0
            case _:
                pass
        self._observe(fact)
