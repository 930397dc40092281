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
HEAD_ENDS, LENGTH = b"\r\n\r\n", b"ength:"
"""What is found by plain search, `Content-Length` in either way of writing it: a regular expression that does
not mind the case would take longer than all the rest."""

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

    def count(self, data: bytes, begin: int, end: int, now: float) -> None:
        """A body, which stands there in what came."""
        self.first = self.first or now
        self.last = now
        self.requests += 1
        marks = MARK.findall(data, begin, end)
        if marks:
            self.events += len(marks)
            self.ages += [now - int(mark) / 1e6 for mark in marks]
        else:
            self.events += 1
            found = TIMESTAMP.search(data, begin, end)
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
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is one in all but name

    def data_received(self, data: bytes) -> None:
        now = time.time()
        data = self.rest + data if self.rest else data
        begin = requests = 0
        while (head := data.find(HEAD_ENDS, begin)) >= 0:
            body = head + len(HEAD_ENDS)
            end = body + _length(data, begin, head)
            if end > len(data):
                break
            self.tally.count(data, body, end, now)
            begin, requests = end, requests + 1
        self.rest = data[begin:]
        if requests:
            self.transport.write(self.answer * requests)


def _length(data: bytes, begin: int, end: int) -> int:
    """Of the body whose head stands there."""
    found = data.find(LENGTH, begin, end)
    return int(data[found + len(LENGTH) : data.find(b"\r", found)]) if found >= 0 else 0


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
