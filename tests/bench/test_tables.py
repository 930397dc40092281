"""Medians and ratios are of runs, as the page says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import results
from bench.tables import Table, number, show

RUNS = [
    {"ours": {"events/s": 10.0, "µs": 4.0}, "theirs": {"events/s": 40.0}},
    {"ours": {"events/s": 30.0, "µs": 2.0}, "theirs": {"events/s": 20.0}},
    {"ours": {"events/s": 20.0, "µs": 9.0}, "theirs": {"events/s": 10.0}},
]


def a_table() -> Table:
    return Table.of("a race", RUNS)


def test_the_median_of_the_runs_counts():
    assert a_table().median("ours", "events/s") == 20
    assert a_table().median("ours", "µs") == 4


def test_a_ratio_is_taken_within_each_run():
    # 0.25, 1.5, 2: not the 1.0 of the medians, which may be of different runs.
    assert a_table().ratio("ours", "theirs", "events/s") == 1.5


def test_a_figure_that_only_some_have_is_a_column_of_its_own(capsys):
    assert a_table().figures == ["events/s", "µs"]

    show([a_table()])

    assert "theirs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "words"), [(16_604.3, "16,604"), (104.2, "104"), (12.34, "12.3"), (1.234, "1.23")]
)
def test_a_figure_has_as_many_digits_as_say_something(value, words):
    assert number(value) == words


def test_what_is_kept_comes_back(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")

    results.keep("race", [a_table()], {"date": "2026-11-27"})

    found = results.kept("race")
    assert found is not None
    assert found.table("a race").ratio("ours", "theirs", "events/s") == 1.5
    assert found.circumstances == {"date": "2026-11-27"}


def test_the_runs_of_a_figure_are_kept_in_one_line(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(results, "RESULTS", tmp_path)

    results.keep("race", [a_table()], {})

    text = (tmp_path / "race.json").read_text()
    assert '"events/s": [ 10.0, 30.0, 20.0 ]' in text
    assert json.loads(text)


def test_a_bench_that_was_never_run_has_no_result(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(results, "RESULTS", tmp_path)

    assert results.kept("race") is None
