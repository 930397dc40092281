"""Growth: does an event cost more when there is ten or a hundred times as much of something?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.contest import Way, the_watcher
from bench.drain import Load, drain
from bench.stock import Stock, beside, going_out, stocked
from bench.tables import Figures, Table, number

ENTITIES = (10, 1_000, 100_000)
ENDPOINTS = (1, 10, 100)
KILOBYTES = (1.2, 12.0, 120.0)

TAKEN = 10_000
"""More than one measurement takes from a stock that goes out."""

COST = "CPU µs/event"


async def by_entities(uri: str, python: Path, *, changes: int, most: int, runs: int) -> Table:
    """So many changes, or one for each entity where there are more of those."""
    points = {
        f"{entities:,}": Load(changes=max(changes, entities), entities=entities)
        for entities in ENTITIES
        if entities <= most
    }
    return await _drains(uri, python, "growth: entities (conversations) of a backlog", points, runs)


async def by_endpoints(uri: str, python: Path, *, deliveries: int, runs: int) -> Table:
    """The same number of deliveries: fewer changes for more endpoints."""
    points = {
        f"{endpoints}": Load(changes=deliveries // endpoints, copies=endpoints) for endpoints in ENDPOINTS
    }
    return await _drains(uri, python, "growth: endpoints", points, runs)


async def by_size(uri: str, python: Path, *, changes: int, runs: int) -> Table:
    """Fewer of the larger ones: bodies of 120 kB are most of what there is to do."""
    points = {
        f"{number(kb)} kB": Load(changes=max(200, round(changes / (kb / KILOBYTES[0]) ** 0.5)), kb=kb)
        for kb in KILOBYTES
    }
    return await _drains(uri, python, "growth: size of documents", points, runs)


async def by_waiting(
    uri: str, python: Path, *, points: Sequence[int], changes: int, runs: int
) -> Sequence[Table]:
    """An event whose receiver is well, beside so many that wait for another; and those that waited, when
    their receiver is back."""
    title = "growth: deliveries that wait for another endpoint"
    async with _stocks(uri, python, points) as stocks:
        besides = [
            {name: await beside(stock, python, changes=changes) for name, stock in stocks.items()}
            for _ in range(runs)
        ]
    # Each run takes from the stock.
    async with _stocks(uri, python, sorted({TAKEN * runs, *points[-1:]})) as stocks:
        outs = [{name: await going_out(stock, python) for name, stock in stocks.items()} for _ in range(runs)]
    return [_table(title, besides), _table("growth: deliveries that waited, and go out", outs)]


@asynccontextmanager
async def _stocks(uri: str, python: Path, points: Sequence[int]) -> AsyncIterator[Mapping[str, Stock]]:
    async with AsyncExitStack() as stack:
        yield {
            f"{waiting:,}": await stack.enter_async_context(stocked(uri, python, waiting))
            for waiting in points
        }


async def _drains(uri: str, python: Path, title: str, points: Mapping[str, Load], runs: int) -> Table:
    measured = []
    for _ in range(runs):
        measured.append(
            {
                name: await drain(uri, the_watcher(python, name, Way(endpoints=load.copies)), load)
                for name, load in points.items()
            }
        )
    return _table(title, measured)


def _table(title: str, runs: Sequence[Mapping[str, Figures]]) -> Table:
    """With how each run's costs compare to those of the first thing in it."""
    return Table.of(
        title,
        [
            {
                thing: {**figures, "× of the first": figures[COST] / next(iter(run.values()))[COST]}
                for thing, figures in run.items()
            }
            for run in runs
        ],
    )
