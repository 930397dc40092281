"""What rows tell of changes that nobody watched: each once, exactly where it can be, under one id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.config.mappings import load_mappings
from watcher.core.changes import Change
from watcher.core.mapping import CollectionMapping
from watcher.core.memory import Remembered, remembered
from watcher.core.recovery import (
    MARGIN,
    Gap,
    Known,
    Recovery,
    Row,
    advanced,
    came,
    found,
    gone,
    moment_of,
    next_stage,
    resumed,
    stages,
)

SINCE = datetime(2026, 1, 1, 12, tzinfo=UTC)
UNTIL = SINCE + timedelta(hours=1)
GAP = Gap.between(SINCE, UNTIL, began=SINCE - timedelta(days=9), reason="it fell off the oplog")
LONG_AGO = SINCE - timedelta(days=5)
MEANWHILE = SINCE + timedelta(minutes=10)


def test_a_row_that_came_in_the_gap_is_told_as_it_is_now() -> None:
    [change] = look(a_message(born=MEANWHILE, updatedAt=MEANWHILE, text="hi"))

    assert (change.operation, change.recovered, change.vague) == ("insert", True, False)
    assert change.at == MEANWHILE
    assert change.after is not None
    assert change.after["text"] == "hi"


def test_a_row_that_came_before_or_after_and_was_not_touched_tells_nothing() -> None:
    assert look(a_message(born=LONG_AGO)) == []
    assert look(a_message(born=UNTIL + timedelta(minutes=1), updatedAt=UNTIL), exact=False) == []


def test_old_dates_of_imports_do_not_hide_that_they_came_in_the_gap() -> None:
    [change] = look(a_message(born=MEANWHILE, createdAt=LONG_AGO))

    assert (change.operation, change.at - MEANWHILE < timedelta(seconds=1)) == ("insert", True)


def test_what_was_there_when_watching_began_was_never_to_be_sent() -> None:
    young = Gap.between(SINCE, UNTIL, began=SINCE - timedelta(milliseconds=300), reason="x")
    before = SINCE - timedelta(milliseconds=400)

    assert look(a_message(born=before, createdAt=before), gap=young) == []
    assert look(a_message(born=SINCE, createdAt=SINCE), gap=young)


def test_clocks_that_differ_a_little_hide_nothing() -> None:
    # LibreChat's clock is behind MongoDB's: the row came in the gap, and bears a time before it.
    stamped = SINCE - MARGIN / 2

    assert look(a_message(born=stamped, createdAt=stamped))
    assert look(a_message(born=LONG_AGO, updatedAt=stamped))


def test_what_was_sent_just_before_the_gap_is_not_sent_again() -> None:
    just_before = SINCE - timedelta(seconds=1)
    told = Known(told=just_before)

    assert look(a_message(born=just_before, createdAt=just_before), known=told) == []
    assert look(a_message(born=LONG_AGO, updatedAt=just_before), known=told) == []
    # An earlier change was sent, and this one was not.
    assert look(a_message(born=LONG_AGO, updatedAt=just_before), known=Known(told=LONG_AGO))


def test_without_a_memory_an_update_is_told_as_vague_as_it_is_known() -> None:
    [change] = look(a_message(born=LONG_AGO, updatedAt=MEANWHILE, text="hi", tokenCount=3, feedback=None))

    assert (change.operation, change.vague, change.at, change.before) == ("update", True, MEANWHILE, None)
    assert change.updated.keys() == {"messageId", "conversationId", "user", "text"}  # no noise; no own stamp


def test_a_stamp_of_its_own_tells_exactly_what_was_written() -> None:
    feedback = {"rating": "thumbsUp", "_id": object_id(MEANWHILE)}

    [change] = look(a_message(born=LONG_AGO, updatedAt=LONG_AGO, feedback=feedback))

    assert (change.vague, change.updated) == (False, {"feedback": feedback})


def test_a_rating_of_a_message_of_the_gap_is_told_after_it() -> None:
    rated = {"rating": "thumbsUp", "_id": object_id(MEANWHILE + timedelta(minutes=1))}

    changes = look(a_message(born=MEANWHILE, updatedAt=MEANWHILE, feedback=rated))

    assert [(change.operation, list(change.updated)) for change in changes] == [
        ("insert", []),
        ("update", ["feedback"]),
    ]


def test_a_fork_s_copied_rating_is_none_of_the_gap() -> None:
    copied = {"rating": "thumbsUp", "_id": object_id(LONG_AGO)}

    assert [change.operation for change in look(a_message(born=MEANWHILE, feedback=copied))] == ["insert"]


def test_what_is_remembered_is_compared_whatever_the_stamps_say() -> None:
    row = a_message(born=LONG_AGO, updatedAt=MEANWHILE, text="new", unfinished=False)
    before = a_message(born=LONG_AGO, text="old", unfinished=False)

    [change] = look(row, known=knows(before))

    assert (change.vague, change.updated, change.at) == (False, {"text": "new"}, MEANWHILE)
    assert look(replace(row, fields={**row.fields, "text": "old"}), known=knows(before)) == []


def test_what_a_scan_saw_in_the_gap_hides_nothing_that_was_written_before() -> None:
    seen = MEANWHILE + timedelta(minutes=1)
    came = a_message(born=MEANWHILE, updatedAt=MEANWHILE, text="new")
    edited = a_message(born=LONG_AGO, updatedAt=MEANWHILE, text="new")
    untouched = a_message(born=LONG_AGO, updatedAt=LONG_AGO, text="old")

    assert [change.operation for change in look(came, known=knows(came, at=seen))] == ["insert"]
    assert [change.vague for change in look(edited, known=knows(edited, at=seen))] == [True]
    assert look(untouched, known=knows(untouched, at=seen)) == []
    # What was written after the scan differs, and is told once.
    for moment in (MEANWHILE, seen + timedelta(minutes=1)):
        row = a_message(born=LONG_AGO, updatedAt=moment, text="new")
        [change] = look(row, known=knows(untouched, at=seen))
        assert (change.vague, change.updated) == (False, {"text": "new"})


def test_what_a_scan_saw_after_the_gap_is_the_stream_s_to_tell() -> None:
    row = a_message(born=LONG_AGO, updatedAt=LONG_AGO, text="old")
    newer = a_message(born=LONG_AGO, updatedAt=UNTIL + timedelta(minutes=1), text="new")

    assert look(row, known=knows(newer, at=UNTIL + timedelta(minutes=2))) == []


def test_a_row_that_was_sent_as_it_came_was_not_changed_by_coming() -> None:
    # Stream time is behind what was read; and a gap may be repaired by halves, and then again.
    for born in (SINCE + timedelta(milliseconds=500), MEANWHILE):
        told = Known(told=born)
        assert look(a_message(born=born, createdAt=born, updatedAt=born), known=told) == []
        assert look(a_message(born=born, createdAt=born, updatedAt=born + timedelta(seconds=9)), known=told)


def test_a_conversation_with_nothing_but_a_turn_tells_nothing_where_it_is_remembered() -> None:
    before = a_conversation(title="Oplogs", messages=["a"], updatedAt=LONG_AGO)
    turn = a_conversation(title="Oplogs", messages=["a", "b"], updatedAt=MEANWHILE)
    pinned = a_conversation(title="Oplogs", pinned=True, updatedAt=LONG_AGO)
    unset = a_conversation(updatedAt=MEANWHILE)

    assert look(turn, known=knows(before)) == []
    assert look(pinned, known=knows(before))[0].updated == {"pinned": True}
    assert look(unset, known=knows(before))[0].removed == ("title",)


def test_the_end_of_a_held_answer_is_told_as_its_end() -> None:
    finished = a_message(
        born=SINCE - timedelta(seconds=20), updatedAt=MEANWHILE, unfinished=False, text="whole"
    )

    [held] = look(finished, known=Known(told=SINCE - timedelta(seconds=20), held=True))
    [other] = look(finished, known=Known(told=SINCE - timedelta(seconds=20)))

    assert held.updated["unfinished"] is False
    assert "unfinished" not in other.updated


def test_a_row_that_went_is_told_with_what_was_remembered_of_it() -> None:
    change = gone("messages", "r1", Remembered(fields={"user": "u1", "#text": "abc"}, exact_after=SINCE), GAP)

    assert (change.operation, change.before, change.at) == ("delete", {"user": "u1"}, UNTIL)


def test_the_same_find_has_the_same_id_whoever_finds_it() -> None:
    row = a_message(born=MEANWHILE, updatedAt=MEANWHILE)
    later = replace(GAP, until=UNTIL + timedelta(hours=1))

    assert look(row)[0].id == look(row, gap=later)[0].id
    assert look(row)[0].id != look(a_message(born=MEANWHILE, name="other"))[0].id
    assert came(row) is not None
    assert came(row).id != look(row)[0].id  # type: ignore[union-attr] # it says `recovered`


def test_a_repair_goes_stage_by_stage_and_on_where_it_stopped() -> None:
    order = stages(["users", "messages"], remembered=["messages"])
    assert order == [("found", "users"), ("found", "messages"), ("gone", "messages")]

    begun = resumed(Recovery(gap=GAP), order)
    assert begun is not None
    paged = advanced(begun, after="x", rows=5, events={})
    assert resumed(paged, order) == paged
    following = next_stage(paged, order)
    assert following is not None
    assert (following.stage, following.after, following.rows) == (("found", "messages"), None, 5)
    assert next_stage(replace(paged, stage=("gone", "messages")), order) is None
    # The settings changed meanwhile: its collection is watched no more.
    anew = resumed(replace(paged, stage=("found", "agents")), order)
    assert anew is not None
    assert (anew.stage, anew.after) == (("found", "users"), None)
    assert resumed(Recovery(gap=GAP), []) is None


@pytest.mark.parametrize("value", [None, 7, "6b044d4a5965717e2ecc3a2", "Z" * 24, {}, datetime(2026, 1, 1)])  # noqa: DTZ001
def test_what_is_no_moment_is_none(value: Any) -> None:
    assert moment_of(value) is None


_odd = st.none() | st.integers() | st.text(max_size=5) | st.datetimes(timezones=st.just(UTC))


@given(
    fields=st.dictionaries(
        st.sampled_from(["_id", "createdAt", "updatedAt", "feedback", "text", "unfinished"]),
        _odd | st.dictionaries(st.just("_id"), _odd, max_size=1),
    ),
    remembers=st.booleans(),
    held=st.booleans(),
    exact=st.booleans(),
)
def test_no_row_however_damaged_stops_a_recovery(
    fields: dict[str, Any], remembers: bool, held: bool, exact: bool
) -> None:
    row = Row(collection="messages", id="r1", fields=fields)
    known = Known(memory=knows(row).memory if remembers else None, held=held)

    changes = look(row, known=known, exact=exact)

    assert len({change.id for change in changes}) == len(changes)
    assert not (remembers and changes)  # it is as it was


# ---------------------------------------------------------------------------------------- builders


@cache
def mapping(collection: str) -> CollectionMapping:
    return next(each for each in load_mappings() if each.collection == collection)


def names(collection: str) -> frozenset[str]:
    return mapping(collection).remembering(mapping(collection).rules, compare=True)


def look(row: Row, *, gap: Gap = GAP, known: Known | None = None, exact: bool = True) -> Sequence[Change]:
    traces = mapping(row.collection).traces
    return list(found(row, gap, traces, known or Known(), names=names(row.collection), exact=exact))


def knows(row: Row, *, at: datetime = LONG_AGO) -> Known:
    fields = remembered(row.collection, row.fields, names(row.collection))
    return Known(memory=Remembered(fields=fields, exact_after=at))


def object_id(moment: datetime, name: str = "") -> str:
    return f"{int(moment.timestamp()):08x}{name.encode().hex():0>16}"


def a_message(*, born: datetime, name: str = "", **fields: Any) -> Row:
    identity = object_id(born, name)
    base = {"messageId": "m1", "conversationId": "c1", "user": "u1", "createdAt": born}
    return Row(collection="messages", id=identity, fields={"_id": identity, **base, **fields})


def a_conversation(**fields: Any) -> Row:
    identity = object_id(LONG_AGO)
    base = {"conversationId": "c1", "user": "u1", "createdAt": LONG_AGO}
    return Row(collection="conversations", id=identity, fields={"_id": identity, **base, **fields})
