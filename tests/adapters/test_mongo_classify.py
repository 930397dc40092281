"""Each error of MongoDB says who must act: the supervisor (it passes), the operator (with the cure), or
`onPositionLost`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from dns.resolver import NXDOMAIN, LifetimeTimeout, NoNameservers
from hypothesis import given
from hypothesis import strategies as st
from pymongo import AsyncMongoClient
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    CursorNotFound,
    InvalidURI,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.hello import Hello
from pymongo.server_description import ServerDescription
from pymongo.topology_description import TOPOLOGY_TYPE, TopologyDescription

from tests.adapters.mongo_servers import PASSWORD, running
from tests.contracts.change_source_contract import changes_of
from watcher.adapters.mongo.classify import TokenUnknown, TooLarge, classify, standalone
from watcher.adapters.mongo.connect import Place
from watcher.adapters.mongo.source import MongoSource
from watcher.adapters.mongo.trim import Noise
from watcher.core.changes import Checkpoint
from watcher.demo.mongod import PrivateMongo
from watcher.errors import PositionLost, SourceError, SourceRefused, SourceUnavailable

Client = AsyncMongoClient[dict[str, Any]]

PLACE = Place(hosts="db1:27017,db2:27018", database="LibreChat", user="watcher")

REFUSED = {
    40573: "librechat-watcher prepare --init-replica-set db1:27017\n",
    13: 'grantRolesToUser("watcher", [{role: "read", db: "LibreChat"}])',
    18: "add ?authSource=admin",
    334: "add ?authSource=admin",
    8000: "add ?authSource=admin",
    59: "Use MongoDB 6.0 or newer",
    115: "Use MongoDB 6.0 or newer",
    303: "on Amazon DocumentDB they must be turned on",
    40324: "Use MongoDB 6.0 or newer",
}
"""No waiting mends these. What the cure says, by code."""

LOST = {
    286: "older than the oplog",
    280: "does not know the stored position",
    260: "malformed",
    40647: "malformed",
    40649: "malformed",
    50811: "malformed",
    50872: "malformed",
}
"""No reading on from here. Why, by code."""

TOO_LARGE = {10334: "larger than 16 MB", 17420: "larger than 16 MB"}
"""No reading on from here, unless less is asked for (test_mongo_source.py makes such changes)."""

PASSING = {
    **dict.fromkeys((6, 7, 89, 9001), "cannot reach its own members"),
    **dict.fromkeys((91, 94, 189, 10107, 11600, 11602, 13435, 13436), "electing a primary or shutting down"),
    **dict.fromkeys((43, 136, 175, 234, 237, 246, 11601), "cursor is gone"),
    26: "'LibreChat' does not exist yet",
    # Nobody knows them here, and a refusal would end the program: (50 MaxTimeMSExpired, 112 WriteConflict.)
    **dict.fromkeys((0, 1, 2, 50, 112, 262, 99_999), "failed the command (code "),
}
"""These pass: the stream is opened again from the checkpoint. What is said meanwhile, by code."""


def a_failure(code: int | None, *labels: str, **details: Any) -> OperationFailure:
    """As the server answers: with a text that quotes what it was given."""
    text = "PlanExecutor error: {token: 'S3CRET', text: 'S3CRET'}"
    return OperationFailure(text, code, {"ok": 0, "errmsg": text, "errorLabels": list(labels), **details})


# ---------------------------------------------------------------------------------------------- codes


@pytest.mark.parametrize("resuming", [False, True])
@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        *((code, SourceRefused, said) for code, said in REFUSED.items()),
        *((code, PositionLost, said) for code, said in LOST.items() if code != 280),
        (280, TokenUnknown, LOST[280]),
        *((code, TooLarge, said) for code, said in TOO_LARGE.items()),
        *((code, SourceUnavailable, said) for code, said in PASSING.items()),
    ],
)
def test_each_code_has_its_class_and_its_words(
    code: int, kind: type[SourceError], said: str, resuming: bool
) -> None:
    error = classify(a_failure(code, codeName="Name"), PLACE, resuming=resuming)

    assert type(error) is kind
    assert said in str(error)
    assert str(error).startswith("MongoDB at db1:27017,db2:27018")
    assert f"(code {code} Name)" in str(error)


@pytest.mark.parametrize("code", REFUSED)
def test_a_refusal_ends_with_its_cure(code: int) -> None:
    first, *cure = str(classify(a_failure(code), PLACE)).splitlines()

    assert first.endswith(f"(code {code}).")
    assert cure
    assert all(line.startswith("  ") for line in cure)


@pytest.mark.parametrize("code", [9, 15])
def test_a_command_that_cannot_be_parsed_is_about_the_token_that_it_carried(code: int) -> None:
    """Overflow and FailedToParse: the rest of the command never changes."""
    assert type(classify(a_failure(code), PLACE, resuming=True)) is PositionLost
    assert type(classify(a_failure(code), PLACE, resuming=False)) is SourceUnavailable


def test_what_the_server_calls_non_resumable_is_a_lost_position() -> None:
    """Of codes to come; of codes that are known, the table knows better."""
    label = "NonResumableChangeStreamError"

    assert type(classify(a_failure(99_999, label), PLACE)) is TokenUnknown
    assert type(classify(a_failure(99_999, "ResumableChangeStreamError"), PLACE)) is SourceUnavailable
    assert type(classify(a_failure(237, label), PLACE)) is SourceUnavailable
    assert type(classify(a_failure(13, label), PLACE)) is SourceRefused


@given(
    st.one_of(st.none(), st.sampled_from([*REFUSED, *LOST, *TOO_LARGE, *PASSING, 9, 15]), st.integers()),
    st.sampled_from([(), ("NonResumableChangeStreamError",), ("ResumableChangeStreamError",)]),
    st.booleans(),
)
def test_no_message_repeats_the_servers_text(code: int | None, labels: Any, resuming: bool) -> None:
    error = classify(a_failure(code, *labels), PLACE, resuming=resuming)

    assert "S3CRET" not in str(error)
    assert "{" not in str(error).replace("[{role", "").replace(", {role", "").replace("createUser({", "")


def test_where_no_user_is_given_the_cure_leaves_his_name_open() -> None:
    error = classify(a_failure(13), Place(hosts="db", database="lc"))

    assert 'grantRolesToUser("USER", ' in str(error)


def test_a_server_found_to_be_standalone_gets_the_same_cure() -> None:
    told, failed = str(standalone(PLACE)), str(classify(a_failure(40573), PLACE))

    assert told.replace("no replica set)", "code 40573)") == failed


# ----------------------------------------------------------------------------------- the driver's own errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AutoReconnect("S3CRET"), SourceUnavailable),
        (NotPrimaryError("S3CRET", {"code": 10107}), SourceUnavailable),
        (NetworkTimeout("S3CRET"), SourceUnavailable),
        (ConnectionFailure("S3CRET"), SourceUnavailable),
        (CursorNotFound("S3CRET", 43), SourceUnavailable),
        (PyMongoError("S3CRET"), SourceUnavailable),
        (ServerSelectionTimeoutError("S3CRET"), SourceUnavailable),
        (ConfigurationError("S3CRET"), SourceRefused),
        (InvalidURI("S3CRET"), SourceRefused),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_kind_of_the_drivers_errors_has_its_class(error: PyMongoError, kind: type[SourceError]) -> None:
    classified = classify(error, PLACE)

    assert type(classified) is kind
    assert "S3CRET" not in str(classified)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (NoNameservers(), SourceUnavailable),
        (LifetimeTimeout(timeout=5, errors=[]), SourceUnavailable),
        (NXDOMAIN(), SourceRefused),
    ],
    ids=["no name server", "time-out", "no such name"],
)
def test_a_silent_name_server_passes_and_its_no_does_not(cause: Exception, kind: type[SourceError]) -> None:
    """For mongodb+srv://, whose look-up the driver reports as a wrong configuration in each case."""
    error = ConfigurationError("The DNS operation failed")
    error.__cause__ = cause

    assert type(classify(error, PLACE)) is kind


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        ({"ok": 1, "isreplicaset": True}, "prepare --init-replica-set db1:27017"),
        (
            {"ok": 1, "setName": "rs0", "secondary": True, "hosts": ["db1:27017"]},
            "have no primary: an election",
        ),
        ({}, "nobody answers: db1:27017: refused"),
        (None, "is it a replica set at all"),
    ],
    ids=["not initiated", "secondary", "refused", "none of the set"],
)
def test_what_the_driver_saw_of_the_servers_tells_why_there_is_no_primary(
    hello: dict[str, Any] | None, said: str
) -> None:
    address = ("db1", 27017)
    refused = ConnectionFailure("db1:27017: refused (configured timeouts: connectTimeoutMS: 5000.0ms)")
    seen: dict[Any, ServerDescription] = {}
    if hello is not None:
        seen[address] = ServerDescription(address, Hello(hello), error=None if hello else refused)
    topology = TopologyDescription(TOPOLOGY_TYPE.Unknown, seen, None, None, None, _topology_settings())

    error = classify(ServerSelectionTimeoutError("S3CRET"), PLACE, topology=topology)

    assert type(error) is SourceUnavailable
    assert said in str(error)
    assert "configured timeouts" not in str(error)


