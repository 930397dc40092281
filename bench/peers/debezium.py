"""The Debezium engine in Python (pydbzengine): a handler that posts each record of a batch by aiohttp.

At its best: uvloop, 64 kept connections (order is given up for it), JSON without schemas, and 10 ms between
polls of an empty queue (500 by default, which would be its latency; it costs some CPU when idle). A batch is
confirmed when every record of it is posted, as its documents want it; the position goes into a file."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from pydbzengine import BasePythonChangeHandler, DebeziumEngine

IN_FLIGHT = 64


class Posting(BasePythonChangeHandler):  # type: ignore[misc]
    """Hands batches over to an event loop of its own, and waits until they are through."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = uvloop.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._session = self._run(self._open())

    def handleJsonBatch(self, records: list[Any]) -> None:  # noqa: N802
        self._run(self._post([str(record.value()).encode() for record in records]))

    async def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT))

    async def _post(self, bodies: list[bytes]) -> None:
        left = iter(bodies)

        async def one_by_one() -> None:
            for body in left:
                async with self._session.post(self._url, data=body) as answer:
                    answer.raise_for_status()
                    await answer.read()

        await asyncio.gather(*(one_by_one() for _ in range(min(IN_FLIGHT, len(bodies)))))

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def main(uri: str, database: str, url: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        DebeziumEngine(
            properties={
                "name": "bench",
                "connector.class": "io.debezium.connector.mongodb.MongoDbConnector",
                "mongodb.connection.string": f"{uri}?replicaSet=rs0",
                "topic.prefix": "bench",
                "collection.include.list": f"{database}.messages",
                "snapshot.mode": "no_data",
                "poll.interval.ms": 10,
                "converter.schemas.enable": "false",
                "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
                "offset.storage.file.filename": Path(folder) / "offsets",
                "offset.flush.interval.ms": 1000,
            },
            handler=Posting(url),
        ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
