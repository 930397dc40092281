"""Patience: how long to wait before trying again what must not be given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import TypeVar

from watcher.core.facts import StoreFailed
from watcher.errors import OutboxError
from watcher.ports import Clock, Observer

T = TypeVar("T")

FIRST = timedelta(milliseconds=100)
LONGEST = timedelta(seconds=10)
"""An outage that ends is noticed within this time."""


def waits(*, jitter: Callable[[], float]) -> Iterator[timedelta]:
    """Ever longer waits, doubled from `FIRST` to `LONGEST`, each spread over its upper half."""
    wait = FIRST
    while True:
        yield wait * (0.5 + jitter() / 2)
        wait = min(wait * 2, LONGEST)


async def insist(act: Callable[[], Awaitable[T]], *, doing: str, clock: Clock, observe: Observer) -> T:
    """Do it until the store lets us: a full disk delays what was promised, it does not break it."""
    patience = None
    while True:
        try:
            return await act()
        except OutboxError as error:
            patience = patience or waits(jitter=clock.jitter)
            wait = next(patience)
            observe(StoreFailed(doing=doing, reason=str(error), retry_in=wait))
            await clock.sleep(wait)
