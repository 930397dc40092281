"""Supervision: which broken promise is waited out, and which one needs an operator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Literal

from watcher.core.facts import Fact, PositionRestarted, StoreFailed, StreamLost, StreamOpened
from watcher.errors import OutboxError, PositionLost, SourceError, SourceRefused, SourceUnavailable
from watcher.pipeline.patience import insist, waits
from watcher.ports import Clock, Observer, Outbox

OnPositionLost = Literal["recover", "fail", "restart"]

SOON = timedelta(seconds=1)
"""A MongoDB without a primary is asked again after this at the latest. Opening waits for one by itself, for
seconds; a longer wait in between would add to the silence when the new primary is there already."""

STEADY = timedelta(minutes=1)
"""A stream that ran this long was healthy: the next outage is waited out from the shortest wait again."""


async def keep_capturing(
    capture: Callable[[bool, Observer], Awaitable[None]],
    *,
    outbox: Outbox,
    on_position_lost: OnPositionLost,
    clock: Clock,
    observe: Observer,
) -> None:
    """Run `capture(resume, observe)` for ever, starting it again after every outage.

    Raises SourceRefused when MongoDB refuses before a stream was ever open (later it is waited out: rights
    can come back), and PositionLost unless the operator chose to go on from now."""
    opened = False

    def noticing(fact: Fact) -> None:
        nonlocal opened
        opened = opened or isinstance(fact, StreamOpened)
        observe(fact)

    resume = True
    patience = waits(jitter=clock.jitter)
    while True:
        began = clock.monotonic()
        failure: SourceError | OutboxError
        try:
            await capture(resume, noticing)
        except PositionLost as error:
            if on_position_lost != "restart":
                raise
            # Going on with a gap is a choice that the operator wrote down; the fact records it.
            position = await insist(outbox.checkpoint, doing="read", clock=clock, observe=observe)
            observe(PositionRestarted(since=position.at if position else None, reason=str(error)))
            resume = False
            continue
        except SourceRefused as error:
            if not opened:
                raise
            failure = error
        except (SourceUnavailable, OutboxError) as error:
            failure = error

        resume = True
        if clock.monotonic() - began >= STEADY.total_seconds():
            patience = waits(jitter=clock.jitter)
        wait = next(patience)
        if isinstance(failure, SourceUnavailable):
            wait = min(wait, SOON)
        if isinstance(failure, OutboxError):
            observe(StoreFailed(doing="append", reason=str(failure), retry_in=wait))
        observe(StreamLost(reason=str(failure), retry_in=wait))
        await clock.sleep(wait)
