"""What every Outbox promises, sentence by sentence of the port's docstrings."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement, checkpoint_of
from watcher.core.backfill import Backfill
from watcher.core.circuits import Standing
from watcher.core.deliveries import Fate, Hold, Lift
from watcher.core.events import Entity, EventId, EventType
from watcher.core.marks import Mark
from watcher.core.memory import Remembered
from watcher.core.outcomes import Answered, Unreachable
from watcher.core.recovery import Gap, Known, Recovery
from watcher.core.verdicts import Dead, Delivered, RetryAt
from watcher.ports import NOTHING_LEARNED, Counts

LATER = NOON + timedelta(minutes=1)
ENDED = NOON + timedelta(milliseconds=12)
"""When the attempt of `a_settlement` was over."""


async def put(outbox, *entries, token="82AA", through=NOON, marks=(), learned=NOTHING_LEARNED):
    return await outbox.append(
        entries, checkpoint=a_checkpoint(token), through=through, marks=marks, learned=learned
    )


def known(**fields):
    return Remembered(fields=fields, exact_after=NOON)


async def ids(outbox, endpoint="crm", after=0):
    return [
        row.delivery.id for row in await outbox.pending(endpoint, after=after, limit=100, max_bytes=10**9)
    ]


def held(key="messages:1", until=LATER, **fields):
    return a_delivery(hold=Hold(key=key, until=until), **fields)


def a_fate(delivery, **fields):
    nothing = dict.fromkeys(("status", "reason", "due_at", "held_until", "attempted_at", "settled_at"))
    same = {name: getattr(delivery, name) for name in ("id", "endpoint", "event", "at")}
    return Fate(**{**same, **nothing, "state": "pending", "attempts": 0, **fields})


class OutboxContract:
    """Subclasses give the `outbox` fixture."""

    async def test_before_the_first_append_there_is_no_checkpoint(self, outbox):
        assert await outbox.position() is None
        assert await outbox.pending("crm", after=0, limit=10, max_bytes=10**9) == []

    async def test_deliveries_and_checkpoint_are_there_after_an_append(self, outbox):
        delivery = a_delivery(body='{"text":"é🧵"}'.encode())

        new = await put(outbox, delivery, token="82AB")

        (row,) = await outbox.pending("crm", after=0, limit=10, max_bytes=10**9)
        assert new == 1
        assert row.delivery == delivery
        assert (row.attempts, row.due_at, row.batch) == (0, None, None)
        assert await checkpoint_of(outbox) == a_checkpoint("82AB")

    async def test_what_an_address_is_made_of_is_kept_beside_the_body(self, outbox):
        delivery = a_delivery(context='{"event":"é"}'.encode())

        await put(outbox, delivery, a_delivery())

        first, second = await outbox.pending("crm", after=0, limit=10, max_bytes=10**9)
        assert first.delivery == delivery
        assert second.delivery.context is None

    async def test_a_quiet_checkpoint_moves_the_token_and_keeps_the_last_change_s_time(self, outbox):
        await put(outbox, a_delivery())

        await outbox.append([], checkpoint=a_checkpoint("82AC", at=None), through=NOON)

        assert await checkpoint_of(outbox) == a_checkpoint("82AC", at=NOON)

    async def test_their_order_is_the_order_of_seq(self, outbox):
        deliveries = [a_delivery() for _ in range(450)]

        await put(outbox, *deliveries[:3])
        await put(outbox, *deliveries[3:])

        rows = await outbox.pending("crm", after=0, limit=1_000, max_bytes=10**9)
        assert [row.delivery for row in rows] == deliveries
        assert [row.seq for row in rows] == sorted({row.seq for row in rows})

    async def test_a_delivery_already_there_is_left_as_it_is(self, outbox):
        delivery, other = a_delivery(), a_delivery()
        await put(outbox, delivery)
        (row,) = await outbox.pending("crm", after=0, limit=10, max_bytes=10**9)
        await outbox.settle([a_settlement(row)])

        new = await put(outbox, delivery, other, token="82AD")

        assert new == 1
        assert await ids(outbox) == [other.id]
        assert await checkpoint_of(outbox) == a_checkpoint("82AD")

    async def test_a_refused_delivery_is_dead_from_the_start(self, outbox):
        await put(outbox, a_delivery(refused="KeyError in the rule at x.yaml:3"))

        assert await ids(outbox) == []
        assert await outbox.counts() == {"crm": Counts(dead=1)}

    async def test_endpoints_are_apart(self, outbox):
        mine, theirs = a_delivery(), a_delivery(endpoint="slack")

        await put(outbox, mine, theirs)

        assert await ids(outbox, "crm") == [mine.id]
        assert await ids(outbox, "slack") == [theirs.id]

    async def test_pending_goes_on_after_a_seq_and_stops_at_the_limit(self, outbox):
        deliveries = [a_delivery() for _ in range(5)]
        await put(outbox, *deliveries)

        first = await outbox.pending("crm", after=0, limit=2, max_bytes=10**9)
        rest = await outbox.pending("crm", after=first[-1].seq, limit=10, max_bytes=10**9)

        assert [row.delivery for row in (*first, *rest)] == deliveries
        assert len(first) == 2

    async def test_reading_stops_with_the_row_that_reaches_the_bytes(self, outbox):
        await put(outbox, *(a_delivery(body=b"x" * 500, context=b"x" * 500) for _ in range(5)))

        rows = await outbox.pending("crm", after=0, limit=9, max_bytes=2_500)
        mine = await outbox.pending_of("crm", Entity("conversation:c1"), start=0, limit=9, max_bytes=1)

        assert (len(rows), len(mine)) == (3, 1)

    async def test_pending_of_gives_one_entity_from_a_seq_on(self, outbox):
        mine = [a_delivery(entity=Entity("conversation:mine")) for _ in range(4)]
        await put(outbox, mine[0], a_delivery(), mine[1], mine[2], a_delivery(), mine[3])
        start = (
            await outbox.pending_of("crm", Entity("conversation:mine"), start=0, limit=9, max_bytes=10**9)
        )[1].seq

        rows = await outbox.pending_of(
            "crm", Entity("conversation:mine"), start=start, limit=2, max_bytes=10**9
        )

        assert [row.delivery for row in rows] == mine[1:3]

    # ------------------------------------------------------------------ holds

    async def test_a_held_delivery_waits_until_stream_time_has_passed_its_end(self, outbox):
        one = held()
        await put(outbox, one, through=NOON)
        assert await ids(outbox) == []

        await put(outbox, through=LATER - timedelta(milliseconds=1))
        assert await ids(outbox) == []
        assert await outbox.counts() == {"crm": Counts(held=1)}

        await put(outbox, through=LATER)
        assert await ids(outbox) == [one.id]
        assert await outbox.counts() == {"crm": Counts(pending=1)}

    async def test_a_released_hold_stands_behind_what_came_before_and_in_front_of_what_comes_with_it(
        self, outbox
    ):
        one, between, after = held(), a_delivery(), a_delivery()
        await put(outbox, one)
        await put(outbox, between)
        (seen,) = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)

        await put(outbox, after, through=LATER)

        assert await ids(outbox, after=seen.seq) == [one.id, after.id]

    async def test_a_lift_sends_what_its_key_holds_to_every_endpoint_and_nothing_else(self, outbox):
        mine, theirs, other = held(), held(endpoint="slack"), held(key="messages:2")
        await put(outbox, mine, theirs, other)
        follower = a_delivery()

        await put(outbox, Lift(key="messages:1", to="pending", reason="deleted"), follower)

        assert await ids(outbox, "crm") == [mine.id, follower.id]
        assert await ids(outbox, "slack") == [theirs.id]
        assert (await outbox.counts())["crm"] == Counts(held=1, pending=2)

    async def test_a_lift_may_cancel_what_its_key_holds(self, outbox):
        await put(outbox, held(), held(key="messages:2"))
        finished = a_delivery()

        await put(outbox, Lift(key="messages:1", to="cancelled", reason="finished"), finished)
        await put(outbox, through=LATER)

        assert len(await ids(outbox)) == 2
        assert await outbox.counts() == {"crm": Counts(pending=2, cancelled=1)}

    async def test_a_lift_goes_before_time_when_both_come_in_one_append(self, outbox):
        # After an outage one batch may reach from before the end of an answer to long after its hold.
        await put(outbox, held())
        finished = a_delivery()

        lift = Lift(key="messages:1", to="cancelled", reason="finished")
        await put(outbox, lift, finished, through=LATER + timedelta(hours=1))

        assert await ids(outbox) == [finished.id]

    async def test_a_hold_and_its_lift_may_come_in_one_append(self, outbox):
        one, finished = held(), a_delivery()

        await put(outbox, one, Lift(key="messages:1", to="cancelled", reason="finished"), finished)

        assert await ids(outbox) == [finished.id]

    @pytest.mark.parametrize("by", ["row", "entity"])
    async def test_a_repeat_of_a_lift_leaves_alone_what_is_held_behind_it(self, outbox, by):
        first, again = held(), held()
        await put(outbox, first)
        key = "messages:1" if by == "row" else first.entity
        rewritten = [Lift(key=key, by=by, to="cancelled", reason="rewritten"), again]

        for _ in range(2):
            await put(outbox, *rewritten)
            assert await outbox.counts() == {"crm": Counts(held=1, cancelled=1)}

        await put(outbox, through=LATER)
        assert await ids(outbox) == [again.id]

    async def test_a_lift_by_entity_sends_all_that_is_held_of_it_in_the_order_in_which_it_was_due(
        self, outbox
    ):
        mine = Entity("user:1")
        late = held(key="sessions:2", entity=mine, until=LATER)
        soon = held(key="users:1", entity=mine, until=LATER - timedelta(seconds=1))
        await put(outbox, late, soon, held(entity=Entity("user:2")))
        follower = a_delivery(entity=mine)

        await put(outbox, Lift(key=mine, by="entity", to="pending", reason="overtaken"), follower)

        assert await ids(outbox) == [soon.id, late.id, follower.id]
        assert (await outbox.counts())["crm"] == Counts(held=1, pending=3)

    # ------------------------------------------------------------------ settling

    async def settled(self, outbox, verdict, outcome=None):
        delivery = a_delivery()
        await put(outbox, delivery)
        (row,) = await outbox.pending("crm", after=0, limit=10, max_bytes=10**9)
        await outbox.settle([a_settlement(row, verdict, outcome or Answered(status=500))])
        return row, await outbox.pending("crm", after=0, limit=10, max_bytes=10**9)

    async def test_delivered_is_pending_no_more(self, outbox):
        _, left = await self.settled(outbox, Delivered(), Answered(status=204))

        assert left == []
        assert await outbox.counts() == {"crm": Counts(delivered=1)}

    async def test_a_retry_keeps_its_place_and_counts_the_attempt(self, outbox):
        row, (left,) = await self.settled(outbox, RetryAt(at=LATER, reason="status 500"))

        assert left.seq == row.seq
        assert left.delivery == row.delivery
        assert (left.attempts, left.due_at) == (1, LATER)

    async def test_dead_is_kept_and_counted(self, outbox):
        _, left = await self.settled(outbox, Dead(reason="status 500"))

        assert left == []
        assert await outbox.counts() == {"crm": Counts(dead=1)}

    async def test_what_is_no_longer_pending_is_left_as_it_is(self, outbox):
        row, _ = await self.settled(outbox, Delivered())

        await outbox.settle([a_settlement(row, Dead(reason="late"))])

        assert await outbox.counts() == {"crm": Counts(delivered=1)}

    async def test_of_several_those_that_are_no_longer_pending_keep_none_of_the_others(self, outbox):
        await put(outbox, *(a_delivery() for _ in range(4)))
        rows = await outbox.pending("crm", after=0, limit=10, max_bytes=10**9)
        await outbox.settle([a_settlement(rows[1], Dead(reason="status 500"))])

        await outbox.settle([a_settlement(row) for row in rows[:3]])

        assert await outbox.counts() == {"crm": Counts(pending=1, delivered=2, dead=1)}
        (left,) = await outbox.pending("crm", after=0, limit=10, max_bytes=10**9)
        assert left.delivery.id == rows[3].delivery.id

    async def test_a_settlement_that_is_written_twice_counts_one_attempt(self, outbox):
        await put(outbox, a_delivery())
        (row,) = await outbox.pending("crm", after=0, limit=10, max_bytes=10**9)
        retry = a_settlement(row, RetryAt(at=LATER, reason="status 500"), Answered(status=500))

        await outbox.settle([retry])
        await outbox.settle([retry])

        (left,) = await outbox.pending("crm", after=0, limit=10, max_bytes=10**9)
        assert left.attempts == 1

    async def test_many_settle_at_once_each_with_its_verdict(self, outbox):
        await put(outbox, *(a_delivery() for _ in range(300)))
        rows = await outbox.pending("crm", after=0, limit=300, max_bytes=10**9)
        verdicts = [Delivered(), Dead(reason="x"), RetryAt(at=LATER, reason="y")]

        await asyncio.gather(*(outbox.settle([a_settlement(row, verdicts[row.seq % 3])]) for row in rows))

        assert await outbox.counts() == {"crm": Counts(pending=100, delivered=100, dead=100)}

    async def test_a_batch_is_remembered_with_its_members_in_order(self, outbox):
        await put(outbox, *(a_delivery() for _ in range(4)))
        rows = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        batch = EventId("webhook_batch")

        await outbox.bind([rows[3], rows[1]], batch)

        members = await outbox.members("crm", batch)
        assert [row.seq for row in members] == [rows[1].seq, rows[3].seq]
        assert {row.batch for row in members} == {batch}
        await outbox.settle([a_settlement(members[0])])
        assert [row.seq for row in await outbox.members("crm", batch)] == [rows[3].seq]

    # ------------------------------------------------------------------ the rest

    async def test_marks_are_remembered_until_they_are_forgotten(self, outbox):
        old, new = Mark(entity=Entity("user:1"), at=NOON), Mark(entity=Entity("user:2"), at=LATER)
        await put(outbox, marks=[old, new])
        assert sorted(await outbox.marks(), key=lambda mark: mark.at) == [old, new]

        await outbox.forget(delivered_before=NOON, dead_before=NOON, marks_before=LATER, limit=9)

        assert list(await outbox.marks()) == [new]

    async def test_a_mark_takes_the_place_of_the_same_one(self, outbox):
        departure = Mark(entity=Entity("user:1"), at=NOON)
        arrival = Mark(entity=Entity("user:1"), at=NOON, row=Entity("sessions:1"))
        await put(outbox, marks=[departure, arrival])
        spent = replace(arrival, spent=True)

        await put(outbox, marks=[spent])

        marks = await outbox.marks()
        assert len(marks) == 2
        assert departure in marks
        assert spent in marks

    # ------------------------------------------------------------------ the memory

    async def test_what_was_learned_is_recalled_with_every_kind_of_value(self, outbox):
        await outbox.memories({"messages": frozenset({"user", "expiredAt", "feedback", "tenantId", "n"})})
        fields = {
            "user": "ä🧵",
            "expiredAt": NOON,
            "feedback": {"rating": "up", "at": NOON},
            "tenantId": None,
        }
        row, other = Entity("messages:a:b"), Entity("messages:2")

        await put(outbox, learned={row: Remembered(fields=fields, exact_after=LATER)})

        assert await outbox.recall([row, other]) == {row: Remembered(fields=fields, exact_after=LATER)}

    async def test_a_row_may_be_learned_anew_and_forgotten(self, outbox):
        await outbox.memories({"messages": frozenset({"user"})})
        row = Entity("messages:1")
        await put(outbox, learned={row: known(user="u1")})

        await put(outbox, learned={row: known(user="u2")})
        assert await outbox.recall([row]) == {row: known(user="u2")}

        await put(outbox, learned={row: None})
        assert await outbox.recall([row]) == {}

    async def test_nothing_is_learned_of_what_nobody_wants(self, outbox):
        await outbox.memories({"messages": frozenset({"user"})})

        await put(outbox, learned={Entity("files:1"): known(user="u1")})

        assert await outbox.recall([Entity("files:1")]) == {}

    async def test_a_scan_goes_on_where_it_stopped(self, outbox):
        wanted = {"messages": frozenset({"user"}), "files": frozenset({"user", "file_id"})}
        files, messages = await outbox.memories(wanted)
        assert (files.collection, files.names, files.after, files.done) == (
            "files",
            ("file_id", "user"),
            None,
            False,
        )

        page = {Entity("messages:1"): known(user="u1")}
        await outbox.remember(page, replace(messages, after="here", rows=1))

        assert await outbox.memories(wanted) == [files, replace(messages, after="here", rows=1)]
        assert await outbox.recall(page) == page

    async def test_a_page_leaves_alone_what_is_known_already(self, outbox):
        (scan,) = await outbox.memories({"messages": frozenset({"user"})})
        row = Entity("messages:1")
        await put(outbox, learned={row: known(user="new")})

        await outbox.remember({row: known(user="old")}, scan)

        assert await outbox.recall([row]) == {row: known(user="new")}

    @pytest.mark.parametrize(
        "others", [{}, {"messages": frozenset({"user", "tenantId"})}], ids=["not wanted", "other names"]
    )
    async def test_a_memory_that_had_a_gap_or_other_names_begins_anew(self, outbox, others):
        wanted = {"messages": frozenset({"user"})}
        (scan,) = await outbox.memories(wanted)
        row = Entity("messages:1")
        await outbox.remember({row: known(user="u1")}, replace(scan, rows=1, done=True))

        await outbox.memories(others)
        (again,) = await outbox.memories(wanted)

        assert again == scan
        assert await outbox.recall([row]) == {}

    async def test_a_page_of_an_ended_scan_is_dropped(self, outbox):
        (scan,) = await outbox.memories({"messages": frozenset({"user"})})
        await outbox.memories({"messages": frozenset({"tenantId"})})

        await outbox.remember({Entity("messages:1"): known(user="u1")}, replace(scan, done=True))

        assert await outbox.recall([Entity("messages:1")]) == {}
        assert [each.done for each in await outbox.memories({"messages": frozenset({"tenantId"})})] == [False]

    async def test_what_is_settled_long_ago_is_forgotten_a_few_at_a_time(self, outbox):
        await put(outbox, *(a_delivery() for _ in range(6)))
        rows = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        for row in rows[:3]:
            await outbox.settle([a_settlement(row)])
        await outbox.settle([a_settlement(rows[3], Dead(reason="x"))])

        async def forget(delivered_before, dead_before, limit):
            return await outbox.forget(
                delivered_before=delivered_before, dead_before=dead_before, marks_before=NOON, limit=limit
            )

        assert await forget(NOON, NOON, 9) == 0
        assert await forget(LATER, NOON, 2) == 2
        assert await forget(LATER, NOON, 9) == 1
        assert await outbox.counts() == {"crm": Counts(pending=2, dead=1)}
        assert await forget(LATER, LATER, 9) == 1
        assert len(await ids(outbox)) == 2

    async def test_of_what_is_forgotten_the_oldest_goes_first(self, outbox):
        deliveries = [a_delivery() for _ in range(4)]
        await put(outbox, *deliveries)
        rows = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        for row, minute in zip(rows, (3, 1, 4, 2), strict=True):
            await outbox.settle([a_settlement(row, at=NOON + timedelta(minutes=minute))])

        gone = await outbox.forget(
            delivered_before=NOON + timedelta(hours=1), dead_before=NOON, marks_before=NOON, limit=2
        )

        assert gone == 2
        # What is no longer there is new when it is appended again.
        assert [await put(outbox, delivery) for delivery in deliveries] == [0, 1, 0, 1]

    async def test_room_is_taken_by_what_is_stored_and_not_by_what_was_dropped(self, outbox):
        empty = await outbox.used_bytes()
        await put(outbox, *(a_delivery(body=b"x" * 100_000) for _ in range(20)))
        full = await outbox.used_bytes()
        assert full - empty >= 2_000_000

        rows = await outbox.pending("crm", after=0, limit=99, max_bytes=10**9)
        await outbox.settle([a_settlement(row) for row in rows[:15]])
        assert abs(await outbox.used_bytes() - full) < 100_000

        await outbox.forget(delivered_before=LATER, dead_before=NOON, marks_before=NOON, limit=99)
        assert await outbox.used_bytes() <= full - 1_500_000

        await put(outbox, *(a_delivery(body=b"x" * 100_000) for _ in range(15)))
        assert abs(await outbox.used_bytes() - full) < 100_000

    async def test_the_oldest_is_the_first_that_is_pending_of_each_endpoint(self, outbox):
        assert await outbox.oldest() == {}
        minute = timedelta(minutes=1)
        first, second = a_delivery(at=NOON - 2 * minute), a_delivery(at=NOON - minute)
        waiting, theirs = held(at=NOON - 9 * minute), a_delivery(endpoint="slack", at=NOON)
        await put(outbox, a_delivery(endpoint="gone", refused="x"), waiting, first, second, theirs)
        assert await outbox.oldest() == {"crm": first.at, "slack": theirs.at}

        (row, *_) = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        await outbox.settle([a_settlement(row)])
        assert await outbox.oldest() == {"crm": second.at, "slack": theirs.at}

        (row,) = await outbox.pending("slack", after=0, limit=9, max_bytes=10**9)
        await outbox.settle([a_settlement(row)])
        assert await outbox.oldest() == {"crm": second.at}

    # ------------------------------------------------------------------ fates

    async def test_the_fates_of_a_row_are_told_in_order_and_no_other_s(self, outbox):
        row = Entity("messages:mine")
        mine = [a_delivery(row=row), a_delivery(row=row, endpoint="slack"), a_delivery(row=row)]
        await put(outbox, mine[0], a_delivery(), *mine[1:])

        fates = await outbox.fates(row, limit=9)

        assert [fate.id for fate in fates] == [each.id for each in mine]
        assert [fate.endpoint for fate in fates] == ["crm", "slack", "crm"]
        assert await outbox.fates(Entity("messages:other"), limit=9) == []

    async def test_of_many_fates_the_newest_are_told(self, outbox):
        row = Entity("messages:mine")
        mine = [a_delivery(row=row) for _ in range(5)]
        await put(outbox, *mine)

        assert [fate.id for fate in await outbox.fates(row, limit=2)] == [each.id for each in mine[-2:]]

    @pytest.mark.parametrize(
        ("verdict", "outcome", "told"),
        [
            (Delivered(), Answered(status=204), {"state": "delivered", "status": 204, "settled_at": ENDED}),
            (
                Delivered(),
                Answered(status=200, left="slow, and was left"),
                {
                    "state": "delivered",
                    "status": 200,
                    "reason": "the answer is slow, and was left",
                    "settled_at": ENDED,
                },
            ),
            (
                RetryAt(at=LATER, reason="answered 503"),
                Answered(status=503),
                {"state": "pending", "attempts": 1, "status": 503, "reason": "answered 503", "due_at": LATER},
            ),
            (
                Dead(reason="refused"),
                Unreachable(reason="refused"),
                {"state": "dead", "attempts": 1, "reason": "refused", "settled_at": ENDED},
            ),
        ],
        ids=["delivered", "delivered, and yet", "retry", "dead"],
    )
    async def test_a_fate_tells_how_the_last_attempt_ended(self, outbox, verdict, outcome, told):
        row, _ = await self.settled(outbox, verdict, outcome)

        (fate,) = await outbox.fates(row.delivery.row, limit=9)

        assert fate == a_fate(row.delivery, attempted_at=NOON, **told)

    async def test_a_delivery_that_succeeds_at_last_is_due_no_more(self, outbox):
        row, (left,) = await self.settled(outbox, RetryAt(at=LATER, reason="answered 503"))

        await outbox.settle([a_settlement(left)])

        (fate,) = await outbox.fates(row.delivery.row, limit=9)
        told = {"state": "delivered", "attempts": 1, "status": 200, "settled_at": ENDED}
        assert fate == a_fate(row.delivery, attempted_at=NOON, **told)

    async def test_a_fate_tells_of_holds_and_of_what_is_never_sent(self, outbox):
        row = Entity("messages:1")
        waiting, ended = held(row=row), held(key="messages:2", row=row)
        refused = a_delivery(row=row, refused="KeyError in the rule at x.yaml:3")
        await put(outbox, waiting, ended, refused)
        await put(outbox, Lift(key="messages:2", to="cancelled", reason="finished"))

        fates = await outbox.fates(row, limit=9)

        assert [(fate.state, fate.reason, fate.held_until) for fate in fates] == [
            ("held", None, LATER),
            ("cancelled", "finished", LATER),
            ("dead", "KeyError in the rule at x.yaml:3", None),
        ]
        assert [fate.settled_at is None for fate in fates] == [True, False, False]

    # ------------------------------------------------------------------ waiting for news

    async def test_appended_returns_at_once_when_something_is_there(self, outbox):
        await put(outbox, a_delivery())

        async with asyncio.timeout(1):
            await outbox.appended("crm", after=0)

    async def test_appended_waits_for_its_own_endpoint(self, outbox):
        await put(outbox, a_delivery())
        (row,) = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        waiting = asyncio.create_task(outbox.appended("crm", after=row.seq))
        await put(outbox, a_delivery(endpoint="slack"))
        await put(outbox, held())
        assert not waiting.done()

        await put(outbox, a_delivery())

        async with asyncio.timeout(1):
            await waiting

    async def test_a_hold_that_ends_wakes_who_waits(self, outbox):
        await put(outbox, held())
        waiting = asyncio.create_task(outbox.appended("crm", after=0))
        await outbox.counts()
        assert not waiting.done()

        await put(outbox, through=LATER)

        async with asyncio.timeout(1):
            await waiting

    # ------------------------------------------------------------------ recovery

    async def test_a_repair_is_stored_with_the_position_and_cleared_by_the_next_append(self, outbox):
        gap = Gap.between(NOON, LATER, began=None, reason="it fell off the oplog")
        repair = Recovery(
            gap=gap, stage=("found", "messages"), after='{"_id": 1}', rows=7, counts={"message.created": 3}
        )

        await outbox.append([], checkpoint=a_checkpoint("82AB"), through=NOON, recovery=repair)
        position = await outbox.position()
        assert (position.recovery, position.through, position.began) == (repair, NOON, NOON)

        await outbox.append([], checkpoint=a_checkpoint("82AC"), through=LATER)
        position = await outbox.position()
        assert (position.recovery, position.through, position.began) == (None, LATER, NOON)

    async def test_what_is_remembered_is_read_page_by_page_each_row_once(self, outbox):
        await outbox.memories({"messages": frozenset({"user"}), "files": frozenset({"user"})})
        rows = {
            Entity(f"messages:{number:03}"): Remembered(fields={"user": f"u{number}"}, exact_after=NOON)
            for number in range(7)
        }
        other = {Entity("files:f"): Remembered(fields={}, exact_after=NOON)}
        await outbox.append([], checkpoint=a_checkpoint(), through=NOON, learned={**rows, **other})

        found: dict[Entity, Remembered] = {}
        after, pages = None, 0
        while True:
            page, after = await outbox.remembered("messages", after=after, limit=3)
            assert not found.keys() & page.keys()
            found |= page
            pages += 1
            if after is None:
                break

        assert (found, pages) == (rows, 3)
        assert await outbox.remembered("sessions", after=None, limit=3) == ({}, None)

    async def test_what_is_known_of_rows_is_what_is_remembered_and_what_is_stored_of_them(self, outbox):
        await outbox.memories({"messages": frozenset({"user"})})
        memory = Remembered(fields={"user": "u1"}, exact_after=NOON)
        held, told, remembered, unknown = (Entity(f"messages:{name}") for name in "htru")
        await outbox.append(
            [
                a_delivery(row=told, at=NOON),
                a_delivery(row=told, at=LATER),
                a_delivery(row=held, hold=Hold(key=held, until=LATER + timedelta(hours=1))),
            ],
            checkpoint=a_checkpoint(),
            through=NOON,
            learned={remembered: memory, told: memory},
        )

        assert await outbox.known([held, told, remembered, unknown]) == {
            held: Known(told=NOON, held=True),
            told: Known(memory=memory, told=LATER),
            remembered: Known(memory=memory),
        }

    async def test_a_page_of_a_backfill_is_stored_with_how_far_it_has_come(self, outbox):
        asked = Backfill(name="since then", since=NOON, until=LATER, events=(EventType("message.created"),))
        assert await outbox.backfill(asked.name) is None
        await outbox.append([a_delivery()], checkpoint=a_checkpoint("82AB"), through=NOON)
        one, other = a_delivery(), a_delivery()

        assert await outbox.fill([one], replace(asked, collection="messages", after="x", rows=5)) == 1
        new = await outbox.fill(
            [one, other], replace(asked, collection="messages", rows=9, stored=1, done=True)
        )

        assert new == 1
        state = await outbox.backfill(asked.name)
        assert state == replace(asked, collection="messages", rows=9, stored=2, done=True)
        assert (await ids(outbox))[1:] == [one.id, other.id]
        assert (await checkpoint_of(outbox)) == a_checkpoint("82AB")

    async def test_backfills_that_have_not_come_to_their_end_are_known(self, outbox):
        def asked(name, **fields):
            return Backfill(
                name=name, since=NOON, until=LATER, events=(EventType("message.created"),), **fields
            )

        begun = asked("b", collection="messages", after="x", rows=5, total=20, began_at=NOON, page_at=LATER)
        other, done = asked("a", rows=1), asked("c", rows=9)
        for backfill in (begun, other, done, replace(done, done=True)):
            await outbox.fill([], backfill)

        assert await outbox.backfills() == [other, begun]

        await outbox.fill([a_delivery()], replace(begun, done=True))
        assert await outbox.backfills() == [other]

    # ------------------------------------------------------------------ standings

    async def test_how_an_endpoint_stands_is_stored_changed_and_forgotten(self, outbox):
        paused = Standing(state="paused", reason="status 410", since=NOON)
        slowed = Standing(state="slowed", reason="status 429", since=NOON, until=LATER)

        await outbox.stand("crm", paused)
        await outbox.stand("audit", slowed)
        assert await outbox.standings() == {"crm": paused, "audit": slowed}

        await outbox.stand("audit", replace(slowed, until=LATER + timedelta(hours=1)))
        await outbox.stand("crm", None)
        await outbox.stand("crm", None)
        assert await outbox.standings() == {"audit": replace(slowed, until=LATER + timedelta(hours=1))}

    async def test_a_standing_is_stored_only_in_the_place_of_the_one_that_was_expected(self, outbox):
        slowed = Standing(state="slowed", reason="status 429", since=NOON, until=LATER)
        paused = Standing(state="paused", reason="by an operator", since=NOON)

        assert await outbox.stand("crm", slowed, replacing=None)
        assert await outbox.stand("crm", paused)
        assert not await outbox.stand("crm", None, replacing="slowed")
        assert not await outbox.stand("crm", slowed, replacing=None)

        assert await outbox.standings() == {"crm": paused}
