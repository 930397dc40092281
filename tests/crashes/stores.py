"""What is left of a state when the program is cut off, and how the next run opens it.

Of SQLite: the files as they are at that moment, in the middle of a transaction too. Of the outbox in memory,
whose every call is one step: its contents."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from itertools import count
from pathlib import Path
from queue import Empty
from typing import Any, Protocol, Self
from unittest.mock import patch

from tests.crashes.loop import SteppedLoop
from tests.crashes.promises import Row
from watcher.adapters.sqlite import outbox as sqlite_outbox
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.adapters.sqlite.writer import Writer
from watcher.errors import OutboxError
from watcher.ports import Outbox
from watcher.testing import MemoryOutbox

Image = Mapping[str, bytes]

ROWS = """SELECT id, endpoint, state, reason, attempts, bodies.body
FROM deliveries JOIN bodies USING (seq) ORDER BY seq"""

_numbers = count(1)


class Trouble:
    """What the disk does wrong next."""

    def __init__(self) -> None:
        self.refused = 0
        """So many transactions fail."""
        self.unheard = 0
        """So many are committed, and then reported as failed: nobody can know."""
        self.met = False
        """Something went wrong in this life: whoever was concerned waits a while before trying again."""

    def before(self) -> None:
        if self.refused:
            self.refused -= 1
            self.met = True
            raise OutboxError("the disk is full")

    def after(self) -> None:
        if self.unheard:
            self.unheard -= 1
            self.met = True
            raise OutboxError("the disk failed")


class Store(Protocol):
    def open(self, trouble: Trouble) -> AbstractAsyncContextManager[Outbox]:
        """The outbox, for one run of the program."""

    def image(self) -> Image:
        """What is there if everything stops now."""

    def digest(self) -> bytes:
        """Two moments with the same one have the same image."""

    def again(self, image: Image) -> Self:
        """A store of the same kind that begins with an image."""

    def rows(self) -> Sequence[Row]:
        """Every delivery it knows of."""

    def waiting(self) -> Sequence[tuple[str, str]]:
        """Endpoint and state of whatever is held or pending."""

    def read(self) -> int:
        """How many changes its position stands behind."""

    def repairing(self) -> bool:
        """Is there a gap before its position?"""


class SqliteStore:
    """A folder with a state file."""

    def __init__(self, folder: Path) -> None:
        self._home = folder
        self._folder = folder / f"life{next(_numbers)}"
        self._folder.mkdir()
        self._path = self._folder / "state.db"
        self._digest = b""
        self._looking: sqlite3.Connection | None = None
        self._told: dict[str, list[Any]] = {}

    @asynccontextmanager
    async def open(self, trouble: Trouble) -> AsyncIterator[Outbox]:
        def writer(connection: sqlite3.Connection, path: Path) -> Writer:
            return SteppedWriter(connection, path, trouble=trouble, touch=self._touch)

        with patch.object(sqlite_outbox, "Writer", writer):
            opening = SqliteOutbox.open(self._path)
            outbox = await opening.__aenter__()
        try:
            with closing(sqlite3.connect(self._path, isolation_level=None)) as self._looking:
                yield outbox
        finally:
            self._looking = None
            await opening.__aexit__(None, None, None)
            self._touch()

    def digest(self) -> bytes:
        if not self._digest:
            digest = hashlib.blake2b()
            for name, content in self.image().items():
                digest.update(f"{name} {len(content)} ".encode())
                digest.update(content)
            self._digest = digest.digest()
        return self._digest

    def _touch(self) -> None:
        self._digest = b""
        self._told.clear()

    def image(self) -> Image:
        # Without the -shm file: what is in it is made again from the log, as after a power cut.
        return {
            name: self._folder.joinpath(name).read_bytes()
            for name in ("state.db", "state.db-wal")
            if self._folder.joinpath(name).exists()
        }

    def again(self, image: Image) -> Self:
        store = type(self)(self._home)
        for name, content in image.items():
            store._folder.joinpath(name).write_bytes(content)
        return store

    def rows(self) -> Sequence[Row]:
        return rows_in(self._query(ROWS))

    def read(self) -> int:
        found = self._query("SELECT token FROM position")
        return read_of(found[0][0]) if found else 0

    def repairing(self) -> bool:
        return bool(self._query("SELECT 1 FROM position WHERE recovery IS NOT NULL"))

    def waiting(self) -> Sequence[tuple[str, str]]:
        return self._query("SELECT endpoint, state FROM deliveries WHERE state IN ('held', 'pending')")

    def _query(self, query: str) -> list[Any]:
        if self._looking is not None:
            return self._looking.execute(query).fetchall()
        if query not in self._told:
            self._told[query] = self._look(query)
        return self._told[query]

    def _look(self, query: str) -> list[Any]:
        if not self._path.exists():
            return []
        with closing(sqlite3.connect(self._path)) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'deliveries'").fetchall():
                return []  # cut off before the schema was there
            return db.execute(query).fetchall()


class MemoryStore:
    """The outbox in memory, had it a memory that survives."""

    def __init__(self, contents: bytes = b"") -> None:
        self._contents = contents
        self._outbox: MemoryOutbox | None = None

    @asynccontextmanager
    async def open(self, trouble: Trouble) -> AsyncIterator[Outbox]:
        self._outbox = _revived(self.image()["contents"])
        yield _Troubled(self._outbox, trouble)

    def image(self) -> Image:
        if self._outbox is None:
            return {"contents": self._contents}
        kept = {name: value for name, value in vars(self._outbox).items() if name not in ("_news", "refuse")}
        return {"contents": pickle.dumps(kept)}

    def again(self, image: Image) -> Self:
        return type(self)(image["contents"])

    def digest(self) -> bytes:
        return self.image()["contents"]

    def waiting(self) -> Sequence[tuple[str, str]]:
        return [(row.endpoint, row.state) for row in self.rows() if row.state in ("held", "pending")]

    def rows(self) -> Sequence[Row]:
        return [
            Row(
                id=row.stored.delivery.id,
                endpoint=row.stored.delivery.endpoint,
                state=row.state,
                reason=row.reason,
                attempts=row.stored.attempts,
                body=row.stored.delivery.body,
            )
            for row in self._there()._rows.values()
        ]

    def read(self) -> int:
        position = self._there()._position
        return read_of(position.checkpoint.token) if position else 0

    def repairing(self) -> bool:
        position = self._there()._position
        return position is not None and position.recovery is not None

    def _there(self) -> MemoryOutbox:
        if self._outbox is None:
            self._outbox = _revived(self._contents)
        return self._outbox


def _revived(contents: bytes) -> MemoryOutbox:
    outbox = MemoryOutbox()
    if contents:
        vars(outbox).update(pickle.loads(contents))
    return outbox


class _Troubled:
    """The outbox in memory with a disk's trouble."""

    WRITES = ("append", "settle", "bind", "remember", "memories", "forget")

    def __init__(self, outbox: MemoryOutbox, trouble: Trouble) -> None:
        self._outbox = outbox
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        if name in self.WRITES:
            return self._writing(getattr(self._outbox, name))
        return getattr(self._outbox, name)

    def _writing(self, write: Any) -> Any:
        async def troubled(*given: Any, **named: Any) -> Any:
            await asyncio.sleep(0)
            self._trouble.before()
            result = await write(*given, **named)
            self._trouble.after()
            await asyncio.sleep(0)
            return result

        return troubled


