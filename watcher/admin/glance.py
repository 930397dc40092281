"""A glance at the state, for a scrape or the page: it must not wait for a state that does not answer.

When the state is in trouble, what does not come from it is wanted most of all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from watcher.core.backfill import Backfill
from watcher.core.circuits import Standing
from watcher.errors import OutboxError
from watcher.ports import Counts, Outbox

WITHIN = timedelta(seconds=3)
"""Prometheus gives a scrape up after 10 s, unless told otherwise, and nothing of it counts then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What the state tells of itself."""

    counts: Mapping[str, Counts]
    standings: Mapping[str, Standing]
    oldest: Mapping[str, datetime]
    used_bytes: int
    backfills: Sequence[Backfill]
    """Those that have not come to their end."""


async def glance(outbox: Outbox) -> Glance | None:
    """None: it cannot be read, or not soon enough."""
    try:
        async with asyncio.timeout(WITHIN.total_seconds()):
            return Glance(
                counts=await outbox.counts(),
                standings=await outbox.standings(),
                oldest=await outbox.oldest(),
                used_bytes=await outbox.used_bytes(),
                backfills=await outbox.backfills(),
            )
    except (OutboxError, TimeoutError):
        return None
