"""Settling: what became of attempts, written down in groups. While one is written, the next one gathers.

A store takes about as long for a hundred as for one: so a quiet endpoint's attempt is written at once, and a
busy one's share a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from watcher.core.endpoints import Endpoint
from watcher.core.lanes import Launch
from watcher.core.outcomes import Outcome
from watcher.core.verdicts import Verdict

GROUP = 250
"""Attempts in one group at most: who is in it waits for the whole of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt that is over, and not yet written down."""

    launch: Launch
    endpoint: Endpoint
    """As it was at this attempt."""
    outcome: Outcome
    verdict: Verdict
    began: datetime
    took: timedelta
    clock: float
    """When it ended, in monotonic seconds."""


class Settling:
    """Hands on what ended, in order, as many together as have gathered."""

    def __init__(self, settle: Callable[[Sequence[Ended]], Awaitable[None]]) -> None:
        self._settle = settle
        self._ended: list[Ended] = []
        self._news = asyncio.Event()
        self._closing = False

    def add(self, ended: Ended) -> None:
        self._ended.append(ended)
        self._news.set()

    def close(self) -> None:
        """Nothing is added any more: `run` returns when all is settled."""
        self._closing = True
        self._news.set()

    async def run(self) -> None:
        while self._ended or not self._closing:
            if not self._ended:
                self._news.clear()
                await self._news.wait()
                continue
            group, self._ended = self._ended[:GROUP], self._ended[GROUP:]
            await self._settle(group)
