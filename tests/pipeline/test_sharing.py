"""Sharing: what a replica begins, gives back and loses, as others come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from watcher.core.facts import LeaseEnded, LeaseTaken
from watcher.core.leases import BEAT, LASTS, MARGIN, Lease, Look
from watcher.errors import LeaseLost, OutboxBroken, OutboxError
from watcher.pipeline.sharing import Sharing, Tenure
from watcher.testing import Board, Facts, MemoryLeases

NAMES = {"capture", "endpoint:a", "endpoint:b", "endpoint:c"}


class Replica:
    """One of those who share a board."""

    def __init__(self, name: str, board: Board) -> None:
        self.facts = Facts()
        self.leases = MemoryLeases(name, board)
        self.at_work: dict[str, Tenure] = {}
        self.cut_off: list[str] = []
        self.reluctant = asyncio.Event()
        """Cleared: what is under way does not end when it is told to."""
        self.reluctant.set()
        self.error: Exception | None = None
        self.stopping = asyncio.Event()
        self.sharing = Sharing(self.leases, self.work, clock=board.clock, observe=self.facts)
        self.sharing.become(NAMES)

    async def work(self, tenure: Tenure) -> None:
        name = tenure.lease.name
        assert name not in self.at_work, "never two at once"
        self.at_work[name] = tenure
        try:
            await tenure.ending.wait()
            await self.reluctant.wait()
            if self.error is not None:
                raise self.error
        except asyncio.CancelledError:
            self.cut_off.append(name)
            raise
        finally:
            del self.at_work[name]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.sharing.run(self.stopping))
            await settle_down()
            yield
            self.stopping.set()


async def settle_down() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def beat(board: Board, times: int = 1) -> None:
    for _ in range(times):
        board.clock.advance(BEAT)
        await settle_down()


async def test_who_is_alone_does_all_at_once():
    board = Board()
    one = Replica("one", board)

    async with one.running():
        assert one.at_work.keys() == NAMES
        assert {fact.lease for fact in one.facts.of(LeaseTaken)} == NAMES


async def test_who_comes_gets_a_share_as_soon_as_what_is_under_way_there_has_ended():
    board = Board()
    one, other = Replica("one", board), Replica("other", board)
    async with one.running(), other.running():
        one.reluctant.clear()
        await beat(board)
        assert sum(tenure.ending.is_set() for tenure in one.at_work.values()) == 2
        assert other.at_work == {}

        one.reluctant.set()
        await beat(board, 2)

        assert len(one.at_work) == len(other.at_work) == 2
        assert one.at_work.keys() | other.at_work.keys() == NAMES
        assert not any(fact.lost for fact in one.facts.of(LeaseEnded))
        assert {tenure.lease.epoch for tenure in other.at_work.values()} == {2}


async def test_what_is_held_is_renewed_however_long_it_takes_to_take_the_rest():
    board = Board()
    one = Replica("one", board)
    names = {f"endpoint:{number}" for number in range(30)}
    one.sharing.become(names)
    take = one.leases.take

    async def take_slowly(name: str) -> Lease | None:
        await asyncio.sleep(0)
        assert all(tenure.lasts() for tenure in one.at_work.values())
        board.clock.advance(BEAT / 2)
        return await take(name)

    one.leases.take = take_slowly  # type: ignore[method-assign]
    async with one.running():
        for _ in range(20):
            await settle_down()

        assert one.at_work.keys() == names
        assert one.facts.of(LeaseEnded) == []


async def test_what_another_has_taken_is_cut_off():
    board = Board()
    one, other = Replica("one", board), Replica("other", board)
    async with one.running():
        one.leases.refuse = OutboxError("cut off from the store")
        for _ in range(6):
            await beat(board)
        assert one.at_work.keys() == NAMES, "nobody else does it"

        async with other.running():
            assert other.at_work.keys() == NAMES
            one.leases.refuse = None
            await beat(board)

            assert set(one.cut_off) == NAMES
            assert all(fact.lost for fact in one.facts.of(LeaseEnded))


async def test_who_cannot_renew_is_not_sure_any_more_before_another_may_take_over():
    board = Board()
    one = Replica("one", board)
    async with one.running():
        tenure = one.at_work["capture"]
        one.leases.refuse = OutboxError("cut off from the store")

        board.clock.advance(LASTS - MARGIN - timedelta(milliseconds=1))
        assert tenure.lasts()
        board.clock.advance(timedelta(milliseconds=1))
        assert not tenure.lasts()

        one.leases.refuse = None
        await beat(board)
        assert tenure.lasts()
        assert one.at_work["capture"] is tenure, "nobody had taken it"


async def test_what_is_taken_out_of_the_settings_ends_and_what_comes_back_waits_for_it():
    board = Board()
    one = Replica("one", board)
    async with one.running():
        first = one.at_work["endpoint:a"]
        one.reluctant.clear()
        one.sharing.become(NAMES - {"endpoint:a"})
        await settle_down()
        one.sharing.become(NAMES)
        await settle_down()
        assert one.at_work["endpoint:a"] is first

        one.reluctant.set()
        await settle_down()

        assert one.at_work["endpoint:a"] is not first
        assert one.at_work["endpoint:a"].lease.epoch == first.lease.epoch + 1


async def test_what_could_not_be_given_back_yet_is_not_begun_again():
    board = Board()
    one = Replica("one", board)
    async with one.running():
        give_back, refusing = one.leases.give_back, True

        async def refuse(lease: Lease) -> None:
            if refusing:
                raise OutboxError("cut off from the store")
            await give_back(lease)

        one.leases.give_back = refuse  # type: ignore[method-assign]
        one.sharing.become(NAMES - {"endpoint:a"})
        await settle_down()
        await beat(board, 3)
        assert "endpoint:a" not in one.at_work
        assert [fact.lease for fact in one.facts.of(LeaseTaken)].count("endpoint:a") == 1

        refusing = False
        await beat(board)

        assert "endpoint:a" not in board.held


async def test_who_stops_lets_end_what_is_under_way_and_then_leaves():
    board = Board()
    one, other = Replica("one", board), Replica("other", board)
    async with other.running():
        async with one.running():
            await beat(board, 3)
        await beat(board, 1)

        assert one.cut_off == []
        assert other.at_work.keys() == NAMES
        assert (await other.leases.look(["capture"])).replicas == {"other"}


async def test_who_stops_tells_what_is_under_way_at_once_also_while_the_store_is_silent():
    board, answered = Board(), asyncio.Event()
    one = Replica("one", board)
    look = one.leases.look

    async def silent(knows: Collection[str]) -> Look:
        await answered.wait()
        return await look(knows)

    async with one.running():
        one.leases.look = silent  # type: ignore[method-assign]
        await beat(board)
        assert one.at_work.keys() == NAMES

        one.stopping.set()
        await settle_down()

        assert one.at_work == {}
        answered.set()


async def test_work_that_finds_itself_replaced_ends_alone():
    board = Board()
    one = Replica("one", board)
    async with one.running():
        first = one.at_work["endpoint:a"]
        one.error = LeaseLost("endpoint:a")
        first.ending.set()
        await settle_down()
        one.error = None

        assert one.at_work.keys() >= NAMES - {"endpoint:a"}
        assert [fact.lost for fact in one.facts.of(LeaseEnded)] == [True]


async def test_a_broken_store_ends_it_all():
    board = Board()
    one = Replica("one", board)

    async def break_down() -> None:
        async with one.running():
            one.error = OutboxBroken("damaged")
            one.at_work["endpoint:b"].ending.set()
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as ended:
        await asyncio.wait_for(break_down(), 5)

    assert ended.value.subgroup(OutboxBroken) is not None
    assert one.at_work == {}
