"""A dispatcher with a real lane, an outbox in memory and a sender that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.builders import NOON, a_checkpoint, a_delivery, an_endpoint
from watcher.core.circuits import MANY, Standing
from watcher.core.deliveries import Delivery
from watcher.core.endpoints import Endpoint, RateLimit, Secret
from watcher.core.events import Entity
from watcher.core.facts import Attempted, Settled, StandingChanged, StoreFailed
from watcher.core.forms import Address, Addressing, Failed
from watcher.core.hiding import BLOT
from watcher.core.lanes import WINDOW_ROWS
from watcher.core.outcomes import Answered, NotSent, Unreachable, Unsendable
from watcher.core.settlements import Settlement
from watcher.core.signing import verifies
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt
from watcher.errors import LeaseLost, OutboxError
from watcher.pipeline.dispatch import UNSURE_SECONDS, Dispatcher
from watcher.ports import Counts
from watcher.testing import Facts, FakeClock, MemoryOutbox, RecordingSender


class Stage:
    """Everything around one dispatcher."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.outbox = MemoryOutbox()
        self.sender = RecordingSender()
        self.clock = FakeClock(NOON)
        self.facts = Facts()
        self.stopping = asyncio.Event()
        self.sure = True
        """That this replica is the one that sends."""
        self.dispatcher = Dispatcher(
            endpoint,
            outbox=self.outbox,
            sender=self.sender,
            clock=self.clock,
            observe=self.facts,
            may_send=lambda: self.sure,
        )

    async def append(self, *deliveries: Delivery) -> None:
        await self.outbox.append(deliveries, checkpoint=a_checkpoint(), through=NOON)

    @asynccontextmanager
    async def running(self, grace: timedelta = timedelta(seconds=5)) -> AsyncIterator[None]:
        task = asyncio.create_task(self.dispatcher.run(self.stopping, grace=grace))
        yield
        self.stopping.set()
        await task

    def sent(self) -> Sequence[bytes]:
        return [request.body for request in self.sender.requests]


