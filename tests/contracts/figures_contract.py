"""What every Figures promises, sentence by sentence of the port's docstrings."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import NOON
from watcher.core.events import EventType
from watcher.core.figures import HOUR, Figure
from watcher.errors import OutboxError

DAY = timedelta(days=1)


def a_figure(**fields):
    return Figure(
        **{
            "endpoint": "crm",
            "event": EventType("message.created"),
            "hour": NOON,
            "delivered": 3,
            "failed": 1,
            "durations": {8: 3, 49: 1},
            **fields,
        }
    )


async def stored(outbox, since=NOON - DAY, until=NOON + DAY, **which):
    return list(await outbox.figures(since, until, **which))


class FiguresContract:
    """Subclasses give the `outbox` fixture."""

    async def test_at_first_there_are_no_figures(self, outbox):
        assert await stored(outbox) == []
        await outbox.tally([])
        assert await stored(outbox) == []

    async def test_figures_are_as_they_were_given(self, outbox):
        given = [a_figure(), a_figure(event=EventType("user.login"), failed=0, durations={0: 3})]

        await outbox.tally(given)

        assert await stored(outbox) == given

    async def test_what_is_there_is_added_to(self, outbox):
        await outbox.tally([a_figure()])
        await outbox.tally([a_figure(delivered=0, failed=2, durations={8: 1, 12: 1})])

        assert await stored(outbox) == [a_figure(failed=3, durations={8: 4, 12: 1, 49: 1})]

    async def test_of_what_is_added_at_once_nothing_is_lost(self, outbox):
        await asyncio.gather(*(outbox.tally([a_figure()]) for _ in range(5)))

        assert await stored(outbox) == [a_figure(delivered=15, failed=5, durations={8: 15, 49: 5})]

    async def test_each_endpoint_event_and_hour_has_its_own(self, outbox):
        given = [
            a_figure(hour=NOON - HOUR, endpoint="crm"),
            a_figure(hour=NOON, endpoint="audit"),
            a_figure(hour=NOON, endpoint="crm"),
            a_figure(hour=NOON, endpoint="crm", event=EventType("user.login")),
        ]

        await outbox.tally(given[::-1])

        assert await stored(outbox) == given, "in the order of hour, endpoint and event"

    async def test_they_are_found_by_time_and_endpoint(self, outbox):
        early, mine, other, late = given = [
            a_figure(hour=NOON - HOUR),
            a_figure(hour=NOON),
            a_figure(hour=NOON, endpoint="other"),
            a_figure(hour=NOON + HOUR),
        ]
        await outbox.tally(given)

        assert await stored(outbox, NOON, NOON + HOUR) == [mine, other]
        assert await stored(outbox, NOON - HOUR, NOON + HOUR, endpoint="crm") == [early, mine]
        assert await stored(outbox, NOON, NOON + 2 * HOUR, endpoint="crm") == [mine, late]
        assert await stored(outbox, endpoint="nobody") == []

    async def test_names_may_be_odd(self, outbox):
        odd = a_figure(endpoint='$a.b "c"\x00', event=EventType("my.own.event"))

        await outbox.tally([odd])

        assert await stored(outbox, endpoint=odd.endpoint) == [odd]

    async def test_the_oldest_are_dropped_so_many_at_a_time(self, outbox):
        given = [a_figure(hour=NOON + number * HOUR) for number in range(5)]
        await outbox.tally(given)
        before = NOON + 3 * HOUR

        assert await outbox.forget_figures(before=before, limit=2) == 2
        assert await stored(outbox) == given[2:]
        assert await outbox.forget_figures(before=before, limit=2) == 1
        assert await outbox.forget_figures(before=before, limit=2) == 0
        assert await stored(outbox) == given[3:]


class TransactionalFiguresContract(FiguresContract):
    """Of a store that can fail in the middle."""

    too_many: int
    """More than can be added to 2**62."""

    async def test_all_of_them_are_added_or_none(self, outbox):
        full = a_figure(endpoint="full", delivered=2**62)
        await outbox.tally([full])

        with pytest.raises((OutboxError, OverflowError)):
            await outbox.tally([a_figure(), replace(full, delivered=self.too_many), a_figure()])

        assert await stored(outbox) == [full]
