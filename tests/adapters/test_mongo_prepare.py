"""`prepare` does to a real MongoDB what it says, says what it did, and may be run again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from tests.adapters.mongo_servers import PASSWORD, UninitiatedMongo
from watcher.adapters.mongo import prepare
from watcher.adapters.mongo.prepare import Initiated, PreImages, enable_pre_images, initiate_replica_set
from watcher.adapters.mongo.probe import CollectionReport
from watcher.demo import mongod
from watcher.demo.mongod import PrivateMongo
from watcher.errors import SourceRefused, SourceUnavailable

Client = AsyncMongoClient[dict[str, Any]]
Database = AsyncDatabase[dict[str, Any]]

ON: dict[str, Any] = {"changeStreamPreAndPostImages": {"enabled": True}}
OFF: dict[str, Any] = {"changeStreamPreAndPostImages": {"enabled": False}}


@pytest.fixture
def db(mongo_client: Client, database: str) -> Database:
    return mongo_client[database]


# --------------------------------------------------------------------------------------- pre-images


async def test_each_collection_gets_pre_images_and_says_what_changed(mongodb_uri: str, db: Database) -> None:
    await db.messages.insert_one({"_id": 1, "text": "kept"})
    await db.create_collection("agents", **ON)
    await db.create_collection("files", **OFF)
    await db.create_collection("others")

    done = await enable_pre_images(mongodb_uri, db.name, ["users", "messages", "files", "agents"])

    assert done == (
        PreImages(collection="agents", change="was on"),
        PreImages(collection="files", change="turned on"),
        PreImages(collection="messages", change="turned on"),
        PreImages(collection="users", change="created with them"),
    )
    assert await _options(db) == {"agents": ON, "files": ON, "messages": ON, "users": ON, "others": {}}


async def test_a_second_time_changes_nothing(mongodb_uri: str, mongo_client: Client, db: Database) -> None:
    await enable_pre_images(mongodb_uri, db.name, ["messages", "users"])
    written = await _commands_in_oplog(mongo_client, db.name)

    again = await enable_pre_images(mongodb_uri, db.name, ["messages", "users"])

    assert [each.change for each in again] == ["was on", "was on"]
    assert await _commands_in_oplog(mongo_client, db.name) == written == 2


async def test_a_deletion_can_be_told_from_then_on(mongodb_uri: str, db: Database) -> None:
    """Of rows too that were there before; what else the collection has stays."""
    await db.messages.insert_one({"_id": 1, "text": "hi"})
    await db.messages.create_index("user")

    await enable_pre_images(mongodb_uri, db.name, ["messages"])

    async with await db.watch(full_document_before_change="required") as stream:
        await db.messages.delete_one({"_id": 1})
        event = await anext(stream)
    assert event["fullDocumentBeforeChange"] == {"_id": 1, "text": "hi"}
    assert "user_1" in await db.messages.index_information()


async def test_a_collection_that_librechat_makes_meanwhile_is_turned_on(
    mongodb_uri: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def looked_too_early(*_: object) -> Mapping[str, CollectionReport]:
        return {"messages": CollectionReport(name="messages", exists=False, pre_images=False)}

    monkeypatch.setattr(prepare, "collection_reports", looked_too_early)
    await db.messages.insert_one({"_id": 1})

    done = await enable_pre_images(mongodb_uri, db.name, ["messages"])

    assert done == (PreImages(collection="messages", change="turned on"),)
    assert await _options(db) == {"messages": ON}


async def test_who_may_administer_the_database_may_prepare_it(guarded_mongo: PrivateMongo) -> None:
    uri = guarded_mongo.uri_of("LibreChat", user="keeper", password=PASSWORD)
    async with Client(guarded_mongo.uri) as client:
        await client.LibreChat.drop_collection("sessions")
        await client.LibreChat.users.insert_one({})

        done = await enable_pre_images(uri, "LibreChat", ["sessions", "users"])

        assert [each.change for each in done] == ["created with them", "turned on"]
        options = await _options(client.LibreChat)
        assert options["sessions"] == options["users"] == ON


@pytest.mark.parametrize("user", ["reader", "stranger", None])
async def test_who_may_not_is_told_who_may_and_what_to_run(
    guarded_mongo: PrivateMongo, user: str | None
) -> None:
    """The command serves for collections that are not there yet, too: `collMod` alone would fail there."""
    bare = f"mongodb://127.0.0.1:{guarded_mongo.ports[0]}/LibreChat"
    uri = guarded_mongo.uri_of("LibreChat", user=user, password=PASSWORD) if user else bare

    with pytest.raises(SourceRefused) as refusal:
        await enable_pre_images(uri, "LibreChat", ["messages", "agents"])

    told = str(refusal.value)
    assert "takes the role dbAdmin" in told
    assert 'db.getSiblingDB("LibreChat")' in told
    assert 'for (const name of ["agents", "messages"])' in told
    assert "lc.runCommand({collMod: name, ...on}) : lc.createCollection(name, on)" in told
    assert PASSWORD not in told
    async with Client(guarded_mongo.uri) as client:
        assert not {"messages", "agents"} & (await _options(client.LibreChat)).keys()


async def test_a_half_upgraded_server_is_refused_with_the_command_that_completes_it() -> None:
    """The program is 6.0, and its data's features are 5.0, as after an upgrade that stopped there."""
    async with PrivateMongo() as mongo, Client(mongo.uri) as client:
        await client.admin.command({"setFeatureCompatibilityVersion": "5.0"})
        await client.lc.messages.insert_one({})

        for name in ("messages", "users"):
            with pytest.raises(SourceRefused) as refusal:
                await enable_pre_images(mongo.uri, "lc", [name])
            assert 'db.adminCommand({setFeatureCompatibilityVersion: "6.0"})' in str(refusal.value)

        await client.admin.command({"setFeatureCompatibilityVersion": "6.0"})
        done = await enable_pre_images(mongo.uri, "lc", ["messages", "users"])
        assert [each.change for each in done] == ["turned on", "created with them"]


