"""Attempts that are settled together are told as they would be one by one."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON
from watcher.adapters.journal import Journal
from watcher.adapters.lines import Lines, as_json
from watcher.adapters.prometheus import Metrics
from watcher.admin import history
from watcher.admin.history import History
from watcher.admin.readiness import SURE, ReadinessObserver
from watcher.core.events import EventId, EventType
from watcher.core.facts import Attempted, Settled, StoreFailed
from watcher.core.figures import DAY
from watcher.core.outcomes import Answered, NotSent, Unreachable, Unsendable
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt
from watcher.pipeline.figures import Gathering
from watcher.ports import Observer
from watcher.testing import Facts, FakeClock, MemoryOutbox

AGAIN, DEAD = RetryAt(at=NOON, reason="status 503"), Dead(reason="status 503")
ENDS = (
    (Answered(status=200), Delivered()),
    (Answered(status=204, left='cut "short"'), Delivered()),
    (Answered(status=503), AGAIN),
    (Answered(status=503), DEAD),
    (Unreachable(reason="dns: no such host"), RetryAt(at=NOON, reason="dns: no such host")),
    (Unsendable(reason="no host"), Dead(reason="no host")),
    (NotSent(), Release()),
)
SPANS = st.sampled_from([timedelta(milliseconds=1)]) | st.timedeltas(timedelta(0), timedelta(hours=2))

attempts = st.builds(
    lambda end, members, **fields: Attempted(
        endpoint="crm",
        members=members,
        id=members[0] if len(members) == 1 else EventId("batch"),
        outcome=end[0],
        verdict=end[1],
        **fields,
    ),
    end=st.sampled_from(ENDS),
    members=st.sampled_from([(EventId("webhook_1"),), (EventId("webhook_2"), EventId("webhook_3"))]),
    event=st.sampled_from([EventType("message.created"), EventType("user.login"), EventType("batch")]),
    attempt=st.integers(1, 3),
    began=st.timedeltas(timedelta(0), timedelta(minutes=5)).map(lambda span: NOON - span),
    took=SPANS,
    age=SPANS,
    storing=SPANS,
)
groups = st.lists(attempts, min_size=1, max_size=12)


def told(observe: Observer, groups: Iterable[Sequence[Attempted]]) -> None:
    for group in groups:
        observe(Settled(attempts=tuple(group)))


def alike(seen: Callable[[Iterable[Sequence[Attempted]]], Any], group: Sequence[Attempted]) -> None:
    assert seen([group]) == seen([made] for made in group)


@given(groups)
def test_in_metrics(group: Sequence[Attempted]) -> None:
    def scraped(groups: Iterable[Sequence[Attempted]]) -> list[str]:
        metrics = Metrics()
        metrics.expect(["crm"], [])
        told(metrics, groups)
        lines = metrics.exposition({}).decode().splitlines()
        return [line for line in lines if "process_" not in line]

    alike(scraped, group)


@given(groups)
def test_in_log_lines(group: Sequence[Attempted]) -> None:
    def written(groups: Iterable[Sequence[Attempted]]) -> list[str]:
        stream = io.StringIO()
        told(Journal(lambda least: Lines(stream, as_json, least), "info"), groups)
        lines = stream.getvalue().splitlines()
        return [line.replace(json.loads(line)["timestamp"], "now") for line in lines]

    alike(written, group)


@given(groups)
def test_in_the_history(group: Sequence[Attempted]) -> None:
    def remembered(groups: Iterable[Sequence[Attempted]]) -> Any:
        with patch.object(history, "EVENTS", 2):
            seen = History(FakeClock())
            told(seen, groups)
        return seen.of_endpoint("crm"), seen.by_event("crm")

    alike(remembered, group)


@given(groups)
def test_in_figures(group: Sequence[Attempted]) -> None:
    async def stored(groups: Iterable[Sequence[Attempted]]) -> Any:
        outbox, ending = MemoryOutbox(), asyncio.Event()
        gathering = Gathering(outbox, clock=FakeClock(NOON), observe=Facts())
        told(gathering, groups)
        ending.set()
        await gathering.keep(ending)
        return await outbox.figures(NOON - DAY, NOON + DAY)

    alike(lambda groups: asyncio.run(stored(groups)), group)


@given(groups, st.lists(attempts, max_size=1))
def test_in_readiness(group: Sequence[Attempted], before: Sequence[Attempted]) -> None:
    def judged(groups: Iterable[Sequence[Attempted]]) -> Any:
        clock = FakeClock(NOON)
        readiness = ReadinessObserver(clock=clock)
        told(readiness, [before] if before else [])
        readiness(StoreFailed(doing="settle", reason="disk full", retry_in=timedelta(seconds=1)))
        told(readiness, groups)
        clock.advance(SURE)
        return readiness.judge(), readiness.failing

    alike(judged, group)
