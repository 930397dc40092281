"""The first scan reads what was there before, a page at a time, and goes on where it was stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.builders import NOON, a_change
from watcher.core.changes import Checkpoint, Document
from watcher.core.events import Entity
from watcher.core.facts import ScanFailed, Scanned
from watcher.errors import SourceUnavailable
from watcher.pipeline.remembering import PAGE_ROWS, Memory
from watcher.ports import Batch
from watcher.testing import Facts, FakeClock, MemoryOutbox, ScriptedRows

NAMES = {"messages": frozenset({"messageId"}), "files": frozenset({"file_id"})}
SECOND = timedelta(seconds=1)
IMAGELESS = frozenset({"messages", "users"})


class Stage:
    """A memory, and what it stands on; what is stored outlives the memory, as after a crash."""

    def __init__(self, *, rows: int) -> None:
        self.outbox, self.facts, self.rows = MemoryOutbox(), Facts(), ScriptedRows()
        self.rows.rows = {an_entity(number): a_row(number) for number in range(rows)}
        self.clock = FakeClock(NOON)
        self.begin()

    def begin(self) -> None:
        self.memory = Memory(NAMES, self.outbox, clock=self.clock, observe=self.facts)

    @asynccontextmanager
    async def scanning(self) -> AsyncIterator[None]:
        await self.memory.complete(a_batch())
        task = asyncio.create_task(self.memory.scan(self.rows))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_every_row_of_the_collections_without_images_is_remembered_and_no_other():
    stage = Stage(rows=3)
    stage.rows.rows[Entity("files:1")] = {"file_id": "f1"}

    async with stage.scanning():
        (page,) = await stage.facts.until(Scanned)

    assert (page.collection, page.rows, page.total, page.done) == ("messages", 3, 3, True)
    known = await stage.outbox.recall([an_entity(0), an_entity(2), Entity("files:1")])
    assert {row: memory.fields for row, memory in known.items()} == {
        an_entity(0): {"messageId": "m0"},
        an_entity(2): {"messageId": "m2"},
    }


async def test_a_large_collection_is_read_a_page_at_a_time_with_pauses_three_times_as_long():
    stage = Stage(rows=PAGE_ROWS + 5)
    stage.rows.after_each = lambda: stage.clock.advance(SECOND)

    async with stage.scanning():
        await stage.facts.until(Scanned)
        stage.clock.advance(2.9 * SECOND)
        await everybody_had_a_turn()
        assert len(stage.facts.of(Scanned)) == 1
        stage.clock.advance(0.1 * SECOND)
        pages = await stage.facts.until(Scanned, count=2)

    assert [(page.rows, page.done) for page in pages] == [(PAGE_ROWS, False), (PAGE_ROWS + 5, True)]


async def test_after_a_crash_the_scan_goes_on_with_the_next_page():
    stage = Stage(rows=PAGE_ROWS + 5)
    async with stage.scanning():
        await stage.facts.until(Scanned)
    stage.begin()

    async with stage.scanning():
        pages = await stage.facts.until(Scanned, count=2)

    assert [page.read for page in pages] == [PAGE_ROWS, 5]


async def test_a_scan_waits_out_an_outage():
    stage = Stage(rows=3)
    stage.rows.refuse = SourceUnavailable("gone")

    async with stage.scanning():
        (failed,) = await stage.facts.until(ScanFailed)
        stage.clock.advance(failed.retry_in)
        (page,) = await stage.facts.until(Scanned)

    assert page.done


async def test_no_page_is_read_while_a_batch_is_dealt_with():
    stage = Stage(rows=3)
    async with stage.memory.turn, stage.scanning():
        await everybody_had_a_turn()
        assert stage.facts.of(Scanned) == []


async def test_forgetting_begins_anew():
    stage = Stage(rows=3)
    async with stage.scanning():
        await stage.facts.until(Scanned)

    await stage.memory.forget()

    assert await stage.outbox.recall([an_entity(0)]) == {}
    stage.begin()
    async with stage.scanning():
        pages = await stage.facts.until(Scanned, count=2)
    assert pages[1].rows == 3


async def test_a_deletion_is_told_with_what_was_remembered():
    stage = Stage(rows=3)
    async with stage.scanning():
        await stage.facts.until(Scanned)
    deleted = a_change(document_id="00001", operation="delete", after=None)

    done = await stage.memory.complete(a_batch(deleted))

    assert done.changes[0].before == {"messageId": "m1"}
    assert done.learned == {an_entity(1): None}


async def test_with_pre_images_nothing_is_read_and_nothing_is_stored():
    stage = Stage(rows=3)

    done = await stage.memory.complete(a_batch(a_change(), imageless=frozenset()))

    assert done.learned == {}
    assert await stage.outbox.memories({}) == []


async def everybody_had_a_turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def an_entity(number: int) -> Entity:
    return Entity(f"messages:{number:05d}")


def a_row(number: int) -> Document:
    return {"messageId": f"m{number}", "text": "private"}


def a_batch(*changes, imageless=IMAGELESS) -> Batch:
    return Batch(
        changes=changes, checkpoint=Checkpoint(token="82AA", at=NOON), through=NOON, imageless=imageless
    )
