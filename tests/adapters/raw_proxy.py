"""A proxy made of bare sockets: CONNECT and absolute URLs, and whatever misbehaviour a test gives it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class RawProxy:
    """What a proxy saw."""

    url: str
    heads: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def proxying(
    *, refusing: bytes | None = None, context: ssl.SSLContext | None = None
) -> AsyncIterator[RawProxy]:
    """Connects to whatever it is asked for. `refusing`: says that instead, and closes."""
    handlers: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            proxy.heads.append(head)
            if refusing is not None:
                writer.write(refusing)
                await writer.drain()
            else:
                await _connect(head, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            handlers.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    scheme = "https" if context else "http"
    proxy = RawProxy(url=f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}")
    try:
        yield proxy
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


async def _connect(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    tunnel = method == "CONNECT"
    parts = urlsplit(f"//{target}" if tunnel else target)
    there, back = await asyncio.open_connection("127.0.0.1", parts.port)
    if tunnel:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        back.write(head.replace(target.encode(), f"{parts.path}?{parts.query}".encode(), 1))
    try:
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(_pump(reader, back))
            pumps.create_task(_pump(there, writer))
    finally:
        back.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()
    sink.close()
