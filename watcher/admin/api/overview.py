"""The overview: does it deliver, how far behind is it, and what has to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta

from watcher.admin.api import shapes
from watcher.admin.api.attention import attention
from watcher.admin.api.endpoints import counts_of
from watcher.admin.desk import Desk
from watcher.admin.glance import glance
from watcher.admin.history import STEP
from watcher.admin.undertakings import backfilling
from watcher.ports import Counts


async def overview(desk: Desk) -> shapes.Overview:
    readiness = desk.readiness.judge()
    seen, now = await glance(desk.outbox), desk.clock.now()
    lag, oplog = desk.readiness.lag, desk.undertakings.oplog
    return shapes.Overview(
        version=desk.version,
        now=now,
        ready=readiness.ready,
        parts={name: shapes.Part(ready=part.ready, says=part.says) for name, part in readiness.parts.items()},
        attention=list(attention(desk, readiness, seen)),
        counts=counts_of(_summed(seen.counts)) if seen is not None else None,
        lag_seconds=lag.total_seconds() if lag is not None else None,
        replicas=desk.readiness.replicas if desk.shares else None,
        leases=sorted(desk.readiness.held),
        oplog=shapes.OplogShape(
            window_seconds=oplog.window.total_seconds(),
            headroom_seconds=oplog.headroom.total_seconds(),
            left_seconds=oplog.left.total_seconds() if oplog.left is not None else None,
        )
        if oplog is not None
        else None,
        store_bytes=seen.used_bytes if seen is not None else None,
        max_store_bytes=desk.max_store_bytes,
        work=[
            shapes.Work(name=each.name, unit=each.unit, rows=each.rows, of=each.of, since=each.since)
            for each in (*desk.undertakings.now(), *(backfilling(seen.backfills, now) if seen else ()))
        ],
        shows_text=desk.shows_text,
        history=_history(desk),
    )


def _summed(counts: Mapping[str, Counts]) -> Counts:
    total: dict[str, int] = {}
    for each in counts.values():
        for state, number in asdict(each).items():
            total[state] = total.get(state, 0) + number
    return Counts(**total)


def _history(desk: Desk) -> shapes.History:
    steps = desk.history.steps()
    return shapes.History(
        step_seconds=STEP / timedelta(seconds=1),
        until=desk.history.until(),
        captured=[step.captured for step in steps],
        delivered=[sum(each.delivered for each in step.attempts.values()) for step in steps],
        failed=[sum(each.failed for each in step.attempts.values()) for step in steps],
        lag_seconds=[step.lag.total_seconds() if step.lag is not None else None for step in steps],
    )
