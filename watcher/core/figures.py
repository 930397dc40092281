"""Figures: how attempts at an endpoint fared, by event and hour: sums, that tell of none by itself."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from watcher.core.events import EventType
from watcher.core.facts import Attempted
from watcher.core.verdicts import Delivered, Release

BOUNDS = tuple(round(10 ** (number / 8), 3) for number in range(-8, 41))
"""Upper ends of the classes of durations, in ms: 0.1 ms to 100 s, each a third more than the one before.

They are stored by number: other bounds would make something else of what is there."""

MILLISECOND, HOUR, DAY = timedelta(milliseconds=1), timedelta(hours=1), timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

BY_HOUR = timedelta(days=7)
"""As long as a span may be to be told hour by hour; a longer one is told day by day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The attempts at one endpoint for one event that ended in one hour. A batch is one attempt."""

    endpoint: str
    event: EventType
    hour: datetime
    """When it began."""
    delivered: int
    failed: int
    durations: Mapping[int, int]
    """How many attempts took how long, by class."""


@dataclass(slots=True)
class Attempts:
    """Attempts, added up."""

    delivered: int = 0
    failed: int = 0
    durations: Counter[int] = field(default_factory=Counter)
    """By class."""

    def count(self, made: Iterable[Attempted]) -> None:
        """So many more."""
        for each in made:
            if isinstance(each.verdict, Delivered):
                self.delivered += 1
            else:
                self.failed += 1
            self.durations[bisect_left(BOUNDS, each.took / MILLISECOND)] += 1

    def add(self, other: Attempts | Figure) -> None:
        if not other.durations:
            return  # most steps of most endpoints: to add nothing costs as much as to add something
        self.delivered += other.delivered
        self.failed += other.failed
        self.durations.update(other.durations)

    @property
    def success(self) -> float | None:
        """The share of them that delivered; None where there were none."""
        number = self.delivered + self.failed
        return self.delivered / number if number else None

    def quantile_ms(self, share: float) -> float | None:
        """The upper end of the class in which it lies; None where there were none."""
        if not self.durations:
            return None
        wanted = share * self.durations.total()
        for number in sorted(self.durations):
            wanted -= self.durations[number]
            if wanted <= 0:
                return BOUNDS[min(number, len(BOUNDS) - 1)]
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time that is told in steps: whole hours, or whole days (UTC) where it is long."""

    since: datetime
    """When the first step begins."""
    until: datetime
    """In the last step, or at its end."""
    step: timedelta

    @classmethod
    def around(cls, since: datetime, until: datetime) -> Self:
        """The steps in which some of this time lies."""
        step = HOUR if until - since <= BY_HOUR else DAY
        return cls(since=begin_of(since, step), until=until, step=step)

    @property
    def steps(self) -> int:
        return -((self.since - self.until) // self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Attempts over a span."""

    total: Attempts
    steps: Sequence[Attempts]

    @classmethod
    def of(cls, steps: Sequence[Attempts]) -> Self:
        return cls(total=together(steps), steps=steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """How one endpoint fared over a span."""

    span: Span
    total: Course
    """With all events."""
    by_event: Mapping[EventType, Course]

    @classmethod
    def of(cls, figures: Iterable[Figure], span: Span) -> Self:
        """`figures`: those of the endpoint whose hours lie in the span."""
        total = [Attempts() for _ in range(span.steps)]
        by_event: dict[EventType, list[Attempts]] = {}
        for figure in figures:
            number = (figure.hour - span.since) // span.step
            if figure.event not in by_event:
                by_event[figure.event] = [Attempts() for _ in range(span.steps)]
            by_event[figure.event][number].add(figure)
            total[number].add(figure)
        return cls(
            span=span,
            total=Course.of(total),
            by_event={event: Course.of(steps) for event, steps in sorted(by_event.items())},
        )


def by_event(made: Iterable[Attempted]) -> Mapping[EventType, Sequence[Attempted]]:
    """Those that count: one that our own shutdown cut does not."""
    apart: defaultdict[EventType, list[Attempted]] = defaultdict(list)
    for each in made:
        if not isinstance(each.verdict, Release):
            apart[each.event].append(each)
    return apart


def begin_of(time: datetime, step: timedelta) -> datetime:
    """When the hour or the day in which it lies began."""
    return EPOCH + (time - EPOCH) // step * step


def together(steps: Iterable[Attempts]) -> Attempts:
    """All of them as one."""
    total = Attempts()
    for step in steps:
        total.add(step)
    return total
