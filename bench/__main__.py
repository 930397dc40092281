"""`make bench`: speed and cost, beside the peers; what came out is kept, and shown in docs/PERFORMANCE.md.

Other questions with `--only`: those are printed, and nothing is kept."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import uvloop

from bench.menu import OTHERS, SPEED
from bench.page import write_page
from bench.results import circumstances, keep
from bench.tables import show


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*SPEED, *OTHERS], help="measure only these")
    parser.add_argument("--print-only", action="store_true", help="keep nothing, leave the page as it is")
    parser.add_argument("--runs", type=int, default=3, help="how often: the median counts")
    parser.add_argument("--backlog", type=int, default=20_000, help="drain, stages, posts: how many")
    parser.add_argument("--per-second", type=int, default=100, help="endpoints, cockpit: the steady pace")
    parser.add_argument("--seconds", type=float, default=6, help="latency, endpoints, cockpit: for how long")
    parser.add_argument("--idle-seconds", type=float, default=20, help="idle: for how long")
    parser.add_argument("--gathered", type=int, default=200_000, help="down: changes without a receiver")
    parser.add_argument(
        "--stock", type=int, default=1_000_000, help="down: deliveries that wait at the start"
    )
    parser.add_argument("--grown", type=int, default=100_000, help="growth: up to so many deliveries waiting")
    parser.add_argument("--turns", type=int, default=50, help="wire: turns to take the mean of")
    parser.add_argument("--earlier", type=int, default=50, help="wire: messages that each chat already has")
    parser.add_argument("--rows", type=int, default=20_000, help="scan: messages that are there")
    parser.add_argument("--waiting", type=int, default=100_000, help="store, log: deliveries that are there")
    parser.add_argument("--rounds", type=int, default=31, help="store, log: how often each act is measured")
    parser.add_argument(
        "--python",
        default=Path(sys.executable),
        type=lambda path: Path(path).absolute(),
        help="the interpreter that runs the watcher",
    )
    return parser


async def main() -> None:
    options = arguments().parse_args()
    at_work = asyncio.current_task()
    assert at_work
    # So that whoever ends the bench ends all that it started.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, at_work.cancel)
    for name, measure in {**SPEED, **OTHERS}.items():
        if name not in (options.only or SPEED):
            continue
        before, began = os.getloadavg()[0], time.monotonic()
        tables = await measure(options)
        show(tables)
        took = time.monotonic() - began
        print(f"\n{name}: {took:.0f} s; load before {before:.1f}, after {os.getloadavg()[0]:.1f}", flush=True)
        if name in SPEED and not options.print_only:
            keep(name, tables, circumstances(before, seconds=took, python=options.python))
            write_page()


if __name__ == "__main__":
    uvloop.run(main())