class SteppedWriter(Writer):
    """The outbox's writer without its thread: its transactions are jobs of the stepped loop, and it may be
    cut off before each of their statements."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, *, trouble: Trouble, touch: Callable[[], object]
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        self._stepped = loop
        self._trouble = trouble
        self._touch = touch
        super().__init__(connection, path)
        connection.execute("PRAGMA synchronous = OFF")  # power stays on: `image` reads what was written
        connection.set_trace_callback(self._before_each_statement)

    def _before_each_statement(self, _: str) -> None:
        self._touch()
        self._stepped.after_step()

    def _run(self) -> None:
        """The thread has nothing to do."""

    def _hand_over(self) -> None:
        self._stepped.job("writer", self._commit_what_waits)
        super()._hand_over()

    def _commit_what_waits(self) -> None:
        jobs: list[Any] = []
        with suppress(Empty):
            while True:
                jobs += self._jobs.get_nowait() or ()
        self._commit(jobs)
        self._touch()

    def _transaction(self, jobs: Any) -> list[Any]:
        self._trouble.before()
        results = super()._transaction(jobs)
        self._trouble.after()
        return results

    async def close(self) -> None:
        self._commit_what_waits()
        await super().close()


def rows_in(found: Iterable[Sequence[Any]]) -> Sequence[Row]:
    """What `ROWS` finds."""
    return [
        Row(
            id=identity,
            endpoint=endpoint,
            state=state,
            reason=reason,
            attempts=attempts,
            body=body,
        )
        for identity, endpoint, state, reason, attempts, body in found
    ]


def token_of(read: int) -> str:
    return f"82{read:08X}"


def read_of(token: str) -> int:
    return int(token[2:], 16)
