"""Looks host names up, each in a thread of its own. Law: a dead name server holds up nobody else.

The system's lookup cannot be cut off and may hang for half a minute. The event loop's own threads are
few (6 on two cores, 4 under uvloop) and serve the state store too: a few dead names would stop every
other endpoint, and at the end the exit, which waits for those threads."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult


class PatientResolver(AbstractResolver):
    """The system's resolver (hosts file, search domains and all), off the event loop.

    aiohttp asks once per name at a time and remembers the answer for 10 s, so threads stay few."""

    def __init__(self) -> None:
        self._lookups = 0

    @property
    def busy(self) -> bool:
        """Is a lookup under way?"""
        return self._lookups > 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[ResolveResult]] = loop.create_future()
        lookup = threading.Thread(
            target=_look_up, args=(host, port, family, loop, found), name="lookup", daemon=True
        )
        self._lookups += 1
        try:
            lookup.start()
            return await found
        finally:
            self._lookups -= 1

    async def close(self) -> None:
        """Nothing is held open; a lookup still under way ends unheard."""


def _look_up(
    host: str,
    port: int,
    family: socket.AddressFamily,
    loop: asyncio.AbstractEventLoop,
    found: asyncio.Future[list[ResolveResult]],
) -> None:
    answer: list[ResolveResult] | OSError
    try:
        answer = _addresses(host, port, family)
    except OSError as error:
        answer = error
    except UnicodeError:
        # A label over 63 characters: no such name can exist.
        answer = socket.gaierror(socket.EAI_NONAME, "not a host name")

    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_settle, found, answer)


def _settle(found: asyncio.Future[list[ResolveResult]], answer: list[ResolveResult] | OSError) -> None:
    if found.done():  # cancelled meanwhile
        return
    if isinstance(answer, OSError):
        found.set_exception(answer)
    else:
        found.set_result(answer)


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    flags = socket.AI_ADDRCONFIG  # no IPv6 addresses where there is no IPv6
    infos: list[Any] = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=flags)
    return [
        ResolveResult(
            hostname=host,
            host=address[0],
            port=address[1],
            family=kind,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, proto, _, address in infos
    ]
