"""The change source: LibreChat's database as batches of changes, from any stored position on.

The stream is driven by plain commands instead of the driver's `watch()`, which hides the batches: here each
reply becomes one Batch, with the position after all of it (`postBatchResumeToken`), also when it is empty.

A limit: behind several mongos routers a cursor is known to one of them only. The driver may ask another,
which answers CursorNotFound; the stream is then opened again. Give MONGO_URI one router."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

from bson import Int64, Timestamp
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from watcher.adapters.mongo.classify import TokenUnknown, TooLarge, classify
from watcher.adapters.mongo.connect import GOODBYE_SECONDS, Client, Place, connection, place_of
from watcher.adapters.mongo.decode import CODEC, Malformed, RawEvent, RowKey, change_of
from watcher.adapters.mongo.images import PreImages
from watcher.adapters.mongo.ladder import Ladder, left_out
from watcher.adapters.mongo.lookup import current_rows, rows_wanted
from watcher.adapters.mongo.primary import asking_the_primary
from watcher.adapters.mongo.progress import Progress, Sounding, token_time
from watcher.adapters.mongo.trim import Noise, pipeline
from watcher.cancelling import heed
from watcher.core.changes import Change, Checkpoint, Document
from watcher.core.facts import Thinned, Unreadable
from watcher.core.secrets import SECRET_COLLECTIONS
from watcher.errors import PositionLost, SourceRefused
from watcher.ports import Batch, Observer, always

HURRIED_MS = 500
QUIET_MS = 5_000
"""How long the server waits for a change before it answers with an empty batch: the pace of stream time on a
quiet LibreChat, while somebody waits for it and while nobody does. A change itself is answered at once."""

WIRE_5_0 = 13
WIRE_6_0 = 17
"""`maxWireVersion` of the first server with `$unsetField`, and of the first with pre-images and wallTime."""

Reply = dict[str, Any]


class MongoSource:
    """A `ChangeSource` over one database."""

    def __init__(
        self,
        uri: str,
        database: str,
        *,
        noise: Noise,
        noise_to_memory: Noise,
        remembering: bool = False,
        observe: Observer,
        start_from: datetime | None = None,
        start_name: str = "watcher.startFrom",
    ) -> None:
        """`noise`: the watched collections, and of each the names whose change alone means nothing;
        `noise_to_memory`: the same for collections without pre-images, whose rows somebody remembers
        (`remembering`: those of all).

        `start_from`: where a first start begins, inside the oplog; None means now. `start_name`: what whoever
        chose it calls it."""
        self._uri = uri
        self._place = place_of(uri, database)
        # What the memory must hear of is told for all collections, or for those without pre-images.
        self._noise = noise_to_memory if remembering else noise
        self._noise_to_memory = noise_to_memory
        self._observe = observe
        self._start_from = start_from
        self._start_name = start_name

    @asynccontextmanager
    async def open(
        self, checkpoint: Checkpoint | None, *, hurried: Callable[[], bool] = always
    ) -> AsyncIterator[AsyncIterator[Batch]]:
        """Stream every committed change after the checkpoint (None: from `start_from`), in commit order."""
        if forbidden := sorted(SECRET_COLLECTIONS & self._noise.keys()):
            raise SourceRefused(
                f"{self._place.database}.{forbidden[0]} holds credentials and is never watched.\n"
                f"  Remove the mapping file for: {', '.join(forbidden)}"
            )
        async with connection(self._uri) as client, client.start_session(causal_consistency=False) as session:
            stream = _Stream(client, session, self._place, self._noise, self._noise_to_memory, self._observe)
            try:
                await stream.begin(checkpoint, self._start_from, self._start_name)
                yield stream.batches(hurried)
            finally:
                await stream.end()


class _Stream:
    """One open change stream."""

    def __init__(
        self,
        client: Client,
        session: AsyncClientSession,
        place: Place,
        noise: Noise,
        noise_to_memory: Noise,
        observe: Observer,
    ) -> None:
        self._client = client
        self._session = session
        self._place = place
        self._noise = noise
        self._noise_to_memory = noise_to_memory
        self._images = PreImages(client, place.database, noise.keys())
        self._observe = observe
        self._database = client.get_database(place.database, codec_options=CODEC)
        self._cursor = Int64(0)
        self._reply: Reply = {}
        self._position: dict[str, Any] = {}  # after what was yielded last
        self._has_given = False  # changes, since it was opened
        self._passed = ""  # the token up to which changes are dropped: they were read before
        self._wire_version = 0
        self._ladder = Ladder()
        self._progress = Progress(has_wall_times=True)

    async def begin(
        self, checkpoint: Checkpoint | None, start_from: datetime | None, start_name: str
    ) -> None:
        sounding = await self._sound()
        self._progress = Progress(has_wall_times=self._wire_version >= WIRE_6_0)
        self._progress.sounded(sounding, time.monotonic())
        position: dict[str, Any] = {}
        if checkpoint is not None:
            self._refuse_the_future(checkpoint.token, sounding)
            position = {"startAfter": {"_data": checkpoint.token}}
            await self._prove(position)
        elif start_from is not None:
            position = {"startAtOperationTime": Timestamp(int(start_from.timestamp()), 0)}
            await self._prove_start(position, start_from, start_name, sounding)
        await self._open(position)

    async def batches(self, hurried: Callable[[], bool]) -> AsyncIterator[Batch]:
        while True:
            heed()
            # Tokens are in the order of what they stand for. By a time a stream begins a little too early.
            token = max(self._reply["postBatchResumeToken"]["_data"], self._passed)
            events = [
                each for each in self._reply.get("nextBatch", ()) if each["_id"]["_data"] > self._passed
            ]
            if await self._images_changed(events):
                # These were read with the noise of the old belief: what the memory must hear of was dropped.
                await self.end()
                await self._open(self._position)
                continue
            changes = await self._changes(events)
            yield Batch(
                changes=tuple(changes),
                checkpoint=Checkpoint(token=token, at=changes[-1].at if changes else None),
                through=self._progress.through(token, quiet=not events),
                imageless=self._images.missing,
            )
            self._position = {"startAfter": {"_data": token}}

            if self._progress.wants_sounding(time.monotonic()):
                self._progress.sounded(await self._sound(), time.monotonic())
            if self._ladder.passed(len(events)):
                await self.end()
                await self._open(self._position)
            elif self._cursor:
                await self._read_on(HURRIED_MS if hurried() else QUIET_MS)
            else:
                # The database was dropped, as before a restore. `startAfter` passes over that; the same
                # option serves for every other token, so that a stored one need not be told apart.
                await self._open(self._position)

    async def end(self) -> None:
        if self._cursor:
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self._kill(self._cursor)

    async def _prove_start(
        self, position: dict[str, Any], start_from: datetime, start_name: str, sounding: Sounding | None
    ) -> None:
        cure = "Choose a time inside the oplog (`librechat-watcher check` shows its reach), or `now`."
        if sounding is not None and start_from > sounding.at:
            raise SourceRefused(f"{start_name}: {start_from.isoformat()} is yet to come.\n  {cure}")
        try:
            await self._prove(position)
        except PositionLost as error:
            raise SourceRefused(
                f"{start_name}: {start_from.isoformat()} is before the oplog of {self._place}.\n  {cure}"
            ) from error

    def _refuse_the_future(self, token: str, sounding: Sounding | None) -> None:
        """A position ahead of the newest write is of another history: MongoDB would await it in silence."""
        reached = token_time(token)
        if reached is None or sounding is None:
            return
        # A stream that begins now begins one tick after the newest write, and stays there while all is quiet.
        next_write = Timestamp(sounding.written.time, sounding.written.inc + 1)
        if reached > next_write:
            why = "the stored position lies ahead of its newest write"
            raise PositionLost(
                f"{self._place}: {why}."
                " It was restored from a backup, or it is not the cluster that the position was stored for.",
                why=why,
            )

    async def _prove(self, position: dict[str, Any]) -> None:
        """Hear now, not in mid-stream, if the position is lost.

        MongoDB looks for a position when it looks for the first change. Behind our pipeline that can be far
        away; without it, any change of the database will do."""
        stages = [{"$changeStream": position}, {"$project": {"_id": 1}}]
        reply = await self._ask(
            {"aggregate": 1, "pipeline": stages, "cursor": {"batchSize": 1}}, proving=True
        )
        async with self._asking():
            await self._kill(reply["id"])

    async def _open(self, position: dict[str, Any]) -> None:
        if self._wire_version >= WIRE_6_0:
            async with self._asking():
                await self._images.ask()
        noise = {
            name: self._noise_to_memory[name] if name in self._images.missing else names
            for name, names in self._noise.items()
        }
        options, step = dict(position), self._ladder.step
        if self._wire_version >= WIRE_6_0 and step.images:
            options["fullDocumentBeforeChange"] = "whenAvailable"
        trimmed = pipeline(noise, unset_field=self._wire_version >= WIRE_5_0)
        # Without changes the first reply comes at once, however far the first match is.
        self._has_given, self._passed = False, ""
        self._follow(
            await self._ask(
                {
                    "aggregate": 1,
                    "pipeline": [{"$changeStream": options}, *trimmed, *step.stages],
                    "cursor": {"batchSize": 0},
                }
            )
        )

    async def _images_changed(self, events: Sequence[RawEvent]) -> bool:
        """Were pre-images turned on or off for a collection while we read it?"""
        if not self._ladder.step.images or not self._images.doubted(events, time.monotonic()):
            return False
        async with self._asking():
            return await self._images.ask()

    async def _read_on(self, await_ms: int) -> None:
        more = {
            "getMore": self._cursor,
            "collection": "$cmd.aggregate",
            "batchSize": self._ladder.step.changes,
            "maxTimeMS": await_ms,
        }
        try:
            self._follow(await self._ask(more))
        except TooLarge:
            if not self._ladder.down():
                raise
            await self._open(self._position)
        except TokenUnknown:
            # With other settings or other noise than before, the filter may keep out the very change that
            # the position is of; a stream must meet it to begin behind it. A time it need not meet.
            passed = self._position["startAfter"]["_data"]
            time = token_time(passed)
            if self._has_given or self._passed or time is None:
                raise
            await self._open({"startAtOperationTime": time})
            self._passed = passed

    def _follow(self, reply: Reply) -> None:
        self._reply = reply
        self._has_given = self._has_given or bool(reply.get("nextBatch"))
        self._cursor = Int64(reply["id"])

    async def _kill(self, cursor: int) -> None:
        kill = {"killCursors": "$cmd.aggregate", "cursors": [Int64(cursor)]}
        await self._database.command(kill, session=self._session)

    async def _ask(self, command: dict[str, Any], *, proving: bool = False) -> Reply:
        async with self._asking(resuming=proving):
            answer = await self._database.command(command, session=self._session, codec_options=CODEC)
        reply: Reply = answer["cursor"]
        return reply

    async def _sound(self) -> Sounding | None:
        async with self._asking():
            hello = await self._client.admin.command("hello", codec_options=CODEC)
        self._wire_version = hello["maxWireVersion"]
        if not hello.get("isWritablePrimary") or "lastWrite" not in hello:
            return None
        return Sounding(at=hello["localTime"], written=hello["lastWrite"]["opTime"]["ts"])

    async def _changes(self, events: Sequence[RawEvent]) -> Sequence[Change]:
        rows: Mapping[RowKey, Document] = {}
        if wanted := rows_wanted(events):
            async with self._asking():
                rows = await current_rows(self._database, wanted)
        changes: list[Change] = []
        for event in events:
            try:
                change = change_of(event, rows)
            except Exception as error:
                # No document should bring us here; if one does, it must not be the last one that is read.
                change = Malformed(
                    collection=str(event.get("ns", {}).get("coll")),
                    reason=f"internal: {type(error).__name__}",
                )
            if isinstance(change, Malformed):
                self._observe(Unreadable(collection=change.collection, event=None, reason=change.reason))
            else:
                changes.append(change)
                if missing := left_out(event):
                    self._observe(
                        Thinned(
                            collection=change.collection,
                            operation=change.operation,
                            left_out=tuple(missing),
                            row_found=(change.collection, change.document_id) in rows,
                        )
                    )
        return changes

    @asynccontextmanager
    async def _asking(self, *, resuming: bool = False) -> AsyncIterator[None]:
        """Ask MongoDB inside: what goes wrong is told in our words, a primary that fell silent is left."""
        try:
            async with asking_the_primary(self._client):
                yield
        except PyMongoError as error:
            self._cursor = Int64(0)  # gone, or out of reach: nothing to say goodbye to
            topology = self._client.topology_description
            raise classify(error, self._place, resuming=resuming, topology=topology) from error


def _token(event: RawEvent) -> str:
    token: str = event["_id"]["_data"]
    return token
