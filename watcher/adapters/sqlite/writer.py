"""The writer: one thread owns the writing connection, and commits together what waits together.

A commit costs one flush to the disk whatever it holds; under load many appends and settlements share one."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from watcher.adapters.sqlite.database import translated
from watcher.adapters.sqlite.files import Files

GROUP_JOBS = 500
"""Jobs in one transaction, about: a group must not keep its first member waiting."""

LEISURE_SECONDS = 0.025
"""How long a job that nobody waits for may wait for others: from forty changes a second on, the flush that
stores each of them serves for what was settled before it, too."""

Work = Callable[[sqlite3.Connection], Any]


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work
    done: asyncio.Future[Any]


class Writer:
    """Runs jobs on the writing connection, in order, each in a committed transaction when it returns."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._files = Files(path)
        self._jobs: SimpleQueue[Sequence[_Job] | None] = SimpleQueue()
        self._at_leisure: list[_Job] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="outbox-writer", daemon=True)
        self._thread.start()

    async def do(self, work: Work, *, hurried: bool = True) -> Any:
        """Have the work done and committed. Not `hurried`: a moment later, or with what comes until then.

        Raises OutboxError or OutboxBroken; then nothing of it is stored. Cancelled, it ends only when that is
        settled: who reads after it must not read what an earlier write is about to change."""
        job = _Job(work, self._loop.create_future())
        self._at_leisure.append(job)
        if hurried:
            self._hand_over()
        elif self._alarm is None:
            self._alarm = self._loop.call_later(LEISURE_SECONDS, self._hand_over)
        try:
            return await asyncio.shield(job.done)
        except asyncio.CancelledError:
            await asyncio.wait({job.done})
            raise

    async def close(self) -> None:
        """Finish what was given, then end the thread."""
        self._hand_over()
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        """Hand over all that there is, in its order."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._at_leisure:
            self._jobs.put(self._at_leisure)
            self._at_leisure = []

    def _run(self) -> None:
        going = True
        while going:
            given = [self._jobs.get()]
            with suppress(Empty):
                while len(given) < GROUP_JOBS:
                    given.append(self._jobs.get_nowait())
            going = None not in given
            self._commit([job for jobs in given if jobs is not None for job in jobs])

    def _commit(self, jobs: Sequence[_Job]) -> None:
        if not jobs:
            return
        try:
            results: list[Any] = self._transaction(jobs)
        except Exception as error:
            if len(jobs) > 1:
                # One bad job must not fail the others.
                for job in jobs:
                    self._commit([job])
                return
            results = [error]
        self._loop.call_soon_threadsafe(_resolve, jobs, results)

    def _transaction(self, jobs: Sequence[_Job]) -> list[Any]:
        connection = self._connection
        with translated(self._path):
            self._files.demand_all()
            try:
                connection.execute("BEGIN IMMEDIATE")
                results = [job.work(connection) for job in jobs]
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return results


def _resolve(jobs: Sequence[_Job], results: Sequence[Any]) -> None:
    for job, result in zip(jobs, results, strict=True):
        if job.done.done():
            continue  # nobody waits any more
        if isinstance(result, Exception):
            job.done.set_exception(result)
            job.done.exception()  # who was cut off meanwhile does not fetch it: no fault of the program
        else:
            job.done.set_result(result)
