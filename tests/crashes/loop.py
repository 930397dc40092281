"""An event loop that runs one step at a time, on one thread, and knows no time but what it is told.

A step is what runs between one await and the next, or one job of a thread, or a thread's word that a job is
done. Between any two steps a program may be cut off. Each thread does one thing after the other, sooner or
later than what else is ready: `choose` says."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ENOUGH_STEPS = 100_000
"""A program that is busy for longer, with nothing coming from outside, goes round in circles."""


class SteppedLoop(asyncio.BaseEventLoop):
    """As much of an event loop as tasks, futures and the product's threads need."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(
        self,
        *,
        after_step: Callable[[], object] = lambda: None,
        choose: Callable[[int], int] = lambda _: 0,
    ) -> None:
        """`choose(options)`: whose turn it is. 0 is the loop itself while it has something ready."""
        super().__init__()
        self.after_step = after_step
        self._choose = choose
        self._threads: dict[str, deque[Callable[[], object]]] = {}
        self._at_work: deque[Callable[[], object]] | None = None
        """What the thread has to do whose turn it is; None: it is the loop's own."""
        self._time = 0.0

    # ------------------------------------------------------------------ run by tests

    def step(self) -> bool:
        """Run one step; False if nothing is ready until something comes from outside."""
        while self._ready and self._ready[0].cancelled():
            self._ready.popleft()
        threads = [thread for thread in self._threads.values() if thread]
        turns = [None, *threads] if self._ready else threads
        if not turns:
            return False
        self._at_work = turns[min(self._choose(len(turns)), len(turns) - 1)]
        asyncio._set_running_loop(self)
        try:
            if self._at_work is None:
                self._ready.popleft()._run()
            else:
                self._at_work.popleft()()
        finally:
            asyncio._set_running_loop(None)
            self._at_work = None
        self.after_step()
        return True

    def quiet(self) -> None:
        """Run until nothing is ready."""
        for _ in range(ENOUGH_STEPS):
            if not self.step():
                return
        raise AssertionError("it never comes to rest")

    def finish(self, task: asyncio.Task[T]) -> T:
        """Run until the task is done, and close. Where only time could help, time passes."""
        for _ in range(ENOUGH_STEPS):
            if task.done():
                self.close()
                return task.result()
            if not self.step():
                assert self._scheduled, "it waits for something that never comes"
                timer = heapq.heappop(self._scheduled)
                self._time = timer.when()
                self._ready.append(timer)
        raise AssertionError("it never ends")

    def pass_time(self, seconds: float) -> bool:
        """So much later: what timers were set for is ready. Is there any?"""
        self._time += seconds
        rang = False
        while self._scheduled and self._scheduled[0].when() <= self._time:
            timer = heapq.heappop(self._scheduled)
            rang = rang or not timer.cancelled()
            self._ready.append(timer)
        return rang

    # ------------------------------------------------------------------ used by the program

    def job(self, thread: str, work: Callable[[], object]) -> None:
        """Have a thread do something, when it is its turn."""
        self._threads.setdefault(thread, deque()).append(work)

    def run_in_executor(
        self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()

        def settle(give: Callable[[Any], None], result: Any) -> None:
            if not future.cancelled():
                give(result)

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:
                self.call_soon_threadsafe(settle, future.set_exception, error)
            else:
                self.call_soon_threadsafe(settle, future.set_result, result)

        self.job(f"executor {id(executor)}", work)
        return future

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        if self._at_work is None:
            return self.call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        self._at_work.appendleft(lambda: self._ready.append(handle))
        return handle

    def time(self) -> float:
        return self._time

    def call_exception_handler(self, context: Any) -> None:
        raise AssertionError(f"{context.get('message')}: {context.get('exception')!r}")
