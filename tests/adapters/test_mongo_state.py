"""The state in MongoDB: what faults do to a transaction, and what a stale holder may not do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.adapters.mongo_servers import running
from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement
from watcher.adapters.mongo.connect import connection, place_of
from watcher.adapters.mongo.state.database import SCHEMA_VERSION, State
from watcher.adapters.mongo.state.outbox import MongoOutbox
from watcher.adapters.mongo.state.reading import MongoReader
from watcher.core.backfill import Backfill
from watcher.core.circuits import Standing
from watcher.core.events import Entity, EventId
from watcher.core.leases import LASTS, Lease
from watcher.core.memory import Remembered
from watcher.core.searching import Wanted
from watcher.demo.mongod import PrivateMongo
from watcher.errors import LeaseLost, OutboxBroken, OutboxError
from watcher.ports import Counts

PAUSED = Standing(state="paused", reason="by an operator", since=NOON)


@pytest.fixture(scope="module")
def faulty() -> Iterator[PrivateMongo]:
    """A MongoDB that can be told to fail."""
    with running(PrivateMongo(parameters={"enableTestCommands": "1"})) as mongo:
        yield mongo


@pytest.fixture(scope="module")
def guarded() -> Iterator[PrivateMongo]:
    """One that asks who comes."""
    with running(PrivateMongo(auth=True)) as mongo:
        yield mongo


@asynccontextmanager
async def opened(uri: str, database: str) -> AsyncIterator[MongoOutbox]:
    async with MongoOutbox.open(uri, database) as outbox:
        await outbox.prepare()
        yield outbox


@pytest.fixture
async def outbox(mongodb_uri: str, database: str) -> AsyncIterator[MongoOutbox]:
    async with opened(mongodb_uri, database) as outbox:
        yield outbox


async def put(outbox: MongoOutbox, *deliveries: Any, token: str = "82AA") -> int:
    return await outbox.append(deliveries, checkpoint=a_checkpoint(token), through=NOON)


async def patiently(work: Callable[[], Awaitable[Any]]) -> None:
    """As the pipeline does it: what may not be stored is stored again."""
    try:
        await work()
    except OutboxError:
        await work()


async def pending(outbox: MongoOutbox) -> list[EventId]:
    rows = await outbox.pending("crm", after=0, limit=1_000, max_bytes=10**9)
    return [row.delivery.id for row in rows]


# ------------------------------------------------------------------ faults

TRANSIENT = {"errorLabels": ["TransientTransactionError"]}
FAULTS: dict[str, dict[str, Any]] = {
    "write conflict": {"failCommands": ["insert"], "errorCode": 112, **TRANSIENT},
    "the transaction is gone": {"failCommands": ["update"], "errorCode": 251, **TRANSIENT},
    "stepped down in the middle": {"failCommands": ["insert"], "errorCode": 189, **TRANSIENT},
    "stepped down at the commit": {"failCommands": ["commitTransaction"], "errorCode": 10107, **TRANSIENT},
    "cut off in the middle": {"failCommands": ["insert"], "closeConnection": True},
    "cut off at the commit": {"failCommands": ["commitTransaction"], "closeConnection": True},
    "committed, and nobody knows": {
        "failCommands": ["commitTransaction"],
        "writeConcernError": {"code": 91, "errmsg": "Replication is being shut down"},
    },
}


@asynccontextmanager
async def failing(mongo: PrivateMongo, fault: dict[str, Any], times: int) -> AsyncIterator[None]:
    async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client:
        point = {"configureFailPoint": "failCommand"}
        await client.admin.command({**point, "mode": {"times": times}, "data": fault})
        try:
            yield
        finally:
            await client.admin.command({**point, "mode": "off"})


SLOW = {"committed, and nobody knows": 3}
"""So often in a row it takes half a minute: the driver asks again for as long as it may."""


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        pytest.param(fault, times, marks=[pytest.mark.long] if SLOW.get(fault) == times else [])
        for fault in FAULTS
        for times in (1, 3)
    ],
)
async def test_whatever_befalls_a_transaction_it_is_done_once(faulty, database, fault, times):
    deliveries = [a_delivery() for _ in range(3)]
    async with opened(faulty.uri, database) as outbox:
        async with failing(faulty, FAULTS[fault], times):
            await patiently(lambda: put(outbox, *deliveries))

        assert await pending(outbox) == [each.id for each in deliveries]
        assert await outbox.counts() == {"crm": Counts(pending=3)}

        rows = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        async with failing(faulty, FAULTS[fault], times):
            await patiently(lambda: outbox.settle([a_settlement(row) for row in rows[:2]]))

        assert await pending(outbox) == [deliveries[2].id]
        assert await outbox.counts() == {"crm": Counts(pending=1, delivered=2)}


async def test_a_server_that_refuses_for_good_is_told_in_words_of_ours(faulty, database):
    async with opened(faulty.uri, database) as outbox:
        refusing = {"failCommands": ["insert"], "errorCode": 13}
        async with failing(faulty, refusing, times=1):
            with pytest.raises(OutboxError, match="may not write there") as refused:
                await put(outbox, a_delivery())

        assert 'role: "readWrite"' in str(refused.value)
        assert await outbox.position() is None, "nothing of it is stored"
        assert await put(outbox, a_delivery()) == 1


async def test_two_that_store_the_same_at_once_store_it_once(mongodb_uri, database):
    deliveries = [a_delivery() for _ in range(60)]
    backfill = Backfill(name="b", since=NOON, until=NOON, events=())
    async with opened(mongodb_uri, database) as one, opened(mongodb_uri, database) as other:
        new = await asyncio.gather(
            *(put(one, *deliveries[start : start + 20]) for start in (0, 20, 40)),
            *(other.fill(deliveries[start : start + 30], backfill) for start in (0, 30)),
        )

        rows = await one.pending("crm", after=0, limit=1_000, max_bytes=10**9)
        assert sum(new) == 60
        assert {row.delivery.id for row in rows} == {each.id for each in deliveries}
        assert len({row.seq for row in rows}) == 60
        assert await other.counts() == {"crm": Counts(pending=60)}


async def test_batches_and_settlements_of_one_moment_do_not_meet_at_their_lease(outbox, mongo_client):
    async def begun() -> int:
        status = await mongo_client.admin.command("serverStatus")
        return int(status["transactions"]["totalStarted"])

    leases = outbox.leases("one")
    lease, other = await leases.take("endpoint:crm"), await leases.take("endpoint:slack")
    assert lease is not None
    assert other is not None
    await put(outbox, a_delivery(endpoint="slack"), *(a_delivery() for _ in range(100)))
    rows = await outbox.pending("crm", after=0, limit=100, max_bytes=10**9)
    (row,) = await outbox.pending("slack", after=0, limit=1, max_bytes=10**9)
    before = await begun()

    await asyncio.gather(
        *(outbox.under(lease).bind([each], EventId(f"batch_{each.seq}")) for each in rows),
        outbox.under(other).settle([a_settlement(row)]),
    )

    assert await begun() - before <= 5, "written together, not one against the other"
    for each in rows:
        assert [bound.seq for bound in await outbox.members("crm", EventId(f"batch_{each.seq}"))] == [
            each.seq
        ]
    assert (await outbox.counts())["slack"] == Counts(delivered=1)


# ------------------------------------------------------------------ leases


async def test_what_is_written_after_another_has_taken_the_lease_is_refused(outbox):
    one, other = outbox.leases("one"), outbox.leases("other")
    lease = await one.take("endpoint:crm")
    assert lease is not None
    stale = outbox.under(lease)
    await put(stale, a_delivery())
    (row,) = await stale.pending("crm", after=0, limit=9, max_bytes=10**9)
    await one.give_back(lease)
    taken = await other.take("endpoint:crm")
    assert taken is not None

    with pytest.raises(LeaseLost):
        await put(stale, a_delivery(), token="82FF")
    with pytest.raises(LeaseLost):
        await stale.settle([a_settlement(row)])
    with pytest.raises(LeaseLost):
        await stale.bind([row], EventId("webhook_batch"))
    with pytest.raises(LeaseLost):
        await stale.stand("crm", PAUSED)

    position = await outbox.position()
    assert position is not None
    assert position.checkpoint.token == "82AA"
    assert await outbox.counts() == {"crm": Counts(pending=1)}
    assert await outbox.standings() == {}
    await outbox.under(taken).settle([a_settlement(row)])
    assert await outbox.counts() == {"crm": Counts(delivered=1)}


async def test_the_settlements_of_others_are_written_beside_those_of_a_stale_holder(outbox):
    leases = outbox.leases("one")
    good, stale = await leases.take("endpoint:crm"), Lease(name="endpoint:slack", holder="two", epoch=7)
    assert good is not None
    await put(outbox, a_delivery(), a_delivery(endpoint="slack"), a_delivery())
    mine = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
    others = await outbox.pending("slack", after=0, limit=9, max_bytes=10**9)

    results = await asyncio.gather(
        outbox.under(good).settle([a_settlement(mine[0])]),
        outbox.under(stale).settle([a_settlement(others[0])]),
        outbox.under(good).settle([a_settlement(mine[1])]),
        return_exceptions=True,
    )

    assert [type(each) for each in results] == [type(None), LeaseLost, type(None)]
    assert await outbox.counts() == {"crm": Counts(delivered=2), "slack": Counts(pending=1)}


async def test_what_a_replica_wrote_when_it_held_a_lease_before_does_not_take_it_away_again(outbox):
    leases = outbox.leases("one")
    before = await leases.take("endpoint:crm")
    assert before is not None
    await put(outbox, a_delivery(), a_delivery())
    first, second = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
    await leases.give_back(before)
    now = await leases.take("endpoint:crm")
    assert now is not None

    results = await asyncio.gather(
        outbox.under(before).settle([a_settlement(first)]),
        outbox.under(now).settle([a_settlement(second)]),
        return_exceptions=True,
    )

    assert [type(each) for each in results] == [LeaseLost, type(None)]
    assert await pending(outbox) == [first.delivery.id]


async def test_who_died_in_the_middle_of_a_transaction_holds_up_nobody(mongodb_uri, database):
    async with connection(mongodb_uri) as client, opened(mongodb_uri, database) as outbox:
        state = State(client, place_of(mongodb_uri, database))
        dead = MongoOutbox(state, outbox._news, outbox._settler).leases("dead")
        await dead.look(["capture"])
        lease = await dead.take("capture")
        assert lease is not None
        session = state._free.get_nowait()
        await session.start_transaction()
        await state.fence(lease, session)  # and is never heard of again
        # Its lease cannot be made older here, as the open transaction holds it.
        await asyncio.sleep(LASTS.total_seconds())

        taken = await asyncio.wait_for(outbox.leases("living").take("capture"), 3)

        assert taken is not None
        assert taken.epoch == lease.epoch + 1
        assert await put(outbox.under(taken), a_delivery()) == 1


# ------------------------------------------------------------------ rights, versions, indexes


async def test_read_on_librechat_s_database_and_read_write_on_the_state_s_are_enough(guarded, database):
    roles = [{"role": "read", "db": "LibreChat"}, {"role": "readWrite", "db": database}]
    await guarded.add_user(database, "pw", roles)
    uri = guarded.uri_of("LibreChat", user=database, password="pw")
    async with opened(uri, database) as one, opened(uri, database) as other:
        leases = one.leases("one")
        await leases.look(["capture"])
        lease = await leases.take("capture")
        assert lease is not None
        waiting = asyncio.create_task(other.appended("crm", after=0))
        await put(one.under(lease), a_delivery())
        await asyncio.wait_for(waiting, 5)
        rows = await other.pending("crm", after=0, limit=9, max_bytes=10**9)
        await one.under(lease).settle([a_settlement(row) for row in rows])
        assert await one.used_bytes() > 0
        await one.forget(delivered_before=NOON, dead_before=NOON, marks_before=NOON, limit=9)
        await one._state.end_sessions(other._state.session_ids)
        await leases.leave()


async def test_without_the_right_to_write_the_cure_is_told(guarded, database):
    await guarded.add_user(f"{database}_r", "pw", [{"role": "read", "db": "LibreChat"}])
    uri = guarded.uri_of("LibreChat", user=f"{database}_r", password="pw")

    with pytest.raises(OutboxError) as refused:
        async with opened(uri, database):
            pass

    assert f'grantRolesToUser("{database}_r", [{{role: "readWrite", db: "{database}"}}])' in str(
        refused.value
    )


async def test_a_state_of_a_newer_version_is_refused(mongodb_uri, database, mongo_client):
    await mongo_client[database].schema.insert_one({"_id": "schema", "version": 99})

    with pytest.raises(OutboxBroken, match="newer librechat-watcher"):
        async with opened(mongodb_uri, database):
            pass

    assert await mongo_client[database].list_collection_names() == ["schema"], "it is left as it is"


async def test_two_librechats_do_not_share_a_state(mongodb_uri, database):
    async with MongoOutbox.open(mongodb_uri, database, watched="LibreChat") as ours:
        await ours.prepare()
    async with MongoOutbox.open(mongodb_uri, database, watched="staging") as theirs:
        with pytest.raises(OutboxBroken, match="'LibreChat'") as refused:
            await theirs.prepare()
    with pytest.raises(OutboxBroken):
        async with MongoReader.open(mongodb_uri, database, watched="staging"):
            pass
    async with MongoOutbox.open(mongodb_uri, database) as nobody_knows:
        await nobody_knows.prepare()

    assert f"mongodb://…/{database}_2" in str(refused.value)


async def test_a_state_is_that_of_the_first_who_knows_whose_changes_are_in_it(mongodb_uri, database):
    async with opened(mongodb_uri, database):
        pass  # by a command that was not told where LibreChat's MongoDB is
    both = [MongoOutbox.open(mongodb_uri, database, watched=name) for name in ("LibreChat", "staging")]

    async with both[0] as one, both[1] as other:
        ends = await asyncio.gather(one.prepare(), other.prepare(), return_exceptions=True)

    assert sorted(type(end).__name__ for end in ends) == ["NoneType", "OutboxBroken"]


async def test_a_state_of_version_1_is_brought_up_to_date_and_goes_on(mongodb_uri, database, mongo_client):
    async with opened(mongodb_uri, database) as outbox:
        await put(outbox, a_delivery())
    state = mongo_client[database]
    for name in ("in_the_log", "of_event", "user_1__id_1", "conversation_1__id_1"):
        await state.deliveries.drop_index(name)
    await state.drop_collection("recalls")
    await state.schema.update_one({}, {"$set": {"version": 1}, "$unset": {"watched": ""}})

    async with opened(mongodb_uri, database) as outbox:
        (found,) = await outbox.search(Wanted(), after=None, limit=9)
        assert await outbox.cancel([found.id], reason="by an operator") == {"crm": 1}
        assert await outbox.recalls() == {"crm": 1}

    assert (await state.schema.find_one())["version"] == SCHEMA_VERSION
    assert "in_the_log" in await state.deliveries.index_information()


class WrongClock(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) - timedelta(hours=1)


async def test_rows_of_a_scan_that_begins_while_others_are_forgotten_stay(faulty, database):
    row = Entity("messages:m1")
    slow = {"failCommands": ["find"], "blockConnection": True, "blockTimeMS": 1_500}
    async with opened(faulty.uri, database) as stale, opened(faulty.uri, database) as other:
        async with failing(faulty, {**slow, "namespace": f"{database}.memory"}, times=1):
            forgetting = asyncio.create_task(stale.forget_rows(limit=100))
            await asyncio.sleep(0.5)
            (scan,) = await other.memories({"messages": frozenset({"user"})})
            await other.remember({row: Remembered(fields={"user": "u1"}, exact_after=NOON)}, scan)
            await forgetting

        assert (await other.recall([row])).keys() == {row}


async def test_a_look_tells_how_far_apart_the_clocks_are(outbox, monkeypatch):
    leases, second = outbox.leases("one"), timedelta(seconds=1)
    assert abs((await leases.look(["capture"])).skew) < second

    monkeypatch.setattr("watcher.adapters.mongo.state.leases.datetime", WrongClock)

    assert abs((await leases.look(["capture"])).skew - timedelta(hours=1)) < second


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BLOCKED = {"failCommands": ["insert"], "blockConnection": True}


async def test_a_long_transaction_does_not_cost_the_lease_that_it_is_made_under(faulty, database):
    async with opened(faulty.uri, database) as one, opened(faulty.uri, database) as other:
        holder, standby = one.leases("holder"), other.leases("standby")
        await holder.look(["capture"])
        lease = await holder.take("capture")
        assert lease is not None
        slow = {**BLOCKED, "blockTimeMS": 8_500, "namespace": f"{database}.deliveries"}
        async with failing(faulty, slow, times=1):
            appending = asyncio.create_task(put(one.under(lease), a_delivery()))
            await asyncio.sleep(0.3)
            while not appending.done():
                assert (await holder.look(["capture"])).mine == {lease}
                assert await standby.take("capture") is None
                await asyncio.sleep(0.5)

        assert await appending == 1


async def test_who_takes_a_lease_waits_for_nobody_and_spoils_what_is_open_under_it(faulty, database):
    """A transaction that is open when its lease is over ends before the next holder begins, or never."""
    async with opened(faulty.uri, database) as one, opened(faulty.uri, database) as other:
        stale, next_one = one.leases("stale"), other.leases("next")
        await stale.look(["capture"])
        lease = await stale.take("capture")
        assert lease is not None
        slow = {**BLOCKED, "blockTimeMS": 1_500, "namespace": f"{database}.deliveries"}
        async with failing(faulty, slow, times=1), AsyncMongoClient[dict[str, Any]](faulty.uri) as client:
            appending = asyncio.create_task(put(one.under(lease), a_delivery()))
            await asyncio.sleep(0.3)
            leases = client[database].leases
            await leases.update_one({"_id": "capture"}, {"$set": {"until": LONG_AGO}})
            await leases.delete_one({"_id": "replica:stale"})  # so that nobody ends its transactions
            taken = None
            while taken is None:
                began = asyncio.get_running_loop().time()
                taken = await next_one.take("capture")
                assert asyncio.get_running_loop().time() - began < 1.2
                done_before = appending.done()
                stored = len(await pending(other))
                await asyncio.sleep(0.1)

            with suppress(LeaseLost):
                await appending
            assert len(await pending(other)) == stored, "what is there at the take stays all there is"
            assert done_before == (stored == 1)
        with pytest.raises(LeaseLost):
            await put(one.under(lease), a_delivery())
        assert await put(other.under(taken), a_delivery()) == 1


async def test_beside_replicas_of_schema_1_their_fence_is_kept_too(mongodb_uri, database, mongo_client):
    leases = mongo_client[database].leases
    async with opened(mongodb_uri, database) as outbox:
        ours = outbox.leases("new")
        await leases.insert_one({"_id": "replica:old", "holder": "old", "sessions": [], "until": LONG_AGO})
        await ours.look(["capture"])
        lease = await ours.take("capture")
        assert lease is not None
        assert await put(outbox.under(lease), a_delivery()) == 1

        taken = {"$set": {"holder": "old"}, "$inc": {"epoch": 1}}
        await leases.update_one({"_id": "capture"}, taken)
        with pytest.raises(LeaseLost):
            await put(outbox.under(lease), a_delivery(), token="82BB")

        await leases.update_one({"_id": "capture"}, {"$set": {"until": LONG_AGO}})
        async with mongo_client.start_session() as session, await session.start_transaction():
            await leases.update_one({"_id": "capture"}, {"$inc": {"writes": 1}}, session=session)
            assert await ours.take("capture") is None, "a transaction of the old one is open"
        again = await ours.take("capture")
        assert again is not None
        assert again.epoch == lease.epoch + 2
        assert await put(outbox.under(again), a_delivery(), token="82CC") == 1


async def test_who_died_is_replaced_where_sessions_may_not_be_killed(faulty, database):
    refusing = {"failCommands": ["killSessions"], "errorCode": 8000}
    async with (
        AsyncMongoClient[dict[str, Any]](faulty.uri) as client,
        opened(faulty.uri, database) as one,
        opened(faulty.uri, database) as other,
    ):
        dead, living = one.leases("dead"), other.leases("living")
        await dead.look(["capture"])
        lease = await dead.take("capture")
        over = {"$set": {"until": datetime(2020, 1, 1, tzinfo=UTC)}}
        await client[database].leases.update_many({}, over)
        await client.admin.command(
            {"configureFailPoint": "failCommand", "mode": {"times": 9}, "data": refusing}
        )
        try:
            taken = await living.take("capture")
        finally:
            await client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        await client.drop_database(database)

        assert taken is not None
        assert lease is not None
        assert (taken.holder, taken.epoch) == ("living", lease.epoch + 1)


PLANS: dict[str, tuple[dict[str, Any], list[tuple[str, int]]]] = {
    "endpoint_1_seq_1": ({"state": "pending", "endpoint": "crm", "seq": {"$gt": 5}}, [("seq", 1)]),
    "endpoint_1_entity_1_seq_1": (
        {"state": "pending", "endpoint": "crm", "entity": "c:1", "seq": {"$gte": 5}},
        [("seq", 1)],
    ),
    "batch_1_seq_1": ({"state": "pending", "endpoint": "crm", "batch": "b"}, [("seq", 1)]),
    "state_1_settled_at_1": ({"state": "delivered", "settled_at": {"$lt": NOON}}, [("settled_at", 1)]),
    "row_1_seq_-1": ({"row": "messages:1"}, [("seq", -1)]),
}


@pytest.mark.parametrize("index", PLANS)
async def test_what_is_asked_for_is_read_by_its_index_and_needs_no_sorting(
    outbox, mongo_client, database, index
):
    rows = [a_delivery(entity=Entity(f"c:{number % 9}")) for number in range(200)]
    await put(outbox, *rows)
    wanted, order = PLANS[index]

    plan = await mongo_client[database].deliveries.find(wanted).sort(order).limit(10).explain()

    stages = str(plan["queryPlanner"]["winningPlan"])
    assert f"'indexName': '{index}'" in stages
    assert "'SORT'" not in stages
