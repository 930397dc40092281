"""What is looked at again and again, as a command beside us may change it: read only when somebody wrote.

SQLite tells for the price of a look at shared memory (`PRAGMA data_version`). Reads in a thread of their own,
each second for each thing and endpoint, would be most of what an idle program costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from watcher.adapters.sqlite.statements import SQL

T = TypeVar("T")


OTHERS_SECONDS = 1.0
"""How soon deliveries are noticed that another process stored: a backfill, a replay."""


class Polling:
    """Answers of reads, each kept until anybody writes. Used by one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection`: one that nothing else is done with, and that waits for nobody."""
        self._connection = connection
        self._kept: dict[str, tuple[int, Any]] = {}
        self._looked: dict[str, tuple[int | None, float]] = {}

    async def finds(self, endpoint: str, look: Callable[[], Awaitable[bool]], *, clock: float) -> bool:
        """Does a look find what others stored for it? Where nobody wrote, or a moment after the last: no."""
        version, (seen, at) = self.version(), self._looked.get(endpoint, (None, 0.0))
        if (version is not None and version == seen) or clock < at + OTHERS_SECONDS:
            return False  # what we write ourselves is another version, too: that is heard of without looking
        found = await look()
        self._looked[endpoint] = version, clock  # not before: one that failed saw nothing
        return found

    def version(self) -> int | None:
        """Another one when somebody has written since; None: it could not be seen."""
        try:
            version: int = self._connection.execute(SQL["version"]).fetchone()[0]
        except sqlite3.Error:  # it is busy, or worse: who reads it properly will tell
            return None
        return version

    async def read(self, name: str, read: Callable[[], Awaitable[T]]) -> T:
        """What the read of this name gives now."""
        version, kept = self.version(), self._kept.get(name)
        if kept is not None and version is not None and kept[0] == version:
            found: T = kept[1]
            return found
        found = await read()
        if version is not None:  # from before the read: what was written meanwhile makes it read again
            self._kept[name] = version, found
        return found
