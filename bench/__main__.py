"""`make bench`: the quick figures of all benches; one of them at length with `--only`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import uvloop

from bench.cockpit import cockpit
from bench.isolation import isolation
from bench.line import bare_posts, drain, steady
from bench.log import log
from bench.posts import posts
from bench.scan import filled, first_scan
from bench.tables import compare, show
from bench.waiting import waiting
from bench.wire import Case, turns
from watcher.demo.mongod import PrivateMongo

OPLOG_MB = 990
"""The least that MongoDB gives itself when nobody says otherwise."""

STATES: Mapping[str, bool] = {"state in SQLite": False, "state in MongoDB": True}
"""By kind: can replicas share it?"""


async def line(options: argparse.Namespace) -> None:
    """A backlog drained, latency at a steady pace, idle and loaded memory."""
    runs, python = range(options.runs or 3), options.python
    count, pace, seconds = options.backlog, options.per_second, options.seconds
    yardsticks = [await bare_posts(count=count // 2) for _ in runs]
    async with PrivateMongo(oplog_mb=OPLOG_MB) as mongo:
        # Both kinds of state in turn, on the same machine within minutes.
        drains = [
            {
                kind: await drain(mongo.uri, count=count, python=python, shared=shared)
                for kind, shared in STATES.items()
            }
            for _ in runs
        ]
        paces = [
            {
                kind: await steady(mongo.uri, per_second=pace, seconds=seconds, python=python, shared=shared)
                for kind, shared in STATES.items()
            }
            for _ in runs
        ]
    show("the yardstick: bare POSTs, 64 in flight", yardsticks)
    compare(f"backlog of {count:,} changes, single-event signed POSTs", drains)
    compare(f"steady {pace}/s for {seconds:.0f} s", paces)


async def wire(options: argparse.Namespace) -> None:
    """What one ordinary turn sends over the wire, trimmed and untrimmed."""
    async with PrivateMongo(oplog_mb=OPLOG_MB) as mongo:
        for pre_images in (True, False):
            for search in (False, True):
                case = Case(pre_images=pre_images, search=search, earlier=options.earlier)
                runs = [
                    await turns(mongo.ports[0], case, count=options.turns, python=options.python)
                    for _ in range(options.runs or 1)
                ]
                compare(str(case), runs)


async def scan(options: argparse.Namespace) -> None:
    """The first scan without pre-images, killed and resumed half-way, and deletions after it."""
    async with PrivateMongo(oplog_mb=OPLOG_MB) as mongo, filled(mongo.uri, options.rows) as database:
        runs = [
            await first_scan(mongo.uri, database, python=options.python) for _ in range(options.runs or 1)
        ]
    show(f"first scan of {options.rows:,} messages without pre-images", runs)


async def endpoints(options: argparse.Namespace) -> None:
    """What one endpoint feels of how others behave."""
    async with PrivateMongo(oplog_mb=OPLOG_MB) as mongo:
        runs = [
            await isolation(
                mongo.uri, per_second=options.per_second, seconds=options.seconds, python=options.python
            )
            for _ in range(options.runs or 1)
        ]
    compare(f"each endpoint at {options.per_second}/s for {options.seconds:.0f} s", runs)


async def store(options: argparse.Namespace) -> None:
    """What each act of `run` costs the store while many deliveries wait, against few."""
    with tempfile.TemporaryDirectory() as folder:
        async with PrivateMongo(oplog_mb=OPLOG_MB) as mongo:
            kinds = await waiting(mongo.uri, Path(folder), many=options.waiting, rounds=options.runs or 31)
    for kind, figures in kinds.items():
        compare(f"{kind}, with so many deliveries waiting", [figures])


async def search(options: argparse.Namespace) -> None:
    """What a page of the log takes while many deliveries are kept."""
    with tempfile.TemporaryDirectory() as folder:
        async with PrivateMongo(oplog_mb=OPLOG_MB) as mongo:
            kinds = await log(mongo.uri, Path(folder), rows=options.waiting, rounds=options.runs or 11)
    for kind, figures in kinds.items():
        compare(f"{kind}: a page of {options.waiting:,} deliveries", [figures])


async def page(options: argparse.Namespace) -> None:
    """What an open page and a scraping Prometheus add."""
    async with PrivateMongo(oplog_mb=OPLOG_MB) as mongo:
        runs = [
            await cockpit(
                mongo.uri, per_second=options.per_second, seconds=options.seconds, python=options.python
            )
            for _ in range(options.runs or 1)
        ]
    compare(f"at {options.per_second}/s for {options.seconds:.0f} s", runs)


async def bare(options: argparse.Namespace) -> None:
    """What a POST costs, and nothing else: by the watcher's own client, and by aiohttp."""
    runs = [await posts(count=options.backlog) for _ in range(options.runs or 3)]
    compare("bare POSTs, 64 in flight", runs)


BENCHES: Mapping[str, Callable[[argparse.Namespace], Awaitable[None]]] = {
    "line": line,
    "posts": bare,
    "wire": wire,
    "scan": scan,
    "endpoints": endpoints,
    "store": store,
    "log": search,
    "cockpit": page,
}


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", choices=BENCHES, help="measure only this")
    parser.add_argument(
        "--runs", type=int, help="how often (line, posts: 3, store: 31, log: 11, the others: once)"
    )
    parser.add_argument(
        "--backlog", type=int, default=20_000, help="line: changes that wait; posts: how many"
    )
    parser.add_argument("--per-second", type=int, default=100, help="line: the steady pace")
    parser.add_argument("--seconds", type=float, default=15, help="line: for how long")
    parser.add_argument("--turns", type=int, default=50, help="wire: turns to take the mean of")
    parser.add_argument("--earlier", type=int, default=50, help="wire: messages that each chat already has")
    parser.add_argument("--rows", type=int, default=20_000, help="scan: messages that are there")
    parser.add_argument("--waiting", type=int, default=100_000, help="store, log: deliveries that are there")
    parser.add_argument(
        "--python",
        default=Path(sys.executable),
        type=lambda path: Path(path).absolute(),
        help="the interpreter that runs the watcher",
    )
    return parser


async def main() -> None:
    options = arguments().parse_args()
    for name, measure in BENCHES.items():
        if options.only in (None, name):
            before = os.getloadavg()[0]
            await measure(options)
            print(f"\n{name}: load before {before:.1f}, after {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    uvloop.run(main())
