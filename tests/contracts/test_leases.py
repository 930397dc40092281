"""The Leases contract over the double and over MongoDB."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.contracts.leases_contract import LeasesContract
from watcher.adapters.mongo.state.outbox import MongoOutbox
from watcher.testing import Board, MemoryLeases


class TestMemoryLeases(LeasesContract):
    @pytest.fixture
    def board(self):
        return Board()

    @pytest.fixture
    def join(self, board):
        return lambda replica: MemoryLeases(replica, board)

    @pytest.fixture
    def pass_time(self, board):
        async def pass_time(span: timedelta) -> None:
            board.clock.advance(span)

        return pass_time


class TestMongoLeases(LeasesContract):
    @pytest.fixture
    async def outbox(self, mongodb_uri, database):
        async with MongoOutbox.open(mongodb_uri, database) as outbox:
            yield outbox

    @pytest.fixture
    def join(self, outbox):
        return outbox.leases

    @pytest.fixture
    def pass_time(self, mongo_client, database):
        """The server's clock cannot be set: what it has written is made older instead."""

        async def pass_time(span: timedelta) -> None:
            leases = mongo_client[database].leases
            back = {"$subtract": ["$until", span // timedelta(milliseconds=1)]}
            await leases.update_many({}, [{"$set": {"until": back}}])

        return pass_time
