"""Reading ahead: while a large batch is planned and stored, the next one is on its way.

The law: one batch is read ahead at most, and only behind one that tells of a backlog. A stream that keeps up
is asked for more when all before it is stored: who asks then knows what is waited for, and what comes
meanwhile comes together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from watcher.cancelling import heed
from watcher.ports import Batch

MANY = 100
"""Changes that tell of a backlog."""

LIGHT_BYTES = 1024 * 1024
"""As `Batch.weight`: two of more than that in memory would be too much."""


def is_followed(batch: Batch) -> bool:
    """Is the next one read while this one is worked on?"""
    return len(batch.changes) >= MANY and batch.weight <= LIGHT_BYTES


async def ahead(batches: AsyncIterator[Batch]) -> AsyncGenerator[Batch, None]:
    """The same, in the same order. What reading meets is raised when all before it has been worked on.

    To be closed (`aclosing`): that ends the reading, too."""
    coming: asyncio.Task[Batch] | None = None
    try:
        while True:
            try:
                batch = await (coming or anext(batches))
            except StopAsyncIteration:
                return
            heed()  # the task that read may have swallowed it, and the next one will not be told
            coming = asyncio.create_task(_next(batches)) if is_followed(batch) else None
            yield batch
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})
            if not coming.cancelled():
                coming.exception()  # nobody wants to know any more


async def _next(batches: AsyncIterator[Batch]) -> Batch:
    return await anext(batches)
