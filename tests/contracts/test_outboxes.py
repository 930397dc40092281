"""The contracts of Outbox and Log over the double, over SQLite and over MongoDB."""

from __future__ import annotations

import pytest

from tests.contracts.log_contract import LogContract
from tests.contracts.outbox_contract import OutboxContract
from watcher.adapters.mongo.state.outbox import MongoOutbox
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.testing import MemoryOutbox


class TestMemoryOutbox(OutboxContract, LogContract):
    @pytest.fixture
    def outbox(self):
        return MemoryOutbox()


class TestSqliteOutbox(OutboxContract, LogContract):
    @pytest.fixture
    async def outbox(self, tmp_path):
        async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
            yield outbox


class TestMongoOutbox(OutboxContract, LogContract):
    @pytest.fixture
    async def outbox(self, mongodb_uri, database):
        async with MongoOutbox.open(mongodb_uri, database) as outbox:
            await outbox.prepare()
            yield outbox
