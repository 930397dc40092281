"""A lane decides what goes next. The model at the end plays random stores, receivers and restarts."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from watcher.core.bodies import Bodies
from watcher.core.changes import ChangeId
from watcher.core.circuits import Standing
from watcher.core.deliveries import Delivery, Stored
from watcher.core.encoding import MAX_BODY_BYTES
from watcher.core.endpoints import Endpoint, RateLimit
from watcher.core.events import Entity, Event, EventId, EventType, batch_id
from watcher.core.forms import DOCUMENTED, CloudEvents, Filled, Form, Transform
from watcher.core.lanes import (
    LEAST_BYTES,
    LINE_ROWS,
    UNSETTLED,
    WINDOW_BYTES,
    WINDOW_ROWS,
    Lane,
    Launch,
    window_of,
)
from watcher.core.verdicts import Dead, Delivered, RetryAt, Verdict

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


UNLIMITED = RateLimit()


def an_endpoint(*, rate: RateLimit = UNLIMITED, max_in_flight: int = 64) -> Endpoint:
    return Endpoint(
        name="crm",
        url="http://127.0.0.1:9/",
        secrets=(),
        events=("*",),
        rate=rate,
        max_in_flight=max_in_flight,
    )


def a_row(
    seq: int, entity: str = "", *, attempts: int = 0, due_at=None, batch=None, size: int = 10
) -> Stored:
    delivery = Delivery(
        id=EventId(f"webhook_{seq:040d}"),
        endpoint="crm",
        event=EventType("message.created"),
        entity=Entity(entity or f"conversation:{seq}"),
        row=Entity(f"messages:{seq}"),
        at=NOON,
        body=b"x" * size,
    )
    return Stored(seq=seq, delivery=delivery, attempts=attempts, due_at=due_at, batch=batch)


def end(lane: Lane, launch: Launch, verdict: Verdict, *, clock: float = 0.0, now: datetime = NOON) -> None:
    lane.answered(launch, clock=clock)
    lane.settle(launch.parcel, verdict, now=now)


def launched(lane: Lane, clock: float = 0.0) -> list[Launch]:
    launches = []
    while (launch := lane.take(clock=clock)) is not None:
        lane.written(launch, clock=clock)
        launches.append(launch)
    return launches


def seqs(launches: list[Launch]) -> list[list[int]]:
    return [[row.seq for row in launch.parcel.members] for launch in launches]


def test_different_entities_go_in_parallel_and_one_entity_one_by_one():
    lane = Lane(an_endpoint())

    lane.offer([a_row(1, "a"), a_row(2, "b"), a_row(3, "a")], now=NOON)
    first = launched(lane)

    assert seqs(first) == [[1], [2]]
    end(lane, first[0], Delivered())
    assert seqs(launched(lane)) == [[3]]


def test_the_next_of_an_entity_waits_while_the_one_before_it_is_to_be_tried_again():
    lane = Lane(an_endpoint())
    lane.offer([a_row(1, "a"), a_row(2, "a")], now=NOON)
    (launch,) = launched(lane)

    later = NOON + timedelta(seconds=5)
    end(lane, launch, RetryAt(at=later, reason="status 503"))
    lane.offer([a_row(3, "a")], now=NOON)

    assert launched(lane) == []
    assert lane.due(NOON) == ([], [])
    (returned,), _ = lane.due(later)
    lane.back(returned, [a_row(1, "a", attempts=1, due_at=later), a_row(2, "a"), a_row(3, "a")], now=later)
    assert seqs(launched(lane)) == [[1]]


def test_a_dead_delivery_lets_the_next_one_go():
    lane = Lane(an_endpoint())
    lane.offer([a_row(1, "a"), a_row(2, "a")], now=NOON)
    (launch,) = launched(lane)

    end(lane, launch, Dead(reason="status 500"))

    assert seqs(launched(lane)) == [[2]]


def test_slots_bound_what_is_in_flight():
    lane = Lane(an_endpoint(max_in_flight=2))

    lane.offer([a_row(seq) for seq in range(1, 6)], now=NOON)

    assert seqs(launched(lane)) == [[1], [2]]


def test_one_busy_entity_does_not_fill_the_window_of_the_others():
    lane = Lane(an_endpoint())

    lane.offer([a_row(seq, "busy") for seq in range(1, LINE_ROWS + 500)], now=NOON)

    assert lane.room() >= WINDOW_ROWS - LINE_ROWS
    lane.offer([a_row(10_000, "other")], now=NOON)
    assert seqs(launched(lane)) == [[1], [10_000]]


def test_what_did_not_fit_in_an_entity_s_line_comes_back_from_the_store_in_order():
    lane, store = Lane(an_endpoint()), [a_row(seq, "busy") for seq in range(1, 3 * LINE_ROWS + 4)]
    lane.offer(store, now=NOON)

    sent: list[int] = []
    while launches := launched(lane):
        for launch in launches:
            sent.extend(row.seq for row in launch.parcel.members)
            end(lane, launch, Delivered())
        returns, _ = lane.due(NOON)
        for returned in returns:
            rows = [row for row in store if row.seq >= returned.start][:LINE_ROWS]
            lane.back(returned, rows, now=NOON)

    assert sent == [row.seq for row in store]


def test_singles_while_the_pace_allows_and_batches_for_the_surplus():
    lane = Lane(an_endpoint(rate=RateLimit(max_per_second=2, batch_size=3)))
    lane.offer([a_row(1), a_row(2)], now=NOON)

    assert seqs(launched(lane)) == [[1], [2]]
    lane.offer([a_row(seq) for seq in range(3, 8)], now=NOON)
    assert launched(lane) == []
    assert seqs(launched(lane, clock=1.3)) == [[3, 4, 5], [6, 7]]


def test_a_batch_takes_several_of_one_entity_in_order_and_none_overtakes():
    lane = Lane(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=3)))
    lane.offer([a_row(1, "a"), a_row(2, "a"), a_row(3, "a"), a_row(4, "a"), a_row(5, "b")], now=NOON)

    (first,) = launched(lane)
    end(lane, first, Delivered())
    (second,) = launched(lane, clock=1.3)

    assert seqs([first, second]) == [[1, 2, 3], [4, 5]]


def test_what_is_under_way_and_not_yet_settled_weighs_as_what_waits_does():
    lane = Lane(an_endpoint(), window_bytes=4 * MAX_BODY_BYTES)
    lane.offer([a_row(seq, size=MAX_BODY_BYTES) for seq in range(1, 5)], now=NOON)
    assert lane.room() == 0

    launches = launched(lane)
    assert lane.room() == 0, "under way"
    for launch in launches:
        lane.answered(launch, clock=0.0)
    assert lane.room() == 0, "not settled"

    lane.settle(launches[0].parcel, Delivered(), now=NOON)
    assert lane.room() > 0


@pytest.mark.parametrize(
    ("endpoints", "megabytes"), [(0, 16), (1, 16), (2, 16), (8, 4), (100, 0.32), (10**6, 0.25)]
)
def test_endpoints_share_what_bodies_may_weigh_in_memory(endpoints: int, megabytes: float):
    assert window_of(endpoints) == pytest.approx(megabytes * 1024 * 1024, rel=0.01)


def test_a_batch_stays_below_the_largest_body():
    lane = Lane(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=10)))
    big = MAX_BODY_BYTES // 2 - 2_000

    lane.offer([a_row(seq, size=big) for seq in range(1, 6)], now=NOON)

    assert seqs(launched(lane)) == [[1, 2]]


def in_form(row: Stored, form: Form) -> Stored:
    event = Event(
        type=row.delivery.event,
        change=ChangeId("82"),
        at=NOON,
        entity=row.delivery.entity,
        user_id=None,
        data={},
    )
    body = Bodies(event).of(replace(an_endpoint(), form=form), row.delivery.id).content
    return replace(row, delivery=replace(row.delivery, body=body))


def test_a_batch_is_of_one_form_whatever_the_settings_were_when_each_was_stored():
    own = Transform(name="transform", source={}, fill=lambda document: Filled(value={"text": "new"}))
    forms: list[Form] = [DOCUMENTED, DOCUMENTED, CloudEvents(), CloudEvents(), own, own, DOCUMENTED]
    for entities in ("aaaaaaa", "abcdefg", "aabbaab"):
        lane = Lane(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=10)))
        rows = [a_row(seq, f"conversation:{entities[seq - 1]}") for seq in range(1, 8)]
        lane.offer([in_form(row, form) for row, form in zip(rows, forms, strict=True)], now=NOON)

        sent: list[Launch] = []
        for second in range(8):
            for launch in launched(lane, clock=1.3 * second):
                end(lane, launch, Delivered())
                sent.append(launch)

        batches = seqs(sent)
        assert all(forms[seq - 1] == forms[batch[0] - 1] for batch in batches for seq in batch)
        assert [seq for batch in batches for seq in batch] == list(range(1, 8))
        assert [1, 2] in batches


def test_a_failed_batch_comes_back_as_the_same_batch():
    lane = Lane(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=2)))
    rows = [a_row(1), a_row(2), a_row(3)]
    lane.offer(rows, now=NOON)
    (launch,) = launched(lane)
    batch = launch.parcel.batch
    assert batch is not None
    assert not launch.bound

    end(lane, launch, RetryAt(at=NOON, reason="status 500"))
    _, batches = lane.due(NOON)
    again = [replace(row, attempts=1, due_at=NOON, batch=batch) for row in rows[:2]]
    lane.regroup(batch, again, now=NOON)
    (retried,) = launched(lane, clock=1.3)

    assert batches == [batch]
    assert retried.parcel.batch == batch
    assert retried.bound
    assert retried.parcel.members == tuple(again)


def test_a_batch_stands_in_commit_order_so_that_it_comes_back_as_the_same_one():
    lane = Lane(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=3)))
    lane.offer([a_row(1, "conversation:a"), a_row(2, "conversation:b"), a_row(3, "conversation:a")], now=NOON)

    (launch,) = launched(lane)
    assert seqs([launch]) == [[1, 2, 3]]
    end(lane, launch, RetryAt(at=NOON, reason="status 500"))
    (batch,) = lane.due(NOON)[1]
    lane.regroup(batch, launch.parcel.members, now=NOON)

    (retried,) = launched(lane, clock=1.3)
    assert retried.parcel == launch.parcel


def test_a_batch_that_was_bound_before_there_were_to_be_none_goes_one_by_one():
    lane = Lane(an_endpoint(rate=RateLimit()))

    lane.offer([a_row(1, "a", batch=EventId("b")), a_row(2, "b", batch=EventId("b"))], now=NOON)

    assert seqs(launched(lane)) == [[1], [2]]


def a_batch_to_be_sent_again(lane: Lane, rows: list[Stored]) -> EventId:
    """It failed, and its wait is over."""
    lane.offer(rows, now=NOON)
    (launch,) = launched(lane)
    batch = launch.parcel.batch
    assert batch is not None
    end(lane, launch, RetryAt(at=NOON, reason="status 500"))
    lane.due(NOON)
    lane.regroup(batch, [replace(row, attempts=1, due_at=NOON, batch=batch) for row in rows], now=NOON)
    return batch


def test_settings_without_batches_let_a_batch_that_waits_go_one_by_one_and_lose_none_of_it():
    batching = RateLimit(max_per_second=1, batch_size=2)
    lane, rows = Lane(an_endpoint(rate=batching)), [a_row(1), a_row(2)]
    batch = a_batch_to_be_sent_again(lane, rows)

    lane.become(an_endpoint(), WINDOW_BYTES, clock=1.3, now=NOON)
    returns, _ = lane.due(NOON)
    for returned in returns:
        stored = [replace(row, attempts=1, due_at=NOON, batch=batch) for row in rows]
        lane.back(returned, [row for row in stored if row.delivery.entity == returned.entity], now=NOON)

    alone = launched(lane, clock=2.5)
    assert sorted(seqs(alone)) == [[1], [2]]
    assert all(launch.parcel.batch is None for launch in alone)


def test_while_a_receiver_is_down_a_batch_that_it_refuses_is_not_every_probe():
    lane = Lane(an_endpoint(rate=RateLimit(max_per_second=100, batch_size=2), max_in_flight=1))
    lane.circuit.stand(Standing(state="open", reason="", since=NOON), now=NOON, clock=0)
    lane.offer([a_row(seq) for seq in range(1, 400)], now=NOON)

    probes = []
    clock = 0.0
    for _ in range(6):
        launch = lane.take(clock=clock)
        assert launch is not None
        probes.append(launch.parcel.batch)
        lane.written(launch, clock=clock)
        end(lane, launch, RetryAt(at=NOON, reason="status 413"), clock=clock)
        for batch in lane.due(NOON)[1]:  # it is due again at once, before every other
            rows = [replace(row, attempts=9, due_at=NOON, batch=batch) for row in launch.parcel.members]
            lane.regroup(batch, rows, now=NOON)
        clock += 60

    assert len(set(probes)) >= 3


def test_a_batch_that_lost_a_member_is_no_batch_any_more():
    lane = Lane(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=2)))
    rows = [a_row(1), a_row(2)]
    lane.offer(rows, now=NOON)
    (launch,) = launched(lane)
    batch = launch.parcel.batch
    assert batch is not None
    end(lane, launch, RetryAt(at=NOON, reason="status 500"))
    lane.due(NOON)

    left = replace(rows[1], attempts=1, due_at=NOON, batch=batch)
    lane.regroup(batch, [left], now=NOON)
    for returned in lane.due(NOON)[0]:
        lane.back(returned, [left] if returned.entity == left.delivery.entity else [], now=NOON)

    (single,) = launched(lane, clock=1.3)
    assert single.parcel.batch is None
    assert single.parcel.members == (left,)


@pytest.mark.parametrize("when", ["while it waits for its turn", "after it failed again"])
def test_what_is_left_of_a_batch_that_reached_beyond_the_window_is_sent_all_the_same(when):
    lane = Lane(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=2)))
    batch = batch_id((a_row(1).delivery.id, a_row(2).delivery.id))
    rows = [replace(a_row(seq), attempts=1, due_at=NOON, batch=batch) for seq in (1, 2)]
    lane.offer(rows[:1], now=NOON)  # as after a restart; there is no room for the second
    lane.due(NOON)
    lane.regroup(batch, rows, now=NOON)
    if when == "while it waits for its turn":
        lane.recall(NOON)
    else:
        (launch,) = launched(lane)
        end(lane, launch, RetryAt(at=NOON, reason="status 500"))
    lane.due(NOON)

    lane.regroup(batch, rows[1:], now=NOON)  # the first is cancelled
    for returned in lane.due(NOON)[0]:
        lane.back(returned, [row for row in rows[1:] if row.delivery.entity == returned.entity], now=NOON)
    lane.offer(rows[1:], now=NOON)

    assert seqs(launched(lane, clock=1.3)) == [[2]]


def test_a_window_of_large_bodies_is_full_sooner():
    lane = Lane(an_endpoint(max_in_flight=1))

    lane.offer([a_row(seq, size=1_000_000) for seq in range(1, 17)], now=NOON)
    assert lane.room() > 0
    lane.offer([a_row(17, size=1_000_000)], now=NOON)
    assert lane.room() == 0

    for _ in range(2):
        (launch,) = launched(lane)
        end(lane, launch, Delivered())
    assert lane.room() > 0


class Store:
    """An outbox as a list: what a lane's shell would read and settle."""

    def __init__(self) -> None:
        self.rows: dict[int, Stored] = {}

    def append(self, row: Stored) -> None:
        self.rows[row.seq] = row

    def after(self, cursor: int, limit: int) -> list[Stored]:
        return [row for seq, row in sorted(self.rows.items()) if seq > cursor][:limit]

    def of(self, entity: Entity, start: int) -> list[Stored]:
        rows = [row for seq, row in sorted(self.rows.items()) if seq >= start]
        return [row for row in rows if row.delivery.entity == entity][:LINE_ROWS]

    def members(self, batch: EventId) -> list[Stored]:
        return [row for _, row in sorted(self.rows.items()) if row.batch == batch]

    def settle(self, launch: Launch, verdict: Verdict) -> None:
        for row in launch.parcel.members:
            if row.seq not in self.rows:
                continue  # cancelled meanwhile
            if isinstance(verdict, RetryAt):
                self.rows[row.seq] = replace(
                    row, attempts=row.attempts + 1, due_at=verdict.at, batch=launch.parcel.batch
                )
            else:
                del self.rows[row.seq]


