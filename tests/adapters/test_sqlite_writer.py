"""The writer's transactions: what is in a hurry, what is not, and in which order they are committed."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from watcher.adapters.sqlite import writer as writing
from watcher.adapters.sqlite.database import connect
from watcher.adapters.sqlite.writer import Writer

FOR_EVER = 60.0


@asynccontextmanager
async def a_writer(tmp_path: Path) -> AsyncIterator[tuple[Writer, list[str]]]:
    """And the statements that it runs."""
    path = tmp_path / "state.db"
    with closing(connect(path, writing=True)) as connection:
        said: list[str] = []
        connection.set_trace_callback(said.append)
        writer = Writer(connection, path)
        try:
            yield writer, said
        finally:
            await writer.close()


def saying(word: str) -> Callable[[sqlite3.Connection], Any]:
    return lambda db: db.execute(f"SELECT '{word}'").fetchone()[0]


async def test_what_is_in_no_hurry_shares_the_next_transaction_and_comes_before(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "LEISURE_SECONDS", FOR_EVER)
    async with a_writer(tmp_path) as (writer, said):
        patient = asyncio.ensure_future(writer.do(saying("patient"), hurried=False))
        await asyncio.sleep(0.05)
        assert not said

        hurried = await writer.do(saying("hurried"))

        assert (await patient, hurried) == ("patient", "hurried")
        assert said == ["BEGIN IMMEDIATE", "SELECT 'patient'", "SELECT 'hurried'", "COMMIT"]


async def test_what_is_in_no_hurry_is_done_a_moment_later_by_itself(tmp_path):
    async with a_writer(tmp_path) as (writer, said):
        began = time.monotonic()
        both = await asyncio.gather(
            writer.do(saying("one"), hurried=False), writer.do(saying("two"), hurried=False)
        )

        assert list(both) == ["one", "two"]
        assert time.monotonic() - began >= writing.LEISURE_SECONDS / 2
        assert said == ["BEGIN IMMEDIATE", "SELECT 'one'", "SELECT 'two'", "COMMIT"]

        assert await writer.do(saying("three"), hurried=False) == "three", "and so is what comes after it"


async def test_what_is_in_no_hurry_is_done_before_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "LEISURE_SECONDS", FOR_EVER)
    async with a_writer(tmp_path) as (writer, _):
        patient = asyncio.ensure_future(writer.do(saying("patient"), hurried=False))
        await asyncio.sleep(0)

    assert await patient == "patient"
