"""A private MongoDB: real `mongod` processes in a temporary folder, on free loopback ports.

The law: it never outlives its owner. Leaving the `async with` ends it, so does the end of the process, and
on Linux even a `kill -9` of the owner takes the members along."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from watcher.demo.binary import find_mongod
from watcher.errors import DemoError

START_SECONDS = 30.0
"""A start takes less than one second; a loaded CI machine may need ten."""

PORTS = range(20_000, 32_000)
"""Below the ports that Linux hands to outgoing connections: a member that comes back finds its port free."""

ROOT = "root"
SET_NAME = "rs0"

DIES_WITH_OWNER = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: kept over the exec below
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the owner has gone")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs in the child before it becomes `mongod`. (A `preexec_fn` would do the same, but may deadlock in a
process that has threads.) The signal comes when the starting *thread* ends: start from one that stays."""


class PrivateMongo:
    """A MongoDB of our own: a replica set of `members`, or a standalone server.

    `kill9` and `stop` keep the data; `start` brings back whatever is down, on the same ports and data."""

    def __init__(
        self,
        *,
        members: int = 1,
        replica_set: bool = True,
        auth: bool = False,
        oplog_mb: int = 64,
        parameters: Mapping[str, str] | None = None,
        patience_seconds: float = START_SECONDS,
    ) -> None:
        """`patience_seconds`: how long a start or an election may take."""
        self._binary = find_mongod()
        self._replica_set = replica_set
        self._oplog_mb = oplog_mb
        self._parameters = dict(parameters or {})
        self._patience_seconds = patience_seconds
        self.password = secrets.token_hex(8) if auth else None
        """Of the user `root`; None without authentication."""

        self._folder = Path(tempfile.mkdtemp(prefix="librechat-watcher-mongo-"))
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._frozen: set[int] = set()
        self._end = weakref.finalize(self, _end, self._processes, self._folder)
        self.ports = _free_ports(members)
        self._initiated = False

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    @property
    def uri(self) -> str:
        """With the root user's rights, and without a database."""
        return self.uri_of("")

    def uri_of(self, database: str, *, user: str | None = None, password: str | None = None) -> str:
        """The connection string for a database, as the root user or as another one."""
        login = ""
        if self.password is not None:
            login = f"{quote(user or ROOT, safe='')}:{quote(password or self.password, safe='')}@"
        options = []
        if len(self.ports) > 1:
            options.append(f"replicaSet={SET_NAME}")
        if login:
            options.append("authSource=admin")
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"mongodb://{login}{hosts}/{database}{'?' if options else ''}{'&'.join(options)}"

    async def start(self) -> None:
        """Start every member that is down, and return when writes are possible and none is left behind."""
        for member, port in enumerate(self.ports):
            if not self._runs(member):
                self._processes[member] = self._launch(member, port)
        try:
            async with asyncio.timeout(self._patience_seconds):
                for member in range(len(self.ports)):
                    await self._listening(member)
                if not self._initiated:
                    await self._initiate()
                await self.primary()
                if self.password is not None and not self._initiated:
                    await self._create_root()
                await self._complete()
        except TimeoutError as error:
            raise self._failed(0, f"is not ready after {self._patience_seconds:.0f} seconds") from error
        self._initiated = True

    async def stop(self, member: int | None = None) -> None:
        """End all members, or one, in good order."""
        members = self._running() if member is None else [member]
        for index in members:
            self._processes[index].terminate()
        for index in members:
            await asyncio.to_thread(self._processes[index].wait, START_SECONDS)

    def kill9(self, member: int | None = None) -> None:
        """End all members, or one, as a power cut would."""
        for index in self._running() if member is None else [member]:
            self._processes[index].kill()
            self._processes[index].wait()
            self._frozen.discard(index)

    def freeze(self, member: int = 0) -> None:
        """Stop a member's process: its connections stay open and nothing answers."""
        self._processes[member].send_signal(signal.SIGSTOP)
        self._frozen.add(member)

    def thaw(self, member: int = 0) -> None:
        """Let a frozen member go on."""
        self._processes[member].send_signal(signal.SIGCONT)
        self._frozen.discard(member)

    async def primary(self) -> int:
        """Which member takes writes; waits through an election."""
        async with asyncio.timeout(self._patience_seconds):
            while True:
                for member in self._answering():
                    hello = await self._ask(member, {"hello": 1})
                    if hello.get("isWritablePrimary"):
                        return member
                await asyncio.sleep(0.05)

    async def step_down(self, seconds: int = 1) -> None:
        """Make the primary give up for that long; returns when there is a primary again."""
        member = await self.primary()
        await self._ask(member, {"replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": 0, "force": True})
        await self.primary()

    async def cut_oplog(self) -> None:
        """Leave nothing of the oplog but its last entry: every earlier position is lost. For one member."""
        await self.stop()
        self._replica_set = False  # only a server that belongs to no set lets its oplog be touched
        await self.start()
        async with AsyncMongoClient[dict[str, Any]](self.uri, directConnection=True) as client:
            oplog = client["local"]["oplog.rs"]
            last = await oplog.find_one(sort=[("$natural", -1)])
            await oplog.delete_many({"ts": {"$lt": last["ts"]}} if last else {})
        await self.stop()
        self._replica_set = True
        await self.start()

    async def add_user(self, name: str, password: str, roles: Sequence[Any]) -> None:
        """Create a user in `admin`, for tests of least rights."""
        async with AsyncMongoClient[dict[str, Any]](self.uri) as client:
            await client.admin.command("createUser", name, pwd=password, roles=list(roles))

    def close(self) -> None:
        """End all members and remove the folder. Safe to call twice."""
        self._end()

    def _launch(self, member: int, port: int) -> subprocess.Popen[bytes]:
        data = self._folder / f"member{member}"
        data.mkdir(exist_ok=True)
        parameters = {
            "diagnosticDataCollectionEnabled": "false",
            # Otherwise a primary that gets SIGTERM lingers for 15 seconds.
            "shutdownTimeoutMillisForSignaledShutdown": "100",
            **self._parameters,
        }
        arguments = ["--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", str(data), "--nounixsocket"]
        arguments += ["--logpath", str(self._log(member)), "--logappend"]
        # A limit, not an allotment. A fifth of it may be unwritten; with 0.25 an update of a 9 MB document
        # (row, pre-image, oplog) found no room after many small ones, and was tried again for ever.
        arguments += ["--wiredTigerCacheSizeGB", "1"]
        # Small journal files: the default writes 300 MB of zeros at the first start.
        arguments += ["--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)"]
        for name, value in parameters.items():
            arguments += ["--setParameter", f"{name}={value}"]
        if self._replica_set:
            arguments += ["--replSet", SET_NAME, "--oplogSize", str(self._oplog_mb)]
        if self.password is not None:
            arguments += ["--keyFile", str(self._key_file())] if self._replica_set else ["--auth"]

        wrapper = [sys.executable, "-I", "-S", "-c", DIES_WITH_OWNER, str(os.getpid())]
        with self._errors(member).open("wb") as errors:
            return subprocess.Popen(
                [*wrapper, str(self._binary), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for us; we decide in which order things stop
            )

    def _key_file(self) -> Path:
        key_file = self._folder / "key"
        if not key_file.exists():
            key_file.touch(mode=0o600)
            key_file.write_text(secrets.token_hex(32))
        return key_file

    async def _listening(self, member: int) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.ports[member])
            except OSError:
                status = self._processes[member].poll()
                if status is not None:
                    raise self._failed(member, f"ended with status {status}") from None
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return

    async def _initiate(self) -> None:
        if not self._replica_set:
            return
        hosts = [{"_id": index, "host": f"127.0.0.1:{port}"} for index, port in enumerate(self.ports)]
        # Quick elections: with the defaults a killed primary is missed only after ten seconds.
        settings = {"electionTimeoutMillis": 1_000, "heartbeatIntervalMillis": 200}
        config = {"_id": SET_NAME, "members": hosts, "settings": settings}
        answer = await self._ask(0, {"replSetInitiate": config}, login=False)
        if not answer.get("ok"):
            raise self._failed(0, f"cannot be initiated ({answer.get('errmsg')})")

    async def _complete(self) -> None:
        """Wait until each member could take over: one that still copies its data cannot be elected."""
        for member in self._answering():
            while True:
                hello = await self._ask(member, {"hello": 1})
                if hello.get("isWritablePrimary") or hello.get("secondary"):
                    break
                await asyncio.sleep(0.05)

    async def _create_root(self) -> None:
        create = {"createUser": ROOT, "pwd": self.password, "roles": ["root"]}
        answer = await self._ask(await self.primary(), create, login=False)
        if not answer.get("ok"):
            raise self._failed(0, f"takes no user ({answer.get('errmsg')})")

    async def _ask(self, member: int, command: dict[str, Any], *, login: bool = True) -> dict[str, Any]:
        """A member's own answer; `ok: 0` and `errmsg` when it refuses or is not there."""
        user: dict[str, Any] = {}
        if login and self.password is not None and self._initiated:
            user = {"username": ROOT, "password": self.password, "authSource": "admin"}
        client = AsyncMongoClient[dict[str, Any]](
            "127.0.0.1", self.ports[member], directConnection=True, serverSelectionTimeoutMS=1_000, **user
        )
        async with client:
            try:
                return await client.admin.command(command)
            except PyMongoError as error:
                return {"ok": 0, "errmsg": str(error)}

    def _runs(self, member: int) -> bool:
        return member in self._processes and self._processes[member].poll() is None

    def _running(self) -> list[int]:
        return [member for member in range(len(self.ports)) if self._runs(member)]

    def _answering(self) -> list[int]:
        return [member for member in self._running() if member not in self._frozen]

    def _log(self, member: int) -> Path:
        return self._folder / f"member{member}.log"

    def _errors(self, member: int) -> Path:
        return self._folder / f"member{member}.err"

    def _failed(self, member: int, what: str) -> DemoError:
        """What the operator is told: which program, what happened, and its own last words."""
        words = _last_words(self._log(member)) or _last_words(self._errors(member)) or "it left no message"
        return DemoError(
            f"The private MongoDB ({self._binary}) {what}: {words}\n"
            "  Put a mongod 6.0 or newer that runs here on PATH, or its path into WATCHER_TEST_MONGODB."
        )


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise DemoError(
        f"No {count} free ports between {PORTS.start} and {PORTS.stop} on 127.0.0.1.\n"
        "  Stop what listens there, or look whether this machine lets programs listen on 127.0.0.1 at all."
    )


def _last_words(file: Path) -> str:
    """The last complaint in a mongod log (JSON lines), else its last line."""
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            return line
        if entry.get("s") in ("E", "F"):
            return f"{entry.get('msg')} {json.dumps(entry.get('attr', {}))}"
    return lines[-1] if lines else ""


def _end(processes: dict[int, subprocess.Popen[bytes]], folder: Path) -> None:
    for process in processes.values():
        process.kill()
    for process in processes.values():
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)
