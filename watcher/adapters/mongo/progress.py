"""Stream time: up to when every change has surely been read, by the clock that stamps the changes.

    sounding: at 12:00:00.5 (primary's clock) the last write was W ──▶ later: the stream's token is past W
                                                                     ──▶ all before 12:00:00.5 has been read

A sounding asks the primary for its clock and its newest write together. Whatever is written after it bears
a later time, so once the stream has passed that write, its time is stream time. What was written but is not
yet majority-committed (it may hang there while members are down) is not passed, and holds stream time back.
Without soundings (mongos) the token's own time serves, in whole seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bson import Timestamp

EVERY_SECONDS = 0.25
"""Between two soundings: on a busy stream they must cost nothing."""

BEHIND = timedelta(milliseconds=100)
"""A write takes its time stamp a moment before it is there for a sounding to see."""

WHOLE_SECOND = timedelta(seconds=1)
"""Servers before 6.0 stamp changes with whole seconds, rounded down."""

_TOKEN = re.compile(r"82([0-9A-F]{8})([0-9A-F]{8})(?:[0-9A-F]{2})+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sounding:
    """What the primary knew of itself at one moment."""

    at: datetime
    """Its clock."""
    written: Timestamp
    """Its newest write, committed by the majority or not."""


def token_time(token: str) -> Timestamp | None:
    """The cluster time inside a resume token (the first field of its key string); None if it has none."""
    found = _TOKEN.fullmatch(token)
    return Timestamp(int(found[1], 16), int(found[2], 16)) if found else None


class Progress:
    """Stream time of one open stream. Never goes back."""

    def __init__(self, *, has_wall_times: bool) -> None:
        self._allowance = BEHIND if has_wall_times else BEHIND + WHOLE_SECOND
        self._through = datetime.min.replace(tzinfo=UTC)
        self._sounding: Sounding | None = None
        self._awaited = (0, 0)
        """What it saw as the newest write: comparing BSON's own timestamps takes a dozen calls."""
        self._next_sounding = 0.0

    def wants_sounding(self, now: float) -> bool:
        """Is it worth the server's while? Not while an earlier sounding is still ahead of the stream."""
        return self._sounding is None and now >= self._next_sounding

    def sounded(self, sounding: Sounding | None, now: float) -> None:
        self._sounding = sounding
        if sounding is not None:
            self._awaited = (sounding.written.time, sounding.written.inc)
        self._next_sounding = now + EVERY_SECONDS

    def through(self, token: str, *, quiet: bool) -> datetime:
        """Stream time at this token. `quiet`: the server had nothing more to give when it answered."""
        reached = token_time(token)
        if reached is None:
            return self._through
        sounding, at = self._sounding, (reached.time, reached.inc)
        proven = datetime.fromtimestamp(at[0], UTC) - (self._allowance - BEHIND)
        # A transaction's changes bear one time together: reaching it is not being past it.
        if sounding is not None and (at > self._awaited or (quiet and at == self._awaited)):
            self._sounding = None
            proven = max(proven, sounding.at - self._allowance)
        self._through = max(self._through, proven)
        return self._through
