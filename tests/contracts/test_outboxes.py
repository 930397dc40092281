"""The contracts of Outbox, Log and Registry over the double, over SQLite and over MongoDB."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient

from tests.admin.test_api import TOKEN, Stage, metrics
from tests.admin.test_server import a_port
from tests.contracts.log_contract import LogContract
from tests.contracts.outbox_contract import OutboxContract
from tests.contracts.registry_contract import RegistryContract
from watcher.adapters.mongo.state.outbox import MongoOutbox
from watcher.adapters.remote_log import RemoteLog
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.admin.server import serving
from watcher.testing import MemoryOutbox


class TestMemoryOutbox(OutboxContract, LogContract, RegistryContract):
    @pytest.fixture
    def outbox(self):
        return MemoryOutbox()


class TestSqliteOutbox(OutboxContract, LogContract, RegistryContract):
    @pytest.fixture
    async def outbox(self, tmp_path):
        async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
            yield outbox


@pytest.fixture(scope="module")
def emptied(mongodb_uri):
    """Empties a database that all tests share: to make its collections takes longer than most of them."""
    name = f"contract_{uuid4().hex[:8]}"
    with MongoClient[dict[str, Any]](mongodb_uri) as client:

        def empty():
            for collection in client[name].list_collection_names():
                if collection != "schema":
                    client[name][collection].delete_many({})
            return name

        yield empty
        client.drop_database(name)


class TestMongoOutbox(OutboxContract, LogContract, RegistryContract):
    @pytest.fixture
    async def outbox(self, mongodb_uri, emptied):
        async with MongoOutbox.open(mongodb_uri, emptied()) as outbox:
            await outbox.prepare()
            yield outbox


class TestRemoteLog(LogContract):
    """What is not of the log goes straight to the outbox behind the API."""

    @pytest.fixture
    async def outbox(self):
        stage = Stage()
        desk = replace(stage.desk, shows_text=True)
        port = a_port()
        async with (
            serving("127.0.0.1", port, readiness=desk.readiness.judge, metrics=metrics, desk=desk),
            RemoteLog.open(f"http://127.0.0.1:{port}/", TOKEN) as log,
        ):
            yield Joined(log, stage.outbox)


class Joined:
    """A log, with the outbox behind it."""

    def __init__(self, log, outbox):
        self._log, self._outbox = log, outbox

    def __getattr__(self, name):
        return getattr(self._log if hasattr(self._log, name) else self._outbox, name)
