"""Settling: what became of attempts, written down in groups. While one is written, the next one gathers.

A store takes about as long for a hundred as for one: so a quiet endpoint's attempt is written at once, and a
busy one's share a transaction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from watcher.core.attempts import Attempt
from watcher.core.lanes import Launch
from watcher.core.outcomes import Outcome
from watcher.core.swift import swift
from watcher.core.verdicts import Verdict

GROUP = 200
"""Deliveries in one group: who is in it waits for the whole of it."""


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt that is over, and not yet written down."""

    launch: Launch
    outcome: Outcome
    verdict: Verdict
    attempt: Attempt
    """What is kept of it."""
    clock: float
    """When it ended, in monotonic seconds."""


class Settling:
    """Hands on what ended, in order, as many together as have gathered."""

    def __init__(self, settle: Callable[[Sequence[Ended]], Awaitable[None]]) -> None:
        self._settle = settle
        self._ended: deque[Ended] = deque()
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
            await self._settle(self._next())

    def _next(self) -> Sequence[Ended]:
        group, size = list[Ended](), 0
        while self._ended and size < GROUP:
            group.append(self._ended.popleft())
            size += len(group[-1].launch.parcel.members)
        return group
