"""The schedule: several hands break things at once, each one thing after the other, by a seed's dice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.chaos.faults import Fault
from tests.chaos.referee import Doubt

LINGER_SECONDS = 1.0
"""After a fault is healed, until what hung on the way has arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """Somebody who breaks things of one kind."""

    name: str
    faults: Sequence[tuple[Fault, float]]
    """Each with its weight."""
    pause: tuple[float, float]
    """Seconds between two faults."""
    hold: tuple[float, float]
    """Seconds until a fault is healed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """One fault that was brought about."""

    fault: Fault
    began: float
    ended: float
    """Healed. Monotonic seconds."""


@dataclass(slots=True)
class Record:
    """What the hands have done."""

    strokes: list[Stroke] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(1 + ("twice" in name) for name in self.by_fault().elements() if "kill -9" in name)

    def by_fault(self) -> Counter[str]:
        return Counter(stroke.fault.name for stroke in self.strokes)

    def doubts(self) -> Sequence[Doubt]:
        """When answers of receivers may have been lost: kills first, as they explain most."""
        doubts = [
            Doubt(
                cause=stroke.fault.name,
                began=stroke.began,
                ended=stroke.ended + LINGER_SECONDS,
                endpoint=endpoint,
            )
            for stroke in self.strokes
            for endpoint in stroke.fault.loses_answers_of
        ]
        return sorted(doubts, key=lambda doubt: "kill -9" not in doubt.cause)


async def play(hands: Sequence[Hand], record: Record, *, seed: str, until: Callable[[], bool]) -> None:
    """Let all hands work until told. When it returns, everything is healed."""
    async with asyncio.TaskGroup() as tasks:
        for hand in hands:
            tasks.create_task(_work(hand, record, Random(f"{seed} {hand.name}"), until))


async def strike(fault: Fault, record: Record, *, hold: float) -> None:
    """Bring it about, and heal it after so many seconds."""
    began = time.monotonic()
    await fault.inject()
    try:
        await asyncio.sleep(hold)
    finally:
        await fault.heal()
    record.strokes.append(Stroke(fault=fault, began=began, ended=time.monotonic()))


async def _work(hand: Hand, record: Record, dice: Random, until: Callable[[], bool]) -> None:
    faults = [fault for fault, _ in hand.faults]
    weights = [weight for _, weight in hand.faults]
    while True:
        await asyncio.sleep(dice.uniform(*hand.pause))
        if until():
            return
        await strike(dice.choices(faults, weights)[0], record, hold=dice.uniform(*hand.hold))
