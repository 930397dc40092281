"""The whole story on a bare machine: a MongoDB, LibreChat's writes, the watcher, a receiver that verifies.

Nothing in it is pretended but LibreChat itself: the watcher is the real program in a process of its own, and
it is killed in the middle."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

import click
from aiohttp import ClientError, ClientSession
from pymongo import AsyncMongoClient

from watcher.adapters.mongo.prepare import enable_pre_images
from watcher.core.endpoints import Secret
from watcher.core.events import DOCUMENTED
from watcher.demo.mongod import PrivateMongo
from watcher.demo.script import ordinary_day
from watcher.errors import DemoError
from watcher.receiver import Receipt, Receiver

DATABASE = "LibreChat"
COLLECTIONS = ("conversations", "messages", "users", "sessions", "agents", "files")
KILLED_BEFORE_ACT = 5
"""The watcher is killed before this act is written, and started again after it."""
PATIENCE_SECONDS = 30.0


async def tell() -> bool:
    """Play the demo; True when every event came, verified, and beyond them only repeats with the same id."""
    with tempfile.TemporaryDirectory(prefix="librechat-watcher-demo-") as name:
        folder, secret = Path(name), secrets.token_urlsafe(16)
        inbox = _Inbox()
        _say("Starting a private MongoDB replica set …")
        async with (
            PrivateMongo() as mongo,
            Receiver([Secret(key=secret.encode())], on_receipt=inbox.take) as receiver,
            AsyncMongoClient[dict[str, Any]](mongo.uri) as client,
        ):
            await enable_pre_images(f"{mongo.uri}{DATABASE}", DATABASE, COLLECTIONS)
            _say(f"A receiver listens on {receiver.url} and verifies each signature.")
            watcher = _Watcher(folder, f"{mongo.uri}{DATABASE}", receiver.url, secret)
            with watcher.running():
                await watcher.ready()
                _say("librechat-watcher runs. Now somebody uses LibreChat:\n")
                expected = await _play(client[DATABASE], watcher, inbox)
            return _summary(expected, inbox)


async def _play(database: Any, watcher: _Watcher, inbox: _Inbox) -> Counter[str]:
    expected: Counter[str] = Counter()
    for number, act in enumerate(ordinary_day(database), start=1):
        if number == KILLED_BEFORE_ACT:
            watcher.kill9()
            click.secho("\n  kill -9 librechat-watcher\n", fg="red", bold=True)
        click.secho(f"  {act.title}", bold=True)
        inbox.timing = not watcher.dead
        await act.write()
        if watcher.dead:
            _say("    … while nobody watched. librechat-watcher starts again:")
            watcher.launch()
        expected.update(act.sends)
        await inbox.until(expected.total())
    await asyncio.sleep(0.5)  # what must not come would come now
    return expected


def _summary(expected: Counter[str], inbox: _Inbox) -> bool:
    got = Counter(receipt.event for receipt in inbox.first_receipts.values())
    verified = sum(receipt.signature_ok for receipt in inbox.receipts)
    repeats = len(inbox.receipts) - len(inbox.first_receipts)

    click.echo("\n    event                 sent")
    for event in DOCUMENTED:
        mark = (
            click.style("✓", fg="green") if got[event] == expected[event] > 0 else click.style("✗", fg="red")
        )
        click.echo(f"  {mark} {event:<22}{got[event]:>4}")
    latencies = sorted(inbox.latencies_ms)
    click.echo(
        f"\n  {len(inbox.first_receipts)} webhooks, {verified} of {len(inbox.receipts)} verified, "
        f"{sum((expected - got).values())} missing, {sum((got - expected).values())} too many; "
        f"1 kill -9, {repeats} sent again with the same id.\n"
        f"  From commit in MongoDB to receipt: p50 {latencies[len(latencies) // 2]:.0f} ms, "
        f"p99 {quantiles(latencies, n=100)[98]:.0f} ms.\n"
        "  (Registrations and logins left out: they wait 2 to 3 s, in which they may turn out to be none.)\n"
    )
    return got == expected and set(got) == set(DOCUMENTED) and verified == len(inbox.receipts)


WAITING = frozenset({"user.registered", "user.login"})
"""Held for a moment by their rules: their latency is that wait."""


class _Inbox:
    """What the receiver got: printed as it comes, repeats told by their id."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.first_receipts: dict[str, Receipt] = {}
        self.latencies_ms: list[float] = []
        self.timing = True
        """False for events that happen while the watcher is down."""
        self._news = asyncio.Event()

    def take(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)
        repeated = self.first_receipts.setdefault(receipt.id, receipt) is not receipt
        happened = datetime.fromisoformat(json.loads(receipt.body)["timestamp"])
        took_ms = (datetime.now(UTC) - happened).total_seconds() * 1000
        if self.timing and not repeated and receipt.event not in WAITING:
            self.latencies_ms.append(took_ms)
        word = (
            click.style("verified", fg="green")
            if receipt.signature_ok
            else click.style(receipt.why, fg="red")
        )
        note = ", again: the same id, to be dropped" if repeated else f", {took_ms:.0f} ms"
        click.echo(f"    → {receipt.event:<22} {receipt.id[:20]}… {word}{note}")
        self._news.set()

    async def until(self, count: int) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(self.first_receipts) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            click.secho(f"    … {count - len(self.first_receipts)} did not come", fg="red")


class _Watcher:
    """The real program, as a process."""

    def __init__(self, folder: Path, uri: str, url: str, secret: str) -> None:
        self._port = _free_port()
        self._log = folder / "log"
        self._environment = {
            "MONGO_URI": uri,
            "WEBHOOK_URL": url,
            "WEBHOOK_SECRET": secret,
            "WATCHER_STATE": f"sqlite:///{(folder / 'state.db').as_posix().lstrip('/')}",
            "WATCHER_HTTP": f"127.0.0.1:{self._port}",
            "WATCHER_LOG": "json",
        }
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        self.launch()
        try:
            yield
        finally:
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
                self._process.wait(PATIENCE_SECONDS)

    @property
    def dead(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def launch(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "watcher", "run"],
                env=self._environment,
                cwd=self._folder,  # a webhooks.yaml that lies about must not join in
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill9(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def ready(self) -> None:
        async with ClientSession() as session:
            for _ in range(int(PATIENCE_SECONDS / 0.05)):
                if self.dead:
                    break
                try:
                    async with session.get(f"http://127.0.0.1:{self._port}/readyz") as answer:
                        if answer.status == 200:
                            return
                except ClientError:
                    pass
                await asyncio.sleep(0.05)
        raise DemoError(f"librechat-watcher did not get ready:\n{self._log.read_text(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _say(text: str) -> None:
    click.echo(text)
