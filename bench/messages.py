"""Messages as LibreChat stores them, many or at a steady pace."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import uuid4

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

Database = AsyncDatabase[dict[str, Any]]

USER = "6b044d4773a41b0b86a68795"
SENTENCE = "An engine weaves algebraic patterns just as a loom weaves flowers. "
REST_BYTES = 430
"""Of a message, as it is stored, beside its text."""

KB = 1.2
"""An ordinary answer."""


def a_message(number: int, conversation: str, *, kb: float = KB) -> dict[str, Any]:
    """About so large, as LibreChat stores it. Its text tells when it was made, to the microsecond: whatever
    form it is posted in, `bench/receiver.py` finds that mark."""
    now = datetime.now(UTC)
    sentences = SENTENCE * round((kb * 1000 - REST_BYTES) / len(SENTENCE))
    return {
        "_id": ObjectId(),
        "messageId": str(uuid4()),
        "conversationId": conversation,
        "user": USER,
        "parentMessageId": str(uuid4()),
        "text": f"@{time.time_ns() // 1000}@ {number} {sentences}",
        "sender": "GPT-4o",
        "isCreatedByUser": False,
        "endpoint": "openAI",
        "model": "gpt-4o",
        "tokenCount": 160,
        "unfinished": False,
        "error": False,
        "_meiliIndex": False,
        "createdAt": now,
        "updatedAt": now,
        "__v": 0,
    }


PAGE = 1_000


async def fill(database: Database, rows: int, *, entities: int | None = None, kb: float = KB) -> None:
    """So many messages in so many conversations, in turn; else a hundred conversations for each thousand."""
    for start in range(0, rows, PAGE):
        if start == 0 or entities is None:
            conversations = [str(uuid4()) for _ in range(entities or PAGE // 10)]
        await database.messages.insert_many(
            [
                a_message(number, conversations[number % len(conversations)], kb=kb)
                for number in range(start, min(start + PAGE, rows))
            ]
        )


WRITERS = 16
"""So that a thousand a second are written although each waits for its commit."""


async def write_steadily(database: Database, *, per_second: float, seconds: float | None = None) -> None:
    """Messages at an even pace, in 200 conversations; without `seconds` until cancelled."""
    began, conversations, numbers = time.monotonic(), [str(uuid4()) for _ in range(200)], count()

    async def write() -> None:
        for number in numbers:
            if seconds is not None and number >= per_second * seconds:
                return
            await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
            await database.messages.insert_one(a_message(number, conversations[number % 200]))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(WRITERS):
            tasks.create_task(write())