async def test_a_server_before_6_0_is_refused_and_left_alone(
    mongodb_uri: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = AsyncDatabase.command

    async def of_an_old_server(self: Any, command: Any, *args: Any, **options: Any) -> Any:
        answer = await real(self, command, *args, **options)
        return {**answer, "version": "5.0.31"} if command == "buildInfo" else answer

    monkeypatch.setattr(AsyncDatabase, "command", of_an_old_server)

    with pytest.raises(SourceRefused, match=r"is version 5\.0\.31, and pre-images came with 6\.0"):
        await enable_pre_images(mongodb_uri, db.name, ["messages"])

    assert await _options(db) == {}


async def test_a_standalone_server_is_refused_and_left_alone(standalone_mongo: PrivateMongo) -> None:
    with pytest.raises(SourceRefused, match=f"--init-replica-set 127.0.0.1:{standalone_mongo.ports[0]}"):
        await enable_pre_images(standalone_mongo.uri, "lc", ["messages"])

    async with Client(standalone_mongo.uri) as client:
        assert "lc" not in await client.list_database_names()


@pytest.mark.usefixtures("impatient")
async def test_before_the_set_is_initiated_there_is_only_waiting(uninitiated_mongo: UninitiatedMongo) -> None:
    """No refusal: in compose another `prepare` may be about to initiate it."""
    with pytest.raises(SourceUnavailable, match=f"--init-replica-set {uninitiated_mongo.host}"):
        await enable_pre_images(uninitiated_mongo.uri, "lc", ["messages"])


# -------------------------------------------------------------------------------------- replica set


async def test_a_single_server_becomes_a_replica_set_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the set's name that it was started with, and the host's name that was asked for."""
    monkeypatch.setattr(mongod, "SET_NAME", "librechat")
    async with UninitiatedMongo() as mongo:
        host = f"localhost:{mongo.ports[0]}"
        uri = "mongodb://elsewhere:1/LibreChat?replicaSet=other&retryWrites=true"

        first = await initiate_replica_set(host, uri=uri)
        again = await initiate_replica_set(host, uri=uri)

        assert first == Initiated(set_name="librechat", host=host, changed=True)
        assert again == Initiated(set_name="librechat", host=host, changed=False)
        async with Client(f"mongodb://{host}/?replicaSet=librechat") as client:
            await client.lc.messages.insert_one({})
            members = (await client.admin.command("replSetGetConfig"))["config"]["members"]
        assert [member["host"] for member in members] == [host]

        with pytest.raises(SourceRefused) as refusal:
            await initiate_replica_set(mongo.host)
        told = str(refusal.value)
        assert f"belongs to the replica set 'librechat' already, with the members {host}" in told
        assert f"MONGO_URI=mongodb://{host}/LibreChat" in told
        assert f"cfg.members[0].host = '{mongo.host}'" in told
        async with Client(f"mongodb://{host}/") as client:
            assert (await client.admin.command("hello"))["hosts"] == [host]


async def test_a_set_without_a_primary_yet_can_be_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by two at once; and where nobody may ask for the set's name, it is the one of our own advice."""
    async with UninitiatedMongo(auth=True) as mongo:
        with monkeypatch.context() as patch:
            patch.setattr(prepare, "ELECTION_SECONDS", 0)
            too_early = await asyncio.gather(
                *(initiate_replica_set(mongo.host) for _ in range(2)), return_exceptions=True
            )

        done = await initiate_replica_set(mongo.host)

    assert [type(error) for error in too_early] == [SourceUnavailable] * 2
    assert all("has no primary yet. Run it again" in str(error) for error in too_early)
    assert done == Initiated(set_name="rs0", host=mongo.host, changed=False)


async def test_access_control_without_the_rights_is_told() -> None:
    async with UninitiatedMongo(auth=True, parameters={"enableLocalhostAuthBypass": "false"}) as mongo:
        with pytest.raises(SourceRefused, match=r"access control on.*\n.*clusterAdmin, or of root"):
            await initiate_replica_set(mongo.host)


async def test_a_name_under_which_the_server_does_not_find_itself_is_refused(
    uninitiated_mongo: UninitiatedMongo,
) -> None:
    """As when compose maps the port: we reach it, and inside of its container nobody listens there."""
    async with _mapped_port(uninitiated_mongo.ports[0]) as host:
        with pytest.raises(SourceRefused) as refusal:
            await initiate_replica_set(host)

    assert f"does not find itself under the name {host!r}" in str(refusal.value)
    assert "in compose: mongodb:27017" in str(refusal.value)


async def test_a_standalone_server_cannot_be_initiated(standalone_mongo: PrivateMongo) -> None:
    with pytest.raises(SourceRefused, match="--replSet rs0"):
        await initiate_replica_set(f"127.0.0.1:{standalone_mongo.ports[0]}")


@pytest.mark.usefixtures("impatient")
async def test_nobody_there_is_an_outage_at_mongodbs_own_port_if_none_is_given() -> None:
    with pytest.raises(SourceUnavailable, match=r"MongoDB at nobody\.invalid:27017: nobody answers"):
        await initiate_replica_set("nobody.invalid", uri=f"mongodb://me:{PASSWORD}@mongodb/LibreChat")


# ---------------------------------------------------------------------------------------------- helpers


async def _options(db: Database) -> dict[str, Any]:
    return {entry["name"]: entry["options"] async for entry in await db.list_collections()}


async def _commands_in_oplog(client: Client, database: str) -> int:
    return await client["local"]["oplog.rs"].count_documents({"op": "c", "ns": f"{database}.$cmd"})


@asynccontextmanager
async def _mapped_port(port: int) -> AsyncIterator[str]:
    """Another port for a server, which is shut to newcomers from the moment that a set is to be initiated."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if b"replSetInitiate" in data:
                server.close()
            writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as both_ways:
            both_ways.create_task(relay(reader, inner_writer))
            both_ways.create_task(relay(inner_reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
