"""`make bench`: a backlog drained, latency at a steady pace, idle and loaded memory."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import aiohttp
import psutil
import uvloop
import yaml
from bson import ObjectId
from pymongo import AsyncMongoClient

from watcher.demo.mongod import PrivateMongo

Database = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A measured process."""

    handle: subprocess.Popen[str]

    def ask(self, what: str) -> dict[str, float]:
        assert self.handle.stdin
        assert self.handle.stdout
        self.handle.stdin.write(what + "\n")
        self.handle.stdin.flush()
        answer: dict[str, float] = json.loads(self.handle.stdout.readline())
        return answer

    @property
    def resident_mb(self) -> float:
        return float(psutil.Process(self.handle.pid).memory_info().rss) / 1e6

    @property
    def cpu_seconds(self) -> float:
        times = psutil.Process(self.handle.pid).cpu_times()
        return float(times.user + times.system)


@contextmanager
def a_receiver() -> Iterator[tuple[Process, str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.receiver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as handle:
        assert handle.stdout
        port = json.loads(handle.stdout.readline())["port"]
        try:
            yield Process(handle=handle), f"http://127.0.0.1:{port}/"
        finally:
            handle.kill()


@contextmanager
def a_watcher(
    folder: Path,
    uri: str,
    url: str,
    *,
    start_from: datetime | None,
    port: int,
    python: Path,
    events: Sequence[str] = ("message.created",),
) -> Iterator[Process]:
    settings = {
        "webhooks": {"url": url, "secret": "bench", "events": list(events)},
        "watcher": {
            "mongoUri": uri,
            "state": f"sqlite:///{folder.joinpath('state.db').as_posix().lstrip('/')}",
            "http": {"listen": f"127.0.0.1:{port}"},
            **({"startFrom": start_from.isoformat()} if start_from else {}),
        },
    }
    config = folder / "webhooks.yaml"
    config.write_text(yaml.safe_dump(settings))
    log = folder.joinpath("log").open("w")
    with subprocess.Popen(
        # In a folder of its own, so that it is the installed package that runs and not this checkout.
        [python, "-m", "watcher", "run", "--config", str(config), "--log", "json"],
        cwd=folder,
        stderr=log,
        text=True,
    ) as handle:
        try:
            yield Process(handle=handle)
        finally:
            handle.terminate()
            handle.wait(20)


def until_ready(port: int) -> float:
    began = time.monotonic()
    while time.monotonic() - began < 30:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    return time.monotonic() - began
        except OSError:
            pass
        time.sleep(0.02)
    raise SystemExit("the watcher did not get ready within 30 s")


def a_message(number: int, conversation: str) -> dict[str, Any]:
    """About 1.2 kB, as LibreChat stores an ordinary answer."""
    now = datetime.now(UTC)
    return {
        "_id": ObjectId(),
        "messageId": str(uuid4()),
        "conversationId": conversation,
        "user": "6b044d4773a41b0b86a68795",
        "parentMessageId": str(uuid4()),
        "text": f"{number} " + "An engine weaves algebraic patterns just as a loom weaves flowers. " * 10,
        "sender": "GPT-4o",
        "isCreatedByUser": False,
        "endpoint": "openAI",
        "model": "gpt-4o",
        "tokenCount": 160,
        "unfinished": False,
        "error": False,
        "_meiliIndex": False,
        "createdAt": now,
        "updatedAt": now,
        "__v": 0,
    }


async def fill(database: Database, count: int) -> None:
    for start in range(0, count, 1_000):
        await database.messages.insert_many(
            [a_message(number, f"conversation-{number % 2_000}") for number in range(start, start + 1_000)]
        )


async def write_steadily(database: Database, *, per_second: int, seconds: float) -> None:
    began = time.monotonic()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        await database.messages.insert_one(a_message(number, f"conversation-{number % 200}"))


async def drain(uri: str, *, count: int, port: int, python: Path) -> dict[str, float]:
    """`count` changes are waiting; how fast do they go out?"""
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        database = client[f"bench_{uuid4().hex[:8]}"]
        await database.messages.insert_one(a_message(0, "before"))
        await asyncio.sleep(1.1)  # `startFrom` counts in whole seconds
        start = datetime.now(UTC)
        await asyncio.sleep(1.1)
        await fill(database, count)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            receiver, url = stack.enter_context(a_receiver())
            began = time.monotonic()
            watcher = stack.enter_context(
                a_watcher(folder, f"{uri}{database.name}", url, start_from=start, port=port, python=python)
            )
            peak = 0.0
            while (seen := receiver.ask("report"))["requests"] < count:
                if time.monotonic() - began > 120:
                    raise SystemExit(f"only {seen['requests']} of {count} arrived in 120 s")
                peak = max(peak, watcher.resident_mb)
                await asyncio.sleep(0.1)
            cpu = watcher.cpu_seconds
        await client.drop_database(database.name)
    return {
        "events_per_second": count / seen["seconds"],
        "cpu_us_per_event": cpu / count * 1e6,
        "loaded_mb": peak,
    }


async def steady(uri: str, *, per_second: int, seconds: float, port: int, python: Path) -> dict[str, float]:
    """Latency from commit to receipt at a steady pace; idle cost before it."""
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        database = client[f"bench_{uuid4().hex[:8]}"]
        await database.messages.insert_one(a_message(0, "before"))
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            receiver, url = stack.enter_context(a_receiver())
            watcher = stack.enter_context(
                a_watcher(folder, f"{uri}{database.name}", url, start_from=None, port=port, python=python)
            )
            ready = until_ready(port)
            await asyncio.sleep(2)
            before, idle_seconds = watcher.cpu_seconds, 5
            await asyncio.sleep(idle_seconds)
            idle_mb, idle_cpu = watcher.resident_mb, (watcher.cpu_seconds - before) / idle_seconds

            await write_steadily(database, per_second=per_second, seconds=2)  # warm
            await asyncio.sleep(0.5)
            receiver.ask("reset")
            before = watcher.cpu_seconds
            await write_steadily(database, per_second=per_second, seconds=seconds)
            await asyncio.sleep(0.5)
            seen, busy = receiver.ask("report"), watcher.cpu_seconds - before
        await client.drop_database(database.name)
    return {
        "arrived_share": seen["requests"] / int(per_second * seconds),
        "p50_ms": seen["p50_ms"],
        "p99_ms": seen["p99_ms"],
        "ready_s": ready,
        "idle_mb": idle_mb,
        "idle_cpu_percent": idle_cpu * 100,
        "busy_cpu_percent": busy / seconds * 100,
    }


async def first_scan(uri: str, *, count: int, port: int, python: Path) -> dict[str, float]:
    """What it takes to remember so many messages, where there are no pre-images."""
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        database = client[f"bench_{uuid4().hex[:8]}"]
        await fill(database, count)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            receiver, url = stack.enter_context(a_receiver())
            mongod_before = await cpu_of_mongod(client)
            began = time.monotonic()
            watcher = stack.enter_context(
                a_watcher(
                    folder,
                    f"{uri}{database.name}",
                    url,
                    start_from=None,
                    port=port,
                    python=python,
                    events=("message.deleted",),
                )
            )
            peak = 0.0
            while '"event": "scan.finished", "collection": "messages"' not in ordered(folder / "log"):
                if time.monotonic() - began > 1_800:
                    raise SystemExit("the first scan did not end within half an hour")
                peak = max(peak, watcher.resident_mb)
                await asyncio.sleep(0.5)
            took, cpu = time.monotonic() - began, watcher.cpu_seconds
            mongod = await cpu_of_mongod(client) - mongod_before
            size = on_disk(folder)

            receiver.ask("reset")
            rows = await database.messages.find({}, {"_id": 1}).limit(2_000).to_list()
            await database.messages.delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
            told = time.monotonic()
            while (seen := receiver.ask("report"))["requests"] < len(rows):
                if time.monotonic() - told > 60:
                    raise SystemExit(f"only {seen['requests']} of {len(rows)} deletions were told")
                await asyncio.sleep(0.1)
        await client.drop_database(database.name)
    return {
        "seconds": took,
        "rows_per_second": count / took,
        "watcher_cpu_s": cpu,
        "mongod_cpu_s": mongod,
        "peak_mb": peak,
        "state_mb": size / 1e6,
        "state_bytes_per_row": size / count,
        "deletions_per_second": len(rows) / seen["seconds"],
    }


def on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("state.db*"))


def ordered(log: Path) -> str:
    """The log's lines with the event first."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return "\n".join(json.dumps({"event": line.pop("event"), **line}) for line in lines)


async def cpu_of_mongod(client: AsyncMongoClient[dict[str, Any]]) -> float:
    status = await client.admin.command("serverStatus")
    times = psutil.Process(int(status["pid"])).cpu_times()
    return float(times.user + times.system)


async def bare_posts(*, count: int, in_flight: int = 64) -> dict[str, float]:
    """The yardstick: as many POSTs of the same size by the same client, and nothing else. Machines differ
    by a factor of four from day to day; the watcher's figures say something beside this one."""
    with a_receiver() as (receiver, url):
        body = json.dumps(a_message(0, "yardstick"), default=str).encode()
        left = iter(range(count))

        async def post(session: aiohttp.ClientSession) -> None:
            for _ in left:
                async with session.post(url, data=body) as answer:
                    await answer.read()

        connector = aiohttp.TCPConnector(limit=in_flight)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(post(session))
        return {"posts_per_second": count / receiver.ask("report")["seconds"]}


async def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--backlog", type=int, default=20_000)
    parser.add_argument("--per-second", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument(
        "--python",
        default=Path(sys.executable),
        type=lambda path: Path(path).absolute(),
        help="the interpreter that runs the watcher",
    )
    parser.add_argument("--scan", type=int, help="measure only the first scan of so many messages")
    options = parser.parse_args()
    if options.scan:
        async with PrivateMongo(oplog_mb=990) as mongo:
            scan = await first_scan(mongo.uri, count=options.scan, port=18_886, python=options.python)
        show(f"first scan of {options.scan:,} messages without pre-images", [scan])
        return

    yardsticks = [await bare_posts(count=options.backlog // 2) for _ in range(options.runs)]
    async with PrivateMongo(oplog_mb=990) as mongo:
        drains = [
            await drain(mongo.uri, count=options.backlog, port=18_686 + run, python=options.python)
            for run in range(options.runs)
        ]
        paces = [
            await steady(
                mongo.uri,
                per_second=options.per_second,
                seconds=options.seconds,
                port=18_786 + run,
                python=options.python,
            )
            for run in range(options.runs)
        ]
    show("the yardstick: bare POSTs, 64 in flight", yardsticks)
    show(f"backlog of {options.backlog:,} changes, single-event signed POSTs", drains)
    show(f"steady {options.per_second}/s for {options.seconds:.0f} s", paces)


def show(title: str, runs: list[dict[str, float]]) -> None:
    print(f"\n{title}")
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(
            f"  {name:<20} median {median(values):>10,.1f}   of "
            + ", ".join(f"{value:,.1f}" for value in values)
        )


if __name__ == "__main__":
    uvloop.run(main())
