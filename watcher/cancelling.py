"""A cancellation that got lost on its way, raised after all.

In Python 3.11 `asyncio.wait_for`, which the MongoDB driver uses, swallows a cancellation that comes in the
moment in which its work is done (bpo-42130, mended in 3.12). A loop that goes on for ever would then never
end, and with it neither would `run`."""

from __future__ import annotations

import asyncio


def is_cut() -> bool:
    """Has this task been told to end?"""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def heed() -> None:
    """Raises CancelledError if this task has been told to end and goes on all the same."""
    if is_cut():
        raise asyncio.CancelledError