# ------------------------------------------------------------------------------------ as they really happen


@pytest.fixture(scope="module")
def failing_mongo() -> Iterator[PrivateMongo]:
    """A server that fails commands when it is asked to."""
    with running(PrivateMongo(parameters={"enableTestCommands": "1"})) as mongo:
        yield mongo


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ({"errorCode": 286}, PositionLost),
        ({"errorCode": 43}, SourceUnavailable),
        ({"errorCode": 237}, SourceUnavailable),
        ({"errorCode": 11601}, SourceUnavailable),
        ({"errorCode": 91}, SourceUnavailable),
        ({"errorCode": 10107}, SourceUnavailable),
        ({"errorCode": 13}, SourceRefused),
        ({"closeConnection": True}, SourceUnavailable),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_in_mid_stream_the_server_and_the_driver_say_the_same(
    failing_mongo: PrivateMongo, failure: dict[str, Any], kind: type[SourceError]
) -> None:
    """The labels and classes of exception that a code comes with are theirs, not this test's. Opened again
    from the last checkpoint, the stream goes on."""
    async with Client(failing_mongo.uri) as client:
        source = _source(failing_mongo.uri)
        async with source.open(None) as batches:
            position = (await anext(batches)).checkpoint
            await _fail(client, "getMore", failure)
            with pytest.raises(SourceError) as error:
                await _drain(batches)
        assert type(error.value) is kind

        async with source.open(position) as batches:
            await client.LibreChat.messages.insert_one({})
            assert len(await changes_of(batches, 1)) == 1


