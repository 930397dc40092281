"""`endpoints figures` as a person calls it, on a state file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.admin.test_api import Stage
from tests.builders import NOON, an_endpoint
from tests.cli.test_commands import a_file, command, run
from tests.contracts.figures_contract import a_figure
from tests.contracts.registry_contract import CREATED, a_sealed
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.admin.api import figures, shapes
from watcher.core.events import EventType
from watcher.core.figures import HOUR, begin_of

NOW = begin_of(datetime.now(UTC), HOUR)
DAY = timedelta(days=1)
FIGURES = ("endpoints", "figures")


@pytest.fixture
def folder(tmp_path):
    a_file(tmp_path, "mongodb://127.0.0.1:9/LibreChat", "http://127.0.0.1:9/")
    return tmp_path


async def fill(folder, *given):
    async with SqliteOutbox.open(folder / "state.db") as outbox:
        await outbox.tally(given)


async def test_figures_are_shown_event_by_event_and_over_time(folder):
    mine = {"endpoint": "default"}
    await fill(
        folder,
        a_figure(**mine, hour=NOW - 2 * HOUR, delivered=199, failed=1, durations={8: 199, 40: 1}),
        a_figure(**mine, hour=NOW - 3 * HOUR, event=EventType("user.login"), delivered=0, failed=4),
        a_figure(hour=NOW - 2 * HOUR, delivered=777),
    )

    shown = await run(*FIGURES, "default", folder=folder)

    assert shown.returncode == 0, shown.stderr
    by_event, over_time = (
        [line.split() for line in part.splitlines()] for part in shown.stdout.split("\n\n")
    )
    assert by_event[0][-5:] == ["delivered", "failed", "success", "p50", "p99"]
    assert by_event[1][:4] == ["all", "199", "5", "97.5%"]
    assert by_event[2] == ["message.created", "199", "1", "99.5%", "1", "ms", "1", "ms"]
    assert by_event[3][:4] == ["user.login", "0", "4", "0.0%"]
    earlier, later = ((NOW - number * HOUR).strftime("%Y-%m-%d %H:%M").split() for number in (3, 2))
    assert [line[:4] for line in over_time[1:]] == [[*earlier, "0", "4"], [*later, "199", "1"]]


async def test_json_is_what_the_api_gives(folder):
    given = a_figure(endpoint="default", hour=NOW - 30 * HOUR)
    await fill(folder, given)
    since = (NOW - 40 * HOUR).isoformat()

    told = json.loads((await run(*FIGURES, "default", "--since", since, "--json", folder=folder)).stdout)

    assert (told["all"]["delivered"], told["byEvent"]["message.created"]["failed"]) == (3, 1)
    stage = Stage()
    stage.clock.advance(datetime.now(UTC) - NOON)
    stage.endpoints.append(an_endpoint(name="default"))
    await stage.outbox.tally([given])
    asked = shapes.FiguresOf.model_validate({"since": since, "until": told["until"]})
    assert told == json.loads((await figures.of_endpoint(stage.desk, "default", asked)).model_dump_json())


async def test_a_long_time_is_told_by_the_day_and_no_longer_than_figures_are_kept(folder):
    await fill(folder, a_figure(endpoint="default", hour=NOW - 20 * DAY))

    told = json.loads(
        (await run(*FIGURES, "default", "--since", "0001-01-01", "--json", folder=folder)).stdout
    )

    assert (told["stepSeconds"], len(told["all"]["series"]["failed"])) == (86400, 31)
    assert told["all"]["delivered"] == 3


async def test_one_that_is_gone_has_figures_still(folder):
    await fill(folder, a_figure(endpoint="gone", hour=NOW - HOUR))

    assert "message.created" in (await run(*FIGURES, "gone", folder=folder)).stdout


async def test_nothing_and_nobody_are_told_apart(folder):
    idle = await run(*FIGURES, "default", folder=folder)
    nobody = await run(*FIGURES, "no\x1bbody", folder=folder)

    assert (idle.returncode, idle.stdout.split(" since ")[0]) == (0, "No attempts")
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert "no endpoint 'no�body'" in nobody.stderr
    assert "Known: default" in nobody.stderr


async def test_one_that_was_made_at_run_time_is_known(folder):
    async with SqliteOutbox.open(folder / "state.db") as outbox:
        await outbox.register(a_sealed(), replacing=None, entry=CREATED)

    shown = await run(*FIGURES, "crm", folder=folder)

    assert (shown.returncode, shown.stdout.split(" since ")[0]) == (0, "No attempts")


@pytest.mark.parametrize("since", ["tomorrow", "2999-01-01"])
def test_a_time_that_is_none_or_to_come_is_refused(folder, since):
    refused = command(*FIGURES, "default", "--since", since, folder=folder)

    assert refused.returncode == 2
    assert "--since" in refused.stderr
