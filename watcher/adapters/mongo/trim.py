"""The server-side cut: the pipeline behind `$changeStream`, and what it keeps from crossing the wire.

The law: a secret never leaves MongoDB, whatever a mapping asks for; a name that was written always does.
A cut value of an update keeps its key, with null for its value: that `versions.3` was written decides
whether a person changed an agent (LIBRECHAT.md §3.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watcher.core import views
from watcher.core.secrets import SECRET_FIELDS

Noise = Mapping[str, Sequence[str]]
"""The watched collections, and the top-level names of each whose change alone means nothing. `name*`: all
names that begin so. Empty: every update of the collection counts."""

CUT: Mapping[str, tuple[str, ...]] = {
    collection: tuple(name for name in names if not name.endswith("*"))
    for collection, names in SECRET_FIELDS.items()
}
"""Top-level fields that never cross the wire, by collection. By full name only: to look for a pattern the
server would have to take every row apart."""

IMAGES = ("fullDocument", "fullDocumentBeforeChange")

Stage = dict[str, Any]


def pipeline(noise: Noise, *, unset_field: bool) -> list[Stage]:
    """The stages behind `$changeStream`. `unset_field`: the server knows `$unsetField` (5.0 and newer).

    No expression here may fail, whatever the document: the stream would stop at that change for ever."""
    return [
        _of_interest(noise),
        _without_noise(noise),
        _blanked_updates(noise),
        _cut_images(noise) if unset_field else _cut_images_in_old_servers(noise),
    ]


def projection(collection: str) -> dict[str, int] | None:
    """What a `find` must leave out to see of a row no more than the stream shows."""
    return dict.fromkeys(CUT[collection], 0) if collection in CUT else None


def is_cut(collection: str, path: str) -> bool:
    """Was the value at this (dotted) path cut?"""
    return path.partition(".")[0] in CUT.get(collection, ())


def touched_paths() -> Any:
    """The expression for every (dotted) path that an update wrote, removed or shortened."""
    updated = {"$objectToArray": {"$ifNull": ["$updateDescription.updatedFields", {}]}}
    truncated = {"$ifNull": ["$updateDescription.truncatedArrays", []]}
    return {
        "$concatArrays": [
            {"$map": {"input": updated, "in": "$$this.k"}},
            {"$ifNull": ["$updateDescription.removedFields", []]},
            {"$map": {"input": truncated, "in": "$$this.field"}},
        ]
    }


def cut(event: dict[str, Any]) -> dict[str, Any]:
    """An event that did not come through the pipeline, as it would have: nothing of what is cut is left."""
    collection = event["ns"]["coll"]
    cutting = dict(event)
    cutting.pop("updateDescription", None)
    for image in IMAGES:
        if isinstance(event.get(image), dict):
            cutting[image] = {
                name: value for name, value in event[image].items() if name not in CUT.get(collection, ())
            }
    description = event.get("updateDescription")
    if event["operationType"] == "update" and isinstance(description, dict):
        fields = description.get("updatedFields") or {}
        blanked = {path: None if is_cut(collection, path) else value for path, value in fields.items()}
        cutting["updateDescription"] = {**description, "updatedFields": blanked}
    return cutting


def is_noise(event: Mapping[str, Any], noise: Noise) -> bool:
    """Does the pipeline drop this event of a watched collection, because nothing but noise was written?"""
    if event["operationType"] != "update":
        return False
    description = event.get("updateDescription") or {}
    truncated = [each["field"] for each in description.get("truncatedArrays") or ()]
    paths = [
        *(description.get("updatedFields") or ()),
        *(description.get("removedFields") or ()),
        *truncated,
    ]
    nothing = views.Noise.of(noise[event["ns"]["coll"]])
    return all(path.partition(".")[0] in nothing for path in paths)


def _of_interest(noise: Noise) -> Stage:
    # Plain operators on these two, so that the server judges raw oplog entries by them. The `invalidate`
    # after a dropDatabase need not pass: the cursor's end and its last token tell of it (source.py).
    operations = {"$in": ["insert", "update", "replace", "delete"]}
    return {"$match": {"ns.coll": {"$in": sorted(noise)}, "operationType": operations}}


def _without_noise(noise: Noise) -> Stage:
    # One `$expr` instead of `$or` over plain operators: those the server rewrites into its oplog filter,
    # which made every event cost 9 µs more (measured on 6.0.5).
    is_told = _by_collection(noise, lambda collection: _touches_more_than(noise[collection]), default=True)
    return {"$match": {"$expr": {"$or": [{"$ne": ["$operationType", "update"]}, is_told]}}}


def _touches_more_than(names: Sequence[str]) -> Any:
    if not names:
        return True
    is_noise = _begins_with_one_of(names, "$$this")
    return {"$anyElementTrue": [{"$map": {"input": touched_paths(), "in": {"$not": [is_noise]}}}]}


def _blanked_updates(noise: Noise) -> Stage:
    blanked = _by_collection(_with_cuts(noise), _blanked, default="$updateDescription")
    is_update = {"$eq": ["$operationType", "update"]}
    return {"$set": {"updateDescription": {"$cond": [is_update, blanked, "$$REMOVE"]}}}


def _blanked(collection: str) -> Any:
    # By key, since dotted keys (`versions.3`) are out of reach for a path.
    value = {"$cond": [_begins_with_one_of(CUT[collection], "$$this.k"), None, "$$this.v"]}
    fields = {"$objectToArray": {"$ifNull": ["$updateDescription.updatedFields", {}]}}
    kept = {"$arrayToObject": {"$map": {"input": fields, "in": {"k": "$$this.k", "v": value}}}}
    return {"$mergeObjects": ["$updateDescription", {"updatedFields": kept}]}


def _cut_images(noise: Noise) -> Stage:
    def without_cuts(image: str, collection: str) -> Any:
        row: Any = f"${image}"
        for field in CUT[collection]:
            row = {"$unsetField": {"field": field, "input": row}}
        return row

    return {
        "$set": {
            image: _by_collection(
                _with_cuts(noise), lambda name, image=image: without_cuts(image, name), default=f"${image}"
            )
            for image in IMAGES
        }
    }


def _cut_images_in_old_servers(noise: Noise) -> Stage:
    """The same at three times the price. Where there is no image it leaves an empty one (decode.py knows)."""
    return {
        "$set": {
            f"{image}.{field}": {
                "$cond": [{"$in": ["$ns.coll", collections]}, "$$REMOVE", f"${image}.{field}"]
            }
            for image in IMAGES
            for field, collections in _collections_by_field(noise).items()
        }
    }


def _with_cuts(noise: Noise) -> list[str]:
    return sorted(CUT.keys() & noise.keys())


def _collections_by_field(noise: Noise) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for collection in _with_cuts(noise):
        for field in CUT[collection]:
            fields.setdefault(field, []).append(collection)
    return fields


def _by_collection(collections: Any, expression: Any, *, default: Any) -> Any:
    branches = [
        {"case": {"$eq": ["$ns.coll", collection]}, "then": expression(collection)}
        for collection in sorted(collections)
    ]
    return {"$switch": {"branches": branches, "default": default}} if branches else default


def _begins_with_one_of(names: Sequence[str], path: str) -> Any:
    """Is the first part of the (dotted) path one of the names?"""
    # Operators that look at bytes: a regular expression fails at a name in broken UTF-8.
    first = {"$arrayElemAt": [{"$split": [path, "."]}, 0]}
    whole = [name for name in names if not name.endswith("*")]
    beginnings = [name[:-1] for name in names if name.endswith("*")]
    return {
        "$or": [
            {"$in": [first, {"$literal": whole}]},
            *({"$eq": [{"$indexOfBytes": [path, {"$literal": each}]}, 0]} for each in beginnings),
        ]
    }
