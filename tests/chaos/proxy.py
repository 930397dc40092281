"""A proxy on loopback that stands in the line between two real parts, and can break it as networks do.

open ──cut──▶ cut      connections are reset, new ones refused
open ──hang─▶ hung     connections stay open and new ones are taken, but nothing passes, not even an end
open ──forget▶ open    the connections of now are never heard of again; new ones pass
all of them ──heal──▶ open   what hung on the way arrives now; what was forgotten stays forgotten"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

PORTS = range(20_000, 32_000)
"""Below the ports that Linux hands to outgoing connections: after a cut the same one can be listened on
again. And five digits each, so that one can stand in another's place (`renaming`)."""

CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: closing sends a reset."""


class Proxy:
    """Passes bytes on to a port of this machine while its `async with` lasts.

    `renaming`: bytes to be replaced by as many others in what comes back. Members of a replica set tell their
    own addresses; renamed, they lead through the proxies."""

    def __init__(self, target: int, *, renaming: Mapping[bytes, bytes] | None = None) -> None:
        self._target = target
        self.renaming = dict(renaming or {})
        self.port = 0
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._lines: set[_Line] = set()

    async def __aenter__(self) -> Self:
        for port in random.sample(PORTS, len(PORTS)):
            self.port = port
            with suppress(OSError):
                await self._listen()
                return self
        raise RuntimeError("no free port for a proxy")

    async def __aexit__(self, *_: object) -> None:
        self._refuse()
        self._reset()
        for line in list(self._lines):
            await line.done.wait()

    def cut(self) -> None:
        self._refuse()
        self._reset()
        self._flowing.set()

    def hang(self) -> None:
        self._flowing.clear()

    def forget(self) -> None:
        for line in self._lines:
            line.forgotten = True

    async def heal(self) -> None:
        self._flowing.set()
        if self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _reset(self) -> None:
        for line in self._lines:
            line.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line(writer)
        self._lines.add(line)
        try:
            await self._passage(line)
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            line.ends.append(far_writer)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_on(line, reader, far_writer, {}))
                tasks.create_task(self._pass_on(line, far_reader, writer, self.renaming))
        except* OSError:
            line.reset()  # one end is gone: the other hears of it
        finally:
            self._lines.discard(line)
            line.close()

    async def _pass_on(
        self,
        line: _Line,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        renaming: Mapping[bytes, bytes],
    ) -> None:
        while True:
            chunk = await reader.read(CHUNK)
            await self._passage(line)
            if not chunk:
                writer.write_eof()
                return
            for name, other in renaming.items():
                chunk = chunk.replace(name, other)
            writer.write(chunk)
            await writer.drain()

    async def _passage(self, line: _Line) -> None:
        """Return when what came by this line may go on. Raises OSError when it has been reset."""
        if not line.forgotten:
            await self._flowing.wait()
        if line.forgotten:
            await line.over.wait()
        if line.over.is_set():
            raise ConnectionResetError


class _Line:
    """One connection through the proxy, and its ends."""

    def __init__(self, near: asyncio.StreamWriter) -> None:
        self.ends = [near]
        self.forgotten = False
        self.over = asyncio.Event()
        self.done = asyncio.Event()

    def reset(self) -> None:
        self.over.set()
        for end in self.ends:
            with suppress(OSError):
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.transport.abort()

    def close(self) -> None:
        for end in self.ends:
            end.close()
        self.done.set()
