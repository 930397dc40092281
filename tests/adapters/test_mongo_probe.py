"""`check` tells of a real MongoDB what is so, with each problem's cure, and changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.adapters.mongo_servers import PASSWORD, UninitiatedMongo
from watcher.adapters.mongo import probe
from watcher.adapters.mongo.probe import CollectionReport, inspect, kind_of
from watcher.demo.mongod import PrivateMongo
from watcher.errors import SourceRefused, SourceUnavailable

Client = AsyncMongoClient[dict[str, Any]]

NOBODY = f"mongodb://me:{PASSWORD}@127.0.0.1:9/LibreChat"


async def test_a_replica_set_is_told_as_it_is(mongodb_uri: str, mongo_client: Client, database: str) -> None:
    await mongo_client[database].create_collection("agents", changeStreamPreAndPostImages={"enabled": True})
    await mongo_client[database].create_collection("files", changeStreamPreAndPostImages={"enabled": False})
    await mongo_client[database].create_collection("messages")
    await mongo_client[database].create_collection("others", changeStreamPreAndPostImages={"enabled": True})

    report = await inspect(mongodb_uri, database, ["messages", "agents", "users", "files"])

    assert report.problems == ()
    assert (report.reachable, report.can_read_stream) == (True, True)
    assert (report.kind, report.set_name) == ("replica set", "rs0")
    assert report.version == (await mongo_client.server_info())["version"]
    assert mongodb_uri == f"mongodb://{report.hosts}/"
    assert report.collections == (
        CollectionReport(name="agents", exists=True, pre_images=True),
        CollectionReport(name="files", exists=True, pre_images=False),
        CollectionReport(name="messages", exists=True, pre_images=False),
        CollectionReport(name="users", exists=False, pre_images=False),
    )


async def test_looking_changes_nothing(mongodb_uri: str, mongo_client: Client, database: str) -> None:
    names, cursors = await mongo_client.list_database_names(), await _open_cursors(mongo_client)

    report = await inspect(mongodb_uri, database, ["messages"])

    assert report.can_read_stream
    assert await mongo_client.list_database_names() == names
    assert await _open_cursors(mongo_client) <= cursors


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
async def test_clock_skew_is_the_servers_clock_less_ours(
    mongodb_uri: str, database: str, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    class OurClock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) - ahead

    monkeypatch.setattr(probe, "datetime", OurClock)

    report = await inspect(mongodb_uri, database, [])

    assert report.clock_skew is not None
    assert abs(report.clock_skew - ahead) < timedelta(seconds=5)


# ------------------------------------------------------------------------------------------- rights


@pytest.mark.parametrize(
    ("user", "sees_oplog"), [("reader", False), ("reader of local", True)], ids=["read", "read and local"]
)
async def test_read_on_the_database_is_enough(
    guarded_mongo: PrivateMongo, user: str, sees_oplog: bool
) -> None:
    """Without `read` on local the oplog's reach is unknown, and that is no problem."""
    uri = guarded_mongo.uri_of("LibreChat", user=user, password=PASSWORD)

    report = await inspect(uri, "LibreChat", ["messages"])

    assert (report.problems, report.can_read_stream) == ((), True)
    assert [each.name for each in report.collections] == ["messages"]
    assert (report.oplog is not None) is sees_oplog


@pytest.mark.parametrize("user", ["stranger", "keeper", None])
async def test_less_is_a_problem_with_the_grant_to_make(
    guarded_mongo: PrivateMongo, user: str | None
) -> None:
    """`dbAdmin` alone may not read either. Everything that needs no rights is told all the same."""
    bare = f"mongodb://127.0.0.1:{guarded_mongo.ports[0]}/LibreChat"
    uri = guarded_mongo.uri_of("LibreChat", user=user, password=PASSWORD) if user else bare

    report = await inspect(uri, "LibreChat", ["messages"])

    [problem] = report.problems
    assert isinstance(problem, SourceRefused)
    assert f'grantRolesToUser("{user or "USER"}", [{{role: "read", db: "LibreChat"}}])' in str(problem)
    assert (report.reachable, report.can_read_stream, report.collections) == (True, False, ())
    assert (report.kind, report.set_name, report.oplog) == ("replica set", "rs0", None)


