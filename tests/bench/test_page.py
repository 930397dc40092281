"""docs/PERFORMANCE.md shows what was measured last, and the stages of a profile are its sum."""

from __future__ import annotations

import doctest
import json

import bench.stages
from bench.aims import AIMS, said
from bench.page import CHARTS, PAGE, drawn, filled
from bench.stages import REST, by_stage


def test_the_page_is_made_of_what_was_kept():
    page = PAGE.read_text()

    assert filled(page) == page, "python -m bench.page"


def test_the_charts_are_made_of_what_was_kept():
    assert {name: CHARTS.joinpath(f"{name}.svg").read_text() for name in drawn()} == drawn()


def test_all_that_was_sampled_is_in_some_stage():
    samples = [
        json.dumps([0.25, ["/site-packages/aiohttp/client.py:_request", "/watcher/adapters/http.py:send"]]),
        json.dumps([0.5, ["/lib/python3.11/json/encoder.py:encode", "/watcher/adapters/journal.py:_json"]]),
        json.dumps([0.125, ["/lib/python3.11/asyncio/runners.py:run", "/watcher/cli/run.py:run"]]),
        json.dumps([0.125, ["/somewhere/else.py:work"]]),
    ]

    assert by_stage(samples) == {"send": 0.25, "observe": 0.5, "event loop": 0.125, REST: 0.125}


def test_examples_of_stages_are_true():
    assert doctest.testmod(bench.stages).failed == 0


def test_a_bound_is_held_at_its_value():
    for aim in AIMS:
        bound = aim.most if aim.most is not None else aim.least
        assert bound is not None
        assert aim.holds(bound)
        assert said(aim, bound)[2] == "yes"
        assert not aim.holds(bound * (2 if aim.most is not None else 0.5))
