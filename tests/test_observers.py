"""Observers together: one that fails harms nobody."""

from __future__ import annotations

from watcher.core.facts import Fact, Swept
from watcher.observers import Observers

FACT = Swept(deliveries=1)


def test_each_is_told_every_fact_in_order():
    told: list[tuple[str, Fact]] = []

    Observers(lambda fact: told.append(("first", fact)), lambda fact: told.append(("second", fact)))(FACT)

    assert told == [("first", FACT), ("second", FACT)]


def test_one_that_raises_is_counted_and_hurts_neither_the_others_nor_the_caller():
    told: list[Fact] = []

    def broken(_: Fact) -> None:
        raise RuntimeError

    observe = Observers(broken, told.append)
    observe(FACT)
    observe(FACT)

    assert told == [FACT, FACT]
    assert observe.failures == 2
