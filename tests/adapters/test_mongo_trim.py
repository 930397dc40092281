"""What is cut never crosses the wire, what was written is always told, and no document stops the pipeline."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from watcher.adapters.mongo.decode import CODEC
from watcher.adapters.mongo.trim import CUT, Noise, cut, is_cut, is_noise, pipeline, projection
from watcher.config.mappings import load_mappings
from watcher.core.secrets import SECRET_FIELDS

Database = AsyncDatabase[dict[str, Any]]
Event = dict[str, Any]
Writes = Callable[[], Awaitable[Any]]

PRE_IMAGES: dict[str, Any] = {"changeStreamPreAndPostImages": {"enabled": True}}
SHIPPED: Noise = {mapping.collection: mapping.never_telling() for mapping in load_mappings(())}
ALL: Noise = dict.fromkeys(SHIPPED, ())
"""Nothing is noise: every update counts."""

BOTH_PIPELINES = pytest.mark.parametrize("unset_field", [True, False], ids=["from 5.0 on", "before 5.0"])


@pytest.fixture
def db(mongo_client: AsyncMongoClient[dict[str, Any]], database: str) -> Database:
    return mongo_client.get_database(database, codec_options=CODEC)


# ------------------------------------------------------------------------------------------- secrets


@BOTH_PIPELINES
@pytest.mark.parametrize("collection", sorted(CUT))
async def test_no_secret_crosses_the_wire(db: Database, collection: str, unset_field: bool) -> None:
    rows = await _with_pre_images(db, collection)
    secret = {"planted": ["S3CRET", {"deep": "S3CRET"}]}
    planted = dict.fromkeys(CUT[collection], secret)

    async def every_kind_of_write() -> None:
        await rows.insert_one({"_id": 1, "told": "insert", **planted})
        for name in CUT[collection]:
            await rows.update_one({"_id": 1}, {"$set": {f"{name}.planted.1.deep": "S3CRET again", "n": name}})
            await rows.update_one({"_id": 1}, {"$push": {f"{name}.planted": "S3CRET"}})
            await rows.update_one({"_id": 1}, {"$set": {name: ["S3CRET"], "told": "update"}})
        await rows.replace_one({"_id": 1}, {"told": "replace", **planted})
        await rows.delete_one({"_id": 1})

    events = await _crossing(db, every_kind_of_write, ALL, unset_field=unset_field)

    assert len(events) == 3 + 3 * len(CUT[collection])
    assert [event for event in events if b"S3CRET" in bson.encode(event)] == []
    # Both images are there, without as much as the names.
    assert events[0]["fullDocument"] == {"_id": 1, "told": "insert"}
    assert events[-2]["fullDocument"] == {"_id": 1, "told": "replace"}
    assert events[-2]["fullDocumentBeforeChange"] == {"_id": 1, "told": "update", "n": CUT[collection][-1]}
    assert events[-1]["fullDocumentBeforeChange"] == {"_id": 1, "told": "replace"}


async def test_a_row_that_is_looked_up_shows_no_more_than_the_stream(db: Database) -> None:
    for collection, names in CUT.items():
        await db[collection].insert_one({"_id": 1, "told": "x", **dict.fromkeys(names, "S3CRET")})

    for collection in CUT:
        assert await db[collection].find_one({}, projection(collection)) == {"_id": 1, "told": "x"}


async def test_a_cut_takes_nothing_of_what_is_called_alike(db: Database) -> None:
    """Neither names that begin alike, nor the same name deeper down or in another collection."""
    rows = await _with_pre_images(db, "users")
    alike = {"passwordVersion": 1, "myPassword": 2, "keep": {"password": 3}, "text": 4, "versions": [5]}

    async def writes() -> None:
        await rows.insert_one({"_id": 1, **alike})
        await rows.update_one({"_id": 1}, {"$set": {"passwordVersion": 6, "keep.password": 7, "text": 8}})
        await rows.delete_one({"_id": 1})

    inserted, updated, deleted = await _crossing(db, writes, ALL)

    assert inserted["fullDocument"] == {"_id": 1, **alike}
    assert _updated(updated) == {"passwordVersion": 6, "keep.password": 7, "text": 8}
    assert deleted["fullDocumentBeforeChange"]["keep"] == {"password": 7}


def test_every_secret_that_has_a_full_name_is_cut() -> None:
    """`name*` is held back later, where bodies are made."""
    full_names = {
        (collection, name) for collection, names in SECRET_FIELDS.items() for name in names if "*" not in name
    }

    assert {(collection, name) for collection, names in CUT.items() for name in names} == full_names
    assert {("users", "password"), ("sessions", "refreshTokenHash"), ("agents", "avatar")} < full_names


@pytest.mark.parametrize(
    ("collection", "path", "gone"),
    [
        ("agents", "versions", True),
        ("agents", "versions.3", True),
        ("agents", "versions.3.tools.0", True),
        ("agents", "versionsOfOld", False),
        ("agents", "name", False),
        ("agents", "tool_resources.versions", False),
        ("messages", "versions", False),
        ("presets", "password", False),
    ],
)
def test_a_path_is_cut_with_its_first_name(collection: str, path: str, gone: bool) -> None:
    assert is_cut(collection, path) is gone


def test_a_collection_without_secrets_is_looked_up_whole() -> None:
    assert projection("presets") is None


# ------------------------------------------------------------------------ what was written is always told


@BOTH_PIPELINES
async def test_a_new_version_is_told_by_its_name_alone(db: Database, unset_field: bool) -> None:
    """With it, a new avatar is a person's doing; without, a viewer's (mappings/agents.yaml)."""
    rows = await _with_pre_images(db, "agents")

    async def writes() -> None:
        await rows.insert_one({"_id": "g", "name": "One", "versions": [{"name": "One", "private": "S3CRET"}]})
        await rows.update_one(
            {"_id": "g"}, {"$set": {"avatar": {"filepath": "S3CRET"}}, "$push": {"versions": {"n": "S3CRET"}}}
        )
        await rows.update_one({"_id": "g"}, {"$set": {"name": "Two", "versions.0.name": "S3CRET"}})
        await rows.update_one(
            {"_id": "g"}, {"$set": {"name": "Three"}, "$unset": {"versions": "", "avatar": ""}}
        )

    _, pushed, dotted, removed = await _crossing(db, writes, SHIPPED, unset_field=unset_field)

    assert _updated(pushed) == {"avatar": None, "versions.1": None}
    assert _updated(dotted) == {"name": "Two", "versions.0.name": None}
    assert removed["updateDescription"]["updatedFields"] == {"name": "Three"}
    assert sorted(removed["updateDescription"]["removedFields"]) == ["avatar", "versions"]


async def test_a_shortened_array_is_told(db: Database) -> None:
    rows = await _with_pre_images(db, "messages")

    async def writes() -> None:
        await rows.insert_one({"_id": 1, "content": [{"text": "x" * 99}] * 9})
        await rows.update_one({"_id": 1}, [{"$set": {"content": {"$slice": ["$content", 2]}}}])

    _, cut_short = await _crossing(db, writes, SHIPPED)

    assert cut_short["updateDescription"]["truncatedArrays"] == [{"field": "content", "newSize": 2}]


# --------------------------------------------------------------------------------------------- noise


async def test_an_update_crosses_when_it_touches_more_than_noise(db: Database) -> None:
    """By the shipped mappings: what LibreChat writes by itself costs nothing on the wire."""
    quiet: list[tuple[str, Any]] = [
        ("conversations", {"$addToSet": {"messages": "m3"}, "$set": {"updatedAt": 2}}),
        ("conversations", {"$set": {"_meiliIndex": True}}),
        ("conversations", {"$set": {"agentEventActorEpoch": 4}}),
        ("messages", {"$set": {"updatedAt": 2}}),
        ("messages", {"$set": {"tokenCount": 7}}),
        ("messages", {"$unset": {"expiredAt": ""}}),
        ("messages", {"$set": {"metadata.run.0.id": "r"}}),
        ("messages", {"$set": {"langfuseInvented": 1, "subagentInvented.x": 2}}),
        ("messages", [{"$set": {"attachments": {"$slice": ["$attachments", 1]}}}]),
        ("agents", {"$set": {"updatedAt": 2}}),
        ("files", {"$inc": {"usage": 1}, "$unset": {"expiresAt": ""}}),
        ("files", {"$set": {"textFormat": "html", "previewRevision": 2}}),
        ("sessions", {"$set": {"refreshTokenHash": "h", "expiration": 2}}),
        ("users", {"$set": {"password": "h", "backupCodes": [], "totpSecret": "s"}}),
    ]
    told: list[tuple[str, Any]] = [
        ("conversations", {"$set": {"updatedAt": 2, "title": "New"}}),
        ("conversations", {"$set": {"isArchived": True}}),
        ("conversations", {"$set": {"tags.0": "x"}}),
        ("messages", {"$set": {"metadataOfMine": 1}}),
        ("messages", {"$set": {"my_meiliIndex": 1}}),
        ("messages", {"$set": {"content.1.tool_call.output": "x"}}),
        ("messages", {"$set": {"tokenCount": 7, "text": "edited"}}),
        ("messages", {"$unset": {"feedback": ""}}),
        ("messages", [{"$set": {"content": {"$slice": ["$content", 1]}}}]),
        ("agents", {"$push": {"versions": {}}, "$set": {"name": "Two"}}),
        ("files", {"$set": {"filepath": "/x"}}),
        ("users", {"$set": {"emailVerified": True}}),
        ("users", {"$set": {"agentTriggerDeletionStartedAt": 2}}),
    ]
    parts = [{"text": "x" * 99}] * 4
    row = {"updatedAt": 1, "expiredAt": 1, "expiresAt": 1, "feedback": {}, "tags": ["a"], "versions": []}
    row |= {"content": parts, "attachments": parts}
    for collection in SHIPPED:
        await db[collection].insert_many(
            [{"_id": str(update), **row} for name, update in quiet + told if name == collection]
        )

    async def every_update() -> None:
        for collection, update in quiet + told:
            result = await db[collection].update_one({"_id": str(update)}, update)
            assert result.modified_count == 1

    events = await _crossing(db, every_update, SHIPPED)

    crossed = [(event["ns"]["coll"], event["documentKey"]["_id"]) for event in events]
    assert crossed == [(collection, str(update)) for collection, update in told]


async def test_inserts_replacements_and_deletions_are_never_noise(db: Database) -> None:
    async def writes() -> None:
        await db.messages.insert_one({"_id": 1, "updatedAt": 1})
        await db.messages.replace_one({"_id": 1}, {"updatedAt": 2})
        await db.messages.delete_one({"_id": 1})

    events = await _crossing(db, writes, SHIPPED)

    assert [event["operationType"] for event in events] == ["insert", "replace", "delete"]


async def test_nothing_but_rows_of_watched_collections_crosses(db: Database) -> None:
    async def writes() -> None:
        for name in ("tokens", "keys", "transactions", "messages_backup", "message"):
            await db[name].insert_one({"_id": 1, "value": "S3CRET"})
            await db[name].update_one({"_id": 1}, {"$set": {"value": "S3CRET again"}})
            await db[name].delete_one({"_id": 1})
        await db.files.create_index("user")
        await db.files.rename("oldfiles")
        await db.oldfiles.drop()

    assert await _crossing(db, writes, ALL) == []


# --------------------------------------------------------------------------- what must not stop the stream


@BOTH_PIPELINES
async def test_what_is_cut_may_be_larger_than_an_event(db: Database, unset_field: bool) -> None:
    """9 MB in the row before, and 9 MB in the update itself."""
    rows = await _with_pre_images(db, "agents")

    async def writes() -> None:
        await rows.insert_one({"_id": 1, "name": "One", "versions": ["x" * 9_000_000]})
        await rows.update_one({"_id": 1}, {"$set": {"name": "Two", "versions": ["y" * 9_000_000]}})
        await rows.delete_one({"_id": 1})

    inserted, updated, deleted = await _crossing(db, writes, SHIPPED, unset_field=unset_field)

    assert inserted["fullDocument"] == {"_id": 1, "name": "One"}
    assert _updated(updated) == {"name": "Two", "versions": None}
    assert deleted["fullDocumentBeforeChange"] == {"_id": 1, "name": "Two"}


async def test_what_is_not_cut_may_not_be_larger(db: Database) -> None:
    """So that the law above can fail."""
    rows = await _with_pre_images(db, "messages")

    async def writes() -> None:
        await rows.insert_one({"_id": 1, "text": "x" * 9_000_000})
        await rows.update_one({"_id": 1}, {"$set": {"text": "y" * 9_000_000}})

    with pytest.raises(OperationFailure) as failure:
        await _crossing(db, writes, SHIPPED)
    assert failure.value.code == 10334


@BOTH_PIPELINES
async def test_no_document_stops_the_pipeline(db: Database, unset_field: bool) -> None:
    rows = await _with_pre_images(db, "users")
    odd_names: Sequence[str] = (
        "$set",
        "$$ROOT",
        "a.b",
        "password.x",
        "0",
        "__proto__",
        "\n",
        "\u2028",
        "é" * 99,
    )

    async def writes() -> None:
        await rows.insert_one({"_id": 1})
        for name in odd_names:
            put = {"$setField": {"field": {"$literal": name}, "input": "$$ROOT", "value": ["odd"]}}
            await rows.update_one({"_id": 1}, [{"$replaceWith": put}])
        await rows.update_one({"_id": 1}, {"$set": {"role": {"": {"": 1}, "$x": {"a.b": 1}}}})
        await rows.replace_one({"_id": 1}, {"": 1, "role": ""})
        values: Sequence[Any] = (None, [], {}, "text", [[1]], bson.MinKey(), float("nan"), bson.Regex("("))
        for value in values:
            await rows.update_one({"_id": 1}, {"$set": {"password": value, "role": value}})
        await rows.update_one({"_id": 1}, {"$unset": {"password": "", "role": ""}})
        await rows.update_one({"_id": 1}, {"$set": {f"field{number}": number for number in range(3_000)}})
        await rows.delete_one({"_id": 1})

    events = await _crossing(db, writes, SHIPPED, unset_field=unset_field)

    assert events[-1]["operationType"] == "delete"
    assert len(events) > 15


@BOTH_PIPELINES
async def test_a_name_in_broken_unicode_does_not_stop_the_pipeline(db: Database, unset_field: bool) -> None:
    rows = await _with_pre_images(db, "messages")
    broken = bson.encode({"XXXX": 1}).replace(b"XXXX", b"\xff\xfe\xfd!")

    async def writes() -> None:
        await rows.insert_one({"_id": 1})
        await rows.update_one({"_id": 1}, {"$set": RawBSONDocument(broken)})
        await rows.update_one({"_id": 1}, {"$unset": RawBSONDocument(broken)})

    events = await _crossing(db, writes, SHIPPED, unset_field=unset_field)

    assert [event["operationType"] for event in events] == ["insert", "update", "update"]


# ------------------------------------------------------------------- the same for what did not come through


async def test_a_recorded_event_is_cut_as_the_pipeline_cuts_it(db: Database) -> None:
    """`cut` and `is_noise` stand for the pipeline where an event was recorded without it."""
    secrets = {name: ["S3CRET", {"deep": "S3CRET"}] for names in CUT.values() for name in names}
    for collection in SHIPPED:
        await _with_pre_images(db, collection)

    async def every_kind_of_write() -> None:
        for collection in SHIPPED:
            rows = db[collection]
            await rows.insert_one({"_id": 1, "told": "x", "content": [{"text": "x" * 99}] * 9, **secrets})
            for name in (*secrets, "updatedAt", "_meiliIndex", "files", "title", "expiresAt"):
                await rows.update_one({"_id": 1}, {"$set": {f"{name}.1": 1, "createdAt": name}})
                await rows.update_one({"_id": 1}, {"$set": {name: 1}})
                await rows.update_one({"_id": 1}, {"$unset": {name: ""}})
            await rows.update_one({"_id": 1}, [{"$set": {"content": {"$slice": ["$content", 2]}}}])
            await rows.replace_one({"_id": 1}, {"told": "y", **secrets})
            await rows.delete_one({"_id": 1})

    recorded, crossed = await _streamed(db, every_kind_of_write, [], pipeline(SHIPPED, unset_field=True))

    kept = [event for event in recorded if not is_noise(event, SHIPPED)]
    assert len(SHIPPED) * 9 < len(kept) < len(recorded) - len(SHIPPED) * 9
    assert not any(is_noise(event, ALL) for event in recorded)
    # Where there is no image, the pipeline says so.
    assert [cut(event) for event in kept] == [
        {name: value for name, value in event.items() if value is not None} for event in crossed
    ]


# ---------------------------------------------------------------------------------------------- helpers


async def _with_pre_images(db: Database, collection: str) -> AsyncCollection[dict[str, Any]]:
    await db.command({"create": collection, **PRE_IMAGES})
    return db[collection]


async def _crossing(
    db: Database, writes: Writes, noise: Noise | None, *, unset_field: bool = True
) -> list[Event]:
    """What of these writes comes through the pipeline (None: through none at all)."""
    stages = [] if noise is None else pipeline(noise, unset_field=unset_field)
    [events] = await _streamed(db, writes, stages)
    return events


async def _streamed(db: Database, writes: Writes, *pipelines: list[dict[str, Any]]) -> list[list[Event]]:
    """The same writes as they come through each of the pipelines."""
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(
                await db.watch(stages, full_document_before_change="whenAvailable")
            )
            for stages in pipelines
        ]
        await writes()
        await db.messages.insert_one({"_id": "the end"})
        events = [[dict(event) async for event in _until_the_end(stream)] for stream in streams]
    await db.messages.delete_one({"_id": "the end"})
    return events


async def _until_the_end(stream: AsyncChangeStream[dict[str, Any]]) -> AsyncIterator[Mapping[str, Any]]:
    async for event in stream:
        if event["documentKey"]["_id"] == "the end":
            break
        yield event


def _updated(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = event["updateDescription"]["updatedFields"]
    return fields
