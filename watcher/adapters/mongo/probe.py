"""What `check` wants to know of a MongoDB, found out by trying: nothing here changes anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pymongo.errors import OperationFailure, PyMongoError

from watcher.adapters.mongo.classify import classify
from watcher.adapters.mongo.connect import Client, connection, place_of
from watcher.adapters.mongo.decode import CODEC
from watcher.adapters.mongo.oplog import OplogWindow, oplog_window
from watcher.errors import SourceError

Kind = Literal["replica set", "standalone", "sharded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionReport:
    name: str
    exists: bool
    pre_images: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoReport:
    """What was found. `None` and empty: not found out, for a reason that `problems` gives."""

    hosts: str
    problems: tuple[SourceError, ...]
    """What keeps changes from being read, each a whole message with its cure."""
    reachable: bool = False
    kind: Kind | None = None
    set_name: str | None = None
    version: str | None = None
    can_read_stream: bool = False
    collections: tuple[CollectionReport, ...] = ()
    oplog: OplogWindow | None = None
    """None also where the user may not read `local`: that is no problem, only unknown."""
    clock_skew: timedelta | None = None
    """The server's clock less ours."""


async def inspect(uri: str, database: str, collections: Collection[str]) -> MongoReport:
    """Look at everything that reading `collections` needs. Raises SourceRefused for a URI that is none."""
    place = place_of(uri, database)
    async with connection(uri) as client:
        try:
            asked = datetime.now(UTC)
            hello = await client.admin.command("hello", codec_options=CODEC)
            answered = datetime.now(UTC)
            version = (await client.admin.command("buildInfo"))["version"]
        except PyMongoError as error:
            problem = classify(error, place, topology=client.topology_description)
            # Who is refused for his password has been answered.
            return MongoReport(
                hosts=place.hosts, problems=(problem,), reachable=isinstance(error, OperationFailure)
            )

        problems: list[SourceError] = []
        can_read_stream = False
        found: Mapping[str, CollectionReport] = {}
        try:
            await _try_stream(client, database)
            can_read_stream = True
            found = await collection_reports(client, database, collections)
        except PyMongoError as error:
            problems.append(classify(error, place))

        return MongoReport(
            hosts=place.hosts,
            problems=tuple(problems),
            reachable=True,
            kind=kind_of(hello),
            set_name=hello.get("setName"),
            version=version,
            can_read_stream=can_read_stream,
            collections=tuple(found.values()),
            oplog=await _oplog_window(client),
            clock_skew=hello["localTime"] - (asked + (answered - asked) / 2),
        )


async def collection_reports(
    client: Client, database: str, names: Collection[str]
) -> Mapping[str, CollectionReport]:
    """Of each name, whether it exists and keeps pre-images. Raises PyMongoError."""
    options: dict[str, Any] = {}
    async for entry in await client[database].list_collections(filter={"name": {"$in": sorted(names)}}):
        options[entry["name"]] = entry["options"].get("changeStreamPreAndPostImages", {})
    return {
        name: CollectionReport(
            name=name,
            exists=name in options,
            pre_images=options.get(name, {}).get("enabled", False),
        )
        for name in sorted(names)
    }


def kind_of(hello: Mapping[str, Any]) -> Kind:
    if hello.get("msg") == "isdbgrid":
        return "sharded"
    return "replica set" if "setName" in hello or hello.get("isreplicaset") else "standalone"


async def _try_stream(client: Client, database: str) -> None:
    stages: list[dict[str, Any]] = [{"$changeStream": {}}]
    reply = await client[database].command(
        {"aggregate": 1, "pipeline": stages, "cursor": {"batchSize": 0}}, codec_options=CODEC
    )
    kill = {"killCursors": "$cmd.aggregate", "cursors": [reply["cursor"]["id"]]}
    with suppress(PyMongoError):
        await client[database].command(kill)


async def _oplog_window(client: Client) -> OplogWindow | None:
    with suppress(PyMongoError):
        return await oplog_window(client)
    return None
