"""A receiver as lean as can be, in a process of its own: counts, and notes how old each event is on arrival.

With the argument `hangs` it never answers, with `fails` it answers 500. Talks with the bench over stdin and
stdout: `reset`, `report` → one JSON line."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from datetime import datetime

TIMESTAMP = re.compile(rb'"timestamp":"([^"]+)"')
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
ANSWERS = {
    "answers": b"HTTP/1.1 204 No Content\r\n\r\n",
    "fails": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    "hangs": b"",
}


class Tally:
    """What arrived since the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.requests = 0
        self.first = self.last = 0.0
        self.ages_ms: list[float] = []

    def count(self, body: bytes) -> None:
        now = time.time()
        self.first = self.first or now
        self.last = now
        self.requests += 1
        found = TIMESTAMP.search(body)
        if found:
            self.ages_ms.append((now - datetime.fromisoformat(found[1].decode()).timestamp()) * 1000)

    def report(self) -> dict[str, float]:
        ages = sorted(self.ages_ms) or [0.0]
        return {
            "requests": self.requests,
            "seconds": self.last - self.first,
            "p50_ms": ages[len(ages) // 2],
            "p99_ms": ages[int(len(ages) * 0.99)],
            "max_ms": ages[-1],
            "cpu_seconds": time.process_time(),
        }


class Connection(asyncio.Protocol):
    """One connection: finds where each request ends, answers it, counts it."""

    def __init__(self, tally: Tally, answer: bytes) -> None:
        self.tally = tally
        self.answer = answer
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self.buffer, 0, end + 2)
            total = end + 4 + (int(found[1]) if found else 0)
            if len(self.buffer) < total:
                return
            self.tally.count(self.buffer[end + 4 : total])
            self.buffer = self.buffer[total:]
            self.transport.write(self.answer)


async def main(mood: str) -> None:
    tally, answer = Tally(), ANSWERS[mood]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(tally, answer), "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == "reset":
            tally.reset()
        print(json.dumps(tally.report()), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:] or ["answers"]))
