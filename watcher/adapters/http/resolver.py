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

from aiohappyeyeballs import AddrInfoType

REMEMBERED_SECONDS = 10.0
"""Much longer, and a receiver that has moved would not be found; none, and each connection would ask."""

REMEMBERED_NAMES = 256

Addresses = list[AddrInfoType]
Name = tuple[str, int]


class PatientResolver:
    """The system's resolver (hosts file, search domains and all), off the event loop.

    A name is asked for once at a time and its answer remembered for a while, so threads stay few."""

    def __init__(self) -> None:
        self._known: dict[Name, tuple[float, Addresses]] = {}
        self._lookups: dict[Name, asyncio.Future[Addresses | OSError]] = {}

    async def addresses(self, host: str, port: int) -> Addresses:
        """Raises OSError as the system's resolver does."""
        loop = asyncio.get_running_loop()
        name = (host, port)
        until, known = self._known.get(name, (0.0, []))
        if loop.time() < until:
            return known
        if name not in self._lookups:
            self._begin(name, loop)
        # Who gives up leaves the lookup to those who wait for it too.
        found = await asyncio.shield(self._lookups[name])
        if isinstance(found, OSError):
            raise found
        return found

    def _begin(self, name: Name, loop: asyncio.AbstractEventLoop) -> None:
        def settle(answer: Addresses | OSError) -> None:
            del self._lookups[name]
            if not isinstance(answer, OSError):
                if len(self._known) >= REMEMBERED_NAMES:
                    self._known.clear()
                self._known[name] = (loop.time() + REMEMBERED_SECONDS, answer)
            asked.set_result(answer)

        def look_up() -> None:
            answer = _look_up(*name)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, answer)

        asked: asyncio.Future[Addresses | OSError] = loop.create_future()
        self._lookups[name] = asked
        threading.Thread(target=look_up, name="lookup", daemon=True).start()


def _look_up(host: str, port: int) -> Addresses | OSError:
    flags = socket.AI_ADDRCONFIG  # no IPv6 addresses where there is no IPv6
    try:
        found: list[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except OSError as error:
        return error
    except UnicodeError:
        # A label over 63 characters: no such name can exist.
        return socket.gaierror(socket.EAI_NONAME, "not a host name")
    return found
