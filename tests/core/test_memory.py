"""The memory tells of a row what it was before a change, as exactly as it knows, and no secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.builders import NOON, a_change
from watcher.core.changes import Change
from watcher.core.events import Entity
from watcher.core.memory import PRESENT, Remembered, completed, remembered

NAMES = {"messages": frozenset({"messageId", "user", "feedback", "expiredAt"})}
ROW = Entity("messages:r1")
LATER = NOON + timedelta(seconds=1)


def test_a_deleted_row_is_told_as_it_was_inserted_and_updated() -> None:
    inserted = a_change(document_id="r1", after={"messageId": "m1", "user": "u1", "text": "private"})
    moved = an_update({"expiredAt": LATER, "text": "private"})
    deleted = a_change(document_id="r1", operation="delete", after=None, at=LATER)

    done = completed([inserted, moved, deleted], {}, NAMES)

    assert done.changes[2].before == {"messageId": "m1", "user": "u1", "expiredAt": LATER}
    assert done.learned == {ROW: None}


def test_only_the_names_that_are_wanted_are_kept() -> None:
    inserted = a_change(document_id="r1", after={"messageId": "m1", "text": "private", "user": None})

    done = completed([inserted], {}, NAMES)

    assert done.learned == {ROW: known(messageId="m1", user=None, exact_after=NOON)}


def test_an_update_is_told_with_what_the_row_was() -> None:
    before = known(messageId="m1", feedback={"rating": "up"})

    done = completed([an_update({"feedback": {"rating": "down"}})], {ROW: before}, NAMES)

    assert done.changes[0].before == before.fields
    assert done.learned == {ROW: known(messageId="m1", feedback={"rating": "down"})}


def test_a_memory_that_is_ahead_of_the_stream_does_not_say_what_an_update_changed() -> None:
    # The scan saw the row when the rating was there already; this change is the rating.
    ahead = known(messageId="m1", feedback={"rating": "up"}, exact_after=LATER)

    done = completed([an_update({"feedback": {"rating": "up"}})], {ROW: ahead}, NAMES)

    assert done.changes[0].before is None
    assert done.changes[0].after == {"messageId": "m1", "feedback": {"rating": "up"}}


def test_a_row_that_was_gone_when_it_was_looked_up_is_told_from_memory() -> None:
    change = an_update({"text": "new"}, removed=("user",))

    done = completed([change], {ROW: known(messageId="m1", user="u1")}, NAMES)

    assert done.changes[0].after == {"messageId": "m1", "text": "new"}


def test_what_an_update_left_alone_is_told_as_it_was_and_not_as_it_became_before_the_lookup() -> None:
    change = an_update(
        {"text": "half"}, after={"messageId": "m1", "text": "half", "feedback": {"rating": "up"}}
    )

    done = completed([change], {ROW: known(messageId="m1", feedback=None)}, NAMES)

    assert done.changes[0].after == {"messageId": "m1", "text": "half", "feedback": None}


def test_an_update_below_a_name_is_learned_from_the_row_as_it_is_now() -> None:
    change = an_update({"feedback.tag": "x"}, after={"feedback": {"rating": "up", "tag": "x"}})

    done = completed([change], {ROW: known(feedback={"rating": "up"})}, NAMES)

    assert done.learned == {ROW: known(feedback={"rating": "up", "tag": "x"})}


def test_what_an_update_wrote_without_a_word_of_its_value_is_known_no_more() -> None:
    change = replace(an_update({}), untold=("feedback",))

    done = completed([change], {ROW: known(user="u1", feedback=["a", "b"])}, NAMES)

    assert done.learned == {ROW: known(user="u1")}
    assert done.changes[0].after == {"user": "u1"}


def test_nothing_is_learned_from_updates_of_other_names_or_of_rows_not_scanned_yet() -> None:
    noise = an_update({"tokenCount": 7})

    assert completed([noise], {ROW: known(user="u1")}, NAMES).learned == {}
    assert completed([an_update({"user": "u2"})], {}, NAMES).learned == {}


def test_a_replace_is_learned_whole_and_not_compared() -> None:
    change = a_change(document_id="r1", operation="replace", after={"messageId": "m2"}, at=LATER)

    done = completed([change], {ROW: known(messageId="m1", user="u1")}, NAMES)

    assert done.changes[0].before is None
    assert done.learned == {ROW: known(messageId="m2", exact_after=LATER)}


def test_pre_images_are_better_than_the_memory() -> None:
    change = a_change(document_id="r1", operation="delete", before={"messageId": "exact"}, after=None)

    assert completed([change], {ROW: known(messageId="old")}, NAMES).changes[0].before == {
        "messageId": "exact"
    }


def test_collections_that_are_not_remembered_pass_as_they_are() -> None:
    change = a_change(collection="users", document_id="r1")

    done = completed([change], {}, NAMES)

    assert done.changes == [change]
    assert done.learned == {}


@pytest.mark.parametrize(
    ("collection", "name"), [("files", "filepath"), ("users", "password"), ("sessions", "refreshTokenHash")]
)
def test_of_secrets_and_paths_no_more_is_kept_than_that_they_are_there(collection: str, name: str) -> None:
    names = frozenset({name})

    assert remembered(collection, {name: "S3CRET"}, names) == {name: PRESENT}
    assert remembered(collection, {name: ""}, names) == {name: ""}
    assert remembered(collection, {name: None}, names) == {name: None}
    assert remembered(collection, {}, names) == {}


def known(*, exact_after: datetime | None = None, **fields: Any) -> Remembered:
    return Remembered(fields=fields, exact_after=exact_after or NOON - timedelta(hours=1))


def an_update(
    updated: dict[str, Any], *, removed: Sequence[str] = (), after: dict[str, Any] | None = None
) -> Change:
    return a_change(document_id="r1", operation="update", after=after, updated=updated, removed=removed)
