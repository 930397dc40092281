"""A bare reader: PyMongo's change stream, and a POST by the watcher's own client for each insert.

No store, no signature, no order, no retry: the least that a program in Python can do."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

import orjson
import uvloop
from bson import ObjectId
from pymongo import AsyncMongoClient

from watcher.adapters.http.sender import HttpSender
from watcher.core.requests import Request

IN_FLIGHT = 64
BATCH = 200
"""As many changes at a time as the watcher asks for."""

HEADERS = (("Content-Type", "application/json"),)
TIMEOUT = timedelta(seconds=15)


async def main(uri: str, database: str, url: str) -> None:
    slots = asyncio.Semaphore(IN_FLIGHT)
    inserts = [{"$match": {"operationType": "insert"}}]
    async with (
        AsyncMongoClient[dict[str, Any]](uri) as client,
        HttpSender() as sender,
        asyncio.TaskGroup() as tasks,
        await client[database].messages.watch(inserts, batch_size=BATCH) as stream,
    ):

        async def post(document: dict[str, Any]) -> None:
            body = orjson.dumps(document, default=_plain)
            try:
                await sender.send(
                    Request(endpoint="bench", url=url, headers=HEADERS, body=body, timeout=TIMEOUT)
                )
            finally:
                slots.release()

        async for change in stream:
            await slots.acquire()
            tasks.create_task(post(change["fullDocument"]))


def _plain(value: object) -> str:
    if isinstance(value, ObjectId):
        return str(value)
    raise TypeError


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