@pytest.mark.parametrize("seed", range(120))
def test_whatever_happens_each_is_sent_in_order_per_entity_and_none_is_left(seed):
    dice = random.Random(seed)
    rate = dice.choice([RateLimit(), RateLimit(max_per_second=5, batch_size=dice.choice([1, 3, 12]))])
    endpoint = an_endpoint(rate=rate, max_in_flight=dice.choice([1, 3, 8]))
    store, lane, seconds = Store(), Lane(endpoint), 0.0
    flying: list[Launch] = []
    ended: list[Launch] = []
    settled: dict[Entity, list[int]] = {}
    batches: dict[EventId, tuple[int, ...]] = {}
    reading: list[Stored] = []
    cancelled: set[int] = set()
    taken_back: set[int] = set()
    appended = 0

    for _ in range(3_000):
        now = NOON + timedelta(seconds=seconds)
        returns, due = lane.due(now)
        for returned in returns:
            lane.back(returned, store.of(returned.entity, returned.start), now=now)
        for batch in due:
            lane.regroup(batch, store.members(batch), now=now)
        lane.offer(reading, now=now)  # read a turn ago: what was settled meanwhile is still in it
        reading = store.after(lane.cursor, min(lane.room(), dice.choice([1, 2, 50])))
        for launch in launched(lane, clock=seconds):
            assert not cancelled & {row.seq for row in launch.parcel.members}
            busy = {row.delivery.entity for other in (*flying, *ended) for row in other.parcel.members}
            assert not busy & {row.delivery.entity for row in launch.parcel.members}
            bound = {store.rows[row.seq].batch for row in launch.parcel.members}
            whole = {batch for batch in bound if batch and not set(batches[batch]) & taken_back}
            assert whole <= {launch.parcel.batch}
            if launch.parcel.batch is not None:
                ids = tuple(row.seq for row in launch.parcel.members)
                assert batches.setdefault(launch.parcel.batch, ids) == ids
                for row in launch.parcel.members:
                    store.rows[row.seq] = replace(store.rows[row.seq], batch=launch.parcel.batch)
            flying.append(launch)
        assert len(flying) <= endpoint.max_in_flight
        assert len(ended) <= (UNSETTLED + 1) * endpoint.max_in_flight

        match dice.random():
            case chance if chance < 0.4 and appended < 150:
                for _ in range(dice.randint(1, 6)):
                    appended += 1
                    store.append(a_row(appended, f"conversation:{dice.randint(1, 6)}"))
            case chance if chance < 0.7 and flying:
                ended.append(flying.pop(dice.randrange(len(flying))))
                lane.answered(ended[-1], clock=seconds)
            case chance if chance < 0.97 and ended:
                launch = ended.pop(dice.randrange(len(ended)))
                failing = dice.random() < 0.3
                verdict = (
                    RetryAt(at=now + timedelta(seconds=dice.random() * 3), reason="")
                    if failing
                    else Delivered()
                )
                store.settle(launch, verdict)
                lane.settle(launch.parcel, verdict, now=now)
                if not failing:
                    for row in launch.parcel.members:
                        settled.setdefault(row.delivery.entity, []).append(row.seq)
                        cancelled.discard(row.seq)  # too late: it was under way
            case chance if 0.97 < chance < 0.98:
                taken = dice.sample(sorted(store.rows), k=min(len(store.rows), dice.randint(1, 4)))
                for seq in taken:
                    del store.rows[seq]
                cancelled.update(taken)
                taken_back.update(taken)
                lane.recall(now)
                reading = []
            case chance if chance > 0.97 and dice.random() < 0.9:
                # Killed, and started again on the same store.
                lane, flying, ended, reading = Lane(endpoint), [], [], []
        seconds += dice.random() * 0.3

    assert appended > 100
    assert store.rows == {}
    assert all(done == sorted(done) for done in settled.values())
    assert sum(len(done) for done in settled.values()) + len(cancelled) == appended


