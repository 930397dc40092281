"""Dispatchers: one for each endpoint, as the settings want them, also when these change.

The law: of one endpoint there is never more than one at work. Who comes back while its predecessor still lets
attempts end waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from watcher.core.endpoints import Endpoint
from watcher.pipeline.dispatch import Dispatcher


@dataclass(frozen=True, slots=True)
class _Worker:
    dispatcher: Dispatcher
    stopping: asyncio.Event
    task: asyncio.Task[None]


class Dispatchers:
    """Starts, changes and stops them."""

    def __init__(
        self, employ: Callable[[Endpoint], Dispatcher], tasks: asyncio.TaskGroup, *, grace: timedelta
    ) -> None:
        """`employ`: makes one for an endpoint. `grace`: for attempts in flight, when one has to stop."""
        self._employ = employ
        self._tasks = tasks
        self._grace = grace
        self._working: dict[str, _Worker] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    def become(self, endpoints: Sequence[Endpoint]) -> None:
        """From now on there are these endpoints. What is pending for others stays so."""
        for name in self._working.keys() - {endpoint.name for endpoint in endpoints}:
            worker = self._working.pop(name)
            worker.stopping.set()
            self._leaving[name] = worker.task
        for endpoint in endpoints:
            if endpoint.name in self._working:
                self._working[endpoint.name].dispatcher.become(endpoint)
            else:
                self._working[endpoint.name] = self._begin(endpoint)

    def stop(self) -> None:
        """Let attempts in flight end. The task group ends with the last of them."""
        self.become(())

    def _begin(self, endpoint: Endpoint) -> _Worker:
        dispatcher, stopping = self._employ(endpoint), asyncio.Event()
        predecessor = self._leaving.pop(endpoint.name, None)

        async def work() -> None:
            if predecessor is not None:
                await asyncio.wait({predecessor})
            await dispatcher.run(stopping, grace=self._grace)

        return _Worker(dispatcher, stopping, self._tasks.create_task(work()))
