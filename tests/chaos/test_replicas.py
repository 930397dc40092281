"""Replicas die, freeze and are stopped under load, one after the other, and the ledger must balance."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests.chaos.faults import SteppedDown, WatcherFrozen, WatcherKilled, WatcherStopped
from tests.chaos.schedule import Record, Stroke, play, strike
from tests.chaos.stage import RATE_LIMITS, Stage, hands_on_replicas, staged_replicas
from tests.chaos.tenures import holder, takeovers, tenures
from tests.chaos.test_chaos import SEED, settled_twice
from watcher.core.leases import CAPTURE, endpoint_lease

REPLICAS = 3
FAIL_OVER_SECONDS = 10.0
"""Promised in CONTRACT §6."""

SILENCE_SECONDS = FAIL_OVER_SECONDS + 5.0
"""What receivers hear is held up by this process, too, in which they and the writers live."""

MINUTES = float(os.environ.get("CHAOS_MINUTES", "5"))
PER_SECOND = float(os.environ.get("CHAOS_PER_SECOND", "300"))
"""Of the long run. What a machine cannot write it leaves out."""

Replaced = WatcherKilled | WatcherFrozen | WatcherStopped


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_replica_that_dies_and_one_that_freezes_are_replaced(tmp_path):
    async with staged_replicas(tmp_path, seed=SEED, per_second=60, replicas=REPLICAS) as stage:
        everyone, record, over = tuple(stage.receivers), Record(), False
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stage.writer.write(until=lambda: over))
            try:
                await asyncio.sleep(2)  # of load: a kill of an idle one shows nothing
                reader = holder(CAPTURE, stage.watchers)
                await strike(WatcherKilled(reader, everyone), record, hold=8)
                sender = holder(endpoint_lease("paced"), stage.watchers)
                await strike(WatcherFrozen(sender, everyone), record, hold=9)
                await strike(SteppedDown(stage.mongo), record, hold=3)
            finally:
                over = True

        await _judge(stage, record)


@pytest.mark.long
@pytest.mark.timeout(3_600)
async def test_replicas_that_come_and_go_lose_nothing(tmp_path):
    async with staged_replicas(tmp_path, seed=SEED, per_second=PER_SECOND, replicas=REPLICAS) as stage:
        record, ends = Record(), time.monotonic() + 60 * MINUTES

        def over() -> bool:
            return time.monotonic() >= ends

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stage.writer.write(until=over))
            tasks.create_task(play(hands_on_replicas(stage), record, seed=SEED, until=over))
            tasks.create_task(_progress(stage, record, until=over))

        await _judge(stage, record)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailOver:
    """What became of the work of one replica, and what receivers saw of it, in seconds."""

    stroke: Stroke
    taken: Mapping[str, float]
    """By lease: until another replica had it."""
    silences: Mapping[str, float]
    """By endpoint: the longest time without a request."""


async def _judge(stage: Stage, record: Record) -> None:
    """Nothing is written any more: all must have come, in order, and in time."""
    written = time.monotonic()
    await stage.everything_arrived(patience_seconds=60)
    arrived = time.monotonic() - written
    ruling = stage.referee.rule(stage.ledger, record.doubts())
    codes = [await watcher.stop() for watcher in stage.watchers]
    journal = "".join(watcher.log for watcher in stage.watchers)
    fail_overs = _fail_overs(stage, record, written)
    most = {name: stage.clocking.most_within(name, 1.0) for name in RATE_LIMITS}

    faults = ", ".join(f"{count} x {name}" for name, count in sorted(record.by_fault().items()))
    repeats = ", ".join(f"{count} after {cause}" for cause, count in ruling.repeats.most_common())
    print(
        f"\nreplicas, CHAOS_SEED={SEED}: {faults}",
        f"{ruling.events} events of {stage.ledger.entities} entities;"
        f" all {ruling.deliveries} deliveries there {arrived:.0f} s later; {ruling.requests} requests",
        f"{stage.commits.unknown} acknowledgements of MongoDB lost, {stage.commits.found} of them done",
        f"lost {ruling.lost}, invented {ruling.invented}, ids changed {ruling.id_changes},"
        f" bytes changed {ruling.byte_changes}, inversions {ruling.inversions},"
        f" signatures wrong {ruling.unsigned}",
        f"repeats {ruling.repeats.total()}: {repeats or 'none'}",
        *_told(fail_overs),
        f"most requests within one second: {most} of {RATE_LIMITS}",
        sep="\n  ",
    )
    assert ruling.clean, stage.referee.examples
    assert codes == [0] * len(stage.watchers)
    assert "Traceback" not in journal
    assert not settled_twice(journal), "what was known to be delivered was sent again"
    for each in fail_overs:
        assert max(each.taken.values(), default=0) < FAIL_OVER_SECONDS, each
        assert max(each.silences[name] for name in ("good", "paced")) < SILENCE_SECONDS, each
    for name, requests in most.items():
        assert requests <= RATE_LIMITS[name]["maxPerSecond"]


def _fail_overs(stage: Stage, record: Record, written: float) -> Sequence[FailOver]:
    history, wall = tenures(stage.watchers), time.time() - time.monotonic()
    return [
        FailOver(
            stroke=stroke,
            taken=takeovers(stroke.fault.watcher, wall + stroke.began, history),
            silences={
                name: stage.clocking.longest_silence(name, stroke.began, min(stroke.ended, written))
                for name in stage.receivers
            },
        )
        for stroke in record.strokes
        if isinstance(stroke.fault, Replaced)
    ]


def _told(fail_overs: Sequence[FailOver]) -> Sequence[str]:
    taken: dict[str, list[float]] = defaultdict(list)
    silences: dict[str, list[float]] = defaultdict(list)
    for each in fail_overs:
        taken[each.stroke.fault.name] += each.taken.values()
        for name, seconds in each.silences.items():
            silences[name].append(seconds)
    return [
        *(
            f"{name}: leases taken over after {', '.join(f'{seconds:.1f}' for seconds in sorted(times))} s"
            for name, times in taken.items()
        ),
        "longest silence in a fail-over: "
        + ", ".join(f"{name} {max(times):.1f} s" for name, times in silences.items()),
    ]


async def _progress(stage: Stage, record: Record, *, until: Callable[[], bool]) -> None:
    """A line every half minute, for whoever runs it by hand."""
    while not until():
        await asyncio.sleep(30)
        print(
            f"  {len(stage.ledger.entries)} events, {len(record.strokes)} faults,"
            f" {stage.referee.missing(stage.ledger)} deliveries to come",
            flush=True,
        )
