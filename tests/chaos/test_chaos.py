"""Everything goes wrong at once, by a seed's dice, and the ledger must balance at every receiver."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from tests.chaos.referee import Ruling
from tests.chaos.schedule import Record, play
from tests.chaos.stage import SLOTS, TEMPERS, Stage, hands, staged
from watcher.core.lanes import UNSETTLED

SEED = os.environ.get("CHAOS_SEED", "1")
"""The same faults in the same order; when they hit what, time decides."""

PROGRESS_SECONDS = 30.0

MINUTES = float(os.environ.get("CHAOS_MINUTES", "10"))
PER_SECOND = float(os.environ.get("CHAOS_PER_SECOND", "150"))
"""Of the long run: how long at least, and how many changes people make. On a machine that cannot do as many
it goes on until there were enough."""

IN_FLIGHT = SLOTS * (1 + UNSETTLED) * len(TEMPERS)
"""Requests without an answer, or with one that is not noted, at most: what a kill may have sent again."""


@pytest.mark.parametrize(
    ("seconds", "per_second", "deliveries", "kills"),
    [
        (10, 60, 0, 1),
        pytest.param(
            60 * MINUTES,
            PER_SECOND,
            10_000 * MINUTES,
            10 * MINUTES,
            marks=[pytest.mark.long, pytest.mark.timeout(3_600)],
        ),
    ],
    ids=["short", "long"],
)
@pytest.mark.parametrize(
    "pre_images", [True, pytest.param(False, marks=pytest.mark.long)], ids=["with images", "without images"]
)
async def test_nothing_is_lost_changed_or_overtaken(
    tmp_path, seconds, per_second, deliveries, kills, pre_images
):
    """At least so many seconds, deliveries and kills, whatever comes last."""
    async with staged(tmp_path, seed=SEED, per_second=per_second, pre_images=pre_images) as stage:
        record, began = Record(), time.monotonic()

        def over() -> bool:
            enough: bool = stage.referee.deliveries >= deliveries and record.kills >= kills
            return enough and time.monotonic() - began >= seconds

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stage.writer.write(until=over))
            tasks.create_task(play(hands(stage), record, seed=SEED, until=over))
            tasks.create_task(_progress(stage, record, until=over))
        written = time.monotonic() - began
        await stage.everything_arrived(patience_seconds=60)
        arrived = time.monotonic() - began

        ruling = stage.referee.rule(stage.ledger, record.doubts())
        print(_figures(stage, record, ruling, written=written, arrived=arrived))

        assert ruling.clean, stage.referee.examples
        assert ruling.repeats_after("kill -9 of the watcher") <= record.kills * IN_FLIGHT
        assert await stage.watcher.stop() == 0
        journal = stage.watcher.log
        assert "Traceback" not in journal
        assert not settled_twice(journal), "what was known to be delivered was sent again"


def settled_twice(journal: str) -> Sequence[str]:
    """Ids of which the watcher noted more than once that they were delivered. What a kill left without a note
    is sent again; what has one never is."""
    lines = (json.loads(line) for line in journal.splitlines() if '"verdict": "delivered"' in line)
    noted = Counter(line["id"] for line in lines)
    return [identity for identity, times in noted.items() if times > 1]


async def _progress(stage: Stage, record: Record, *, until: Callable[[], bool]) -> None:
    """A line every half minute, for whoever runs it by hand."""
    began = said = time.monotonic()
    while not until():
        await asyncio.sleep(0.5)
        if time.monotonic() - said >= PROGRESS_SECONDS:
            said = time.monotonic()
            print(
                f"  {said - began:.0f} s: {len(stage.ledger.entries)} events, {record.kills} kills,"
                f" {stage.referee.deliveries} deliveries, {stage.referee.missing(stage.ledger)} to come",
                flush=True,
            )


def _figures(stage: Stage, record: Record, ruling: Ruling, *, written: float, arrived: float) -> str:
    faults = ", ".join(f"{count} x {name}" for name, count in sorted(record.by_fault().items()))
    repeats = ", ".join(f"{count} after {cause}" for cause, count in ruling.repeats.most_common())
    return "\n  ".join(
        [
            f"\nchaos, CHAOS_SEED={SEED}:",
            f"{ruling.events} events of {stage.ledger.entities} entities committed in {written:.0f} s;"
            f" all {ruling.deliveries} deliveries there after {arrived:.0f} s; {ruling.requests} requests",
            f"{record.kills} kills; {faults}",
            f"{stage.commits.unknown} acknowledgements of MongoDB lost, {stage.commits.found} of them done",
            f"lost {ruling.lost}, invented {ruling.invented}, ids changed {ruling.id_changes},"
            f" bytes changed {ruling.byte_changes}, inversions {ruling.inversions},"
            f" signatures wrong {ruling.unsigned}",
            f"repeats {ruling.repeats.total()}: {repeats or 'none'}",
        ]
    )
