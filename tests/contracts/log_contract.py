"""What every Log promises, sentence by sentence of the port's docstrings."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.builders import DELIVERED, NOON, a_checkpoint, a_delivery, a_settlement, an_endpoint
from watcher.core import searching
from watcher.core.attempts import KEPT
from watcher.core.deliveries import Hold, Lift
from watcher.core.endpoints import Secret
from watcher.core.events import Entity, EventId, EventType
from watcher.core.outcomes import Answered, Unreachable, Unsendable
from watcher.core.searching import Wanted
from watcher.core.verdicts import Dead, Delivered, RetryAt
from watcher.ports import Counts

ALL = Wanted()
DEAD = Dead(reason="status 500")


async def put(outbox, *entries):
    await outbox.append(entries, checkpoint=a_checkpoint(), through=NOON)


def at_second(number, more=0, **fields):
    """A delivery whose id tells this second."""
    identity = EventId(f"webhook_{number:08x}{more:08x}{number:024x}")
    return a_delivery(id=identity, **fields)


async def settle(outbox, delivery, verdict=DELIVERED, outcome=None):
    rows = await outbox.pending(delivery.endpoint, after=0, limit=100, max_bytes=10**9)
    (row,) = [row for row in rows if row.delivery.id == delivery.id]
    at = NOON + row.attempts * timedelta(seconds=9)
    await outbox.settle([a_settlement(row, verdict, outcome, at=at)])


async def found(outbox, wanted=ALL, **page):
    page = {"after": None, "limit": 100, **page}
    return [fate.id for fate in await outbox.search(wanted, **page)]


async def pending(outbox, endpoint="crm"):
    rows = await outbox.pending(endpoint, after=0, limit=100, max_bytes=10**9)
    return [row.delivery.id for row in rows]


class LogContract:
    """Subclasses give the `outbox` fixture."""

    async def test_it_is_told_page_by_page_the_newest_first(self, outbox):
        rows = [at_second(number, endpoint=("crm", "audit")[number % 2]) for number in (3, 1, 5, 2, 4)]
        await put(outbox, *rows)
        for row in rows[:3]:
            await settle(outbox, row)
        ordered = sorted((row.id for row in rows), reverse=True)

        first = await found(outbox, limit=2)
        second = await found(outbox, limit=2, after=first[-1])
        rest = await found(outbox, limit=2, after=second[-1])

        assert first + second + rest == ordered
        assert await found(outbox, limit=2, after=rest[-1]) == []
        assert await found(outbox, oldest_first=True, limit=2) == ordered[::-1][:2]
        assert await found(outbox, oldest_first=True, limit=9, after=ordered[-2]) == ordered[::-1][2:]

    async def test_a_page_is_the_same_page_whatever_becomes_of_what_is_in_it(self, outbox):
        rows = [at_second(number) for number in range(1, 7)]
        await put(outbox, *rows)
        await settle(outbox, rows[5])
        first = await found(outbox, limit=3)

        await settle(outbox, rows[1])
        await outbox.replay([rows[5].id])

        assert await found(outbox, limit=3) == first
        assert await found(outbox, limit=9, after=first[-1]) == [row.id for row in rows[2::-1]]

    @pytest.mark.parametrize(
        ("wanted", "numbers"),
        [
            (Wanted(endpoints=("audit",)), [5, 3]),
            (Wanted(endpoints=("audit", "nobody")), [5, 3]),
            (Wanted(states=("delivered",)), [4]),
            (Wanted(states=("held", "dead")), [6, 2]),
            (Wanted(events=(EventType("user.login"),)), [6, 3]),
            (Wanted(events=(EventType("user.login"),), states=("held",)), [6]),
            (Wanted(events=(EventType("user.login"),), states=("pending", "dead", "delivered")), [3]),
            (Wanted(events=(EventType("user.login"),), endpoints=("audit",)), [3]),
            (Wanted(user="ann"), [5, 3, 1]),
            (Wanted(user="ann", endpoints=("crm",)), [1]),
            (Wanted(user="ann", events=(EventType("user.login"),)), [3]),
            (Wanted(user="nobody"), []),
            (Wanted(conversation="c2"), [4, 2]),
            (Wanted(conversation="c2", states=("pending",)), []),
            (Wanted(ids=(at_second(2).id, at_second(4).id)), [4, 2]),
            (Wanted(since=NOON + timedelta(seconds=3)), [6, 5, 4, 3]),
            (Wanted(until=NOON + timedelta(seconds=3)), [2, 1]),
            (Wanted(since=NOON + timedelta(seconds=2), until=NOON + timedelta(seconds=5)), [4, 3, 2]),
            (Wanted(user="ann", since=NOON + timedelta(seconds=2)), [5, 3]),
            (Wanted(until=NOON + timedelta(days=365 * 500)), [6, 5, 4, 3, 2, 1]),
            (Wanted(since=NOON + timedelta(days=365 * 500)), []),
            (Wanted(events=(EventType("user.login"), EventType("user.login"))), [6, 3]),
        ],
    )
    @pytest.mark.parametrize("many", [0, 10**9], ids=["among many", "among few"])
    async def test_only_what_is_wanted_is_told_and_counted(self, outbox, wanted, numbers, many, monkeypatch):
        monkeypatch.setattr(searching, "MANY", many)
        noon, login = int(NOON.timestamp()), EventType("user.login")
        made = {number: at_second(noon + number) for number in range(1, 7)}
        told: dict[int, dict[str, Any]] = {
            1: {"user": "ann"},
            2: {"conversation": "c2"},
            3: {"user": "ann", "endpoint": "audit", "event": login},
            4: {"conversation": "c2", "user": "bob"},
            5: {"user": "ann", "endpoint": "audit"},
            6: {"event": login, "hold": Hold(key="sessions:1", until=NOON + timedelta(minutes=1))},
        }
        rows = {number: replace(made[number], **told[number]) for number in made}
        await put(outbox, *rows.values())
        await settle(outbox, rows[2], DEAD, Answered(status=500))
        await settle(outbox, rows[4])
        by_small_number = {at_second(number).id: rows[number].id for number in rows}
        wanted = replace(wanted, ids=tuple(by_small_number[each] for each in wanted.ids))

        assert await found(outbox, wanted) == [rows[number].id for number in numbers]
        assert (
            await found(outbox, wanted, limit=1, after=rows[5].id)
            == [rows[number].id for number in numbers if number < 5][:1]
        )
        assert sum((await outbox.number(wanted)).values()) == len(numbers)

    async def test_they_are_counted_by_state(self, outbox):
        rows = [at_second(number) for number in range(1, 6)]
        await put(outbox, *rows)
        await settle(outbox, rows[0])
        await settle(outbox, rows[1], DEAD, Answered(status=500))

        assert await outbox.number(ALL) == {"delivered": 1, "dead": 1, "pending": 3}

    async def test_a_dossier_tells_all_that_is_kept(self, outbox):
        delivery = at_second(1, user="ann", conversation="c1", row=Entity("messages:1"))
        await put(outbox, delivery)
        again = RetryAt(at=NOON + timedelta(minutes=1), reason="refused: nobody listens")
        await settle(outbox, delivery, again, Unreachable(reason="refused: nobody listens"))
        answer = Answered(status=201, headers=(("X-Id", "7"), ("Set-Cookie", "s=1")), answer='{"é":"🧵"}')
        await settle(outbox, delivery, Delivered(), answer)

        told = await outbox.dossier(delivery.id)

        assert (told.entity, told.row, told.body) == (delivery.entity, delivery.row, delivery.body)
        assert (told.fate.user, told.fate.conversation, told.fate.state) == ("ann", "c1", "delivered")
        assert [(each.status, each.reason) for each in told.attempts] == [
            (None, "refused: nobody listens"),
            (201, None),
        ]
        assert {each.took for each in told.attempts} == {timedelta(milliseconds=12)}
        assert told.attempts[-1].headers == (("X-Id", "7"), ("Set-Cookie", "•••"))
        assert told.attempts[-1].answer == '{"é":"🧵"}'
        assert await outbox.dossier(EventId("webhook_nobody")) is None

    async def test_of_many_attempts_the_newest_are_kept(self, outbox):
        delivery = at_second(1)
        await put(outbox, delivery)
        for number in range(KEPT + 3):
            (row,) = await outbox.pending("crm", after=0, limit=1, max_bytes=10**9)
            reason = f"status {500 + number}"
            verdict = RetryAt(at=NOON, reason=reason)
            began = NOON + timedelta(seconds=number)
            await outbox.settle([a_settlement(row, verdict, Answered(status=500 + number), at=began)])

        told = await outbox.dossier(delivery.id)

        assert [each.status for each in told.attempts] == list(range(503, 500 + KEPT + 3))

    async def test_an_attempt_that_is_settled_twice_is_kept_once(self, outbox):
        await put(outbox, at_second(1))
        (row,) = await outbox.pending("crm", after=0, limit=1, max_bytes=10**9)
        settlement = a_settlement(row, RetryAt(at=NOON, reason="status 500"), Answered(status=500))
        for _ in range(2):
            await outbox.settle([settlement])

        told = await outbox.dossier(row.delivery.id)

        assert len(told.attempts) == 1

    async def test_of_an_answer_s_headers_so_many_are_kept_and_none_that_is_the_receiver_s_secret(
        self, outbox
    ):
        delivery = at_second(1)
        await put(outbox, delivery)
        telling = (("Set-Cookie", "session=1"), ("WWW-Authenticate", "Bearer realm=x"))
        many = tuple((f"X-{number}", "v" * 100) for number in range(50))
        await settle(outbox, delivery, DEAD, Answered(status=400, headers=(*telling, *many)))

        (attempt,) = (await outbox.dossier(delivery.id)).attempts

        assert attempt.headers[:3] == (("Set-Cookie", "•••"), ("WWW-Authenticate", "•••"), many[0])
        assert 5 <= len(attempt.headers) <= 12

    async def test_no_secret_is_kept_that_a_receiver_echoes(self, outbox):
        delivery = at_second(1)
        await put(outbox, delivery)
        (row,) = await outbox.pending("crm", after=0, limit=1, max_bytes=10**9)
        endpoint = an_endpoint(
            secrets=(Secret(key=b"sesame-open"),), headers=(("Authorization", "Bearer tok-en-1"),)
        )
        answer = Answered(
            status=400,
            headers=(("X-Echo", "tok-en-1"), ("X-Webhook-Signature", "sha256=00")),
            answer="got Bearer tok-en-1 and sesame-open, tok-en-1",
        )
        await outbox.settle([a_settlement(row, DEAD, answer, endpoint=endpoint)])

        (attempt,) = (await outbox.dossier(delivery.id)).attempts

        assert attempt.answer == "got ••• and •••, •••"
        assert attempt.headers == (("X-Echo", "•••"), ("X-Webhook-Signature", "•••"))

    async def test_what_was_settled_is_sent_again_in_its_order_behind_what_waits(self, outbox):
        rows = [at_second(number) for number in range(1, 6)]
        await put(outbox, *rows)
        for row, verdict in ((rows[2], DEAD), (rows[0], DEAD), (rows[1], Delivered())):
            await settle(outbox, row, verdict, Answered(status=500 if verdict is DEAD else 200))
        before = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)

        changed = await outbox.replay([rows[2].id, rows[1].id, rows[0].id, EventId("webhook_nobody")])

        assert changed == {"crm": 3}
        assert await pending(outbox) == [rows[number].id for number in (3, 4, 0, 1, 2)]
        after = await outbox.pending("crm", after=before[-1].seq, limit=9, max_bytes=10**9)
        assert [(row.attempts, row.due_at, row.batch) for row in after] == [(0, None, None)] * 3
        assert [row.delivery.body for row in after] == [row.body for row in rows[:3]]
        assert (await outbox.counts())["crm"] == Counts(pending=5)
        (told,) = await outbox.search(Wanted(ids=(rows[0].id,)), after=None, limit=1)
        assert (told.state, told.status, told.reason, told.settled_at) == ("pending", None, None, None)
        assert len((await outbox.dossier(rows[0].id)).attempts) == 1, "it is still known what was tried"

    async def test_what_comes_later_stands_behind_all_that_is_sent_again(self, outbox):
        rows = [at_second(number) for number in range(1, 5)]
        await put(outbox, *rows)
        for row in rows:
            await settle(outbox, row, DEAD, Answered(status=500))
        await outbox.replay([row.id for row in rows])

        await put(outbox, at_second(5))
        await outbox.replay([at_second(6).id])
        await put(outbox, at_second(7))

        again = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        assert [row.delivery.id for row in again] == [
            *(row.id for row in rows),
            at_second(5).id,
            at_second(7).id,
        ]
        assert len({row.seq for row in again}) == 6

    async def test_several_events_of_one_change_are_sent_again_in_their_order(self, outbox):
        same = [replace(at_second(7), id=EventId(f"webhook_{7:08x}{1:08x}{end:024x}")) for end in (9, 3, 5)]
        await put(outbox, *same)
        for row in same:
            await settle(outbox, row, DEAD, Answered(status=500))

        await outbox.replay([row.id for row in sorted(same, key=lambda row: row.id)])

        assert await pending(outbox) == [row.id for row in same]

    async def test_what_waits_and_what_was_refused_is_not_sent_again(self, outbox):
        waiting, refused = at_second(1), at_second(2, refused="cannot be encoded")
        held = at_second(3, hold=Hold(key="messages:3", until=NOON + timedelta(minutes=1)))
        unsendable = at_second(4)
        await put(outbox, waiting, refused, held, unsendable)
        why = "url: nothing to fill it with"
        await settle(outbox, unsendable, Dead(reason=why), Unsendable(reason=why))

        changed = await outbox.replay([each.id for each in (waiting, refused, held, unsendable)])

        assert changed == {"crm": 1}, "its URL is made anew, and may be right now"
        assert await pending(outbox) == [waiting.id, unsendable.id]
        fates = {fate.id: fate for fate in await outbox.search(ALL, after=None, limit=9)}
        assert fates[refused.id].refused
        assert not fates[waiting.id].refused

    async def test_a_cancelled_one_is_sent_never_and_its_endpoint_hears_of_it(self, outbox):
        held = at_second(3, hold=Hold(key="messages:3", until=NOON + timedelta(minutes=1)))
        rows = [at_second(1), at_second(2), held, at_second(4), at_second(5, endpoint="audit")]
        await put(outbox, *rows)
        await settle(outbox, rows[3])
        assert await outbox.recalls() == {}

        changed = await outbox.cancel([row.id for row in rows[1:4]], reason="by an operator")

        assert changed == {"crm": 2}
        assert await pending(outbox) == [rows[0].id]
        assert (await outbox.counts())["crm"] == Counts(pending=1, delivered=1, cancelled=2)
        assert await outbox.recalls() == {"crm": 1}
        told = {fate.id: fate for fate in await outbox.search(ALL, after=None, limit=9)}
        assert (told[held.id].state, told[held.id].reason) == ("cancelled", "by an operator")
        assert told[held.id].settled_at is not None
        await put(outbox, Lift(key="messages:3", to="pending", reason="finished"))
        assert await pending(outbox) == [rows[0].id], "a hold that was cancelled is over"

    async def test_what_is_settled_after_it_was_cancelled_stays_cancelled(self, outbox):
        delivery = at_second(1)
        await put(outbox, delivery)
        (row,) = await outbox.pending("crm", after=0, limit=1, max_bytes=10**9)
        await outbox.cancel([delivery.id], reason="by an operator")

        await outbox.settle([a_settlement(row)])

        assert (await outbox.counts())["crm"] == Counts(cancelled=1)

    async def test_what_was_under_way_when_it_was_cancelled_does_not_settle_what_is_sent_again(self, outbox):
        delivery = at_second(1)
        await put(outbox, delivery)
        (row,) = await outbox.pending("crm", after=0, limit=1, max_bytes=10**9)
        await outbox.cancel([delivery.id], reason="by an operator")
        await outbox.replay([delivery.id])

        await outbox.settle([a_settlement(row)])

        assert (await outbox.counts())["crm"] == Counts(pending=1)

    async def test_a_cancelled_one_may_be_sent_again(self, outbox):
        delivery = at_second(1)
        await put(outbox, delivery)
        await outbox.cancel([delivery.id], reason="by an operator")

        assert await outbox.replay([delivery.id]) == {"crm": 1}

        assert await pending(outbox) == [delivery.id]
