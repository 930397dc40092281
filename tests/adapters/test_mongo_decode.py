"""Above decode.py there are plain values only, whatever a document holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import bson
import pytest
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st

from watcher.adapters.mongo.decode import CODEC, Malformed, change_of, id_text, plain, updated_row
from watcher.core.changes import Change

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HEX = "6b044d4773a41b0b86a68795"


def an_event(**parts: Any) -> dict[str, Any]:
    event = {
        "_id": {"_data": "826B044D47000000142B022C0100296E5A1004"},
        "operationType": "insert",
        "clusterTime": bson.Timestamp(1_795_444_039, 20),
        "wallTime": NOON,
        "fullDocument": {"_id": bson.ObjectId(HEX), "text": "hi"},
        "ns": {"db": "LibreChat", "coll": "messages"},
        "documentKey": {"_id": bson.ObjectId(HEX)},
        **parts,
    }
    return bson.decode(bson.encode(event), CODEC)


def change(event: dict[str, Any], rows: dict[tuple[str, str], Any] | None = None) -> Change:
    found = change_of(event, rows or {})
    assert isinstance(found, Change)
    return found


def test_an_insert_is_its_row() -> None:
    inserted = change(an_event())

    assert inserted == Change(
        id=inserted.id,
        collection="messages",
        operation="insert",
        at=NOON,
        document_id=HEX,
        before=None,
        after={"_id": HEX, "text": "hi"},
        updated={},
        removed=(),
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (bson.ObjectId(HEX), HEX),
        (bson.Int64(2**60), 2**60),
        (bson.Decimal128("1.10"), "1.10"),
        (b"\x00\xff", "AP8="),
        (bson.Binary(b"\x00\xff", 128), "AP8="),
        (
            bson.Binary(UUID("12345678123456781234567812345678").bytes, 4),
            "12345678-1234-5678-1234-567812345678",
        ),
        (bson.Regex("^a", "i"), "^a"),
        (bson.Code("return 1", {"x": 1}), "return 1"),
        (bson.Timestamp(7, 3), "7.3"),
        (bson.MinKey(), None),
        (bson.MaxKey(), None),
        (bson.DBRef("users", bson.ObjectId(HEX)), {"$ref": "users", "$id": HEX}),
        ({"$ref": "#/x", "$id": {"n": bson.Int64(1)}}, {"$ref": "#/x", "$id": {"n": 1}}),
        (NOON, NOON),
        (bson.datetime_ms.DatetimeMS(2**62), datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        (bson.datetime_ms.DatetimeMS(-(2**62)), datetime(1, 1, 1, tzinfo=UTC)),
        ([[bson.Int64(1), {"a": bson.MinKey()}]], [[1, {"a": None}]]),
        (1.5, 1.5),
        (True, True),
        (None, None),
    ],
)
def test_each_bson_type_has_a_plain_value(value: Any, expected: Any) -> None:
    document = plain(bson.decode(bson.encode({"v": value}), CODEC))

    assert document == {"v": expected}
    assert type(document["v"]) is type(expected)


def _bson_values() -> st.SearchStrategy[Any]:
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        text,
        st.binary(max_size=20),
        st.builds(bson.ObjectId, st.binary(min_size=12, max_size=12)),
        st.builds(bson.Int64, st.integers(-(2**63), 2**63 - 1)),
        st.builds(bson.datetime_ms.DatetimeMS, st.integers(-(2**63), 2**63 - 1)),
        st.builds(bson.Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
        st.builds(bson.Binary, st.binary(max_size=18), st.sampled_from([0, 1, 3, 4, 5, 6, 128, 255])),
        st.builds(bson.Regex, text, st.integers(0, 255)),
        st.builds(bson.Code, text, st.one_of(st.none(), st.just({"a": bson.MinKey()}))),
        st.builds(bson.DBRef, text, st.one_of(text, st.just(bson.MaxKey())), st.one_of(st.none(), text)),
        st.sampled_from([bson.MinKey(), bson.MaxKey(), bson.Decimal128("NaN"), bson.Decimal128("1E+100")]),
    )
    keys = st.one_of(text, st.sampled_from(["$ref", "$id", "$db", "a.b", "", "$set"]))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
        max_leaves=12,
    )


@given(st.dictionaries(st.sampled_from(["_id", "a", "b.c", "0"]), _bson_values(), min_size=1))
def test_no_document_raises_and_none_stays_bson(document: dict[str, Any]) -> None:
    try:
        encoded = bson.encode(document)
    except (bson.errors.InvalidDocument, OverflowError):
        return  # not a document that MongoDB could hold

    decoded = plain(bson.decode(encoded, CODEC))

    _assert_plain(decoded)
    assert isinstance(id_text(bson.decode(encoded, CODEC)), str)


@given(st.dictionaries(st.sampled_from(list(an_event())), _bson_values()))
def test_no_event_raises(parts: dict[str, Any]) -> None:
    """Whatever stands where; only the resume token is the server's own in any case."""
    try:
        event = an_event(**{**parts, "_id": {"_data": "82"}, "operationType": "insert"})
    except (bson.errors.InvalidDocument, OverflowError):
        return

    assert isinstance(change_of(event, {}), (Change, Malformed))


