"""The program is cut off at every await and before every SQL statement, and started again on what is left."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.crashes.crashing import a_world, broken_promises, copies, crashes, judged
from tests.crashes.scenarios import SCENARIOS, Scenario
from tests.crashes.world import LATER, Life, World

LONG = [pytest.mark.long, pytest.mark.timeout(1_800)]


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=LONG)])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_wherever_it_is_cut_off_every_promise_is_kept(scenario: Scenario, every: int, tmp_path: Path) -> None:
    cut = crashes(a_world(scenario, tmp_path))

    tried = cut.worlds[::every]
    print(f"\n{scenario}: {cut.points} crash points leave {len(cut.worlds)} worlds, {len(tried)} tried")
    assert cut.end.verdict() == []
    assert list(judged(tried)) == []


@pytest.mark.parametrize("every", [pytest.param(12, marks=LONG)])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_cut_off_once_more_before_it_has_made_good_every_promise_is_kept(
    scenario: Scenario, every: int, tmp_path: Path
) -> None:
    once = crashes(a_world(scenario, tmp_path)).worlds[::every]

    points, twice = 0, list[World]()
    for world in once:
        cut = crashes(world)
        points += cut.points
        twice += cut.worlds[1::every]

    print(f"\n{scenario}: {points} crash points after {len(once)} crashes, {len(twice)} worlds tried")
    assert list(judged(twice)) == []


@pytest.mark.parametrize("steps", [20, 40, 80])
def test_started_again_hours_later_and_cut_off_once_more_it_knows_what_it_must(
    steps: int, tmp_path: Path
) -> None:
    [scenario] = [each for each in SCENARIOS if each.name == "outage"]
    cut = crashes(a_world(scenario, tmp_path))
    begun = [world for world in cut.worlds if world.store.read()][::3]

    hours = len(scenario.setup.script.moments) + timedelta(hours=3) // LATER
    left = []
    for world in begun:
        world.passes(hours)
        life = Life(world, sizes=lambda: 1)
        life.run(steps)
        left.append(life.kill())

    assert list(judged(left)) == []


@pytest.mark.parametrize("name", ["answers", "endings", "endings, from memory", "every kind of answer"])
def test_a_state_put_back_from_an_older_copy_sends_the_same_again(name: str, tmp_path: Path) -> None:
    [scenario] = [each for each in SCENARIOS if each.name == name]
    world = a_world(scenario, tmp_path)

    older = copies(world)

    assert world.verdict() == []
    assert [broken_promises(world.restored(copy)) for copy in older] == [[]] * len(older)
