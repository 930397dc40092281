"""A recording: change events written down as Extended JSON, one or many, as `explain` is given them.

One after the other stand: an event, a list of events, or an object with a list of them under `changes`.
The law: what cannot be read is told with its place and the cure, and never quoted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import Timestamp, json_util
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError

from watcher.adapters.mongo.decode import Malformed, RawEvent, RowKey, change_of, id_text, plain, subject_of
from watcher.adapters.mongo.trim import cut
from watcher.core.changes import Change, Document
from watcher.errors import InputError, Problem

CURE = (
    "write events as mongosh prints them with EJSON.stringify(event):\n"
    '  {"_id": {"_data": "82…"}, "operationType": "update", "wallTime": {"$date": "2026-11-24T12:00:00Z"},\n'
    '   "ns": {"db": "LibreChat", "coll": "messages"}, "documentKey": {"_id": {"$oid": "65…"}},\n'
    '   "updateDescription": {"updatedFields": {"text": "…"}, "removedFields": []}}'
)

READ = ("insert", "update", "replace", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One event of a recording."""

    place: str
    """`events.jsonl:3`."""
    event: RawEvent
    change: Change | None
    """As the source would give it. None for what is about no row (`drop`, `rename`): that is passed over."""

    @property
    def operation(self) -> str:
        return str(self.event["operationType"])

    @property
    def collection(self) -> str:
        """Empty for an event of a whole database."""
        namespace = self.event.get("ns")
        return str(namespace.get("coll", "")) if isinstance(namespace, dict) else ""


def read_recording(text: str, name: str) -> Sequence[Recorded]:
    """The events of a recording, in order. Raises InputError with everything that is wrong."""
    recorded: list[Recorded] = []
    problems: list[Problem] = []
    for place, value in _values(text, name, problems):
        for event in _events_in(value):
            found = _read(event)
            if isinstance(found, str):
                problems.append(Problem(where=place, what=found, cure=CURE))
            else:
                recorded.append(Recorded(place=place, event=event, change=found))
    if not recorded and not problems:
        problems.append(Problem(where=name, what="there is no event in it", cure=CURE))
    if problems:
        raise InputError(problems)
    return recorded


def _read(event: Any) -> Change | str | None:
    """The change that an event tells of, or why there is none to be had."""
    fault = _fault(event)
    if fault is not None:
        return fault
    if event["operationType"] not in READ:
        return None
    try:
        change = _change(event)
    except Exception as error:  # its text may quote the document
        return f"cannot be read ({type(error).__name__})"
    return change.reason if isinstance(change, Malformed) else change


def _change(event: RawEvent) -> Change | Malformed:
    """Without what MongoDB would have kept back. For an update without a pre-image, `fullDocument` is what a
    look-up finds."""
    seen = cut(deepcopy(dict(event)))
    rows: dict[RowKey, Document] = {}
    row, subject = seen.get("fullDocument"), subject_of(seen)
    if isinstance(row, dict) and subject is not None:
        rows[subject[0], id_text(subject[1])] = plain(row)
    return change_of(seen, rows)


_OPTIONS = json_util.JSONOptions(tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_CLAMP)
_DECODER = json.JSONDecoder(object_pairs_hook=lambda pairs: json_util.object_pairs_hook(pairs, _OPTIONS))


def _values(text: str, name: str, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    """The JSON values that stand one after the other, each with its place."""
    at = _next(text, 0)
    while at < len(text):
        place = f"{name}:{text.count(chr(10), 0, at) + 1}"
        try:
            value, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            where = f"{name}:{error.lineno}:{error.colno}"
            problems.append(Problem(where=where, what=f"is no JSON ({error.msg})", cure=CURE))
            return
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError, BSONError) as error:
            what = f"is no Extended JSON: a `$…` value in it means nothing ({type(error).__name__})"
            problems.append(Problem(where=place, what=what, cure=CURE))
            return
        yield place, value
        at = _next(text, end)


def _next(text: str, at: int) -> int:
    """Where the next value begins."""
    while at < len(text) and (text[at].isspace() or text[at] == "\ufeff"):
        at += 1
    return at


def _events_in(value: Any) -> Sequence[Any]:
    match value:
        case list():
            return value
        case {"changes": list(events)} if "operationType" not in value:
            return events
        case _:
            return [value]


def _fault(event: Any) -> str | None:
    """Why no change can be made of it; None if one can."""
    if not isinstance(event, dict) or not isinstance(event.get("operationType"), str):
        return "is no change event: it has no `operationType`"
    if event["operationType"] not in READ:
        return None
    if subject_of(event) is None:
        return "does not tell which row changed: `ns.coll` or `documentKey._id` is missing"
    token = event.get("_id")
    if not isinstance(token, dict) or not isinstance(token.get("_data"), str):
        return "has no resume token (`_id._data`): ids follow from it"
    if not isinstance(event.get("wallTime"), datetime) and not isinstance(
        event.get("clusterTime"), Timestamp
    ):
        return "does not tell when it happened: `wallTime` (a `$date`) is missing"
    if event["operationType"] in ("insert", "replace") and not isinstance(event.get("fullDocument"), dict):
        return "has no `fullDocument`: an insert and a replace bring the whole row"
    description = event.get("updateDescription") or {}
    if event["operationType"] == "update" and not _is_description(description):
        return "is an update without a proper `updateDescription`"
    return None


def _is_description(description: Any) -> bool:
    if not isinstance(description, dict) or not isinstance(description.get("updatedFields"), dict):
        return False
    removed, truncated = description.get("removedFields") or [], description.get("truncatedArrays") or []
    return (
        isinstance(removed, list)
        and all(isinstance(path, str) for path in removed)
        and isinstance(truncated, list)
        and all(
            isinstance(each, dict)
            and isinstance(each.get("field"), str)
            and isinstance(each.get("newSize"), int)
            for each in truncated
        )
    )