async def settle_down() -> None:
    """Let everything that can run now, run."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_what_is_pending_is_sent_and_settled():
    stage, delivery = Stage(an_endpoint()), a_delivery()

    async with stage.running():
        await stage.append(delivery)
        (attempted,) = await stage.facts.until(Attempted)

    assert stage.sent() == [delivery.body]
    assert attempted.verdict == Delivered()
    assert (attempted.id, attempted.attempt, attempted.carried) == (delivery.id, 1, 1)
    assert await stage.outbox.counts() == {"crm": Counts(delivered=1)}


async def test_a_failure_is_tried_again_when_it_is_due_and_holds_back_its_entity_only():
    stage = Stage(an_endpoint())
    first, second = a_delivery(), a_delivery()
    other = a_delivery(entity=Entity("conversation:other"))
    stage.sender.answer = lambda request: Answered(status=500 if request.body == first.body else 200)

    async with stage.running():
        await stage.append(first, second, other)
        await stage.facts.until(Attempted, 2)
        await settle_down()
        assert set(stage.sent()) == {first.body, other.body}

        stage.sender.answer = lambda _: Answered(status=200)
        stage.clock.advance(timedelta(seconds=5))
        await stage.facts.until(Attempted, 4)

    assert stage.sent()[2:] == [first.body, second.body]
    attempts = [fact for fact in stage.facts.of(Attempted) if fact.id == first.id]
    assert [fact.attempt for fact in attempts] == [1, 2]
    assert attempts[0].verdict == RetryAt(at=NOON + timedelta(seconds=5), reason="status 500")


async def test_after_the_last_failure_it_is_dead_and_the_next_goes():
    stage = Stage(an_endpoint(retry_delays=()))
    first, second = a_delivery(), a_delivery()
    stage.sender.answer = lambda _: Unreachable(reason="refused: nothing listens")

    async with stage.running():
        await stage.append(first, second)
        verdicts = [fact.verdict for fact in await stage.facts.until(Attempted, 2)]

    assert verdicts == [Dead(reason="refused: nothing listens")] * 2
    assert stage.sent() == [first.body, second.body]
    assert await stage.outbox.counts() == {"crm": Counts(dead=2)}


async def test_nothing_goes_out_while_it_is_not_sure_that_no_other_replica_sends():
    stage, delivery = Stage(an_endpoint()), a_delivery()
    stage.sure = False

    async with stage.running():
        await stage.append(delivery)
        await settle_down()
        assert stage.sent() == []

        stage.sure = True
        stage.clock.advance(timedelta(seconds=UNSURE_SECONDS))
        await stage.facts.until(Attempted)

    assert stage.sent() == [delivery.body]


async def test_what_was_taken_before_it_was_not_sure_any_more_is_not_sent_and_goes_later_as_it_was(
    monkeypatch,
):
    stage = Stage(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=2)))
    bind = stage.outbox.bind

    async def bind_slowly(*batch: Any) -> None:
        await bind(*batch)
        stage.sure = False

    monkeypatch.setattr(stage.outbox, "bind", bind_slowly)
    async with stage.running():
        await stage.append(a_delivery(), a_delivery(), a_delivery())
        await settle_down()
        stage.clock.advance(timedelta(seconds=1))
        (kept,) = await stage.facts.until(Attempted)
        assert (kept.outcome, kept.verdict, stage.sent()) == (NotSent(), Release(), [])

        stage.sure = True
        stage.clock.advance(timedelta(seconds=1))
        _, sent = await stage.facts.until(Attempted, 2)

    assert (sent.id, sent.attempt, sent.verdict) == (kept.id, 1, Delivered())


async def test_attempts_in_flight_end_before_the_dispatcher_does():
    stage = Stage(an_endpoint())
    stage.sender.open.clear()

    async with stage.running():
        await stage.append(a_delivery(), a_delivery())
        await stage.sender.given.wait()
        stage.stopping.set()
        await settle_down()
        stage.sender.open.set()

    assert len(stage.sender.requests) == 1
    assert await stage.outbox.counts() == {"crm": Counts(delivered=1, pending=1)}


async def test_an_attempt_cut_by_our_own_stop_costs_nothing():
    stage = Stage(an_endpoint())
    stage.sender.open.clear()

    async with stage.running(grace=timedelta(0)):
        await stage.append(a_delivery())
        await stage.sender.given.wait()

    (row,) = await stage.outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
    assert row.attempts == 0
    (attempted,) = stage.facts.of(Attempted)
    assert (attempted.outcome, attempted.verdict) == (NotSent(), Release())


async def test_a_store_that_refuses_delays_and_loses_nothing():
    stage = Stage(an_endpoint())

    async with stage.running():
        await stage.append(a_delivery())
        stage.outbox.refuse = OutboxError("disk full")
        (failed,) = await stage.facts.until(StoreFailed)
        assert (failed.doing, failed.reason) == ("settle", "disk full")
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(Attempted)

    assert len(stage.sender.requests) == 1
    assert await stage.outbox.counts() == {"crm": Counts(delivered=1)}


async def test_a_fault_of_our_own_in_one_request_does_not_stop_the_others():
    stage = Stage(an_endpoint())
    broken, good = a_delivery(), a_delivery(entity=Entity("conversation:other"))

    def answer(request):
        if request.body == broken.body:
            raise KeyError("ours")
        return Answered(status=200)

    stage.sender.answer = answer
    async with stage.running():
        await stage.append(broken, good)
        await stage.facts.until(Attempted, 2)

    assert {fact.id: fact.outcome for fact in stage.facts.of(Attempted)} == {
        broken.id: Unreachable(reason="internal: KeyError"),
        good.id: Answered(status=200),
    }


async def test_a_batch_is_bound_before_it_is_sent_and_sent_again_as_it_was():
    stage = Stage(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=5)))
    deliveries = [a_delivery(entity=Entity(f"conversation:{number}")) for number in range(4)]
    bound_when_sent = []

    def answer(request):
        bound_when_sent.append([row.batch for row in stage.outbox._pending("crm")])
        return Answered(status=500 if len(stage.sender.requests) == 1 else 200)

    stage.sender.answer = answer
    await stage.append(*deliveries)
    async with stage.running():
        await settle_down()
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(Attempted, 1)
        stage.clock.advance(timedelta(seconds=5))
        await stage.facts.until(Attempted, 2)

    first, again = stage.sender.requests
    assert first.body == again.body
    assert dict(first.headers)["X-Webhook-ID"] == dict(again.headers)["X-Webhook-ID"]
    assert dict(again.headers)["X-Webhook-Attempt"] == "2"
    assert len(set(bound_when_sent[0])) == 1
    assert None not in bound_when_sent[0]
    assert [fact.carried for fact in stage.facts.of(Attempted)] == [4, 4]
    assert await stage.outbox.counts() == {"crm": Counts(delivered=4)}


async def test_the_pace_is_kept_by_the_clock():
    stage = Stage(an_endpoint(rate=RateLimit(max_per_second=2)))
    deliveries = [a_delivery(entity=Entity(f"conversation:{number}")) for number in range(5)]

    async with stage.running():
        await stage.append(*deliveries)
        await settle_down()
        assert stage.sender.requests == []  # there may have been two just before the start
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(Attempted, 2)
        await settle_down()
        assert len(stage.sender.requests) == 2
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(Attempted, 4)
        await settle_down()
        assert len(stage.sender.requests) == 4


async def test_a_store_that_cannot_be_read_for_a_moment_does_not_end_the_dispatcher():
    stage = Stage(an_endpoint())
    really, broken = stage.outbox.appended, [OutboxError("disk I/O error")]

    async def appended(endpoint: str, *, after: int) -> None:
        if broken:
            raise broken.pop()
        await really(endpoint, after=after)

    stage.outbox.appended = appended  # type: ignore[method-assign]
    async with stage.running():
        (failed,) = await stage.facts.until(StoreFailed)
        stage.clock.advance(failed.retry_in)
        await stage.append(a_delivery())
        await stage.facts.until(Attempted)

    assert failed.doing == "read"


async def test_a_fresh_delivery_never_dies_with_an_older_ones_last_attempt():
    stage = Stage(an_endpoint(rate=RateLimit(max_per_second=1, batch_size=5)))
    stage.sender.answer = lambda _: Answered(status=500)
    async with stage.running():
        await stage.append(a_delivery(entity=Entity("conversation:old")))
        await settle_down()
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(Attempted, 1)
        for number, wait in ((2, 5), (3, 15)):
            stage.clock.advance(timedelta(seconds=wait))
            await stage.facts.until(Attempted, number)

        stage.clock.advance(timedelta(seconds=60))
        await stage.append(*(a_delivery(entity=Entity(f"conversation:{number}")) for number in range(3)))
        await stage.facts.until(Attempted, 4)
        for _ in range(6):
            stage.clock.advance(timedelta(seconds=1))
            await settle_down()

    assert (await stage.outbox.counts())["crm"].dead == 1


async def test_what_cannot_be_addressed_is_dead_with_the_reason_and_holds_up_nobody():
    def address(context: Any) -> Address | Failed:
        if context["event"] == "bad":
            return Failed(reason="url: data.x is undefined")
        return Address(url="https://crm.example/" + context["event"], headers=())

    stage = Stage(an_endpoint(addressing=Addressing(address=address)))
    bad, good = (
        a_delivery(body=b'{"event":"%b","data":{},"webhookId":""}' % name) for name in (b"bad", b"good")
    )

    async with stage.running():
        await stage.append(bad, good)
        dead, delivered = await stage.facts.until(Attempted, 2)

    reason = "url: data.x is undefined (event message.created)"
    assert (dead.outcome, dead.verdict) == (Unsendable(reason=reason), Dead(reason=reason))
    assert delivered.verdict == Delivered()
    assert [request.url for request in stage.sender.requests] == ["https://crm.example/good"]
    assert await stage.outbox.counts() == {"crm": Counts(delivered=1, dead=1)}


# ---------------------------------------------------------------- how an endpoint stands


def deliveries(count: int) -> list[Delivery]:
    return [a_delivery(entity=Entity(f"conversation:{number}")) for number in range(count)]


async def test_while_a_receiver_is_down_nothing_dies_and_one_request_at_a_time_finds_it_back():
    stage = Stage(an_endpoint(retry_delays=(timedelta(seconds=1),), max_in_flight=20))
    stage.sender.answer = lambda _: Answered(status=500)

    async with stage.running():
        await stage.append(*deliveries(50))
        (opened,) = await stage.facts.until(StandingChanged)
        await settle_down()
        sent = len(stage.sender.requests)
        for _ in range(120):
            stage.clock.advance(timedelta(seconds=1))
            await settle_down()
        probes = len(stage.sender.requests) - sent
        assert await stage.outbox.counts() == {"crm": Counts(pending=50)}

        stage.sender.answer = lambda _: Answered(status=200)
        while (await stage.outbox.counts())["crm"].delivered < 50:
            stage.clock.advance(timedelta(seconds=1))
            await settle_down()

    assert opened.after is not None
    assert opened.after.state == "open"
    assert sent < 20 + MANY, "those that were under way when so many had failed"
    assert 8 <= probes <= 30
    assert stage.facts.of(StandingChanged)[-1].after is None
    assert await stage.outbox.standings() == {}


SECOND = timedelta(seconds=1)
BATCHES = RateLimit(max_per_second=2, batch_size=100)


async def test_nor_does_what_goes_in_batches_die_of_a_receiver_that_is_down():
    for conversations, count in ((1, 300), (2, 300), (300, 300), (2, 30)):
        stage = Stage(an_endpoint(retry_delays=(SECOND,) * 3, rate=BATCHES))
        stage.sender.answer = lambda _: Answered(status=500)

        async with stage.running():
            await stage.append(
                *[a_delivery(entity=Entity(f"conversation:{n % conversations}")) for n in range(count)]
            )
            for _ in range(280):
                stage.clock.advance(SECOND / 10)
                await settle_down()
            dead = (await stage.outbox.counts())["crm"].dead

            stage.sender.answer = lambda _: Answered(status=200)
            while (await stage.outbox.counts())["crm"].pending:
                stage.clock.advance(SECOND)
                await settle_down()

        assert dead < MANY


async def test_a_batch_with_something_in_it_that_a_receiver_cannot_take_dies_while_all_others_pass():
    stage = Stage(an_endpoint(retry_delays=(SECOND,) * 3, rate=BATCHES))
    events = deliveries(60)
    poison = events[20]
    stage.sender.answer = lambda request: Answered(status=500 if poison.body in request.body else 200)

    async with stage.running():
        await stage.append(*events)
        later = 0
        while not (await stage.outbox.counts())["crm"].dead:
            later += 1
            assert later < 60
            stage.clock.advance(SECOND)
            await stage.append(a_delivery(entity=Entity(f"conversation:later {later}")))
            await settle_down()
        dead = (await stage.outbox.counts())["crm"].dead
        for _ in range(60):
            stage.clock.advance(SECOND)
            await settle_down()

    tries = [request for request in stage.sender.requests if poison.body in request.body]
    assert len(tries) == 4
    assert await stage.outbox.counts() == {"crm": Counts(delivered=60 + later - dead, dead=dead)}
    assert stage.facts.of(StandingChanged)[-1].after is None


async def test_what_is_settled_together_is_told_together():
    stage, rows = Stage(an_endpoint()), deliveries(5)
    stage.sender.open.clear()

    async with stage.running():
        await stage.append(*rows)
        await settle_down()
        stage.sender.open.set()
        await stage.facts.until(Attempted, 5)

    (settled,) = stage.facts.of(Settled)
    assert settled.endpoint == "crm"
    assert {made.id for made in settled.attempts} == {row.id for row in rows}


async def test_one_delivery_that_a_receiver_cannot_take_dies_and_opens_nothing():
    stage = Stage(an_endpoint())
    poison, *others = deliveries(40)
    stage.sender.answer = lambda request: Answered(status=500 if request.body == poison.body else 200)

    async with stage.running():
        await stage.append(poison, *others)
        await stage.facts.until(Attempted, 40)
        for number, wait in enumerate((5, 15, 60), start=41):
            stage.clock.advance(timedelta(seconds=wait))
            await stage.facts.until(Attempted, number)

    assert await stage.outbox.counts() == {"crm": Counts(delivered=39, dead=1)}
    assert stage.facts.of(StandingChanged) == []


async def test_a_receiver_that_is_gone_is_left_alone_over_restarts_until_an_operator_resumes_it():
    stage = Stage(an_endpoint())
    stage.sender.answer = lambda _: Answered(status=410)
    async with stage.running():
        await stage.append(a_delivery())
        await stage.facts.until(StandingChanged)
    stage.sender.answer = lambda _: Answered(status=200)

    again = Stage(an_endpoint())
    again.outbox = stage.outbox
    again.dispatcher = Dispatcher(
        an_endpoint(), outbox=stage.outbox, sender=again.sender, clock=again.clock, observe=again.facts
    )
    async with again.running():
        await again.append(*deliveries(3))
        for _ in range(10):
            again.clock.advance(timedelta(hours=1))
            await settle_down()
        assert again.sender.requests == []
        assert await again.outbox.counts() == {"crm": Counts(pending=4)}

        await again.outbox.stand("crm", None)
        again.clock.advance(timedelta(seconds=1))
        await again.facts.until(Attempted, 4)

    assert await again.outbox.counts() == {"crm": Counts(delivered=4)}
    assert [fact.after for fact in again.facts.of(StandingChanged)][-1] is None


async def test_an_operator_can_pause_it_at_any_time():
    stage = Stage(an_endpoint())
    async with stage.running():
        await stage.append(a_delivery())
        await stage.facts.until(Attempted)

        await stage.outbox.stand("crm", Standing(state="paused", reason="by an operator", since=NOON))
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(StandingChanged)
        await stage.append(a_delivery())
        stage.clock.advance(timedelta(hours=1))
        await settle_down()

    assert await stage.outbox.counts() == {"crm": Counts(delivered=1, pending=1)}


async def test_an_operators_pause_is_not_overwritten_by_what_happens_in_that_very_moment():
    stage = Stage(an_endpoint(max_in_flight=1))
    stage.sender.open.clear()
    stage.sender.answer = lambda _: Answered(status=429, retry_after=timedelta(seconds=5))
    async with stage.running():
        await stage.append(a_delivery())
        await stage.sender.given.wait()

        await stage.outbox.stand("crm", Standing(state="paused", reason="by an operator", since=NOON))
        stage.sender.open.set()
        await stage.facts.until(StandingChanged)
        stage.sender.answer = lambda _: Answered(status=200)
        stage.clock.advance(timedelta(hours=1))
        await settle_down()

    assert (await stage.outbox.standings())["crm"].state == "paused"
    assert await stage.outbox.counts() == {"crm": Counts(pending=1)}


async def test_retry_after_holds_back_everything_for_the_endpoint_just_so_long():
    stage = Stage(an_endpoint(max_in_flight=1))
    stage.sender.answer = lambda _: Answered(status=429, retry_after=timedelta(seconds=30))

    async with stage.running():
        await stage.append(*deliveries(3))
        await stage.facts.until(Attempted)
        stage.sender.answer = lambda _: Answered(status=200)
        stage.clock.advance(timedelta(seconds=29))
        await settle_down()
        assert len(stage.sender.requests) == 1

        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(Attempted, 4)

    assert await stage.outbox.counts() == {"crm": Counts(delivered=3)}


async def test_other_settings_hold_for_the_next_attempt_and_what_is_in_flight_goes_on():
    stage = Stage(an_endpoint(secrets=(Secret(key=b"old"),)))
    stage.sender.open.clear()
    async with stage.running():
        await stage.append(*deliveries(1))
        await stage.sender.given.wait()

        stage.dispatcher.become(
            an_endpoint(secrets=(Secret(key=b"new"),), rate=RateLimit(max_per_second=1), max_in_flight=1)
        )
        stage.sender.open.set()
        await stage.facts.until(Attempted)
        stage.clock.advance(timedelta(seconds=1))
        await stage.append(*(a_delivery(entity=Entity(f"user:{number}")) for number in range(3)))
        await stage.facts.until(Attempted, 2)
        await settle_down()

    old, new = stage.sender.requests
    assert verifies(old.body, dict(old.headers)["X-Webhook-Signature"], [Secret(key=b"old")])
    assert verifies(new.body, dict(new.headers)["X-Webhook-Signature"], [Secret(key=b"new")])


async def test_what_is_cancelled_while_the_endpoint_is_paused_is_not_sent_when_it_goes_on():
    stage = Stage(an_endpoint(max_in_flight=1))
    rows = [a_delivery(entity=Entity(f"conversation:{number}")) for number in range(5)]
    paused = Standing(state="paused", reason="by an operator", since=NOON)
    await stage.outbox.stand("crm", paused)
    recalls = stage.outbox.recalls

    async def recalls_after_a_while() -> Any:
        for _ in range(10):
            await asyncio.sleep(0)  # as long as a real store may take
        return await recalls()

    stage.outbox.recalls = recalls_after_a_while  # type: ignore[method-assign]
    async with stage.running():
        await stage.append(*rows)
        await settle_down()  # they are in its memory now

        await stage.outbox.cancel([row.id for row in rows[1:4]], reason="by an operator")
        await stage.outbox.stand("crm", None)
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(Attempted, 2)
        await settle_down()

    assert stage.sent() == [rows[0].body, rows[4].body]
    assert await stage.outbox.counts() == {"crm": Counts(delivered=2, cancelled=3)}


async def test_what_is_cancelled_is_not_sent_whenever_the_operator_comes():
    stage = Stage(an_endpoint())
    row = a_delivery()
    await stage.outbox.stand("crm", Standing(state="paused", reason="by an operator", since=NOON))
    recalls, cancelled = stage.outbox.recalls, False

    async def recalls_and_then_he_comes() -> Any:
        nonlocal cancelled
        found = await recalls()
        if await stage.outbox.counts() and not cancelled:
            cancelled = True
            await stage.outbox.cancel([row.id], reason="by an operator")
            await stage.outbox.stand("crm", None)
        return found

    async with stage.running():
        await stage.append(row)
        await settle_down()
        stage.outbox.recalls = recalls_and_then_he_comes  # type: ignore[method-assign]
        for _ in range(3):
            stage.clock.advance(timedelta(seconds=1))
            await settle_down()

    assert cancelled
    assert stage.sent() == []


async def test_a_lane_that_was_full_of_what_is_cancelled_then_hears_of_what_comes():
    stage = Stage(an_endpoint())
    rows = [a_delivery(entity=Entity(f"conversation:{number}")) for number in range(2 * WINDOW_ROWS)]
    late = [a_delivery(entity=Entity(f"conversation:late {number}")) for number in range(3)]
    await stage.outbox.stand("crm", Standing(state="paused", reason="by an operator", since=NOON))
    async with stage.running():
        await stage.append(*rows)
        await settle_down()
        await stage.outbox.cancel([row.id for row in rows], reason="by an operator")
        await stage.outbox.stand("crm", None)
        for _ in range(20):  # all of it is looked for once more, a few at a time
            stage.clock.advance(timedelta(seconds=1))
            await settle_down()

        for number, row in enumerate(late, start=1):
            await stage.append(row)
            await stage.facts.until(Attempted, number)

    assert stage.sent() == [row.body for row in late]


async def test_what_is_sent_again_goes_out_as_what_it_was():
    stage, delivery = Stage(an_endpoint()), a_delivery()
    async with stage.running():
        await stage.append(delivery)
        await stage.facts.until(Attempted)

        await stage.outbox.replay([delivery.id])
        _, again = await stage.facts.until(Attempted, 2)

    assert stage.sent() == [delivery.body] * 2
    assert (again.id, again.attempt) == (delivery.id, 1)


async def test_what_lost_its_right_while_it_connected_does_not_go_out_and_costs_no_attempt():
    stage, delivery = Stage(an_endpoint()), a_delivery()
    connecting, connected = asyncio.Event(), asyncio.Event()
    send = stage.sender.send

    async def slow(request: Any, *, on_written: Any = lambda: None) -> Any:
        connecting.set()
        await connected.wait()
        return await send(request, on_written=on_written)

    stage.sender.send = slow  # type: ignore[method-assign]
    async with stage.running():
        await stage.append(delivery)
        await connecting.wait()
        stage.sure = False
        connected.set()
        (attempted,) = await stage.facts.until(Attempted)

    assert stage.sent() == []
    assert (attempted.outcome, attempted.verdict) == (NotSent(), Release())
    assert await stage.outbox.counts() == {"crm": Counts(pending=1)}


@pytest.mark.parametrize("ends", ["cancelled", "failed"])
async def test_once_its_lease_is_lost_nothing_more_goes_out_however_much_is_ready(ends):
    stage = Stage(an_endpoint(max_in_flight=2))
    stage.sender.open.clear()
    run = asyncio.create_task(stage.dispatcher.run(stage.stopping, grace=timedelta(seconds=5)))
    await stage.append(*(a_delivery(entity=Entity(f"user:{number}")) for number in range(40)))
    await stage.sender.given.wait()
    await settle_down()
    assert len(stage.sender.requests) == 2

    async def lost() -> Any:
        raise LeaseLost("endpoint crm")

    if ends == "cancelled":
        run.cancel()
    else:
        stage.outbox.recalls = lost  # type: ignore[method-assign]
        stage.clock.advance(timedelta(seconds=1))
    await settle_down()
    stage.sure = False  # else, should this fail, it never ends

    assert len(stage.sender.requests) == 2, "another replica sends these now"
    await asyncio.wait({run})
    assert run.cancelled() or run.exception() is not None


async def test_what_ended_before_a_stop_is_written_down_within_the_grace_however_slow_the_store(monkeypatch):
    monkeypatch.setattr("watcher.pipeline.dispatch.PARTING_SECONDS", 0)
    stage = Stage(an_endpoint())
    settling, settle = asyncio.Event(), stage.outbox.settle

    async def slowly(settlements: Any, *, hurried: bool = True) -> None:
        settling.set()
        await settle_down()
        await settle(settlements, hurried=hurried)

    stage.outbox.settle = slowly  # type: ignore[method-assign]
    async with stage.running():
        await stage.append(a_delivery())
        await settling.wait()

    assert await stage.outbox.counts() == {"crm": Counts(delivered=1)}


async def test_of_an_answer_the_secrets_are_hidden_that_its_request_was_made_with():
    stage, delivery = Stage(an_endpoint(secrets=(Secret(key=b"the old secret"),))), a_delivery()
    stage.sender.open.clear()
    stage.sender.answer = lambda _: Answered(status=200, answer="you use the old secret")
    async with stage.running():
        await stage.append(delivery)
        await stage.sender.given.wait()
        stage.dispatcher.become(an_endpoint(secrets=(Secret(key=b"the new secret"),)))
        stage.sender.open.set()
        await stage.facts.until(Attempted)

    dossier = await stage.outbox.dossier(delivery.id)
    assert dossier is not None
    assert [attempt.answer for attempt in dossier.attempts] == [f"you use {BLOT}"]


class Hurries(MemoryOutbox):
    """Remembers which settlements were in a hurry."""

    def __init__(self) -> None:
        super().__init__()
        self.hurries: list[bool] = []

    async def settle(self, settlements: Sequence[Settlement], *, hurried: bool = True) -> None:
        self.hurries.append(hurried)
        await super().settle(settlements, hurried=hurried)


async def test_what_was_sent_is_settled_in_a_hurry_only_where_something_waits_for_it():
    stage, outbox = Stage(an_endpoint()), Hurries()
    stage.outbox = outbox
    stage.dispatcher = Dispatcher(
        an_endpoint(), outbox=outbox, sender=stage.sender, clock=stage.clock, observe=stage.facts
    )
    first, second = a_delivery(), a_delivery()  # of one conversation

    async with stage.running():
        await stage.append(first, second)
        await stage.facts.until(Attempted, 2)

    assert outbox.hurries == [True, False]
    assert stage.sent() == [first.body, second.body]


async def test_at_the_end_everything_is_settled_in_a_hurry():
    stage, outbox = Stage(an_endpoint()), Hurries()
    stage.dispatcher = Dispatcher(
        an_endpoint(), outbox=outbox, sender=stage.sender, clock=stage.clock, observe=stage.facts
    )
    stage.outbox = outbox
    stage.sender.open.clear()

    async with stage.running():
        await stage.append(a_delivery())
        await settle_down()
        stage.stopping.set()
        await settle_down()
        stage.sender.open.set()

    assert outbox.hurries == [True]


async def test_the_store_is_read_when_there_may_be_more_in_it():
    stage, reads = Stage(an_endpoint()), list[int]()
    pending = stage.outbox.pending

    async def counted(endpoint: str, *, after: int, limit: int, max_bytes: int) -> Any:
        rows = await pending(endpoint, after=after, limit=limit, max_bytes=max_bytes)
        reads.append(len(rows))
        return rows

    stage.outbox.pending = counted  # type: ignore[method-assign]
    async with stage.running():
        await settle_down()
        assert reads == [0], "once at the start"

        await stage.append(*(a_delivery(entity=Entity(f"user:{number}")) for number in range(3)))
        await stage.facts.until(Attempted, 3)
        await settle_down()
        assert reads == [0, 3], "and when it was told of some; not when they were settled"

        many = [a_delivery(entity=Entity(f"user:{number}")) for number in range(WINDOW_ROWS + 5)]
        await stage.append(*many)
        await stage.facts.until(Attempted, 3 + len(many))
        assert sum(reads) == 3 + len(many), "what did not fit is read when there is room"


async def test_what_changes_how_the_endpoint_stands_and_what_failed_is_settled_in_a_hurry():
    stage, outbox = Stage(an_endpoint()), Hurries()
    stage.outbox = outbox
    stage.dispatcher = Dispatcher(
        an_endpoint(), outbox=outbox, sender=stage.sender, clock=stage.clock, observe=stage.facts
    )
    answers = iter([Answered(status=500), Answered(status=410)])
    stage.sender.answer = lambda _: next(answers)

    async with stage.running():
        for number in (1, 2):
            await stage.append(a_delivery(entity=Entity(f"user:{number}")))
            await stage.facts.until(Attempted, number)

    assert outbox.hurries == [True, True]


async def test_of_an_attempt_the_age_is_told_at_its_end_and_the_storing_apart():
    stage, settle = Stage(an_endpoint()), MemoryOutbox.settle

    async def slowly(settlements: Sequence[Settlement], *, hurried: bool = True) -> None:
        stage.clock.advance(timedelta(seconds=7))
        await settle(stage.outbox, settlements)

    stage.outbox.settle = slowly  # type: ignore[method-assign]
    stage.sender.open.clear()
    async with stage.running():
        await stage.append(a_delivery(at=NOON - timedelta(seconds=1)))
        await settle_down()
        stage.clock.advance(timedelta(seconds=3))
        stage.sender.open.set()
        (attempted,) = await stage.facts.until(Attempted)

    second = timedelta(seconds=1)
    assert (attempted.took, attempted.age, attempted.storing) == (3 * second, 4 * second, 7 * second)


async def test_who_is_cut_takes_nothing_more_even_where_its_cancellation_was_swallowed():
    stage, bind = (
        Stage(an_endpoint(max_in_flight=1, rate=RateLimit(max_per_second=100, batch_size=2))),
        asyncio.Event(),
    )

    async def swallowed(members: Any, batch: Any) -> None:
        bind.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return  # as `asyncio.wait_for` of Python 3.11 may

    stage.outbox.bind = swallowed  # type: ignore[method-assign]
    await stage.append(*(a_delivery(entity=Entity(f"user:{number}")) for number in range(400)))
    run = asyncio.create_task(stage.dispatcher.run(stage.stopping, grace=timedelta(seconds=5)))
    await settle_down()
    stage.clock.advance(timedelta(seconds=2))  # what may have been sent before its start is over
    async with asyncio.timeout(5):
        await bind.wait()
    sent = len(stage.sender.requests)
    run.cancel()
    await asyncio.wait({run})

    assert len(stage.sender.requests) <= sent + 1
