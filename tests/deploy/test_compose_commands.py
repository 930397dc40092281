"""The compose file's own commands, run as processes on a database that LibreChat's stock file has left."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from pymongo import MongoClient

from watcher.admin import healthcheck
from watcher.core.endpoints import Secret
from watcher.demo.binary import find_mongod
from watcher.receiver import Receipt, Receiver

ROOT = Path(__file__).resolve().parents[2]
SERVICES = yaml.safe_load((ROOT / "deploy" / "docker-compose.override.yml").read_text())["services"]


async def test_a_stock_database_becomes_a_set_keeps_its_data_and_is_watched(tmp_path: Path) -> None:
    data, port, health = tmp_path / "data-node", _free_port(), _free_port()
    receipts: asyncio.Queue[Receipt] = asyncio.Queue()
    environment = _as_in_compose("watcher", port) | {
        "WEBHOOK_SECRET": "s",
        "WATCHER_HTTP": f"127.0.0.1:{health}",
        "WATCHER_STATE": f"sqlite://{tmp_path}/state/state.db",
        "WATCHER_LOG": "json",
    }
    uri = environment["MONGO_URI"]
    with ExitStack() as stack:
        prepare = stack.enter_context(_program(_prepare(port), _as_in_compose("watcher-prepare", port)))

        # Meanwhile: what LibreChat's stock file starts and fills. `prepare` finds nobody at its own address.
        with _mongod("mongod --noauth", data, _free_port()) as stock:
            stock.users.insert_one({"_id": 1, "email": "kept@example.com"})
        await _line(prepare, "trying again")
        librechat = stack.enter_context(_mongod(SERVICES["mongodb"]["command"], data, port))
        first = await asyncio.to_thread(prepare.communicate, timeout=60)
        again = stack.enter_context(_program(_prepare(port), _as_in_compose("watcher-prepare", port)))
        second = await asyncio.to_thread(again.communicate, timeout=60)

        assert (prepare.returncode, again.returncode) == (0, 0), (first, second)
        assert f"replica set rs0 on 127.0.0.1:{port}: initiated" in first[0]
        assert f"replica set rs0 on 127.0.0.1:{port}: was initiated before" in second[0]
        assert "pre-images turned on" in first[0]
        assert "pre-images was on" in second[0]
        assert "replicaSet" not in uri
        assert librechat.users.find_one() == {"_id": 1, "email": "kept@example.com"}

        async with Receiver([Secret(key=b"s")], on_receipt=receipts.put_nowait) as receiver:
            run = stack.enter_context(_program(["run"], environment | {"WEBHOOK_URL": receiver.url}))
            await _line(run, "stream.opened")
            librechat.messages.insert_one({"messageId": "m1", "conversationId": "c1", "user": "u1"})
            receipt = await asyncio.wait_for(receipts.get(), 20)
            healthy = await asyncio.to_thread(healthcheck.main, [], environment)
            run.send_signal(signal.SIGTERM)
            ended = await asyncio.to_thread(run.wait, 20)

    assert receipt.event == "message.created"
    assert receipt.signature_ok
    assert (healthy, ended) == (0, 0)


def _as_in_compose(service: str, port: int) -> dict[str, str]:
    """The service's environment, with the loopback address for the name that only compose's network knows."""
    given = {name: value for name, value in SERVICES[service]["environment"].items() if "${" not in value}
    moved = {name: value.replace("mongodb:27017", f"127.0.0.1:{port}") for name, value in given.items()}
    return {"PATH": os.environ["PATH"], **moved}


def _prepare(port: int) -> list[str]:
    command: str = SERVICES["watcher-prepare"]["command"]
    return shlex.split(command.replace("mongodb:27017", f"127.0.0.1:{port}"))


@contextmanager
def _program(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "watcher", *arguments],
        env={"PYTHONPATH": str(ROOT), "HOME": "/nonexistent", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def _line(process: subprocess.Popen[str], words: str) -> None:
    """Wait until the program says the words, on standard error."""

    def read() -> None:
        assert process.stderr
        said = []
        for line in process.stderr:
            said.append(line)
            if words in line:
                return
        raise AssertionError(f"{words!r} was never said, but:\n{''.join(said)}")

    await asyncio.wait_for(asyncio.to_thread(read), 30)


@contextmanager
def _mongod(command: str, data: Path, port: int) -> Iterator[Any]:
    """A service's command, on loopback and small; gives LibreChat's database, while the server runs."""
    program, *arguments = [word for word in shlex.split(command) if word != "--bind_ip_all"]
    assert program == "mongod"
    data.mkdir(exist_ok=True)
    small = ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"]
    small += ["--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)"]
    # Otherwise a primary that gets SIGTERM lingers for 15 seconds.
    small += ["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100", "--nounixsocket"]
    place = ["--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", str(data)]
    process = subprocess.Popen(
        [str(find_mongod()), *arguments, *place, *small], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with MongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{port}/LibreChat") as client:
            yield client.LibreChat
        process.terminate()
        process.wait(30)
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
