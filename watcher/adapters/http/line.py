"""A Line: the connections to one endpoint, all made as its route says.

Law: no connection of one route serves a request of another, and none goes where the route forbids."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakSet

from watcher.adapters.http.answers import Answer
from watcher.adapters.http.connecting import Connector, Progress
from watcher.adapters.http.connection import Connection, Memo
from watcher.adapters.http.faults import Cut, Late, fault
from watcher.adapters.http.heads import Origin, head_of
from watcher.adapters.http.resolver import PatientResolver
from watcher.core.requests import Request
from watcher.core.routes import Route

IDLE_SECONDS = 4.0  # below the 5 s of Node and uvicorn: a connection taken up again is seldom a dead one
GOODBYE_SECONDS = 1.0  # for connections to be closed in good order, at the end


class Unanswered(Exception):
    """There was no answer; says why, as `Unreachable` does."""


class Line:
    """Connections, opened as they are needed. Raises OSError when the files of its TLS cannot be used."""

    def __init__(self, route: Route, *, resolver: PatientResolver) -> None:
        self.route = route
        self._connector = Connector(route, resolver=resolver)
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Origin, deque[Connection]] = {}
        """Of each, the one that was used last is at the end."""
        self._connections: WeakSet[Connection] = WeakSet()
        self._memo = Memo()
        self._sweep: asyncio.TimerHandle | None = None
        self._left = False

    async def ask(self, request: Request, on_written: Callable[[], object]) -> Answer:
        """The answer. Raises Unanswered; cancelling it cuts the request off."""
        deadline = self._loop.time() + request.timeout.total_seconds()
        try:
            origin, head = head_of(request, proxy=self.route.proxy)
            kept = self._kept(origin)
            while True:
                connection = kept or await self._open(origin, request, deadline)
                try:
                    on_written()
                except BaseException:
                    self._keep(connection, origin)  # nothing was written on it
                    raise
                try:
                    answer = await connection.post(head, request.body, deadline)
                except asyncio.CancelledError:
                    connection.abort()
                    raise
                except Cut as cut:
                    if kept is None or cut.begun:
                        raise
                    # The receiver closed an idle connection just as it was used: its right, and no failure.
                    # It may have read the request, so it may get it twice, with the same id. Once only, and
                    # not on a pooled connection, which may be as dead: a receiver that dies of this request
                    # must not be fed it again.
                    kept = None
                    continue
                self._keep(connection, origin)
                return answer
        except Unanswered:
            raise
        except Late as late:
            raise Unanswered(_timeout(str(late), request)) from late
        except Exception as error:
            raise Unanswered(fault(error)) from error

    def retire(self) -> None:
        """No request will begin to use it any more; those that do end as ever."""
        self._left = True
        self._close_idle(since=self._loop.time())

    async def close(self) -> None:
        """Every connection, in good order where the other side joins in."""
        self.retire()
        connections = list(self._connections)
        for connection in connections:
            connection.close()
        if connections:
            await asyncio.wait([connection.ended for connection in connections], timeout=GOODBYE_SECONDS)
        for connection in connections:
            connection.abort()

    async def _open(self, origin: Origin, request: Request, deadline: float) -> Connection:
        progress = Progress(proxied=self.route.proxy is not None)
        try:
            async with asyncio.timeout_at(deadline) as limit:
                connection = await self._connector.open(origin, deadline, progress)
        except Exception as error:
            if limit.expired() or isinstance(error, Late):
                raise Unanswered(_timeout(progress.where, request)) from error
            raise Unanswered(progress.why(error)) from error
        connection.memo = self._memo
        self._connections.add(connection)
        return connection

    def _kept(self, origin: Origin) -> Connection | None:
        """The one that was used last: what is used least can be closed soonest."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable:
                if self._loop.time() - connection.idle_since < IDLE_SECONDS:
                    return connection
                connection.close()
        return None

    def _keep(self, connection: Connection, origin: Origin) -> None:
        """For the next request, if it can carry one."""
        if not connection.usable:
            return
        if self._left:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        idle = self._idle.get(origin)
        if idle is None:
            idle = self._idle[origin] = deque()
        idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(IDLE_SECONDS, self._sweep_out)

    def _sweep_out(self) -> None:
        now = self._loop.time()
        self._close_idle(since=now - IDLE_SECONDS)
        oldest = min((idle[0].idle_since for idle in self._idle.values()), default=None)
        if oldest is not None:
            self._sweep = self._loop.call_at(max(oldest + IDLE_SECONDS, now), self._sweep_out)

    def _close_idle(self, *, since: float) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for origin, idle in list(self._idle.items()):
            while idle and (idle[0].idle_since <= since or not idle[0].usable):
                connection = idle.popleft()
                if connection.usable:
                    connection.close()
            if not idle:
                del self._idle[origin]


def _timeout(where: str, request: Request) -> str:
    return f"timeout: {where} after {request.timeout.total_seconds():g} s"
