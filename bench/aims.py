"""What issue and contract want of speed and cost, and what was measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.contest import BARE, BATCHED, WATCHER
from bench.results import Result, kept
from bench.tables import number


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One bound: of which bench, what is held against it, and whether it is the most or the least."""

    words: str
    bench: str
    measured: Callable[[Result], float]
    most: float | None = None
    least: float | None = None
    unit: str = ""

    def holds(self, value: float) -> bool:
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)


def _drained(thing: str, other: str) -> Callable[[Result], float]:
    return lambda result: result.tables[0].ratio(thing, other, "events/s")


def _of(table: str, thing: str, figure: str) -> Callable[[Result], float]:
    return lambda result: result.table(table).median(thing, figure)


def _late(figure: str) -> Callable[[Result], float]:
    return lambda result: result.table("commit to receipt at 100/s").ratio(WATCHER, BARE, figure)


def _grown(table: str) -> Callable[[Result], float]:
    """The point that costs most, against the first."""
    return lambda result: max(
        result.table(table).median(thing, "× of the first") for thing in result.table(table).values
    )


def _more_when_stocked(result: Result) -> float:
    table = result.table("from the start")
    return table.median(STOCKED, "resident MB") - table.median("nothing waiting", "resident MB")


STOCKED = "1,000,000 waiting"
BESIDE = "growth: deliveries that wait for another"
AIMS: Sequence[Aim] = (
    Aim(
        words="single POSTs, of mq-bridge's rate",
        bench="drain",
        measured=_drained(WATCHER, "mq-bridge"),
        least=0.5,
        unit="x",
    ),
    Aim(
        words="single POSTs, of the Debezium engine's rate",
        bench="drain",
        measured=_drained(WATCHER, "debezium"),
        least=2,
        unit="x",
    ),
    Aim(
        words="batches of 10, of mq-bridge's rate",
        bench="drain",
        measured=_drained(BATCHED, "mq-bridge"),
        least=1,
        unit="x",
    ),
    Aim(
        words="batches of 10, CPU of an event",
        bench="drain",
        measured=_of("a backlog", BATCHED, "CPU µs/event"),
        most=60,
        unit=" µs",
    ),
    Aim(words="loaded", bench="drain", measured=_of("a backlog", WATCHER, "loaded MB"), most=120, unit=" MB"),
    Aim(
        words="p50 at 100/s, of the bare reader's",
        bench="latency",
        measured=_late("p50 ms"),
        most=1.3,
        unit="x",
    ),
    Aim(
        words="p99 at 100/s, of the bare reader's",
        bench="latency",
        measured=_late("p99 ms"),
        most=2,
        unit="x",
    ),
    Aim(
        words="idle", bench="idle", measured=_of("nothing to do", WATCHER, "resident MB"), most=60, unit=" MB"
    ),
    Aim(
        words="idle, of a core",
        bench="idle",
        measured=_of("nothing to do", WATCHER, "CPU %"),
        most=0.5,
        unit=" %",
    ),
    Aim(
        words="ready",
        bench="down",
        measured=_of("from the start", "nothing waiting", "ready s"),
        most=1.5,
        unit=" s",
    ),
    Aim(
        words=f"ready, {STOCKED}",
        bench="down",
        measured=_of("from the start", STOCKED, "ready s"),
        most=3,
        unit=" s",
    ),
    Aim(
        words=f"more memory with {STOCKED}",
        bench="down",
        measured=_more_when_stocked,
        most=30,
        unit=" MB",
    ),
    Aim(
        words="CPU of an event with most waiting, of that with 1,000",
        bench="growth",
        measured=_grown(BESIDE),
        most=1.2,
        unit="x",
    ),
    Aim(
        words="CPU of an event with most entities, of that with 10",
        bench="growth",
        measured=_grown("growth: entities"),
        most=1.2,
        unit="x",
    ),
)


def held() -> Sequence[tuple[Aim, float]]:
    """Those of which something was measured, with that."""
    results: Mapping[str, Result | None] = {aim.bench: kept(aim.bench) for aim in AIMS}
    found = []
    for aim in AIMS:
        result = results[aim.bench]
        if result is None:
            continue
        try:
            found.append((aim, aim.measured(result)))
        except KeyError:  # a peer that was not there, a part that was left out
            continue
    return found


def said(aim: Aim, value: float) -> tuple[str, str, str]:
    """In words: the bound, what was measured, and whether that is within."""
    bound = f"at most {aim.most:g}" if aim.most is not None else f"at least {aim.least:g}"
    return f"{bound}{aim.unit}", f"{number(value)}{aim.unit}", "yes" if aim.holds(value) else "**no**"
