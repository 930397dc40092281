"""The benches by name, each at the length that its options say. Each opens a MongoDB of its own."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import trustme

from bench.cockpit import cockpit
from bench.contest import BATCHED, SHARED, WATCHER, Contestant, Way, bare_reader, peers, the_watcher
from bench.drain import Load, drain
from bench.growth import by_endpoints, by_entities, by_size, by_waiting
from bench.isolation import isolation
from bench.latency import idle, latency
from bench.log import log
from bench.posts import posts
from bench.scan import filled, first_scan
from bench.stages import stages
from bench.stock import gathered, start, stocked
from bench.tables import Figures, Table
from bench.waiting import waiting
from bench.wire import Case, turns
from watcher.demo.mongod import PrivateMongo

OPLOG_MB = 990
"""The least that MongoDB gives itself when nobody says otherwise."""

MANY_ENDPOINTS = 8


def _mongo() -> PrivateMongo:
    return PrivateMongo(oplog_mb=OPLOG_MB)


# ---------------------------------------------------------------------- speed and cost: `make bench`


async def drains(options: Namespace) -> Sequence[Table]:
    """A backlog drained: the watcher in three ways, a bare reader, the peers."""
    python, load = options.python, Load(changes=options.backlog)
    others = [the_watcher(python, SHARED, Way(shared=True)), bare_reader(), *peers()]

    async def run(uri: str) -> Mapping[str, Figures]:
        single, batched = await _both(uri, python, Way(), load)
        return {
            WATCHER: single,
            BATCHED: batched,
            **{other.name: await drain(uri, other, load) for other in others},
        }

    async with _mongo() as mongo:
        runs = [await run(mongo.uri) for _ in range(options.runs)]
    return [Table.of(f"a backlog of {options.backlog:,} changes of 1.2 kB ({LONGER_SAID})", runs)]


async def ways(options: Namespace) -> Sequence[Table]:
    """What size, TLS and endpoints change of a drained backlog, single and in batches."""
    changes = options.backlog // 2
    few = changes // MANY_ENDPOINTS

    async def run(uri: str, certificate: Path, ca: Path) -> Mapping[str, Figures]:
        cases = {
            "1.2 kB": (Way(), Load(changes=changes)),
            "8 kB": (Way(), Load(changes=changes, kb=8)),
            "TLS": (Way(ca=ca), Load(changes=changes)),
            f"{MANY_ENDPOINTS} endpoints": (
                Way(endpoints=MANY_ENDPOINTS),
                Load(changes=few, copies=MANY_ENDPOINTS),
            ),
        }
        found = {}
        for name, (way, load) in cases.items():
            tls = certificate if way.ca else None
            single, batched = await _both(uri, options.python, way, load, certificate=tls)
            found.update({name: single, f"{name}, batched": batched})
        return found

    with _certificate() as (certificate, ca):
        async with _mongo() as mongo:
            runs = [await run(mongo.uri, certificate, ca) for _ in range(options.runs)]
    return [Table.of(f"a backlog of {changes:,} deliveries ({LONGER_SAID})", runs)]


LONGER = 3
"""How many times longer a backlog is that goes out in batches: what goes singly before they form weighs
little."""

LONGER_SAID = f"batched {LONGER} times as many"


async def _both(
    uri: str, python: Path, way: Way, load: Load, *, certificate: Path | None = None
) -> tuple[Figures, Figures]:
    """Of the watcher: singly, and in batches."""
    single = await drain(uri, the_watcher(python, WATCHER, way), load, certificate=certificate)
    in_batches = the_watcher(python, BATCHED, way.batched(single["events/s"]))
    longer = replace(load, changes=load.changes * LONGER)
    return single, await drain(uri, in_batches, longer, certificate=certificate)


async def latencies(options: Namespace) -> Sequence[Table]:
    """Commit to receipt at 10, 100 and 1,000 a second."""
    paces = {10: options.seconds, 100: options.seconds, 1_000: options.seconds / 2}  # events a second
    contestants = _all(options)
    async with _mongo() as mongo:
        runs = [
            {each.name: await latency(mongo.uri, each, paces) for each in contestants}
            for _ in range(options.runs)
        ]
    return [
        Table.of(
            f"commit to receipt at {pace:,}/s",
            [{name: figures[pace] for name, figures in run.items()} for run in runs],
        )
        for pace in paces
    ]


async def idles(options: Namespace) -> Sequence[Table]:
    """CPU and memory with nothing to do."""
    contestants = _all(options)
    async with _mongo() as mongo:
        runs = [await idle(mongo.uri, contestants, seconds=options.idle_seconds) for _ in range(options.runs)]
    return [Table.of(f"nothing to do for {options.idle_seconds:.0f} s", runs)]


async def down(options: Namespace) -> Sequence[Table]:
    """Memory while a receiver is down; the start with much that waits."""
    python, many = options.python, options.stock
    async with _mongo() as mongo:
        gatherings = [{WATCHER: await gathered(mongo.uri, python, waiting=options.gathered)}]
        async with stocked(mongo.uri, python, 0) as none, stocked(mongo.uri, python, many) as stock:
            starts = [
                {
                    "nothing waiting": await start(none, python),
                    f"{many:,} waiting": await start(stock, python),
                }
                for _ in range(options.runs)
            ]
    return [
        Table.of(f"a receiver that is down while {options.gathered:,} changes come", gatherings),
        Table.of("from the start of the process until it is ready", starts),
    ]


async def profile(options: Namespace) -> Sequence[Table]:
    """Where the CPU goes."""
    async with _mongo() as mongo:
        runs = [await stages(mongo.uri, options.python, changes=options.backlog) for _ in range(options.runs)]
    return [Table.of(f"CPU by stage, a backlog of {options.backlog:,} changes", runs)]


async def growth(options: Namespace) -> Sequence[Table]:
    """Cost per event with more waiting, more entities, more endpoints, larger documents."""
    python, changes, runs = options.python, options.backlog // 2, options.runs
    points = [each for each in (1_000, 10_000, 100_000, 1_000_000) if each <= options.grown]
    async with _mongo() as mongo:
        return [
            *await by_waiting(mongo.uri, python, points=points, changes=changes, runs=runs),
            await by_entities(mongo.uri, python, changes=changes, most=options.grown, runs=runs),
            await by_endpoints(mongo.uri, python, deliveries=changes, runs=runs),
            await by_size(mongo.uri, python, changes=changes, runs=runs),
        ]


def _all(options: Namespace) -> Sequence[Contestant]:
    return [the_watcher(options.python), bare_reader(), *peers()]


@contextmanager
def _certificate() -> Iterator[tuple[Path, Path]]:
    """A receiver's certificate with its key, and the authority that made it."""
    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as folder:
        certificate, ca = Path(folder) / "receiver.pem", Path(folder) / "ca.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        authority.cert_pem.write_to_path(str(ca))
        yield certificate, ca


