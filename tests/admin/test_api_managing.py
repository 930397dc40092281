"""Managing endpoints by the API: whom a name means, what waits for it, and what is told of each change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.admin.test_api import Served, Stage, numbered
from tests.builders import NOON
from watcher.adapters.sealing import AesSealing
from watcher.core.circuits import Standing
from watcher.core.endpoints import Secret
from watcher.errors import OutboxError

PAUSED = Standing(state="paused", reason="by an operator", since=NOON)


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
async def client(stage):
    async with Served(stage.desk) as client:
        yield client


async def make(client: Any, name: str, **keys: Any) -> Any:
    definition = {"name": name, "url": "https://new.example/", **keys}
    return await client.post("/api/endpoints", json={"definition": definition})


@pytest.mark.parametrize("name", ["new", "NEW", "audit"])
async def test_a_name_that_is_taken_is_told_so_whatever_waits_for_it(stage, client, name):
    await make(client, "new")
    await stage.put(numbered(1, endpoint="new"), numbered(2, endpoint="audit"))

    refused = await make(client, name)

    assert refused.status_code == 409
    assert "gone" not in refused.text, "to cancel what waits for it would drop one that is at work"


async def test_what_waits_for_one_that_is_gone_keeps_its_name_from_being_given_away(stage, client):
    await stage.put(numbered(1, endpoint="new"))

    refused = await make(client, "new")

    assert (refused.status_code, "1 deliveries wait" in refused.text) == (409, True)


async def test_one_is_dropped_with_what_waits_for_it_however_its_name_is_written(stage, client):
    await make(client, "new")
    await stage.put(numbered(1, endpoint="new"))
    await stage.outbox.stand("new", PAUSED)

    assert (await client.delete("/api/endpoints/NEW")).status_code == 409
    dropped = await client.delete("/api/endpoints/NEW", params={"cancel": "true"})

    assert dropped.json() == {"cancelled": 1, "left": 0}
    assert await stage.outbox.standings() == {}


async def test_one_that_is_made_anew_is_not_paused_as_one_before_it_was(stage, client):
    await stage.outbox.stand("new", PAUSED)

    made = await make(client, "new")

    assert made.json()["endpoint"]["state"] == "ok"
    assert await stage.outbox.standings() == {}


async def test_what_waited_for_one_that_is_gone_is_cancelled_with_a_line_in_the_audit_list(stage, client):
    await stage.put(numbered(1, endpoint="gone"))

    await client.delete("/api/endpoints/gone", params={"cancel": "true"})

    ((_, entry),) = await stage.outbox.audit(before=None, limit=9)
    assert (entry.act, entry.subject, entry.details["expected"]) == ("deliveries.cancelled", "gone", 1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/endpoints/crm/pause", {}),
        ("/api/endpoints/audit/resume", None),
        ("/api/deliveries/cancel", {"filter": {}, "expected": 1}),
    ],
)
async def test_what_cannot_be_noted_in_the_audit_list_is_not_done(stage, client, monkeypatch, path, body):
    await stage.put(numbered(1, endpoint="crm"))
    await stage.outbox.stand("audit", PAUSED)

    def full(*_: Any, **__: Any) -> Any:
        raise OutboxError("the disk is full.")

    monkeypatch.setattr(stage.outbox, "note", full)

    asked = await client.post(path, json=body) if body is not None else await client.post(path)

    assert asked.status_code == 503
    assert await stage.outbox.standings() == {"audit": PAUSED}
    assert (await stage.outbox.counts())["crm"].pending == 1


async def test_a_change_is_in_force_when_this_replica_has_that_change_and_not_one_before(stage, client):
    made = (await make(client, "new")).json()["endpoint"]
    assert made["inForce"] is True

    stage.takes_up = False
    asked = {"definition": {"url": "https://other.example/"}}
    changed = (await client.patch("/api/endpoints/new", json=asked)).json()["endpoint"]
    rotated = (await client.post("/api/endpoints/new/rotate", json={})).json()["endpoint"]

    assert (changed["inForce"], rotated["inForce"]) == (False, False)


async def test_one_that_is_dropped_and_still_sent_to_is_told_so(stage, client):
    await make(client, "new")
    await stage.put(numbered(1, endpoint="new"))
    stage.takes_up = False

    told = await client.delete("/api/endpoints/new", params={"cancel": "true"})
    assert (told.status_code, "still sends to it" in told.text) == (503, True)

    stage.endpoints.pop()
    again = await client.delete("/api/endpoints/new", params={"cancel": "true"})
    assert again.json() == {"cancelled": 1, "left": 0}


async def test_what_other_replicas_store_for_it_until_they_know_is_cancelled_with_the_rest(stage):
    stage.desk = replace(stage.desk, shares=True)
    sleep = stage.clock.sleep

    async def one_is_stored_meanwhile(span: timedelta) -> None:
        await stage.put(numbered(1, endpoint="new"))
        stage.clock.advance(span)
        await sleep(timedelta(0))

    stage.clock.sleep = one_is_stored_meanwhile
    async with Served(stage.desk) as client:
        await make(client, "new")

        dropped = await client.delete("/api/endpoints/new")

    assert dropped.json() == {"cancelled": 1, "left": 0}


async def test_what_a_proxy_says_is_kept_as_text_whatever_bytes_it_sends(stage, client):
    paused = await client.post(
        "/api/endpoints/crm/pause", json={}, headers=[(b"X-Forwarded-For", b"\xff, 7")]
    )

    assert paused.status_code == 200
    ((_, entry),) = await stage.outbox.audit(before=None, limit=9)
    assert entry.origin.forwarded == "?, 7"
    assert (await client.get("/api/audit")).json()["entries"][0]["forwarded"] == "?, 7"


async def test_one_that_cannot_be_opened_is_shown_as_managed_and_not_in_force(stage, client):
    await make(client, "new")
    stage.sealing, stage.managed = AesSealing([Secret(key=b"n" * 32)]), {}
    stage.endpoints.pop()

    *_, told = (await client.get("/api/endpoints")).json()["endpoints"]

    assert (told["name"], told["origin"], told["state"]) == ("new", "managed", "ok")
    assert (told["inForce"], told["definition"], told["revision"]) == (False, None, 1)
