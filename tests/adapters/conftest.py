"""Servers that refuse in one way or another, shared by the tests of the MongoDB adapter: leave them so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.adapters.mongo_servers import UninitiatedMongo, running
from watcher.adapters.mongo import connect
from watcher.demo.mongod import PrivateMongo


@pytest.fixture(scope="session")
def guarded_mongo() -> Iterator[PrivateMongo]:
    """A replica set with access control, and the users of `mongo_servers.ROLES`."""
    with running(PrivateMongo(auth=True)) as mongo:
        yield mongo


@pytest.fixture(scope="session")
def standalone_mongo() -> Iterator[PrivateMongo]:
    with running(PrivateMongo(replica_set=False)) as mongo:
        yield mongo


@pytest.fixture(scope="session")
def uninitiated_mongo() -> Iterator[UninitiatedMongo]:
    with running(UninitiatedMongo()) as mongo:
        yield mongo


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Don't look long for a primary where there is none."""
    monkeypatch.setattr(connect, "SELECTION_SECONDS", 0.2)