def test_memory_stays_bounded_when_many_parked_entities_come_due_at_once():
    lane = Lane(an_endpoint(max_in_flight=64))
    rows = [a_row(seq, f"conversation:{seq}", size=100_000) for seq in range(1, 5_001)]
    rows = [replace(row, attempts=1, due_at=NOON + timedelta(seconds=5)) for row in rows]
    lane.offer(rows, now=NOON)  # as after a restart
    later, sent, peak = NOON + timedelta(seconds=6), 0, 0

    while lane.next_wake(now=later, clock=0.0) is not None or lane.room() == 0:
        returns, _ = lane.due(later)
        for returned in returns:
            found = rows[returned.start - 1 : returned.start]
            mine = [row for row in found if row.delivery.entity == returned.entity]
            lane.back(returned, mine, now=later)
        peak = max(peak, sum(len(row.delivery.body) for line in lane._lines.values() for row in line.rows))
        for launch in launched(lane):
            end(lane, launch, Delivered(), now=later)
            sent += 1

    assert sent == 5_000
    assert peak <= 2 * WINDOW_BYTES


@pytest.mark.parametrize("fresh_first", [True, False])
def test_what_was_tried_alone_is_never_put_into_a_batch(fresh_first):
    lane = Lane(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=5)))
    tried = replace(a_row(2 if fresh_first else 1, "conversation:old"), attempts=3)
    fresh = [a_row(seq, f"conversation:{seq}") for seq in ((1, 3, 4) if fresh_first else (2, 3, 4))]
    lane.offer(sorted([tried, *fresh], key=lambda row: row.seq), now=NOON)

    parcels = []
    for second in range(4):
        for launch in launched(lane, clock=2.0 * second):
            end(lane, launch, Delivered())
            parcels.append([row.seq for row in launch.parcel.members])

    assert [tried.seq] in parcels
    assert sorted(seq for parcel in parcels for seq in parcel) == [1, 2, 3, 4]


