"""MongoDB as operators meet it: the servers that tests of refusals and first steps need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from watcher.demo.mongod import PrivateMongo

Mongo = TypeVar("Mongo", bound=PrivateMongo)

PASSWORD = "s3cret"
ROLES: Mapping[str, list[dict[str, Any]]] = {
    "reader": [{"role": "read", "db": "LibreChat"}],
    "reader of local": [{"role": "read", "db": "LibreChat"}, {"role": "read", "db": "local"}],
    "stranger": [{"role": "read", "db": "Other"}],
    "keeper": [{"role": "dbAdmin", "db": "LibreChat"}],
}
"""The users of `guarded_mongo`, all with the same password."""


class UninitiatedMongo(PrivateMongo):
    """Started with --replSet, and nobody has initiated the set."""

    async def start(self) -> None:
        self._processes[0] = self._launch(0, self.ports[0])
        await self._listening(0)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.ports[0]}"


@contextmanager
def running(mongo: Mongo) -> Iterator[Mongo]:
    """The server, started, for fixtures that outlive a test and its event loop."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        try:
            runner.run(mongo.start())
            if mongo.password is not None:
                for name, roles in ROLES.items():
                    runner.run(mongo.add_user(name, PASSWORD, roles))
            yield mongo
        finally:
            mongo.close()
