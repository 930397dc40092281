"""The figures of an endpoint, as the API tells them: over a day, a week, a month, and of whom."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.admin.test_api import Served, Stage
from tests.builders import NOON, a_delivery
from tests.contracts.figures_contract import a_figure
from watcher.core.events import EventType
from watcher.core.figures import HOUR
from watcher.errors import OutboxError

DAY = timedelta(days=1)


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
async def client(stage):
    async with Served(stage.desk) as client:
        yield client


async def told(client, query="", *, name="crm"):
    answer = await client.get(f"/api/endpoints/{name}/figures{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_last_day_is_told_hour_by_hour_with_each_event_and_all_together(stage, client):
    stage.clock.advance(timedelta(minutes=30))
    await stage.outbox.tally(
        [
            a_figure(hour=NOON - 25 * HOUR, delivered=99),
            a_figure(hour=NOON - 24 * HOUR, delivered=1, failed=0, durations={8: 1}),
            a_figure(hour=NOON, delivered=98, failed=1, durations={8: 98, 32: 1}),
            a_figure(hour=NOON, event=EventType("user.login"), delivered=0, failed=2, durations={40: 2}),
            a_figure(hour=NOON, endpoint="audit", delivered=77),
        ]
    )

    figures = await told(client)

    assert (figures["endpoint"], figures["stepSeconds"]) == ("crm", 3600)
    assert (figures["since"], figures["until"]) == ("2026-11-23T12:00:00.000Z", "2026-11-24T12:30:00.000Z")
    everything, message, login = (
        figures["all"],
        figures["byEvent"]["message.created"],
        figures["byEvent"]["user.login"],
    )
    assert (everything["delivered"], everything["failed"], everything["success"]) == (99, 3, 99 / 102)
    assert (message["delivered"], message["failed"], message["success"]) == (99, 1, 0.99)
    assert (message["p50Ms"], message["p99Ms"]) == (1.0, 1.0)
    assert (login["success"], login["p99Ms"]) == (0.0, 10_000.0)
    assert message["series"] == {
        "delivered": [1] + [0] * 23 + [98],
        "failed": [0] * 24 + [1],
        "p99Ms": [1.0] + [None] * 23 + [1000.0],
    }
    assert everything["series"]["failed"] == [0] * 24 + [3]


async def test_more_than_a_week_is_told_day_by_day(stage, client):
    await stage.outbox.tally(
        [a_figure(hour=NOON - 8 * DAY + number * HOUR, delivered=1, failed=0) for number in range(8 * 24)]
    )

    week = await told(client, "?since=2026-11-17T12:00:00Z")
    more = await told(client, "?since=2026-11-16T13:00:00%2B01:00")

    assert (week["stepSeconds"], len(week["all"]["series"]["delivered"])) == (3600, 7 * 24)
    assert (more["stepSeconds"], more["since"]) == (86400, "2026-11-16T00:00:00.000Z")
    assert more["all"]["series"]["delivered"] == [12, *([24] * 7), 12]


async def test_an_earlier_time_is_told_by_itself(stage, client):
    given = [a_figure(hour=NOON - number * HOUR, delivered=number, failed=0) for number in (1, 2, 3)]
    await stage.outbox.tally(given)

    figures = await told(client, "?since=2026-11-24T09:00:00Z&until=2026-11-24T11:00:00Z")

    assert figures["all"]["series"]["delivered"] == [3, 2]


async def test_an_endpoint_that_was_sent_nothing_has_no_share(client):
    figures = await told(client, name="audit")

    assert (figures["all"]["delivered"], figures["all"]["success"], figures["all"]["p50Ms"]) == (
        0,
        None,
        None,
    )
    assert figures["byEvent"] == {}


async def test_of_one_that_is_gone_there_are_figures_still_and_of_nobody_none(stage, client):
    await stage.outbox.tally([a_figure(endpoint="gone", hour=NOON - 20 * DAY)])
    await stage.put(a_delivery(endpoint="left"))

    assert (await told(client, name="gone"))["all"]["delivered"] == 0, "not lately"
    assert (await told(client, "?since=2026-11-01T00:00:00Z", name="gone"))["all"]["delivered"] == 3
    assert (await told(client, name="left"))["all"]["delivered"] == 0, "the list of endpoints names it"
    answer = await client.get("/api/endpoints/nobody/figures")
    assert answer.status_code == 404
    assert "Known: crm, audit" in answer.json()["error"]


async def test_no_more_than_a_month_is_told_at_once(stage, client):
    await stage.outbox.tally([a_figure(hour=NOON - number * DAY) for number in (30, 40)])

    figures = await told(client, "?since=2026-01-01T00:00:00Z")

    assert (figures["since"], figures["until"]) == ("2026-10-24T00:00:00.000Z", "2026-11-24T12:00:00.000Z")
    assert figures["all"]["delivered"] == 3


@pytest.mark.parametrize(
    "query",
    [
        "since=2026-11-24T12:00:00Z",
        "since=2026-11-24T10:00:00Z&until=2026-11-24T10:00:00Z",
        "since=2027-01-01T00:00:00Z&until=2028-01-01T00:00:00Z",
        "since=9999-12-31T00:00:00Z&until=9999-12-31T23:00:00-23:00",
        "until=0001-01-01T00:00:00Z",
        "since=0001-01-01T00:00:00%2B23:00&until=0001-01-01T00:00:00%2B23:00",
    ],
)
async def test_of_what_is_to_come_or_long_ago_there_is_nothing(stage, client, query):
    await stage.outbox.tally([a_figure(), a_figure(hour=NOON - 2 * HOUR)])

    assert (await told(client, f"?{query}"))["byEvent"] == {}


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("since=yesterday", "since"),
        ("until=2026-11-26T12:00:00", "until"),
        ("step=day", "step"),
        ("since=2026-11-24T08:00:00Z&since=2026-11-24T09:00:00Z", "since"),
    ],
)
async def test_a_time_that_does_not_fit_is_refused_with_where_and_why(client, query, where):
    answer = await client.get(f"/api/endpoints/crm/figures?{query}")

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].startswith(where)


@pytest.mark.parametrize("name", ["%00", "%F0%9F%92%A9", "%ED%A0%80", "a%2Fb", "..%2F..", "x" * 2000])
async def test_an_odd_name_is_nobodys(client, name):
    assert (await client.get(f"/api/endpoints/{name}/figures")).status_code == 404


async def test_a_state_that_cannot_be_read_is_said(stage, client):
    async def refuse(*_, **__):
        raise OutboxError("the disk is away")

    stage.outbox.figures = refuse

    answer = await client.get("/api/endpoints/crm/figures")

    assert (answer.status_code, answer.json()) == (503, {"error": "the disk is away"})
