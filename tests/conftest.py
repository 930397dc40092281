"""What many tests need: one real MongoDB for the session, and a database of one's own in it.

The fixtures that start processes are synchronous, so that each test may have its own event loop."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient

from watcher.demo.mongod import PrivateMongo


@pytest.fixture(scope="session")
def private_mongo() -> Iterator[PrivateMongo]:
    """A running replica set of one member, shared by all tests: don't stop it, don't step it down."""
    mongo = PrivateMongo()
    # A runner with its own loop leaves the loops of pytest-asyncio alone.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        try:
            runner.run(mongo.start())
            yield mongo
        finally:
            mongo.close()


@pytest.fixture(scope="session")
def mongodb_uri(private_mongo: PrivateMongo) -> str:
    return private_mongo.uri


@pytest.fixture(scope="session")
def _janitor(mongodb_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        yield client


@pytest.fixture
def database(_janitor: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """The name of a database that nobody else uses; dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    _janitor.drop_database(name)


@pytest.fixture
async def mongo_client(mongodb_uri: str) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri, tz_aware=True) as client:
        yield client
