"""A receiver with moods: takes requests off the wire, and answers as real ones do on bad days."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Literal, Self

from multidict import CIMultiDict

from watcher.core.endpoints import Secret
from watcher.core.verifying import judge

Mood = Literal["well", "failing", "silent", "late", "breaking", "short"]
"""`well`: 200. `failing`: 503. `silent`: never answers. `late`: 200, when nobody waits any more. `breaking`:
closes in the middle of the status line. `short`: a 200 whose body breaks off."""

ACCEPTING: frozenset[Mood] = frozenset({"well", "late", "short"})
"""It did what the request was about, whether or not the sender hears of it."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAILED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok so f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request as it arrived."""

    endpoint: str
    id: str
    body: bytes = field(repr=False)
    signed: bool
    accepted: bool
    heard: bool
    """The answer went out whole and in time: unless the network broke it, the sender knows."""
    at: float
    """Monotonic seconds."""


class Receiver:
    """Listens while its `async with` lasts. Its mood may be set at any time; None: its own, by dice."""

    def __init__(
        self,
        endpoint: str,
        secret: bytes,
        *,
        on_arrival: Callable[[Arrival], None],
        temper: Mapping[Mood, float],
        late_seconds: float,
        dice: Random,
    ) -> None:
        self._endpoint = endpoint
        self._secrets = [Secret(key=secret)]
        self._on_arrival = on_arrival
        self._temper = temper
        self._late_seconds = late_seconds
        self._dice = dice
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self.mood: Mood | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        while self._connections:
            for connection in self._connections:
                connection.transport.abort()
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the sender is gone
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take one request and answer it; whether the connection goes on."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
        headers = CIMultiDict[str]()
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name] = value
        body = await reader.readexactly(int(headers["Content-Length"]))
        mood = self.mood or self._own_mood()
        signed, _ = judge(body, headers, self._secrets, now=datetime.now(UTC))
        self._on_arrival(
            Arrival(
                endpoint=self._endpoint,
                id=headers["X-Webhook-ID"],
                body=body,
                signed=signed,
                accepted=mood in ACCEPTING,
                heard=mood != "late",
                at=time.monotonic(),
            )
        )
        match mood:
            case "well":
                writer.write(OK)
            case "failing":
                writer.write(FAILED)
            case "silent":
                await reader.read()  # until the sender gives up
                return False
            case "late":
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._late_seconds):
                        await reader.read(1)  # the sender gives up meanwhile
                writer.write(OK)
            case "breaking":
                writer.write(OK[:11])
                return False
            case "short":
                writer.write(SHORT)
                return False
        await writer.drain()
        return True

    def _own_mood(self) -> Mood:
        moods = list(self._temper)
        return self._dice.choices([*moods, "well"], [*self._temper.values(), 1 - sum(self._temper.values())])[
            0
        ]