# ---------------------------------------------------------------------- single questions: `--only`


async def bare(options: Namespace) -> Sequence[Table]:
    """What a POST costs, and nothing else: by the watcher's own client, and by aiohttp."""
    runs = [await posts(count=options.backlog) for _ in range(options.runs)]
    return [Table.of("bare POSTs, 64 in flight", runs)]


async def wire(options: Namespace) -> Sequence[Table]:
    """What one ordinary turn sends over the wire, trimmed and untrimmed."""
    tables = []
    async with _mongo() as mongo:
        for pre_images in (True, False):
            for search in (False, True):
                case = Case(pre_images=pre_images, search=search, earlier=options.earlier)
                runs = [
                    await turns(mongo.ports[0], case, count=options.turns, python=options.python)
                    for _ in range(options.runs)
                ]
                tables.append(Table.of(str(case), runs))
    return tables


async def scan(options: Namespace) -> Sequence[Table]:
    """The first scan without pre-images, killed and resumed half-way, and deletions after it."""
    async with _mongo() as mongo, filled(mongo.uri, options.rows) as database:
        runs = [
            {WATCHER: await first_scan(mongo.uri, database, python=options.python)}
            for _ in range(options.runs)
        ]
    return [Table.of(f"first scan of {options.rows:,} messages without pre-images", runs)]


async def endpoints(options: Namespace) -> Sequence[Table]:
    """What one endpoint feels of how others behave."""
    pace, seconds = options.per_second, options.seconds
    async with _mongo() as mongo:
        runs = [
            await isolation(mongo.uri, per_second=pace, seconds=seconds, python=options.python)
            for _ in range(options.runs)
        ]
    return [Table.of(f"each endpoint at {pace}/s for {seconds:.0f} s", runs)]


async def store(options: Namespace) -> Sequence[Table]:
    """What each act of `run` costs the store while many deliveries wait, against few."""
    with tempfile.TemporaryDirectory() as folder:
        async with _mongo() as mongo:
            kinds = await waiting(mongo.uri, Path(folder), many=options.waiting, rounds=options.rounds)
    return [
        Table.of(f"{kind}, with so many deliveries waiting", [figures]) for kind, figures in kinds.items()
    ]


async def search(options: Namespace) -> Sequence[Table]:
    """What a page of the log takes while many deliveries are kept."""
    with tempfile.TemporaryDirectory() as folder:
        async with _mongo() as mongo:
            kinds = await log(mongo.uri, Path(folder), rows=options.waiting, rounds=options.rounds)
    return [
        Table.of(f"{kind}: a page of {options.waiting:,} deliveries", [figures])
        for kind, figures in kinds.items()
    ]


async def page(options: Namespace) -> Sequence[Table]:
    """What an open page and a scraping Prometheus add."""
    pace, seconds = options.per_second, options.seconds
    async with _mongo() as mongo:
        runs = [
            await cockpit(mongo.uri, per_second=pace, seconds=seconds, python=options.python)
            for _ in range(options.runs)
        ]
    return [Table.of(f"at {pace}/s for {seconds:.0f} s", runs)]


Bench = Callable[[Namespace], Awaitable[Sequence[Table]]]

SPEED: Mapping[str, Bench] = {
    "drain": drains,
    "ways": ways,
    "latency": latencies,
    "idle": idles,
    "down": down,
    "stages": profile,
    "growth": growth,
}
"""What `make bench` measures, and docs/PERFORMANCE.md shows."""

OTHERS: Mapping[str, Bench] = {
    "posts": bare,
    "wire": wire,
    "scan": scan,
    "endpoints": endpoints,
    "store": store,
    "log": search,
    "cockpit": page,
}
