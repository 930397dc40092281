"""A receiver as lean as can be, in a process of its own: counts, and notes how old each event is on arrival.

Whoever posts, and in whatever form: an event is known by the mark in its text (`bench/messages.py`), one
without by the body's `timestamp`. With the argument `hangs` it never answers, with `fails` it answers 500; a
second argument is a certificate and its key in one file, to speak TLS with. Talks with the bench over stdin
and stdout: `reset`, `count`, `report` → one JSON line."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
import time
from datetime import datetime
from typing import cast

import uvloop

MARK = re.compile(rb"@(\d{16})@")
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
        self.requests = self.events = 0
        self.first = self.last = 0.0
        self.ages: list[float] = []

    def count(self, body: bytes) -> None:
        now = time.time()
        self.first = self.first or now
        self.last = now
        self.requests += 1
        marks = MARK.findall(body)
        if marks:
            self.events += len(marks)
            self.ages += [now - int(mark) / 1e6 for mark in marks]
        else:
            self.events += 1
            found = TIMESTAMP.search(body)
            if found:
                self.ages.append(now - datetime.fromisoformat(found[1].decode()).timestamp())

    def counted(self) -> dict[str, float]:
        return {"requests": self.requests, "events": self.events}

    def report(self) -> dict[str, float]:
        ages = sorted(self.ages) or [0.0]
        return {
            **self.counted(),
            "seconds": self.last - self.first,
            "p50_ms": ages[len(ages) // 2] * 1e3,
            "p99_ms": ages[int(len(ages) * 0.99)] * 1e3,
            "max_ms": ages[-1] * 1e3,
            "cpu_seconds": time.process_time(),
        }


class Connection(asyncio.Protocol):
    """One connection: finds where each request ends, answers it, counts it."""

    def __init__(self, tally: Tally, answer: bytes) -> None:
        self.tally = tally
        self.answer = answer
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is one in all but name

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


async def main(mood: str = "answers", certificate: str = "") -> None:
    tally, answer = Tally(), ANSWERS[mood]
    loop = asyncio.get_running_loop()
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    server = await loop.create_server(lambda: Connection(tally, answer), "127.0.0.1", 0, ssl=tls)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == "reset":
            tally.reset()
        print(json.dumps(tally.report() if line.strip() == "report" else tally.counted()), flush=True)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
