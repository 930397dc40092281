"""Tracing: what became of one document's events, by the state; where nothing is known, why that may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches

from watcher import stores
from watcher.adapters.mongo.ids import ids_of
from watcher.adapters.mongo.progress import token_time
from watcher.config.mappings import load_mappings
from watcher.config.settings import Settings
from watcher.core.changes import Checkpoint
from watcher.core.deliveries import Fate
from watcher.core.events import Entity
from watcher.core.mapping import CollectionMapping
from watcher.errors import InputError, Problem, SourceError

OWN_IDS = {"conversations": "conversationId", "messages": "messageId", "agents": "id", "files": "file_id"}
"""By what LibreChat itself knows its rows. Others go by their `_id`."""

NEWEST = 200
"""Deliveries told of one row. A conversation that is renamed all day has more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """One row, and its newest deliveries."""

    row: Entity
    fates: tuple[Fate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What is known of a document."""

    rows: tuple[Traced, ...]
    """Several where several rows go by one id. Without a row nobody knows which one is meant."""
    notes: tuple[str, ...]
    """What could not be found out; and where nothing is known, why that may be."""


async def trace(settings: Settings, collection: str, identity: str) -> Trace:
    """What became of the events of the document with this `_id`, or this id of LibreChat's own.

    Raises ConfigError, OutboxError, and InputError for a collection that has no mapping file."""
    mapping = _mapping(settings, collection)
    row = await _traced(settings, collection, identity)
    if row.fates:
        return Trace(rows=(row,), notes=())

    ids, notes = await _looked_up(settings, collection, identity)
    rows = [await _traced(settings, collection, each) for each in ids]
    if not any(each.fates for each in rows):
        async with stores.read(settings) as state:
            position = await state.checkpoint()
            nameless = bool(position) and bool(await state.fates(Entity(""), limit=1))
        notes += tuple(_reasons(settings, mapping, position, nameless=nameless))
    return Trace(rows=tuple(rows), notes=notes)


def _mapping(settings: Settings, collection: str) -> CollectionMapping:
    known = {mapping.collection: mapping for mapping in load_mappings(settings.mapping_paths)}
    if collection in known:
        return known[collection]
    close = get_close_matches(collection, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    what = "no mapping file speaks of this collection, so nothing of it is ever sent"
    raise InputError([Problem(where=collection, what=what, cure=f"{hint}known: {', '.join(known)}")])


async def _traced(settings: Settings, collection: str, identity: str) -> Traced:
    row = Entity(f"{collection}:{identity}")
    async with stores.read(settings) as state:
        fates = await state.fates(row, limit=NEWEST)
    return Traced(row=row, fates=tuple(fates))


async def _looked_up(
    settings: Settings, collection: str, identity: str
) -> tuple[Sequence[str], tuple[str, ...]]:
    """The `_id`s of the rows that are meant; and if there are none, why."""
    if not settings.mongo_uri:
        note = "Without MONGO_URI no row can be looked up by an id of LibreChat's own: give its `_id`."
        return (), (note,)
    own = OWN_IDS.get(collection)
    try:
        ids = await ids_of(settings.mongo_uri, settings.database, collection, identity, own=own)
    except SourceError as error:
        return (), (f"The row could not be looked up: {error}",)
    if ids:
        return ids, ()
    note = (
        f"No row of {settings.database}.{collection} has this {f'`_id` or `{own}`' if own else '`_id`'} now."
        " The events of one that was deleted are found by its `_id` only."
    )
    return (), (note,)


def _reasons(
    settings: Settings, mapping: CollectionMapping, position: Checkpoint | None, *, nameless: bool
) -> Iterator[str]:
    """Why nothing may be known, the surest first."""
    if position is None:
        yield f"There is no state in {settings.state}: `run` was never started with these settings."
        return
    events = list(dict.fromkeys(rule.event for rule in mapping.rules if rule.event))
    listeners = [
        f"{endpoint.name} ({', '.join(heard)})"
        for endpoint in settings.endpoints
        if (heard := [event for event in events if endpoint.subscribes(event)])
    ]
    if not listeners:
        yield f"No endpoint subscribes to any of {', '.join(events)}."
        return
    yield f"It may not be subscribed to, or a filter refused it. Subscribed: {'; '.join(listeners)}."
    yield "It may have been written before the first start: only what changes from then on is sent."
    reached = token_time(position.token)
    at = reached.as_datetime() if reached is not None else position.at
    yield f"It may not have been read yet: `run` has read up to {_told(at)}."
    delivered, dead = _span(settings.retention_delivered), _span(settings.retention_dead)
    yield f"It may be over: what was delivered is kept for {delivered}, what is dead for {dead}."
    if nameless:
        yield "An earlier version stored some deliveries without noting their row: these are not found here."
    yield "`librechat-watcher explain FILE` tells what becomes of one change, and why."


def _told(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at is not None else "an unknown time"


def _span(span: timedelta) -> str:
    hours = span / timedelta(hours=1)
    return f"{hours / 24:g} days" if hours >= 72 and hours % 24 == 0 else f"{hours:g} hours"
