"""Where BSON stops: change events as PyMongo decodes them become `Change`s of plain Python values.

The law: no document raises here. A change that lacks what a Change must have is `Malformed`, a value."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

from bson import DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import ALL_UUID_SUBTYPES, Binary
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion

from watcher.adapters.mongo.trim import is_cut
from watcher.core.changes import Change, ChangeId, Document, Operation

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    document_class=dict,
    tz_aware=True,
    unicode_decode_error_handler="replace",
    # A date beyond the years 1 to 9999 becomes the nearest end of them: it stays a date, and stays far away.
    datetime_conversion=DatetimeConversion.DATETIME_CLAMP,
)
"""How replies are decoded. With the defaults one odd string or date raises, takes its whole batch along, and
does so again on every resume."""

LONGEST_INDEX = 7
"""Digits. A document of 16 MB has no more elements than that tells."""

LONGEST_FILL = 10_000
"""Elements. Where a row was looked up later than the update that is laid over it, a name that looks like a
place may have been the key of an object, and as a place be anywhere."""

RawEvent = Mapping[str, Any]
_OPERATIONS = get_args(Operation)

RowKey = tuple[str, str]
"""A collection, and an `_id` as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A change event from which no Change can be made."""

    collection: str
    reason: str


def change_of(event: RawEvent, rows: Mapping[RowKey, Document]) -> Change | Malformed:
    """The change that an event tells of. The event's documents are taken over and rewritten in place.

    `rows`: rows as they are now, for updates without a pre-image. The update's own values are laid over them,
    so that each of several updates of a row shows what it wrote itself."""
    subject = subject_of(event)
    at = event.get("wallTime") or event.get("clusterTime")
    if isinstance(at, Timestamp):
        at = at.as_datetime()  # servers before 6.0 tell whole seconds only
    operation: Any = event.get("operationType")
    if subject is None or not isinstance(at, datetime) or operation not in _OPERATIONS:
        return Malformed(collection=_collection(event) or "?", reason=f"event with only {sorted(event)}")

    collection, document_id = subject[0], id_text(subject[1])
    before = _image(event.get("fullDocumentBeforeChange"))
    after: Document | None = _image(event.get("fullDocument"))
    row = rows.get((collection, document_id))
    left_out = event.get("leftOut") or ()
    updated: Document = {}
    removed: Sequence[str] = ()
    untold: Sequence[str] = ()
    if "written" in event and operation != "delete":
        after = row
        updated, untold = _found(collection, row, event["written"])
    elif operation == "update":
        description = event.get("updateDescription") or {}
        updated = plain(description.get("updatedFields") or {})
        removed = description.get("removedFields") or ()
        truncated = description.get("truncatedArrays") or ()
        base = row if before is None else _whole(before, left_out, row)
        after = None if base is None else updated_row(collection, base, updated, removed, truncated)
        shortened, untold = _found(collection, after, [each["field"] for each in truncated], kind=list)
        updated = {**updated, **shortened}
    if operation == "replace":
        updated, removed = _difference({**(before or {}), **dict.fromkeys(left_out)}, after or {})

    return Change(
        id=ChangeId(event["_id"]["_data"]),
        collection=collection,
        operation=operation,
        at=at.replace(tzinfo=UTC),  # the driver's own zone of the same name is slow to reckon with
        document_id=document_id,
        before=before,
        after=after,
        updated=updated,
        removed=removed,
        untold=untold,
    )


def subject_of(event: RawEvent) -> tuple[str, Any] | None:
    """The collection and the `_id` of the row that changed; None where an event does not tell."""
    collection = _collection(event)
    key = event.get("documentKey")
    if collection is None or not isinstance(key, dict) or "_id" not in key:
        return None
    return collection, key["_id"]


def updated_row(
    collection: str,
    row: Document,
    updated: Document,
    removed: Sequence[str] = (),
    truncated: Sequence[Mapping[str, Any]] = (),
) -> Document:
    """The row after an update, from the row before it and its `updateDescription`. The row is left as it is.

    Values that were cut on the way are no values of the row: their paths are passed over."""
    after = dict(row)
    own = {id(after)}
    for truncation in truncated:
        path = truncation["field"]
        array = _member(*_place(collection, after, path, own))
        if isinstance(array, list):
            _put(*_place(collection, after, path, own), array[: truncation["newSize"]])
    for path in removed:
        holder, name = _place(collection, after, path, own)
        if isinstance(holder, dict):
            holder.pop(name, None)
    for path, value in updated.items():
        _put(*_place(collection, after, path, own), value)
    return after


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """The document with every BSON type replaced by a plain Python value, in place."""
    for key, value in document.items():
        kind = type(value)
        if kind not in _PLAIN:
            document[key] = _converted(kind, value)
    return document


def id_text(value: Any) -> str:
    """An `_id` as text: 24 hex digits for an ObjectId, itself for a string, JSON for anything else."""
    kind = type(value)
    if kind is ObjectId or kind is str:
        return str(value)
    text = _converted(kind, deepcopy(value))  # the driver's own value still serves to find the row
    return text if isinstance(text, str) else json.dumps(text, default=str)


def _collection(event: RawEvent) -> str | None:
    namespace = event.get("ns")
    collection = namespace.get("coll") if isinstance(namespace, dict) else None
    return collection if isinstance(collection, str) else None


def _image(document: Any) -> dict[str, Any] | None:
    """A row, or None. What has no `_id` is no row: the pipeline for old servers leaves `{}` for none."""
    return plain(document) if isinstance(document, dict) and "_id" in document else None


def _difference(before: Document, after: Document) -> tuple[Document, Sequence[str]]:
    """A replace told as an update: what differs at the top, and what is gone."""
    updated = {
        name: value
        for name, value in after.items()
        if name != "_id" and (name not in before or before[name] != value)
    }
    return updated, tuple(name for name in before if name not in after)


def _whole(image: Document, left_out: Sequence[str], row: Document | None) -> Document:
    """A thin image, with what was left out of it as it is in the row now."""
    return {**image, **{name: row[name] for name in left_out if row is not None and name in row}}


def _found(
    collection: str, row: Document | None, paths: Sequence[str], *, kind: type = object
) -> tuple[Document, Sequence[str]]:
    """What the row has at the paths of which an event tells no more than the name; and what it does not have.

    Of an array that was only cut short MongoDB tells the new length, of a change beyond 16 MB nothing."""
    found: dict[str, Any] = {}
    for path in paths:
        value: Any = row
        for name in path.split("."):
            value = _member(value, name)
        if (isinstance(value, kind) and value is not None) or is_cut(collection, path):
            found[path] = value
    return found, tuple(path for path in paths if path not in found)


def _place(collection: str, row: dict[str, Any], path: str, own: set[int]) -> tuple[Any, str]:
    """The container that the path's last name is in, and that name.

    None for a container where the path leads nowhere: its value was cut, or the row was looked up too late
    to have it. Each container on the way is copied once (`own` knows which): the row before keeps its own."""
    *parents, last = path.split(".")
    if is_cut(collection, path):
        return None, last
    holder: Any = row
    for name in parents:
        inner = _member(holder, name)
        if not isinstance(inner, (dict, list)):
            return None, last
        if id(inner) not in own:
            inner = inner.copy()
            own.add(id(inner))
            _put(holder, name, inner)
        holder = inner
    return holder, last


def _member(holder: Any, name: str) -> Any:
    if isinstance(holder, dict):
        return holder.get(name)
    if isinstance(holder, list):
        index = _index(name)
        return holder[index] if index is not None and index < len(holder) else None
    return None


def _put(holder: Any, name: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[name] = value
    elif isinstance(holder, list):
        index = _index(name)
        if index is not None and index <= len(holder) + LONGEST_FILL:
            # Beyond the end MongoDB fills up with null, and tells only of the new value.
            holder.extend([None] * (index + 1 - len(holder)))
            holder[index] = value


def _index(name: str) -> int | None:
    """The place in an array that a part of a path means; None for what can be no place in one."""
    return int(name) if len(name) <= LONGEST_INDEX and name.isascii() and name.isdecimal() else None


def _converted(kind: type, value: Any) -> Any:
    if kind is dict:
        return plain(value)
    if kind is list:
        for index, item in enumerate(value):
            inner = type(item)
            if inner not in _PLAIN:
                value[index] = _converted(inner, item)
        return value
    convert = _CONVERT.get(kind)
    return convert(value) if convert is not None else str(value)


def _binary(value: Binary) -> str:
    if value.subtype in ALL_UUID_SUBTYPES and len(value) == 16:
        return str(UUID(bytes=bytes(value)))
    return _base64(value)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _reference(value: DBRef) -> Any:
    # Not only MongoDB's own references look so: any object with `$ref` and `$id` does, as in a JSON schema.
    return _converted(dict, dict(value.as_doc()))


def _none(_: Any) -> None:
    return None


_PLAIN = frozenset({str, int, float, bool, type(None), datetime})

_CONVERT: Mapping[type, Callable[[Any], Any]] = {
    ObjectId: str,
    Int64: int,
    Decimal128: str,
    Binary: _binary,
    bytes: _base64,
    Regex: lambda value: str(value.pattern),
    Code: str,
    Timestamp: lambda value: f"{value.time}.{value.inc}",
    DBRef: _reference,
    MinKey: _none,
    MaxKey: _none,
}
