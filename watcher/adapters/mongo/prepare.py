"""The operator's one-off: what `prepare` changes in a MongoDB, and the report of it. Safe to run twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pymongo.errors import OperationFailure, PyMongoError

from watcher.adapters.mongo.classify import classify, standalone
from watcher.adapters.mongo.connect import Client, Place, connection, place_of, uri_of_host
from watcher.adapters.mongo.probe import collection_reports, kind_of
from watcher.errors import SourceRefused, SourceUnavailable

PRE_IMAGES = {"changeStreamPreAndPostImages": {"enabled": True}}

ELECTION_SECONDS = 30
"""A single member elects itself within a second; a slow disk may need some."""

UNAUTHORIZED = 13
ALREADY_INITIALIZED = 23
NAMESPACE_EXISTS = 48
INVALID_OPTIONS = 72
NODE_NOT_FOUND = 74
INVALID_CONFIG = 93


@dataclass(frozen=True, slots=True, kw_only=True)
class PreImages:
    """What became of one collection's pre-images."""

    collection: str
    change: Literal["turned on", "was on", "created with them"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Initiated:
    """A replica set of one member, with a primary."""

    set_name: str
    host: str
    changed: bool
    """False: it was so before."""


async def enable_pre_images(uri: str, database: str, collections: Collection[str]) -> tuple[PreImages, ...]:
    """Let MongoDB keep of each watched row what it was before a change.

    A collection that is not there yet is created, since LibreChat leaves the option of an existing one alone.
    Raises SourceRefused with what is to be done, or SourceUnavailable."""
    place = place_of(uri, database)
    async with connection(uri) as client:
        try:
            await _need_pre_images(client, place)
            reports = await collection_reports(client, database, collections)
            done = []
            for name, report in reports.items():
                if report.pre_images:
                    done.append(PreImages(collection=name, change="was on"))
                elif report.exists:
                    await client[database].command({"collMod": name, **PRE_IMAGES})
                    done.append(PreImages(collection=name, change="turned on"))
                else:
                    done.append(await _create(client, database, name))
            return tuple(done)
        except OperationFailure as error:
            if error.code == UNAUTHORIZED:
                raise _not_allowed(place, collections) from error
            if error.code == INVALID_OPTIONS:
                raise _held_back(place) from error
            raise classify(error, place) from error
        except PyMongoError as error:
            raise classify(error, place, topology=client.topology_description) from error


async def initiate_replica_set(host: str, *, uri: str = "") -> Initiated:
    """Make the server at `HOST:PORT` a replica set of one, and return when it takes writes.

    `host` becomes the member's name: what LibreChat's container must be able to resolve. `uri`: MONGO_URI,
    for its user and TLS options. Raises SourceRefused or SourceUnavailable."""
    host = host if ":" in host else f"{host}:27017"
    place = Place(hosts=host, database="admin")
    async with connection(uri_of_host(uri, host), directConnection=True, replicaSet=None) as client:
        try:
            found = await client.admin.command("hello")
            if "setName" not in found:
                if kind_of(found) != "replica set":
                    raise standalone(place)
                await _initiate(client, host)
            hello = await _primary(client, place)
        except OperationFailure as error:
            raise _not_initiated(error, place) from error
        except PyMongoError as error:
            raise classify(error, place, topology=client.topology_description) from error

    if hello["hosts"] != [host]:
        raise SourceRefused(
            f"{place} belongs to the replica set {hello['setName']!r} already, with the members"
            f" {', '.join(hello['hosts'])}; nothing was changed.\n"
            f"  Use it as it is: MONGO_URI=mongodb://{hello['hosts'][0]}/LibreChat\n"
            "  or give the member another name, in mongosh on that server:\n"
            f"      cfg = rs.conf(); cfg.members[0].host = {host!r}; rs.reconfig(cfg, {{force: true}})"
        )
    return Initiated(set_name=hello["setName"], host=host, changed="setName" not in found)


async def _need_pre_images(client: Client, place: Place) -> None:
    hello = await client.admin.command("hello")
    if kind_of(hello) == "standalone":
        raise standalone(place)
    version = (await client.admin.command("buildInfo"))["version"]
    if int(version.partition(".")[0]) < 6:
        raise SourceRefused(
            f"{place} is version {version}, and pre-images came with 6.0; nothing was changed.\n"
            "  Upgrade MongoDB; or go on without them, and deletes are not told."
        )


async def _create(client: Client, database: str, name: str) -> PreImages:
    try:
        await client[database].command({"create": name, **PRE_IMAGES})
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS:
            raise
        await client[database].command({"collMod": name, **PRE_IMAGES})  # LibreChat was quicker
        return PreImages(collection=name, change="turned on")
    return PreImages(collection=name, change="created with them")


async def _initiate(client: Client, host: str) -> None:
    members = [{"_id": 0, "host": host}]
    try:
        await client.admin.command("replSetInitiate", {"_id": await _set_name(client), "members": members})
    except OperationFailure as error:
        if error.code != ALREADY_INITIALIZED:
            raise


async def _set_name(client: Client) -> str:
    """The name given with `--replSet`; where nobody may ask for it, the one that our own advice uses."""
    try:
        options = await client.admin.command("getCmdLineOpts")
    except OperationFailure:
        return "rs0"
    replication = options["parsed"].get("replication", {})
    return str(replication.get("replSet") or replication.get("replSetName") or "rs0")


async def _primary(client: Client, place: Place) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(ELECTION_SECONDS):
            while True:
                hello = await client.admin.command("hello")
                if hello.get("isWritablePrimary"):
                    return hello
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise SourceUnavailable(f"{place} is initiated, but has no primary yet. Run it again") from error


def _not_allowed(place: Place, collections: Collection[str]) -> SourceRefused:
    return SourceRefused(
        f"{place}: this user may not turn pre-images on in {place.database!r}; that takes the role dbAdmin"
        f" (code {UNAUTHORIZED}).\n"
        "  Run `librechat-watcher prepare` once with an administrator's MONGO_URI, or as one in mongosh:\n"
        f'      lc = db.getSiblingDB("{place.database}")\n'
        "      on = {changeStreamPreAndPostImages: {enabled: true}}\n"
        f"      for (const name of {json.dumps(sorted(collections))})\n"
        "        lc.getCollectionNames().includes(name)\n"
        "          ? lc.runCommand({collMod: name, ...on}) : lc.createCollection(name, on)"
    )


def _held_back(place: Place) -> SourceRefused:
    """The program is 6.0; the data still obey the version that they were upgraded from."""
    return SourceRefused(
        f"{place} was upgraded to 6.0, but not its data's features, and pre-images came with 6.0"
        f" (code {INVALID_OPTIONS}).\n"
        "  Complete the upgrade as an administrator in mongosh, then run `librechat-watcher prepare`:\n"
        '      db.adminCommand({setFeatureCompatibilityVersion: "6.0"})'
    )


def _not_initiated(error: OperationFailure, place: Place) -> Exception:
    if error.code in (NODE_NOT_FOUND, INVALID_CONFIG):
        return SourceRefused(
            f"{place} does not find itself under the name {place.hosts!r} (code {error.code}).\n"
            "  Give the name and port under which this server, LibreChat and the watcher all reach it"
            " (in compose: mongodb:27017)."
        )
    if error.code == UNAUTHORIZED:
        return SourceRefused(
            f"{place} has access control on, and this user may not initiate a set (code {UNAUTHORIZED}).\n"
            "  Run it with the MONGO_URI of a user with the role clusterAdmin, or of root."
        )
    return classify(error, place)