def test_what_comes_back_after_a_wait_finds_room_by_weight():
    lane = Lane(an_endpoint(), window_bytes=LEAST_BYTES)
    later = NOON + timedelta(seconds=5)
    rows = [a_row(seq, attempts=1, due_at=later, size=MAX_BODY_BYTES) for seq in range(1, 41)]
    lane.offer(rows, now=NOON)
    sent: list[int] = []

    while returns := lane.due(later)[0]:
        (only,) = returns  # as much as there is room for, and one at least
        its_rows = [row for row in rows if row.delivery.entity == only.entity and row.seq >= only.start]
        lane.back(only, its_rows, now=later)
        for launch in launched(lane):
            assert lane.due(later) == ([], []), "nothing may come before this is settled"
            assert lane.next_wake(now=later, clock=0.0) is None
            end(lane, launch, Delivered())
            sent += [row.seq for row in launch.parcel.members]

    assert sent == [row.seq for row in rows]


def test_batches_that_are_due_again_find_room_by_weight():
    lane = Lane(an_endpoint(rate=RateLimit(batch_size=10)), window_bytes=4 * MAX_BODY_BYTES)
    batches = {}
    for first in range(1, 41, 2):
        both, half = (first, first + 1), MAX_BODY_BYTES // 2
        members = [a_row(seq, attempts=1, due_at=NOON, size=half) for seq in both]
        batch = batch_id(tuple(row.delivery.id for row in members))
        batches[batch] = [replace(row, batch=batch) for row in members]
        lane.offer(batches[batch], now=NOON)
    sent: list[EventId | None] = []

    while len(sent) < len(batches):
        while due := lane.due(NOON)[1]:
            assert len(due) <= 4
            for each in due:
                lane.regroup(each, batches[each], now=NOON)
            assert lane.room() == 0
        for launch in launched(lane):
            sent.append(launch.parcel.batch)
            end(lane, launch, Delivered())

    assert sent == list(batches)


