"""History: what this process saw of late, in steps of ten seconds, for an hour. Bounded, whatever happens."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watcher.core.events import EventType
from watcher.core.facts import Captured, Fact, Settled
from watcher.core.figures import Attempts, by_event
from watcher.ports import Clock

STEP = timedelta(seconds=10)
STEPS = 360

EVENTS = 50
"""Different events of one endpoint of which figures are kept: more than there are."""


@dataclass(slots=True)
class Step:
    """Ten seconds."""

    captured: int = 0
    lag: timedelta | None = None
    """The longest."""
    attempts: dict[str, Attempts] = field(default_factory=lambda: defaultdict(Attempts))


class History:
    """An Observer that remembers an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steps: deque[Step] = deque([Step()], maxlen=STEPS)
        self._ends = clock.monotonic() + STEP.total_seconds()
        self._by_event: dict[str, dict[EventType, Attempts]] = defaultdict(lambda: defaultdict(Attempts))

    def __call__(self, fact: Fact) -> None:
        match fact:
            case Captured():
                step = self._now()
                step.captured += fact.changes
                if fact.lag is not None:
                    step.lag = max(fact.lag, step.lag or fact.lag)
            case Settled(endpoint=endpoint):
                events = self._by_event[endpoint]
                for event, made in by_event(fact.attempts).items():
                    self._now().attempts[endpoint].count(made)
                    if event in events or len(events) < EVENTS:
                        events[event].count(made)
            case _:
                pass

    def steps(self) -> Sequence[Step]:
        """The oldest first; the last one is under way."""
        self._now()
        return tuple(self._steps)

    def until(self) -> datetime:
        """When the last step ends."""
        return self._clock.now() + timedelta(seconds=self._ends - self._clock.monotonic())

    def of_endpoint(self, endpoint: str) -> Sequence[Attempts]:
        """Step by step."""
        nothing = Attempts()
        return [step.attempts.get(endpoint, nothing) for step in self.steps()]

    def by_event(self, endpoint: str) -> dict[EventType, Attempts]:
        """Since the start."""
        return dict(self._by_event.get(endpoint, {}))

    def _now(self) -> Step:
        now = self._clock.monotonic()
        if now < self._ends:
            return self._steps[-1]
        passed = int((now - self._ends) // STEP.total_seconds()) + 1
        self._steps.extend(Step() for _ in range(min(passed, STEPS)))
        self._ends += passed * STEP.total_seconds()
        return self._steps[-1]
