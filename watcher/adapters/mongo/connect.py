"""Connections to MongoDB, and how to speak of one without giving its password away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from pymongo import AsyncMongoClient
from pymongo.errors import InvalidURI, PyMongoError

from watcher.errors import SourceRefused

Client = AsyncMongoClient[dict[str, Any]]

SELECTION_SECONDS = 5
"""How long to look for a primary before the caller hears that there is none. An election takes less."""

HEARTBEAT_SECONDS = 5
"""The stream waits without a time limit (a long silent scan is no failure), so a server that froze or was
cut off is noticed by the heartbeat alone: after this, and about as long again for its time-out."""

GOODBYE_SECONDS = 0.5
"""What a shutdown may spend on telling the server; it forgets cursors and sessions by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What messages may say about where we read."""

    hosts: str
    """As the connection string names them, without credentials."""
    database: str
    user: str | None = None
    setting: str = "MONGO_URI"
    """Where its connection string stands."""

    def __str__(self) -> str:
        return f"MongoDB at {self.hosts}"

    @property
    def host(self) -> str:
        return self.hosts.partition(",")[0]


@asynccontextmanager
async def connection(uri: str, *, setting: str = "MONGO_URI", **options: Any) -> AsyncIterator[Client]:
    """A client for the time of the `async with`. `setting`: where the URI stands. `options` win over its own.

    Raises SourceRefused for a string that is no connection string."""
    client = _client(uri, setting, options)
    try:
        yield client
    finally:
        with suppress(PyMongoError, TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await client.close()
        # A server that did not listen in time is not told a second time; our side is shut in any case.
        await client.close()


def place_of(uri: str, database: str, *, setting: str = "MONGO_URI") -> Place:
    """Where a connection string leads, for messages. `setting`: where it stands.

    >>> str(place_of("mongodb://me:secret@a:27017,b/LibreChat?replicaSet=rs0", "LibreChat"))
    'MongoDB at a:27017,b'
    >>> place_of("mongodb://me%40work:secret@a/LibreChat", "LibreChat").user
    'me@work'
    """
    rest = uri.partition("://")[2]
    authority = rest.partition("?")[0].partition("/")[0]
    login, _, hosts = authority.rpartition("@")
    if "@" in rest[len(authority) :]:
        # An unescaped `/` or `?` in the password puts a part of it where the hosts should be.
        login, hosts = "", "the configured address"
    user = unquote_plus(login.partition(":")[0]) or None
    return Place(hosts=hosts, database=database, user=user, setting=setting)


def uri_of_host(uri: str, host: str) -> str:
    """The URI of one server, with the user and the options of another URI.

    >>> uri_of_host("mongodb://me:secret@a,b/LibreChat?tls=true", "c:27017")
    'mongodb://me:secret@c:27017/LibreChat?tls=true'
    """
    authority, slash, rest = uri.partition("://")[2].partition("/")
    login, at, _ = authority.rpartition("@")
    return f"mongodb://{login}{at}{host}{slash}{rest}"


def _client(uri: str, setting: str, options: dict[str, Any]) -> Client:
    settings: dict[str, Any] = {
        "appname": "librechat-watcher",
        "tz_aware": True,
        "serverSelectionTimeoutMS": SELECTION_SECONDS * 1000,
        "connectTimeoutMS": HEARTBEAT_SECONDS * 1000,
        "heartbeatFrequencyMS": HEARTBEAT_SECONDS * 1000,
        # The URI may carry time-outs meant for LibreChat. With them a long silent scan would be cut off,
        # begun again, and never get through.
        "socketTimeoutMS": None,
        "timeoutMS": None,
    }
    try:
        if not uri.startswith(("mongodb://", "mongodb+srv://")):
            raise InvalidURI  # the driver would take it for a host's name
        return Client(uri, **{**settings, **options})
    except OSError as error:  # ssl.SSLError is one
        # The path that an option names is not quoted: with an unescaped password it might be a part of that.
        raise SourceRefused(
            f"{setting}: a file that a TLS option names (tlsCAFile, tlsCertificateKeyFile, tlsCRLFile) cannot"
            f" be used ({error.strerror or type(error).__name__}).\n"
            "  Check that it is there (in a container: mounted), that this user may read it, that it is PEM."
        ) from None
    except (PyMongoError, ValueError, TypeError):
        # Without the driver's text and without the cause: both may quote the URI, password and all.
        raise SourceRefused(
            f"{setting}: this is no connection string that the driver understands.\n"
            "  Write mongodb://HOST:27017/LibreChat\n"
            "  or mongodb://USER:PASSWORD@HOST:27017/LibreChat?authSource=admin, with the characters\n"
            "  : / ? # [ ] @ % of user and password percent-encoded (%3A %2F %3F %23 %5B %5D %40 %25)."
        ) from None