@pytest.mark.parametrize("missing", ["ns", "documentKey", "operationType"])
def test_an_event_without_a_subject_is_malformed(missing: str) -> None:
    event = an_event()
    del event[missing]

    found = change_of(event, {})

    assert isinstance(found, Malformed)
    assert found.collection == ("?" if missing == "ns" else "messages")
    assert missing not in found.reason


def test_servers_without_wall_time_tell_whole_seconds() -> None:
    event = an_event()
    del event["wallTime"]

    assert change(event).at == datetime.fromtimestamp(1_795_444_039, UTC)


@pytest.mark.parametrize("image", [None, {}])
def test_an_image_that_is_not_there_is_none(image: Any) -> None:
    """The pipeline for old servers leaves `{}` behind."""
    event = an_event(operationType="delete", fullDocument=image, fullDocumentBeforeChange=image)

    deleted = change(event)

    assert (deleted.before, deleted.after) == (None, None)


def test_an_update_is_laid_over_the_row_it_changed() -> None:
    event = an_event(
        operationType="update",
        fullDocument=None,
        fullDocumentBeforeChange={"_id": bson.ObjectId(HEX), "text": "hi", "gone": 1},
        updateDescription={"updatedFields": {"text": "ho"}, "removedFields": ["gone"], "truncatedArrays": []},
    )

    updated = change(event)

    assert updated.before == {"_id": HEX, "text": "hi", "gone": 1}
    assert updated.after == {"_id": HEX, "text": "ho"}
    assert (updated.updated, list(updated.removed)) == ({"text": "ho"}, ["gone"])


def test_a_row_looked_up_serves_where_the_pre_image_is_missing() -> None:
    event = an_event(
        operationType="update", fullDocument=None, updateDescription={"updatedFields": {"text": "mine"}}
    )

    found = change(event, {("messages", HEX): {"_id": HEX, "text": "later", "user": "u"}})

    assert found.before is None
    assert found.after == {"_id": HEX, "text": "mine", "user": "u"}


def _shortening(*truncated: tuple[str, int], **parts: Any) -> dict[str, Any]:
    arrays = [{"field": path, "newSize": size} for path, size in truncated]
    description = {"updatedFields": {}, "removedFields": [], "truncatedArrays": arrays}
    return an_event(operationType="update", fullDocument=None, updateDescription=description, **parts)


def test_an_array_that_was_only_cut_short_counts_as_written_with_what_is_left_of_it() -> None:
    before = {"_id": bson.ObjectId(HEX), "tags": [1, 2, 3], "deep": {"rows": [{"v": 1}, {"v": 2}]}}

    found = change(_shortening(("tags", 2), ("deep.rows", 1), fullDocumentBeforeChange=before))

    assert found.updated == {"tags": [1, 2], "deep.rows": [{"v": 1}]}
    assert found.after == {"_id": HEX, "tags": [1, 2], "deep": {"rows": [{"v": 1}]}}
    assert (found.removed, found.untold) == ((), ())


def test_where_the_row_is_not_known_a_shortened_array_is_written_and_untold() -> None:
    gone = change(_shortening(("tags", 2)))
    other = change(_shortening(("tags", 2)), {("messages", HEX): {"_id": HEX, "tags": "a text by now"}})

    assert (gone.updated, gone.untold, gone.written) == ({}, ("tags",), ("tags",))
    assert (other.updated, other.untold) == ({}, ("tags",))


