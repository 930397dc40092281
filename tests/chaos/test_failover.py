"""How long receivers hear nothing when the primary is lost, from the new primary's being there."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.faults import Fault, PrimaryFrozen, PrimaryKilled, SteppedDown
from tests.chaos.stage import Stage, staged
from watcher.demo.mongod import PrivateMongo

PER_SECOND = 30
WANTED_SECONDS = 2.0
PATIENCE_SECONDS = 20.0
"""Beyond it events do not come again by the fail-over, but by a time limit somewhere."""

Kind = Callable[[PrivateMongo], Fault]


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Seconds of one fail-over, until the first event of a write to the new primary came."""

    since_elected: float
    since_committed: float
    """Since that write had its majority. Of a frozen primary the other members take leave in their own time:
    until they read from each other, MongoDB commits nothing."""


@pytest.mark.parametrize(
    ("kinds", "rounds"),
    [
        ([PrimaryKilled], 1),
        pytest.param(
            [PrimaryKilled, PrimaryFrozen, SteppedDown],
            10,
            marks=[pytest.mark.long, pytest.mark.timeout(1_200)],
        ),
    ],
    ids=["once", "ten times"],
)
async def test_events_come_again_soon_after_there_is_a_new_primary(
    tmp_path: Path, kinds: Sequence[Kind], rounds: int
):
    silences: dict[str, list[Silence]] = defaultdict(list)
    over = False
    async with (
        staged(tmp_path, seed="failover", per_second=PER_SECOND) as stage,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(stage.writer.write(until=lambda: over))
        try:
            for fault in [kind(stage.mongo) for _ in range(rounds) for kind in kinds]:
                silences[fault.name].append(await _silence(stage, fault))
        finally:
            over = True

    for name, times in silences.items():
        elected = ", ".join(f"{each.since_elected:.2f}" for each in times)
        committed = ", ".join(f"{each.since_committed:.2f}" for each in times)
        print(
            f"\n{name}: first event {elected} s after the new primary, {committed} s after its first commit"
        )
    wanted = WANTED_SECONDS if rounds > 1 else PATIENCE_SECONDS
    assert max(each.since_elected for each in silences["kill -9 of the primary"]) < wanted
    assert max(each.since_committed for times in silences.values() for each in times) < wanted


async def _silence(stage: Stage, fault: Fault) -> Silence:
    """Bring the fault about, under load."""
    await stage.first_event(patience_seconds=PATIENCE_SECONDS)  # all is well before
    await fault.inject()
    await stage.mongo.primary()
    elected = time.monotonic()

    committed, came = await stage.first_event(patience_seconds=PATIENCE_SECONDS)

    await fault.heal()
    return Silence(since_elected=came - elected, since_committed=came - committed)
