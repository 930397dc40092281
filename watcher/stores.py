"""The state, wherever the settings keep it: a file for one replica, or a database for any number of them.

Of the two ways to keep it, only the one that is taken is loaded."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import TypedDict, assert_never

from watcher.config.settings import Settings, StateDatabase, StateFile
from watcher.core.leases import Lease
from watcher.errors import OutboxLocked
from watcher.ports import Figures, Leases, Log, Outbox, Registry, StateReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A state, opened by one who works on it."""

    outbox: Outbox
    log: Log
    registry: Registry
    figures: Figures
    leases: Leases
    ready: Callable[[], Awaitable[None]]
    """Makes what is missing. Raises OutboxError, or OutboxBroken for the state of somebody else."""
    under: Callable[[Lease], Outbox]
    """The outbox in the name of a lease: what is written after another has taken it is refused."""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Store]:
    """For `run`. Raises OutboxLocked, OutboxError, OutboxBroken, or SourceRefused for a bad URI."""
    match settings.state:
        case StateFile(path=path):
            from watcher.adapters.sqlite.leases import SoleLeases
            from watcher.adapters.sqlite.outbox import SqliteOutbox

            async with SqliteOutbox.open(path) as file:
                yield Store(
                    outbox=file,
                    log=file,
                    registry=file,
                    figures=file,
                    leases=SoleLeases(),
                    ready=_is_ready,
                    under=lambda _: file,
                )
        case StateDatabase(uri=uri, name=name):
            from watcher.adapters.mongo.state.outbox import MongoOutbox

            async with MongoOutbox.open(uri, name, **_whose(settings)) as outbox:
                # The name tells people where it runs; the rest makes it another one after each start.
                replica = f"{socket.gethostname()}-{token_hex(3)}"
                yield Store(
                    outbox=outbox,
                    log=outbox,
                    registry=outbox,
                    figures=outbox,
                    leases=outbox.leases(replica),
                    ready=outbox.prepare,
                    under=outbox.under,
                )
        case _:
            assert_never(settings.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A state, opened by a command that stores something."""

    outbox: Outbox
    log: Log
    registry: Registry
    figures: Figures
    alone: bool
    """Nobody else will deliver it."""


@asynccontextmanager
async def beside(settings: Settings) -> AsyncIterator[Beside]:
    """For a command that stores something, with a `run` at work or without one."""
    match settings.state:
        case StateFile(path=path):
            from watcher.adapters.sqlite.outbox import SqliteOutbox

            try:
                async with SqliteOutbox.open(path) as outbox:
                    yield Beside(outbox=outbox, log=outbox, registry=outbox, figures=outbox, alone=True)
            except OutboxLocked:
                async with SqliteOutbox.beside(path) as outbox:
                    yield Beside(outbox=outbox, log=outbox, registry=outbox, figures=outbox, alone=False)
        case StateDatabase(uri=uri, name=name):
            from watcher.adapters.mongo.state.outbox import MongoOutbox

            async with MongoOutbox.open(uri, name, **_whose(settings)) as outbox:
                await outbox.prepare()
                yield Beside(outbox=outbox, log=outbox, registry=outbox, figures=outbox, alone=False)
        case _:
            assert_never(settings.state)


@asynccontextmanager
async def read(settings: Settings) -> AsyncIterator[StateReader]:
    """For a command that looks at it. Raises OutboxError, OutboxBroken, or SourceRefused for a bad URI."""
    match settings.state:
        case StateFile(path=path):
            from watcher.adapters.sqlite.reading import SqliteReader

            yield SqliteReader(path)
        case StateDatabase(uri=uri, name=name):
            from watcher.adapters.mongo.state.reading import MongoReader

            async with MongoReader.open(uri, name, **_whose(settings)) as reader:
                yield reader
        case _:
            assert_never(settings.state)


async def _is_ready() -> None:
    """A file is, once it is open."""


class _Whose(TypedDict):
    watched: str | None
    setting: str


def _whose(settings: Settings) -> _Whose:
    """LibreChat's database, or None for a command that was not told where it is; and where the URI stands."""
    shared = isinstance(settings.state, StateDatabase) and settings.state.uri == settings.mongo_uri
    return {
        "watched": settings.database if settings.mongo_uri else None,
        "setting": "MONGO_URI" if shared else "watcher.state",
    }
