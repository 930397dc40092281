"""The log over an API: what the contract does not ask of a store, as there is a network in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from tests.admin.test_api import TOKEN, Stage, metrics, numbered
from tests.admin.test_server import a_port
from watcher.adapters.remote_log import RemoteLog
from watcher.admin.api import deliveries
from watcher.admin.server import serving
from watcher.core.events import EventId
from watcher.core.searching import Wanted
from watcher.errors import OutboxError
from watcher.ports import Counts


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def log(stage):
    port, desk = a_port(), stage.desk
    async with (
        serving("127.0.0.1", port, readiness=desk.readiness.judge, metrics=metrics, desk=desk),
        RemoteLog.open(f"http://127.0.0.1:{port}", TOKEN) as log,
    ):
        yield log


async def test_as_many_ids_are_looked_for_as_there_are(stage, log):
    rows = [numbered(number) for number in range(250)]
    await stage.put(*rows)
    ids = [row.id for row in rows]

    newest = await log.search(Wanted(ids=tuple(ids)), after=None, limit=220)
    oldest = await log.search(Wanted(ids=tuple(ids)), after=ids[9], limit=500, oldest_first=True)

    assert [fate.id for fate in newest] == ids[:29:-1]
    assert [fate.id for fate in oldest] == ids[10:]
    assert await log.number(Wanted(ids=tuple(ids))) == {"pending": 250}


async def test_what_the_api_does_not_do_at_once_is_asked_for_again(stage, log, monkeypatch):
    rows = [numbered(number) for number in range(700)]
    await stage.put(*rows)
    monkeypatch.setattr(deliveries, "WORKS_SECONDS", -1.0)  # it stops after each page

    assert await log.cancel([row.id for row in rows], reason="by an operator") == {"crm": 700}
    assert await log.replay([row.id for row in rows]) == {"crm": 700}
    assert await stage.outbox.counts() == {"crm": Counts(pending=700)}


@pytest.mark.parametrize("identity", ["count", "replay/x", "..", "", "webhook_1?limit=1"])
async def test_an_id_is_an_id_whatever_it_looks_like(log, identity):
    assert await log.dossier(EventId(identity)) is None


async def test_the_token_goes_out_whatever_netrc_has_for_the_host(stage, log, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    assert await log.search(Wanted(), after=None, limit=1) == []


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=301, headers={"Location": "/elsewhere"}),
        lambda: web.Response(text="<html>Log in</html>"),
        lambda: web.json_response([]),
        lambda: web.json_response(None),
        lambda: web.json_response("ok"),
    ],
)
async def test_what_is_no_watcher_is_told_with_the_cure(answer):
    async def handle(_: web.Request) -> Any:
        return answer()

    app, port = web.Application(), a_port()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with RemoteLog.open(f"http://127.0.0.1:{port}", TOKEN) as log:
        for asking in (log.dossier(EventId("webhook_1")), log.replay([EventId("webhook_1")])):
            with pytest.raises(OutboxError, match="Name the address of its page"):
                await asking
    await runner.cleanup()


async def test_another_token_is_told_as_what_it_is(stage):
    port, desk = a_port(), replace(stage.desk)
    async with (
        serving("127.0.0.1", port, readiness=desk.readiness.judge, metrics=metrics, desk=desk),
        RemoteLog.open(f"http://127.0.0.1:{port}", "another") as log,
    ):
        with pytest.raises(OutboxError, match="the token is missing or wrong"):
            await log.search(Wanted(), after=None, limit=1)