async def test_the_user_of_a_cure_is_named_as_mongodb_knows_him(guarded_mongo: PrivateMongo) -> None:
    """The connection string has it percent-encoded; `grantRolesToUser` would not find that one."""
    await guarded_mongo.add_user("me@work", PASSWORD, [])

    report = await inspect(guarded_mongo.uri_of("lc", user="me@work", password=PASSWORD), "lc", [])

    assert 'grantRolesToUser("me@work", ' in str(report.problems[0])


async def test_a_wrong_password_is_an_answer_and_is_not_repeated(guarded_mongo: PrivateMongo) -> None:
    report = await inspect(
        guarded_mongo.uri_of("LibreChat", user="reader", password="wr0ng"), "LibreChat", []
    )

    [problem] = report.problems
    assert isinstance(problem, SourceRefused)
    assert "authSource=admin" in str(problem)
    assert "wr0ng" not in repr(report)
    assert (report.reachable, report.kind, report.can_read_stream) == (True, None, False)


# ------------------------------------------------------------------------------- not a replica set, nobody


async def test_a_standalone_server_is_told_with_the_way_to_a_replica_set(
    standalone_mongo: PrivateMongo,
) -> None:
    report = await inspect(standalone_mongo.uri, "LibreChat", ["messages"])

    [problem] = report.problems
    assert isinstance(problem, SourceRefused)
    assert f"prepare --init-replica-set 127.0.0.1:{standalone_mongo.ports[0]}" in str(problem)
    assert (report.kind, report.set_name, report.can_read_stream) == ("standalone", None, False)
    assert (report.reachable, report.oplog) == (True, None)


@pytest.mark.usefixtures("impatient")
async def test_a_set_that_was_never_initiated_is_told_with_the_command(
    uninitiated_mongo: UninitiatedMongo,
) -> None:
    report = await inspect(uninitiated_mongo.uri, "LibreChat", ["messages"])

    [problem] = report.problems
    assert "started with --replSet, but the set has not been initiated" in str(problem)
    assert f"librechat-watcher prepare --init-replica-set {uninitiated_mongo.host}" in str(problem)
    assert not report.can_read_stream


@pytest.mark.usefixtures("impatient")
async def test_nobody_there_is_told_without_the_password() -> None:
    report = await inspect(NOBODY, "LibreChat", ["messages"])

    [problem] = report.problems
    assert isinstance(problem, SourceUnavailable)
    assert "MongoDB at 127.0.0.1:9: nobody answers" in str(problem)
    assert PASSWORD not in repr(report)
    assert (report.reachable, report.version, report.clock_skew) == (False, None, None)


async def test_what_is_no_uri_is_refused_without_being_shown() -> None:
    with pytest.raises(SourceRefused, match="MONGO_URI: this is no connection string") as refusal:
        await inspect(f"mongo://me:{PASSWORD}@host/LibreChat", "LibreChat", [])

    assert PASSWORD not in str(refusal.value)


@pytest.mark.parametrize(
    ("hello", "kind"),
    [
        ({"isWritablePrimary": True, "setName": "rs0"}, "replica set"),
        ({"isWritablePrimary": False, "secondary": True, "setName": "rs0"}, "replica set"),
        ({"isWritablePrimary": False, "isreplicaset": True}, "replica set"),
        ({"isWritablePrimary": True}, "standalone"),
        ({"isWritablePrimary": True, "msg": "isdbgrid"}, "sharded"),
    ],
)
def test_a_server_says_what_it_is(hello: dict[str, Any], kind: str) -> None:
    assert kind_of(hello) == kind


async def _open_cursors(client: Client) -> int:
    status = await client.admin.command("serverStatus")
    return int(status["metrics"]["cursor"]["open"]["total"])
