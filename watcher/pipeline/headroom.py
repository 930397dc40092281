"""Headroom, watched: the oplog is MongoDB's buffer for us, and what falls off it before it was read is gone.

The law: it is only told. A watcher whose position is about to be lost goes on reading like any other."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from datetime import timedelta

from watcher.core.facts import OplogMeasured, OplogScarce, OplogUnknown
from watcher.core.headroom import Reach, is_scarce, time_left
from watcher.errors import OutboxError, SourceError
from watcher.ports import Clock, Observer, Oplog, Outbox

EVERY = timedelta(seconds=30)
"""Two reads by the oplog's ends: nothing to a server that writes it."""

SOON = timedelta(seconds=1)
"""At a first start, which has no position for a moment."""

PACE = timedelta(minutes=10)
"""What the pace is taken over. An oplog is cut in steps of some minutes, and a shorter time would see none of
them, or one as a rush; a longer one would hear late of a pause."""

SAY_AGAIN = timedelta(minutes=10)

ASK_AGAIN = timedelta(minutes=10)
"""Where it may not be read: rights may be given later, and each refusal is a line in MongoDB's own log."""


class Headroom:
    """What was seen of the oplog so far."""

    def __init__(self, oplog: Oplog, outbox: Outbox, *, clock: Clock, observe: Observer) -> None:
        self._oplog = oplog
        self._outbox = outbox
        self._clock = clock
        self._observe = observe
        self._looks: deque[tuple[float, Reach]] = deque()
        self._scarce = False
        self._unknown = False
        self._said_at = -SAY_AGAIN.total_seconds()

    async def watch(self) -> None:
        """Look, and tell, for ever."""
        while True:
            wait = EVERY
            with suppress(SourceError, OutboxError):  # of an outage the stream and the store tell themselves
                wait = await self._look()
            await self._clock.sleep(wait)

    async def _look(self) -> timedelta:
        """Look, and tell; when to look again."""
        position = await self._outbox.position()
        if position is None:
            return SOON
        reach = await self._oplog.reach(position.checkpoint)
        if reach is None:
            self._tell_unknown()
            return ASK_AGAIN
        self._tell(reach, self._clock.monotonic())
        return EVERY

    def _tell_unknown(self) -> None:
        if not self._unknown:
            self._observe(OplogUnknown())
        self._unknown = True
        self._looks.clear()

    def _tell(self, reach: Reach, now: float) -> None:
        self._unknown = False
        began, earliest = self._earliest(reach, now)
        left = time_left(earliest, reach, between=timedelta(seconds=now - began))
        self._scarce = is_scarce(reach, left, was=self._scarce)

        self._observe(
            OplogMeasured(window=reach.window, headroom=reach.headroom, left=left, scarce=self._scarce)
        )
        if self._scarce and now - self._said_at >= SAY_AGAIN.total_seconds():
            self._said_at = now
            self._observe(OplogScarce(window=reach.window, headroom=reach.headroom, left=left))

    def _earliest(self, reach: Reach, now: float) -> tuple[float, Reach]:
        """The look that this one is compared with. What was read before a pause says nothing of the pause."""
        stands = bool(self._looks) and self._looks[-1][1].position == reach.position
        self._looks.append((now, reach))
        while True:
            at, look = self._looks[0]
            if now - at <= PACE.total_seconds() and not (stands and look.position != reach.position):
                return at, look
            self._looks.popleft()
