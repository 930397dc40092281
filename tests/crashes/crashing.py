"""Crash points: every one of a run, and the different worlds that crashes at them leave behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crashes.receivers import Receivers
from tests.crashes.scenarios import Scenario
from tests.crashes.stores import Image, SqliteStore
from tests.crashes.world import Life, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashes:
    points: int
    """Between any two steps of the loop, and before each SQL statement of a transaction."""
    worlds: Sequence[World]
    """What they leave behind. Where two points leave the same, the same follows: one stands for both."""
    end: World
    """The world after a run that nothing cut off."""


def a_world(scenario: Scenario, folder: Path) -> World:
    return World(setup=scenario.setup, receivers=Receivers(scenario.answers), store=SqliteStore(folder))


def crashes(world: World) -> Crashes:
    """Live once, and note at every point what a crash would leave."""
    left: dict[object, World] = {}
    points = 0

    def note() -> None:
        nonlocal points
        points += 1
        mark = world.fingerprint()
        if mark not in left:
            left[mark] = world.image()

    Life(world, after_step=note).live_to_the_end()
    return Crashes(points=points, worlds=list(left.values()), end=world)


def copies(world: World, *, moments: int = 4) -> Sequence[Image]:
    """Live to the end, and keep a copy of the state as it was at the first few moments."""
    kept = []

    life = Life(world)
    life.rest()
    for _ in range(moments):
        kept.append(world.store.image())
        life.next()
        life.rest()
    life.live_to_the_end()
    return kept


def broken_promises(world: World) -> list[str]:
    """What is wrong with the world as a crash left it, and what comes of it."""
    found = [f"when it was cut off: {promise}" for promise in world.verdict(cut_off=True)]
    try:
        Life(world).live_to_the_end()
    except AssertionError as error:
        found.append(str(error))
    return found + [f"in the end: {promise}" for promise in world.verdict()]


def judged(worlds: Sequence[World]) -> Iterator[str]:
    for number, world in enumerate(worlds):
        for promise in broken_promises(world):
            yield f"world {number} of {len(worlds)}, {promise}"
