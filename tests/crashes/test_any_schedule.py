"""Whatever people do, and whatever happens meanwhile to the program, its disk, its stream and its receivers:
in the end every promise is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Literal, get_args

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.crashes.actions import ACTIONS, PAUSES, acted
from tests.crashes.receivers import Answer, Receivers
from tests.crashes.scenarios import AUDIT, BATCHING, CRM, HOLD, IMPATIENT, UNORDERED
from tests.crashes.stores import MemoryStore, SqliteStore, Store
from tests.crashes.world import Life, Setup, World

Happening = Literal["nothing", "crash", "stop", "outage", "full disk", "failing disk"]


@dataclass(frozen=True, slots=True)
class Turn:
    """After so many steps in one of LibreChat's moments, something happens."""

    steps: int
    what: Happening
    down: int
    """After a crash or a stop: so many moments pass before it is started again."""


ACTED = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5), st.sampled_from(PAUSES))
STEPS = st.integers(0, 60) | st.just(1_000)
TURN = st.builds(Turn, STEPS, st.sampled_from(get_args(Happening)), st.integers(0, 3))

EXAMPLE = {
    "script": st.lists(ACTED, min_size=3, max_size=40).map(lambda actions: acted(actions, hold=HOLD)),
    "turns": st.lists(TURN, max_size=30),
    "answers": st.lists(st.sampled_from(get_args(Answer)), max_size=40),
    "crm": st.sampled_from([CRM, BATCHING, IMPATIENT, UNORDERED]),
    "images": st.booleans(),
    "sizes": st.lists(st.integers(1, 6), min_size=1, max_size=8),
    "choices": st.lists(st.integers(0, 2), min_size=1, max_size=80),
}
PATIENT = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
@pytest.mark.timeout(400)
@settings(PATIENT, max_examples=40)
@given(**EXAMPLE)
def test_every_promise_is_kept(kind, **example):
    keep(kind, **example)


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
@pytest.mark.long
@pytest.mark.timeout(3_600)
@settings(PATIENT, max_examples=3_000)
@given(**EXAMPLE)
def test_every_promise_is_kept_over_thousands_of_schedules(kind, **example):
    keep(kind, **example)


def keep(kind, *, script, turns, answers, crm, images, sizes, choices) -> None:
    """Play it; `choices` are whose turn it is, the loop's or a thread's, where either could go on."""
    setup = Setup(
        script=script,
        endpoints=(crm, AUDIT),
        steady=frozenset({"audit"}),
        images=images,
        unfinished_hold=HOLD,
    )
    replies = dict(enumerate(answers))
    receivers = Receivers(lambda name, number, _: "ok" if name == "audit" else replies.get(number, "ok"))
    with tempfile.TemporaryDirectory() as folder:
        store: Store = SqliteStore(Path(folder)) if kind == "sqlite" else MemoryStore()
        world = World(setup=setup, receivers=receivers, store=store)
        world = played(world, turns, sizes=cycle(sizes), choices=cycle(choices))
        note(f"{world.lives} lives, {len(world.receivers.log)} attempts, {len(script.owed)} events")
        assert world.verdict() == []


def played(world: World, turns: Sequence[Turn], *, sizes: Iterator[int], choices: Iterator[int]) -> World:
    """The world in the end."""

    def begin(world: World) -> Life:
        return Life(world, sizes=lambda: next(sizes), choose=lambda _: next(choices))

    life = begin(world)
    life.rest()  # from here on its position is stored, and nothing may be lost
    for turn in turns:
        life.run(turn.steps)
        match turn.what:
            case "crash" | "stop":
                world = life.kill() if turn.what == "crash" else life.stop()
                assert world.verdict(cut_off=True) == []
                world.passes(turn.down)
                life = begin(world)
            case "outage":
                life.stream.breaks()
            case "full disk":
                life.trouble.refused = 3
            case "failing disk":
                life.trouble.unheard = 1
            case "nothing":
                pass
        life.next()
    life.live_to_the_end()
    return world
