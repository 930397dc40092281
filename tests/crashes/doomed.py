"""Processes that kill themselves (SIGKILL, by nobody's leave) at a point of our choosing.

Points are counted: before each SQL statement of a transaction, after each commit before anybody is told, and
when a receiver's answer is here before anything is made of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from shutil import copy
from typing import Any

from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement
from watcher.adapters.http.sender import HttpSender
from watcher.adapters.sqlite import outbox as sqlite_outbox
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.adapters.sqlite.writer import Writer
from watcher.core.backfill import Backfill
from watcher.core.deliveries import Hold, Lift, Stored
from watcher.core.events import Entity, EventId, EventType
from watcher.core.marks import Mark
from watcher.core.memory import Remembered, Scan
from watcher.core.outcomes import Answered
from watcher.core.verdicts import Dead, RetryAt
from watcher.ports import Outbox

LATER = NOON + timedelta(minutes=1)
FOR_EVER = sys.maxsize


class Fuse:
    """Burns down point by point, and then the process is dead."""

    def __init__(self) -> None:
        self.left = FOR_EVER

    def burn(self) -> None:
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


FUSE = Fuse()


class DoomedWriter(Writer):
    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        connection.set_trace_callback(lambda _: FUSE.burn())
        super().__init__(connection, path)

    def _transaction(self, jobs: Any) -> list[Any]:
        results = super()._transaction(jobs)
        FUSE.burn()
        return results


class DoomedSender(HttpSender):
    async def send(self, request: Any, **given: Any) -> Any:
        outcome = await super().send(request, **given)
        FUSE.burn()
        return outcome


# ---------------------------------------------------------------------- each transaction, by itself


async def prepare(outbox: Outbox) -> None:
    """A state in which every kind of transaction has something to do."""
    await outbox.memories({"messages": frozenset({"user"}), "files": frozenset({"user"})})
    await outbox.append(
        [a_numbered(number) for number in range(6)]
        + [a_numbered(number, hold=Hold(key=f"messages:{number}", until=LATER)) for number in (6, 7)],
        checkpoint=a_checkpoint("8201"),
        through=NOON,
        marks=[Mark(entity=Entity("conversation:c1"), at=NOON)],
        learned={Entity("messages:1"): _known("u1"), Entity("files:1"): _known("u1")},
    )
    await outbox.settle([a_settlement(row) for row in (await _pending(outbox))[:2]])
    await outbox.memories({"messages": frozenset({"user"})})


async def append(outbox: Outbox) -> None:
    await outbox.append(
        [
            Lift(key="messages:7", to="cancelled", reason="finished"),
            *[a_numbered(number) for number in (20, 21)],
            a_numbered(22, refused="KeyError"),
            a_numbered(23, hold=Hold(key="messages:23", until=LATER + timedelta(hours=1))),
        ],
        checkpoint=a_checkpoint("8202", at=LATER),
        through=LATER,
        marks=[Mark(entity=Entity("user:u1"), at=LATER)],
        learned={Entity("messages:1"): None, Entity("messages:2"): _known("u2")},
    )


async def settle(outbox: Outbox) -> None:
    first, second, third, *_ = await _pending(outbox)
    retry, dead = RetryAt(at=LATER, reason="status 500"), Dead(reason="status 500")
    await outbox.settle(
        [
            a_settlement(first),
            a_settlement(second, retry, Answered(status=500)),
            a_settlement(third, dead, Answered(status=500)),
        ]
    )


async def bind(outbox: Outbox) -> None:
    await outbox.bind((await _pending(outbox))[:3], EventId("webhook_batch"))


async def memories(outbox: Outbox) -> None:
    await outbox.memories({"messages": frozenset({"user", "expiredAt"}), "users": frozenset({"email"})})


async def remember(outbox: Outbox) -> None:
    rows = {Entity(f"messages:{number}"): _known("u1") for number in range(5)}
    await outbox.remember(rows, Scan(collection="messages", names=("user",), after="4", rows=5))


async def fill(outbox: Outbox) -> None:
    created = EventType("message.created")
    half_way = Backfill(name="all", since=NOON, until=LATER, events=(created,), after="31", rows=2)
    await outbox.fill([a_numbered(30), a_numbered(31)], half_way)


async def forget(outbox: Outbox) -> None:
    await outbox.forget(delivered_before=LATER, dead_before=LATER, marks_before=LATER, limit=9)


async def forget_rows(outbox: Outbox) -> None:
    await outbox.forget_rows(limit=9)


TRANSACTIONS: dict[str, Callable[[Outbox], Awaitable[None]]] = {
    each.__name__: each for each in (append, settle, bind, memories, remember, fill, forget, forget_rows)
}


async def prepared(path: Path) -> Path:
    async with SqliteOutbox.open(path) as outbox:
        await prepare(outbox)
    return path


async def do(path: Path, name: str, *, fuse: int = FOR_EVER) -> None:
    """The transaction on a prepared state, with a fuse that is lit when it is asked for."""
    async with SqliteOutbox.open(path) as outbox:
        FUSE.left = fuse
        await TRANSACTIONS[name](outbox)


def a_numbered(number: int, **fields: Any) -> Any:
    return a_delivery(
        id=EventId(f"webhook_{number}"),
        row=Entity(f"messages:{number}"),
        body=b'{"number":%d}' % number,
        **fields,
    )


def _known(user: str) -> Remembered:
    return Remembered(fields={"user": user}, exact_after=NOON)


async def _pending(outbox: Outbox) -> list[Stored]:
    return list(await outbox.pending("crm", after=0, limit=99, max_bytes=10**9))


def kill_everywhere(folder: Path) -> None:
    """One process for each point of each transaction, until it outlives the transaction. Each is a fork of
    this one, which has no threads. Their states are left in the folder as `<transaction>-<point>.db`."""
    state = asyncio.run(prepared(folder / "before.db"))
    for name in TRANSACTIONS:
        point = 1
        while _dies(Path(copy(state, folder / f"{name}-{point}.db")), name, point):
            point += 1
        (folder / f"{name}-{point}.db").unlink()


def _dies(path: Path, name: str, point: int) -> bool:
    child = os.fork()
    if child == 0:
        asyncio.run(do(path, name, fuse=point))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


# ---------------------------------------------------------------------- the whole program


def run(arguments: list[str]) -> None:
    """`python -m tests.crashes.doomed POINTS run ...`: the program, dead after so many points."""
    from watcher import app
    from watcher.__main__ import main

    FUSE.left = int(arguments[0])
    app.HttpSender = DoomedSender  # type: ignore[attr-defined]
    sys.argv = ["librechat-watcher", *arguments[1:]]
    main()


if __name__ == "__main__":
    # As a module of its own name, so that there is one fuse.
    from tests.crashes import doomed

    sqlite_outbox.Writer = doomed.DoomedWriter  # type: ignore[attr-defined]
    if sys.argv[1] == "everywhere":
        doomed.kill_everywhere(Path(sys.argv[2]))
    else:
        doomed.run(sys.argv[1:])