def test_that_a_cut_array_was_shortened_is_told_without_it() -> None:
    event = _shortening(("versions", 1), ns={"db": "LibreChat", "coll": "agents"})

    found = change(event, {("agents", HEX): {"_id": HEX, "name": "x"}})

    assert (found.updated, found.untold) == ({"versions": None}, ())


@pytest.mark.parametrize(
    ("row", "updated", "removed", "truncated", "after"),
    [
        ({"a": 1}, {"b": 2}, (), (), {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a.b": 3}, (), (), {"a": {"b": 3, "c": 2}}),
        ({"a": [1, 2, 3]}, {"a.1": 9}, (), (), {"a": [1, 9, 3]}),
        ({"a": [1]}, {"a.3": 9}, (), (), {"a": [1, None, None, 9]}),
        ({"a": {"1": 1}}, {"a.1": 9}, (), (), {"a": {"1": 9}}),
        ({"a": [{"b": 1}]}, {"a.0.b": 2, "a.1": {"b": 3}}, (), (), {"a": [{"b": 2}, {"b": 3}]}),
        ({"a": {"b": 1, "c": 2}}, {}, ("a.b",), (), {"a": {"c": 2}}),
        ({"a": [{"b": 1, "c": 2}]}, {}, ("a.0.c",), (), {"a": [{"b": 1}]}),
        ({"a": [1, 2, 3]}, {"a.0": 9}, (), ({"field": "a", "newSize": 2},), {"a": [9, 2]}),
        ({"a": {"b": [1, 2]}}, {}, (), ({"field": "a.b", "newSize": 1},), {"a": {"b": [1]}}),
        # The row was looked up too late: nothing is made up where the path leads nowhere.
        ({}, {"a.b": 1}, ("c.d",), ({"field": "e", "newSize": 1},), {}),
        ({"a": 5}, {"a.b": 1}, ("a.c",), ({"field": "a", "newSize": 1},), {"a": 5}),
        ({"a": [1]}, {"a.x": 1}, (), (), {"a": [1]}),
    ],
)
def test_the_row_after_an_update(
    row: dict[str, Any], updated: Any, removed: Any, truncated: Any, after: dict[str, Any]
) -> None:
    before = json.dumps(row)

    assert updated_row("messages", row, updated, removed, truncated) == after
    assert json.dumps(row) == before


def test_what_was_cut_is_no_value_of_the_row() -> None:
    row = {"_id": "g", "name": "x"}
    truncation = {"field": "versions.0.tools", "newSize": 1}

    after = updated_row("agents", row, {"name": "y", "versions.3": None}, ["versions.1.x"], [truncation])

    assert after == {"_id": "g", "name": "y"}


def test_a_replaced_row_shares_nothing_that_changes() -> None:
    row = {"a": {"b": {"c": 1}}, "list": [{"x": 1}]}

    after = updated_row("messages", row, {"a.b.c": 2, "list.0.x": 2})

    assert row == {"a": {"b": {"c": 1}}, "list": [{"x": 1}]}
    assert after == {"a": {"b": {"c": 2}}, "list": [{"x": 2}]}


def test_dates_are_aware_and_utc() -> None:
    local = bson.encode({"d": NOON}, codec_options=CodecOptions(tz_aware=True))

    assert bson.decode(local, CODEC)["d"].utcoffset() == timedelta(0)


def _assert_plain(value: Any) -> None:
    assert type(value) in {str, int, float, bool, type(None), datetime, dict, list}, type(value)
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        for item in value.values():
            _assert_plain(item)
    if isinstance(value, list):
        for item in value:
            _assert_plain(item)


@pytest.mark.parametrize("place", ["9" * 5_000, "60000000", "-1", "²", "1_0"])
def test_a_name_that_is_no_place_in_the_list_that_was_found_is_passed_over(place: str) -> None:
    # The row was looked up later: where the update wrote into an object there is a list now.
    row = {"_id": HEX, "content": [1, 2]}

    after = updated_row(
        "messages", row, {f"content.{place}": "x", f"content.{place}.inner": "x", "text": "hi"}
    )

    assert after == {"_id": HEX, "content": [1, 2], "text": "hi"}


def test_beyond_the_end_of_a_list_mongodb_fills_up_with_null() -> None:
    assert updated_row("messages", {"content": [1]}, {"content.3": 4}) == {"content": [1, None, None, 4]}
