"""A heavy batch is taken in parts, each a batch like any other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON, a_change, a_checkpoint
from watcher.core.encoding import MAX_BODY_BYTES
from watcher.pipeline.portions import ENVELOPE_BYTES, PORTION_BYTES, portions
from watcher.ports import Batch


def a_batch(*lengths: int) -> Batch:
    changes = [
        replace(a_change(after={"text": "x" * length}), at=NOON + timedelta(seconds=number))
        for number, length in enumerate(lengths)
    ]
    through = NOON + timedelta(seconds=len(lengths))
    return Batch(changes=tuple(changes), checkpoint=a_checkpoint("82FF"), through=through)


def weight(batch: Batch, receivers: int) -> int:
    lengths = [len(change.after["text"]) for change in batch.changes if change.after is not None]
    return receivers * sum(min(MAX_BODY_BYTES, length + ENVELOPE_BYTES) for length in lengths)


def test_a_light_batch_and_an_empty_one_stay_whole():
    for batch in (a_batch(), a_batch(*[100] * 200)):
        assert list(portions(batch, receivers=3)) == [batch]


def test_a_part_ends_with_its_last_change():
    batch = a_batch(*[900_000] * 16)

    parts = list(portions(batch, receivers=10))

    assert [len(part.changes) for part in parts] == [1] * 16
    for part in parts[:-1]:
        assert (part.checkpoint.token, part.through) == (part.changes[-1].id, part.changes[-1].at)
    assert (parts[-1].checkpoint, parts[-1].through) == (batch.checkpoint, batch.through)


def test_a_part_s_stream_time_is_before_all_that_follows():
    batch = a_batch(900_000, 900_000, 900_000)
    first, second, third = batch.changes
    batch = replace(batch, changes=(first, second, replace(third, at=first.at - timedelta(seconds=1))))

    parts = list(portions(batch, receivers=10))

    assert [part.through for part in parts[:-1]] == [first.at - timedelta(seconds=1)] * 2


def test_a_part_is_weighed_in_bytes():
    batch = a_batch(*[300_000] * 4)
    wide = tuple(replace(each, after={"text": "你" * 300_000}) for each in batch.changes)

    assert len(list(portions(batch, receivers=6))) == 1
    assert len(list(portions(replace(batch, changes=wide), receivers=6))) == 4


def test_what_it_weighs_in_memory_is_told_with_the_rows_before():
    batch = a_batch(1_000, 2_000)
    deleted = tuple(replace(each, before={"text": "x" * 50_000}, after=None) for each in batch.changes)

    (part,) = portions(batch, receivers=3)
    (gone,) = portions(replace(batch, changes=deleted), receivers=3)

    assert part.weight == weight(batch, 3)
    assert gone.weight == 2 * 50_000 + 2 * 3 * ENVELOPE_BYTES


@given(
    st.lists(st.sampled_from([0, 1_000, 100_000, 900_000, 5_000_000]), max_size=40),
    st.integers(min_value=0, max_value=40),
)
def test_all_of_it_comes_in_order_and_no_part_is_heavier_than_need_be(lengths, receivers):
    batch = a_batch(*lengths)

    parts = list(portions(batch, receivers=receivers))

    assert tuple(change for part in parts for change in part.changes) == batch.changes
    assert [part.through for part in parts] == sorted(part.through for part in parts)
    for part in parts:
        assert len(part.changes) <= 1 or weight(part, max(1, receivers)) <= PORTION_BYTES
    assert parts[-1].checkpoint == batch.checkpoint
