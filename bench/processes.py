"""The processes that are measured: a watcher, a receiver, and the MongoDB beside them."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import yaml
from pymongo import AsyncMongoClient

Client = AsyncMongoClient[dict[str, Any]]

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A measured process."""

    handle: subprocess.Popen[str]

    @property
    def resident_mb(self) -> float:
        return sum(float(each.memory_info().rss) for each in self._all()) / 1e6

    @property
    def cpu_seconds(self) -> float:
        times = [each.cpu_times() for each in self._all()]
        return float(sum(each.user + each.system for each in times))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Neither reads nor sends, with its connections open: what is written meanwhile is its backlog."""
        for each in self._all():
            each.suspend()
        try:
            yield
        finally:
            for each in self._all():
                each.resume()

    async def peak_mb(self, done: Callable[[], bool], what: str, *, every: float, seconds: float) -> float:
        """Wait; the most memory that it was seen to use meanwhile."""
        peak = 0.0

        def looking() -> bool:
            nonlocal peak
            peak = max(peak, self.resident_mb)
            return done()

        await until(looking, what, every=every, seconds=seconds)
        return peak

    def _all(self) -> Sequence[psutil.Process]:
        process = psutil.Process(self.handle.pid)
        return [process, *process.children(recursive=True)]

    def kill9(self) -> None:
        self.handle.kill()
        self.handle.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver(Process):
    """`bench/receiver.py`: counts what it gets."""

    url: str

    def reset(self) -> None:
        self._ask("reset")

    def report(self) -> dict[str, float]:
        return self._ask("report")

    @property
    def requests(self) -> float:
        return self._ask("count")["requests"]

    @property
    def events(self) -> float:
        return self._ask("count")["events"]

    def _ask(self, what: str) -> dict[str, float]:
        assert self.handle.stdin
        assert self.handle.stdout
        self.handle.stdin.write(what + "\n")
        self.handle.stdin.flush()
        answer: dict[str, float] = json.loads(self.handle.stdout.readline())
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher(Process):
    """`librechat-watcher run`."""

    folder: Path
    port: int

    async def until_ready(self) -> float:
        """Seconds that it took."""
        began = time.monotonic()
        await until(self._is_ready, "the watcher to be ready", every=0.02)
        return time.monotonic() - began

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def metric(self, name: str) -> float:
        """The value of one line of `/metrics`; 0 before there is one."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def has_scanned(self, *collections: str) -> bool:
        """Has it told of the end of its first scan of all these?"""
        lines = self.log.read_text().splitlines()
        done = {json.loads(line)["collection"] for line in lines if '"scan.finished"' in line}
        return done >= set(collections)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def state(self) -> Path:
        return self.folder / "state.db"


@contextmanager
def a_receiver(mood: str = "answers", certificate: Path | None = None) -> Iterator[Receiver]:
    """`certificate`: and its key; then it speaks TLS."""
    tls = [str(certificate)] if certificate else []
    with subprocess.Popen(
        [sys.executable, "-m", "bench.receiver", mood, *tls],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as handle:
        assert handle.stdout
        port = json.loads(handle.stdout.readline())["port"]
        try:
            yield Receiver(handle=handle, url=f"http{'s' if tls else ''}://127.0.0.1:{port}/")
        finally:
            handle.kill()


@contextmanager
def a_watcher(
    folder: Path,
    uri: str,
    url: str,
    *,
    python: Path,
    start_from: datetime | None = None,
    events: Sequence[str] = ("message.created",),
    endpoints: Sequence[Mapping[str, Any]] = (),
    state: str | None = None,
    token: str | None = None,
    keys: Mapping[str, Any] | None = None,
    program: Sequence[str] = ("-m", "watcher"),
) -> Iterator[Watcher]:
    """A watcher with its state in the folder; with the same folder, the next one goes on where it stood.

    `state`: or in this database. `keys`: more of the endpoints' settings.
    `program`: what is run, of the installed package."""
    port = free_port()
    settings = {
        "webhooks": {
            "url": url,
            "secret": "bench",
            "events": list(events),
            "endpoints": list(endpoints),
            **(keys or {}),
        },
        "watcher": {
            "mongoUri": uri,
            "state": state or f"sqlite:///{folder.joinpath('state.db').as_posix().lstrip('/')}",
            "http": {"listen": f"127.0.0.1:{port}", **({"token": token} if token else {})},
            **({"startFrom": start_from.isoformat()} if start_from else {}),
        },
    }
    config = folder / "webhooks.yaml"
    config.write_text(yaml.safe_dump(settings))
    with (
        folder.joinpath("log").open("a") as log,
        subprocess.Popen(
            # In a folder of its own, so that it is the installed package that runs and not this checkout.
            [python, *program, "run", "--config", str(config), "--log", "json"],
            cwd=folder,
            stderr=log,
            text=True,
        ) as handle,
    ):
        try:
            yield Watcher(handle=handle, folder=folder, port=port)
        finally:
            handle.terminate()
            handle.wait(20)


async def until(
    done: Callable[[], bool], what: str, *, every: float = 0.1, seconds: float = PATIENCE_SECONDS
) -> None:
    """Look again and again: other processes tell only when they are asked."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds:.0f} s in vain for {what}")
        await asyncio.sleep(every)


async def served_cpu_seconds(client: Client, connections: Mapping[str, Any]) -> float:
    """What mongod has worked for some of its connections: CPU time of the threads that serve them, to the
    nanosecond and undisturbed by what it does for others. Linux; mongod gives each connection a thread."""
    everybody = {"allUsers": True, "idleConnections": True}
    served = await client.admin.aggregate([{"$currentOp": everybody}, {"$match": connections}])
    names = {operation["desc"] for operation in await served.to_list()}
    return _threads_ran(int((await client.admin.command("serverStatus"))["pid"]), names)


def _threads_ran(pid: int, names: set[str]) -> float:
    return sum(
        int(thread.joinpath("schedstat").read_text().split()[0]) / 1e9
        for thread in Path(f"/proc/{pid}/task").iterdir()
        if thread.joinpath("comm").read_text().strip() in names
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
