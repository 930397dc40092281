"""The overview: does it deliver, how far behind is it, and what has to be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta

from watcher.admin.api import shapes
from watcher.admin.api.endpoints import counts_of
from watcher.admin.desk import Desk
from watcher.admin.history import STEP
from watcher.admin.readiness import Readiness
from watcher.core.circuits import Standing
from watcher.ports import Counts


async def overview(desk: Desk) -> shapes.Overview:
    readiness = desk.readiness.judge()
    counts, standings = await desk.outbox.counts(), await desk.outbox.standings()
    lag, oplog = desk.readiness.lag, desk.undertakings.oplog
    return shapes.Overview(
        version=desk.version,
        now=desk.clock.now(),
        ready=readiness.ready,
        parts={name: shapes.Part(ready=part.ready, says=part.says) for name, part in readiness.parts.items()},
        attention=list(_attention(desk, readiness, standings, counts)),
        counts=counts_of(_summed(counts)),
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
        store_bytes=await desk.outbox.used_bytes(),
        max_store_bytes=desk.max_store_bytes,
        work=[
            shapes.Work(name=each.name, rows=each.rows, of=each.of, since=each.since)
            for each in desk.undertakings.now()
        ],
        shows_text=desk.shows_text,
        history=_history(desk),
    )


def _attention(
    desk: Desk, readiness: Readiness, standings: Mapping[str, Standing], counts: Mapping[str, Counts]
) -> Iterator[str]:
    """Each in words that name the cure; the worst first."""
    for name, part in readiness.parts.items():
        if not part.ready:
            yield f"{name}: {part.says}"
    oplog = desk.undertakings.oplog
    if oplog is not None and oplog.scarce:
        yield f"oplog: {readiness.parts['oplog'].says}"
    known = [endpoint.name for endpoint in desk.endpoints()]
    for name, standing in standings.items():
        if name not in known:
            continue
        waiting = counts.get(name, Counts()).pending
        match standing.state:
            case "open":
                yield f"{name} fails ({standing.reason}): {waiting} deliveries wait. Look at its attempts."
            case "paused":
                yield f"{name} is paused ({standing.reason}): {waiting} deliveries wait until it is resumed."
            case "slowed":
                pass  # it is being obeyed
    for name, each in counts.items():
        if each.dead:
            yield f"{each.dead} deliveries to {name} are dead. Look at why, then replay or leave them."
        if name not in known and each.pending:
            gone = "is in the settings no more: bring it back, or cancel them"
            yield f"{each.pending} deliveries wait for {name}, which {gone}."
    if readiness.parts["settings"].says != "in force":
        yield f"settings: {readiness.parts['settings'].says}"


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