async def test_a_change_that_is_not_met_is_passed_by_its_time_and_only_then_given_up(
    failing_mongo: PrivateMongo,
) -> None:
    """Filters may keep it out (test_mongo_positions.py): that is tried once."""
    async with Client(failing_mongo.uri) as client:
        async with _source(failing_mongo.uri).open(None) as batches:
            await anext(batches)
            await _fail(client, "getMore", {"errorCode": 280})
            await client.LibreChat.messages.insert_one({})
            assert len(await changes_of(batches, 1)) == 1

        async with _source(failing_mongo.uri).open(None) as batches:
            await anext(batches)
            await _fail(client, "getMore", {"errorCode": 280}, times=2)
            with pytest.raises(PositionLost, match="does not know the stored position"):
                await _drain(batches)


async def test_a_way_of_logging_in_that_the_server_does_not_offer_is_refused(
    guarded_mongo: PrivateMongo,
) -> None:
    uri = guarded_mongo.uri_of("LibreChat", user="reader", password=PASSWORD)

    with pytest.raises(SourceRefused, match=r"code 334 MechanismUnavailable") as refusal:
        async with _source(f"{uri}&authMechanism=PLAIN").open(None):
            pass
    assert PASSWORD not in str(refusal.value)


async def test_a_position_in_another_database_is_lost_and_said_to_be(failing_mongo: PrivateMongo) -> None:
    """MongoDB looks for the change itself, among those of the database that is watched now."""
    other = _source(failing_mongo.uri, "Other")
    async with Client(failing_mongo.uri) as client, other.open(None) as batches:
        await client.Other.messages.insert_one({})
        [change] = await changes_of(batches, 1)
        await client.LibreChat.messages.insert_one({})

    with pytest.raises(PositionLost, match="MONGO_URI has been given another database"):
        async with _source(failing_mongo.uri).open(Checkpoint(token=change.id, at=None)):
            pass


# ---------------------------------------------------------------------------------------------- helpers


def _source(uri: str, database: str = "LibreChat") -> MongoSource:
    noise: Noise = {"messages": []}
    return MongoSource(uri, database, noise=noise, noise_to_memory=noise, observe=lambda fact: None)


async def _drain(batches: AsyncIterator[Any]) -> None:
    async with asyncio.timeout(10):
        async for _ in batches:
            pass


async def _fail(client: Client, command: str, failure: dict[str, Any], *, times: int = 1) -> None:
    """Let the watcher's next such commands fail."""
    data = {"failCommands": [command], "appName": "librechat-watcher", **failure}
    await client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data})


def _topology_settings() -> Any:
    return Client(connect=False)._topology_settings