# ---------------------------------------------------------------- who waits for a settlement


def answered(lane: Lane) -> Launch:
    """The one that is next, sent and answered; not settled."""
    launch = lane.take(clock=0.0)
    assert launch is not None
    lane.answered(launch, clock=0.0)
    return launch


def test_nothing_waits_for_a_settlement_where_there_is_nothing_else():
    lane = Lane(an_endpoint())
    lane.offer([a_row(1, "a")], now=NOON)

    answered(lane)

    assert not lane.is_waiting


def test_what_is_behind_it_waits_here_or_in_the_store():
    lane = Lane(an_endpoint())
    lane.offer([a_row(1, "a"), a_row(2, "a")], now=NOON)
    answered(lane)
    assert lane.is_waiting, "here"

    lane = Lane(an_endpoint())
    lane.offer([a_row(seq, "a") for seq in range(1, LINE_ROWS + 2)], now=NOON)
    for _ in range(LINE_ROWS - 1):
        lane.settle(answered(lane).parcel, Delivered(), now=NOON)
    answered(lane)
    assert lane.is_waiting, "in the store"


def test_room_is_waited_for():
    lane = Lane(an_endpoint(), window_bytes=100)
    lane.offer([a_row(1, "a", size=100)], now=NOON)

    answered(lane)

    assert lane.is_waiting


def test_a_batch_that_goes_again_keeps_others_waiting():
    lane = Lane(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=2)))
    lane.offer([a_row(1, "a"), a_row(2, "b")], now=NOON)
    (batch,) = launched(lane)
    end(lane, batch, RetryAt(at=NOON, reason="status 500"))
    _, (again,) = lane.due(NOON)
    lane.regroup(again, batch.parcel.members, now=NOON)
    assert lane.is_waiting, "to go"

    launched(lane, clock=20.0)

    assert lane.is_waiting, "under way"


def test_how_much_may_be_unsettled_follows_the_slots():
    lane = Lane(an_endpoint(max_in_flight=1))
    lane.offer([a_row(seq) for seq in range(1, 20)], now=NOON)
    for _ in range(UNSETTLED):
        answered(lane)
    assert lane.take(clock=0.0) is None

    lane.become(an_endpoint(max_in_flight=2), WINDOW_BYTES, clock=0.0, now=NOON)

    assert lane.take(clock=0.0) is not None
