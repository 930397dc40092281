"""The real program as an operator runs it: a process, a settings' file, and receivers on sockets."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from watcher.receiver import Receipt

SECRET = "end-to-end"
START_SECONDS = 20.0


class Inbox:
    """What one receiver got, in order of arrival; tests wait for facts in it."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.ids: set[str] = set()
        """Of what was accepted, each once."""
        self.url = ""
        self._news = asyncio.Event()

    def take(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)
        if receipt.status == 200:
            self.ids.add(receipt.id)
        self._news.set()

    @property
    def accepted(self) -> list[Receipt]:
        return [receipt for receipt in self.receipts if receipt.status == 200]

    async def until(self, done: Callable[[list[Receipt]], bool], *, seconds: float = 20) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not done(self.receipts):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            names = [f"{receipt.event}#{receipt.attempt}={receipt.status}" for receipt in self.receipts[-40:]]
            raise AssertionError(
                f"waited {seconds} s; {len(self.receipts)} receipts, last: {names}"
            ) from None

    async def until_accepted(self, count: int, *, seconds: float = 20) -> None:
        await self.until(lambda _: len(self.accepted) >= count, seconds=seconds)


class Watcher:
    """`librechat-watcher run`, as a process that can be killed and started again."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.program = ["-m", "watcher"]
        self.port = free_port()
        self.config = folder / "webhooks.yaml"
        self.configure(settings)
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, settings: dict[str, Any]) -> None:
        """The settings of the next start, on the same state unless they name another."""
        settings.setdefault("watcher", {}).setdefault("http", {})["listen"] = f"127.0.0.1:{self.port}"
        settings["watcher"].setdefault("state", f"sqlite:///{str(self.folder / 'state.db').lstrip('/')}")
        self.state: str = settings["watcher"]["state"]
        self.settings = settings
        self.config.write_text(yaml.safe_dump(settings, sort_keys=False))

    def launch(self) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "run", "--config", str(self.config), "--log", "json"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        return self.process

    async def start(self, *, seconds: float = START_SECONDS) -> None:
        """Start, and return when it is ready."""
        self.launch()
        if not await self.becomes_ready(seconds=seconds):
            raise AssertionError(f"not ready after {seconds} s:\n{self.log}")

    async def becomes_ready(self, *, seconds: float) -> bool:
        """Wait for it, so long."""
        assert self.process
        async with httpx.AsyncClient() as client:
            for _ in range(int(seconds / 0.05)):
                if self.process.poll() is not None:
                    raise AssertionError(f"ended with {self.process.returncode}:\n{self.log}")
                try:
                    if (await client.get(f"http://127.0.0.1:{self.port}/readyz")).status_code == 200:
                        return True
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        return False

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{self.port}{path}")

    async def metric(self, name: str) -> float | None:
        """A metric, named with its labels if it has some; None where it is not shown."""
        lines = (await self.get("/metrics")).text.splitlines()
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)

    async def until_logged(self, words: str, *, seconds: float = 30) -> None:
        for _ in range(int(seconds / 0.05)):
            if words in self.log:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"no {words} in:\n{self.log[-5_000:]}")

    @property
    def resident_mb(self) -> float:
        assert self.process
        return float(psutil.Process(self.process.pid).memory_info().rss / 1e6)

    def kill9(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    async def kill9_and_start(self) -> None:
        self.kill9()
        await self.start()

    def freeze(self) -> None:
        """SIGSTOP: as if the machine were suspended."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """The exit code, when it has ended by itself."""
        assert self.process
        return await asyncio.to_thread(self.process.wait, 30)

    @property
    def log_file(self) -> Path:
        return self.folder / "log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
