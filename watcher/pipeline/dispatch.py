"""Dispatch: what the outbox owes to one endpoint, sent, judged and settled, for ever.

Each endpoint has a dispatcher of its own, with its own slots: a slow receiver holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from watcher.cancelling import is_cut
from watcher.core.attempts import attempt_of
from watcher.core.circuits import Standing
from watcher.core.endpoints import Endpoint
from watcher.core.facts import Attempted, Settled, StandingChanged
from watcher.core.hiding import Hiding
from watcher.core.lanes import LINE_BYTES, LINE_ROWS, WINDOW_BYTES, Lane, Launch
from watcher.core.outcomes import NotSent, Outcome, Unreachable, Unsendable
from watcher.core.requests import BATCH, compose
from watcher.core.verdicts import Delivered, Release, decide, is_last, reason_of
from watcher.pipeline.patience import insist
from watcher.pipeline.settling import Ended, Settling
from watcher.ports import UNTRACED, Clock, Observer, Outbox, Sender, Settlement, Tracer

T = TypeVar("T")

UNSURE_SECONDS = 0.25
"""Between two looks whether it may send again."""

OBEYED_WITHIN = timedelta(seconds=1)
"""How soon it is noticed that an operator paused or resumed the endpoint."""

PARTING_SECONDS = 0.5
"""For writing down what ended last, where nothing is left of the grace. What is not written is sent again."""

SAME_WAIT = timedelta(seconds=1)
"""An end of a slow-down that moves by less is not stored again: refusals come by the dozen."""


class Dispatcher:
    """Delivers to one endpoint until told to stop."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        outbox: Outbox,
        sender: Sender,
        clock: Clock,
        observe: Observer,
        may_send: Callable[[], bool] = lambda: True,
        window_bytes: int = WINDOW_BYTES,
        tracer: Tracer = UNTRACED,
    ) -> None:
        """`may_send`: whether this is the one that sends to the endpoint, now. While it is not sure, nothing
        new goes out."""
        self._tracer = tracer
        self._may_send = may_send
        self._endpoint, self._hiding = endpoint, Hiding(endpoint)
        self._outbox = outbox
        self._sender = sender
        self._clock = clock
        self._observe = observe
        self._lane = Lane(endpoint, window_bytes=window_bytes)
        self._settling = Settling(self._settle)
        self._changed = asyncio.Event()
        self._offered = asyncio.Event()
        self._news = True
        """There may be more in the store than the lane has seen."""
        self._standing_turn = asyncio.Lock()
        self._stored_standing: Standing | None = None
        self._recalls, self._recalled = 0, False
        self._stopping = False

    def become(self, endpoint: Endpoint, *, window_bytes: int = WINDOW_BYTES) -> None:
        """Go on by other settings of the same endpoint: attempts from now on are made by them."""
        self._endpoint, self._hiding = endpoint, Hiding(endpoint)
        self._lane.become(endpoint, window_bytes, clock=self._clock.monotonic(), now=self._clock.now())
        self._changed.set()

    async def run(self, stopping: asyncio.Event, *, grace: timedelta) -> None:
        """Deliver until `stopping` is set; then let attempts in flight end, and have what ended written down,
        for `grace` at most.

        Attempts cut after that cost their deliveries nothing: they are pending, as before."""
        attempts: set[asyncio.Task[None]] = set()
        self._lane.begin(clock=self._clock.monotonic())
        async with asyncio.TaskGroup() as tasks:
            settling = tasks.create_task(self._settling.run())
            working = [
                tasks.create_task(self._feed(tasks, attempts)),
                tasks.create_task(self._listen()),
                tasks.create_task(self._obey()),
            ]
            await stopping.wait()

            self._stopping, began = True, self._clock.monotonic()
            for task in working:
                task.cancel()
            if attempts:
                await asyncio.wait(attempts, timeout=grace.total_seconds())
            for attempt in attempts:
                attempt.cancel()
            if attempts:
                await asyncio.wait(attempts)
            self._settling.close()
            left = grace.total_seconds() - (self._clock.monotonic() - began)
            await asyncio.wait({settling}, timeout=max(left, PARTING_SECONDS))
            settling.cancel()

    async def _feed(self, tasks: asyncio.TaskGroup, attempts: set[asyncio.Task[None]]) -> None:
        await self._look_at_standing()
        while True:
            await self._read_what_is_due()
            await self._read_what_is_new()
            if self._recalled:  # what was read a moment ago, too, may be what was taken back
                self._recalled = False
                self._lane.recall(self._clock.now())
                continue

            while launch := self._next():
                attempt = tasks.create_task(self._send_on(launch))
                attempts.add(attempt)
                attempt.add_done_callback(attempts.discard)

            await self._something_to_do()

    async def _read_what_is_due(self) -> None:
        lane, name = self._lane, self._endpoint.name
        returns, batches = lane.due(self._clock.now())
        for returned in returns:
            rows = await self._insist(
                "read",
                lambda returned=returned: self._outbox.pending_of(  # type: ignore[misc]
                    name, returned.entity, start=returned.start, limit=LINE_ROWS, max_bytes=LINE_BYTES
                ),
            )
            lane.back(returned, rows, now=self._clock.now())
        for batch in batches:
            members = await self._insist("read", lambda batch=batch: self._outbox.members(name, batch))  # type: ignore[misc]
            lane.regroup(batch, members, now=self._clock.now())

    async def _read_what_is_new(self) -> None:
        room = self._lane.room() if self._news else 0
        if not room:
            return
        self._news, after = False, self._lane.cursor
        rows = await self._insist(
            "read",
            lambda: self._outbox.pending(
                self._endpoint.name, after=after, limit=room, max_bytes=self._lane.window_bytes
            ),
        )
        if rows:
            self._lane.offer(rows, now=self._clock.now())
        # Also when there is none: what was told of may be cancelled, and who waits for this must look again.
        self._offered.set()

    async def _listen(self) -> None:
        """Wake the feeder when the outbox holds more than the lane has seen."""
        while True:
            await self._insist(
                "read", lambda: self._outbox.appended(self._endpoint.name, after=self._lane.cursor)
            )
            self._news = True
            self._changed.set()
            await self._offered.wait()
            self._offered.clear()

    async def _something_to_do(self) -> None:
        if self._next_wake() is None:
            await self._changed.wait()
        else:
            async with asyncio.TaskGroup() as tasks:
                alarm = tasks.create_task(self._ring())
                await self._changed.wait()
                alarm.cancel()
        self._changed.clear()

    async def _ring(self) -> None:
        await self._clock.sleep(timedelta(seconds=self._next_wake() or 0))
        self._changed.set()

    def _next_wake(self) -> float | None:
        if not self._may_send():
            return UNSURE_SECONDS
        return self._lane.next_wake(now=self._clock.now(), clock=self._clock.monotonic())

    def _next(self) -> Launch | None:
        if self._stopping or self._recalled or not self._may_send():
            return None
        return self._lane.take(clock=self._clock.monotonic())

    async def _send_on(self, launch: Launch | None) -> None:
        """One attempt after the other, as long as there is something to be sent now.

        None after one that was cut: it made an outcome of that, and who is next may be another replica's."""
        while launch is not None:
            await self._attempt(launch)
            launch = None if is_cut() else self._next()

    async def _attempt(self, launch: Launch) -> None:
        parcel = launch.parcel
        if parcel.batch is not None and not launch.bound:
            batch = parcel.batch
            await self._insist("bind", lambda: self._outbox.bind(parcel.members, batch))

        started, began, hiding = self._clock.now(), self._clock.monotonic(), self._hiding
        outcome = await self._send(launch, started)
        clock = self._clock.monotonic()
        took, jitter, endpoint = timedelta(seconds=clock - began), self._clock.jitter(), self._endpoint
        self._lane.answered(launch, clock=clock)
        self._lane.circuit.heard(
            outcome,
            [row.delivery.id for row in parcel.members],
            last=is_last(parcel.attempts, endpoint),
            began=began,
            clock=clock,
            now=started + took,
            jitter=jitter,
        )
        verdict = decide(
            outcome,
            attempts=parcel.attempts,
            endpoint=endpoint,
            now=started + took,
            jitter=jitter,
            standing=self._lane.circuit.standing,
        )
        self._settling.add(
            Ended(
                launch=launch,
                outcome=outcome,
                verdict=verdict,
                attempt=attempt_of(outcome, hiding, at=started, took=took, reason=reason_of(verdict)),
                clock=clock,
            )
        )

    async def _settle(self, group: Sequence[Ended]) -> None:
        settlements = [
            Settlement(stored=row, verdict=each.verdict, attempt=each.attempt)
            for each in group
            if not isinstance(each.verdict, Release)
            for row in each.launch.parcel.members
        ]
        if settlements:
            well = all(isinstance(each.verdict, Delivered) for each in group)
            moved = not _alike(self._stored_standing, self._lane.circuit.standing)
            hurried = self._stopping or not well or moved or self._lane.is_waiting
            await self._insist("settle", lambda: self._outbox.settle(settlements, hurried=hurried))

        now, clock = self._clock.now(), self._clock.monotonic()
        for each in group:
            self._lane.settle(each.launch.parcel, each.verdict, now=now)
        self._changed.set()
        self._tell(group, clock=clock)
        await self._keep_standing()

    async def _send(self, launch: Launch, started: datetime) -> Outcome:
        def written() -> None:
            if not self._may_send():
                raise asyncio.CancelledError  # it took long to connect, or the program stood still meanwhile
            if self._lane.is_paced:  # now it is known when the next one may go
                self._lane.written(launch, clock=self._clock.monotonic())
                self._changed.set()

        try:
            request = compose(launch.parcel, self._endpoint, now=started)
            if isinstance(request, Unsendable):
                return request
            if not self._may_send():
                return NotSent()  # the program stood still since it was taken, or the store did
            if traced := self._tracer.headers(launch.parcel.identity, launch.parcel.attempts + 1, started):
                request = replace(request, headers=(*request.headers, *traced))
            return await self._sender.send(request, on_written=written)
        except asyncio.CancelledError:
            # Only we ourselves cancel an attempt, at our end or the lease's: the receiver is not to blame.
            return NotSent()
        except Exception as error:
            # A fault of ours in one request must not stop the others; as a failure it stays visible.
            return Unreachable(reason=f"internal: {type(error).__name__}")

    async def _keep_standing(self) -> None:
        """Store how the endpoint stands, and tell, if that has changed."""
        async with self._standing_turn:
            before, after = self._stored_standing, self._lane.circuit.standing
            if _alike(before, after):
                return
            stored = await self._insist(
                "stand", lambda: self._outbox.stand(self._endpoint.name, after, replacing=_state(before))
            )
            if stored:
                self._stored_standing = after
        if stored:
            self._tell_standing(before, after)
        else:
            await self._look_at_standing()  # an operator was faster: what he wants counts

    async def _obey(self) -> None:
        """Notice what an operator decided, who wrote it into the store."""
        while True:
            await self._clock.sleep(OBEYED_WITHIN)
            await self._look_at_standing()

    async def _look_at_recalls(self) -> None:
        recalls = (await self._insist("read", self._outbox.recalls)).get(self._endpoint.name, 0)
        if recalls != self._recalls:
            self._recalls, self._recalled = recalls, True
            self._changed.set()

    async def _look_at_standing(self) -> None:
        async with self._standing_turn:
            standings = await self._insist("read", self._outbox.standings)
            # An operator cancels what waits, and then lets the endpoint go on: who knows of the second must
            # know of the first, and heed it before.
            await self._look_at_recalls()
            before, after = self._stored_standing, standings.get(self._endpoint.name)
            if _state(before) == _state(after):
                return
            self._stored_standing = after
            self._lane.circuit.stand(after, now=self._clock.now(), clock=self._clock.monotonic())
            self._changed.set()
        self._tell_standing(before, after)

    def _tell_standing(self, before: Standing | None, after: Standing | None) -> None:
        if _state(before) != _state(after):
            self._observe(StandingChanged(endpoint=self._endpoint.name, before=before, after=after))

    def _tell(self, group: Sequence[Ended], *, clock: float) -> None:
        name = self._endpoint.name
        attempts = [_attempted(each, endpoint=name, clock=clock) for each in group]
        self._observe(Settled(attempts=tuple(attempts)))

    async def _insist(self, doing: str, act: Callable[[], Awaitable[T]]) -> T:
        return await insist(act, doing=doing, clock=self._clock, observe=self._observe)


def _attempted(ended: Ended, *, endpoint: str, clock: float) -> Attempted:
    parcel = ended.launch.parcel
    newest = parcel.members[-1].delivery
    return Attempted(
        endpoint=endpoint,
        id=parcel.identity,
        event=BATCH if parcel.batch else newest.event,
        members=tuple([row.delivery.id for row in parcel.members]),
        attempt=parcel.attempts + 1,
        began=ended.attempt.at,
        outcome=ended.outcome,
        verdict=ended.verdict,
        took=ended.attempt.took,
        age=ended.attempt.at + ended.attempt.took - newest.at,
        storing=timedelta(seconds=clock - ended.clock),
    )


def _state(standing: Standing | None) -> str | None:
    return standing.state if standing is not None else None


def _alike(before: Standing | None, after: Standing | None) -> bool:
    if before is None or after is None:
        return before is after
    moved = (after.until or after.since) - (before.until or before.since)
    return before.state == after.state and abs(moved) < SAME_WAIT
