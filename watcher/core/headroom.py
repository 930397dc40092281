"""Headroom: how far the stored position is from falling off the oplog, and when it will.

    first ───────── position ────────────────── last
      └── headroom ────┘└────────── behind ───────┘

MongoDB writes the oplog at its end and cuts it off at its beginning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

LITTLE = timedelta(hours=1)
"""Time left below which somebody must act: to look, and to make the oplog larger, takes minutes."""

PROMPT = timedelta(seconds=30)
"""Less behind than this is not behind: a quiet stream's position is stored every 10 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The oplog and the position in it, at one moment. All by the server's clock."""

    first: datetime
    last: datetime
    position: datetime

    @property
    def window(self) -> timedelta:
        return self.last - self.first

    @property
    def headroom(self) -> timedelta:
        """Negative: the position is lost."""
        return self.position - self.first

    @property
    def behind(self) -> timedelta:
        return self.last - self.position


def time_left(earlier: Reach, later: Reach, *, between: timedelta) -> timedelta | None:
    """Until the oplog's beginning reaches the position, if both go on as they did; None: it does not near.

    If it neared by one hour within two, and two hours are left, those last four."""
    nearing = earlier.headroom - later.headroom
    if nearing <= timedelta(0):
        return None
    return max(timedelta(0), later.headroom) / nearing * between


def is_scarce(reach: Reach, left: timedelta | None, *, was: bool) -> bool:
    """Is so little left that somebody must act? `was`: once it is, it takes half as much again to be over.

    Of a small oplog that is read promptly little is left at all times, and that is no reason to act: the
    position must have fallen into its older half, too. In its oldest tenth the pace says nothing any more,
    since an oplog is cut in steps as large as that."""
    if reach.behind < PROMPT:
        return False
    more = 1.5 if was else 1.0
    soon = left is not None and left < LITTLE * more
    return (soon and reach.headroom < reach.window / 2 * more) or reach.headroom < reach.window / 10 * more
