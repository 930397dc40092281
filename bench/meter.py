"""A meter on the wire: a TCP proxy on loopback that counts the bytes which a server sends through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 1 << 16


class Meter:
    """Bytes from the server since the last reset, over all connections through `port`."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self.port = 0
        self.received = 0
        self.clients: list[str] = []
        """Its connections, as the server names them."""

    @classmethod
    @asynccontextmanager
    async def before(cls, port: int) -> AsyncIterator[Meter]:
        """A meter before the server on this port of 127.0.0.1."""
        meter = cls(port)
        server = await asyncio.start_server(meter._connected, "127.0.0.1", 0)
        meter.port = server.sockets[0].getsockname()[1]
        try:
            yield meter
        finally:
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        self.clients.append("{}:{}".format(*server_writer.get_extra_info("sockname")))
        with suppress(OSError):
            await asyncio.gather(self._up(reader, server_writer), self._down(server_reader, writer))

    async def _up(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while chunk := await client.read(CHUNK_BYTES):
            server.write(chunk)
            await server.drain()
        server.close()

    async def _down(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while chunk := await server.read(CHUNK_BYTES):
            self.received += len(chunk)
            client.write(chunk)
            await client.drain()
        client.close()
