"""What is looked at again and again is read only when somebody wrote."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from watcher.adapters.sqlite.database import connect
from watcher.adapters.sqlite.polling import OTHERS_SECONDS, Polling
from watcher.errors import OutboxError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    connect(tmp_path / "state.db", writing=True).close()
    return tmp_path / "state.db"


@pytest.fixture
def polling(path: Path) -> Iterator[Polling]:
    with closing(connect(path, writing=False, waits=False)) as connection:
        yield Polling(connection)


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path, writing=True)) as connection:
        yield connection


async def yes() -> bool:
    return True


class Reads:
    def __init__(self) -> None:
        self.number = 0

    async def __call__(self) -> int:
        self.number += 1
        return self.number


async def test_an_answer_is_kept_until_somebody_writes(polling: Polling, other: sqlite3.Connection) -> None:
    read = Reads()
    assert [await polling.read("standings", read) for _ in range(3)] == [1, 1, 1]

    other.execute("INSERT INTO recalls VALUES ('crm', 1)")

    assert [await polling.read("standings", read) for _ in range(3)] == [2, 2, 2]


async def test_what_is_written_during_a_read_makes_the_next_one_read_again(
    polling: Polling, other: sqlite3.Connection
) -> None:
    async def read() -> str:
        other.execute("INSERT INTO recalls VALUES ('crm', 1)")
        return "as it was"

    assert await polling.read("recalls", read) == "as it was"
    assert await polling.read("recalls", Reads()) == 1


async def test_while_nothing_can_be_seen_everything_is_read(path: Path) -> None:
    connection = connect(path, writing=False, waits=False)
    polling, read = Polling(connection), Reads()
    connection.close()

    assert [await polling.read("revision", read) for _ in range(2)] == [1, 2]
    assert await polling.finds("crm", yes, clock=10.0)


async def test_one_looks_for_what_others_stored_when_somebody_wrote_and_not_all_the_time(
    polling: Polling, other: sqlite3.Connection
) -> None:
    assert await polling.finds("crm", yes, clock=10.0)
    assert not await polling.finds("crm", yes, clock=99.0), "nobody wrote"
    assert await polling.finds("audit", yes, clock=99.0), "each for itself"

    other.execute("INSERT INTO recalls VALUES ('crm', 1)")
    assert await polling.finds("crm", yes, clock=99.0)

    other.execute("INSERT INTO recalls VALUES ('audit', 1)")
    assert not await polling.finds("crm", yes, clock=99.0 + OTHERS_SECONDS / 2), "a moment ago"
    assert await polling.finds("crm", yes, clock=99.0 + OTHERS_SECONDS)


async def test_a_look_that_failed_is_made_again(polling: Polling) -> None:
    async def fail() -> bool:
        raise OutboxError("the disk is away")

    with pytest.raises(OutboxError):
        await polling.finds("crm", fail, clock=10.0)

    assert await polling.finds("crm", yes, clock=10.0)
