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


def a_message(number: int, conversation: str) -> dict[str, Any]:
    """About 1.2 kB, as LibreChat stores an ordinary answer."""
    now = datetime.now(UTC)
    return {
        "_id": ObjectId(),
        "messageId": str(uuid4()),
        "conversationId": conversation,
        "user": USER,
        "parentMessageId": str(uuid4()),
        "text": f"{number} " + "An engine weaves algebraic patterns just as a loom weaves flowers. " * 10,
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


async def fill(database: Database, rows: int) -> None:
    """So many messages, ten to a conversation."""
    for start in range(0, rows, 1_000):
        conversations = [str(uuid4()) for _ in range(100)]
        await database.messages.insert_many(
            [
                a_message(number, conversations[number % 100])
                for number in range(start, min(start + 1_000, rows))
            ]
        )


async def write_steadily(database: Database, *, per_second: float, seconds: float | None = None) -> None:
    """One message after the other, in 200 conversations; without `seconds` until cancelled."""
    began, conversations = time.monotonic(), [str(uuid4()) for _ in range(200)]
    for number in count():
        if seconds is not None and number >= per_second * seconds:
            return
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        await database.messages.insert_one(a_message(number, conversations[number % 200]))
