"""Endpoints made at run time: told from then on, over restarts, on every replica; their secrets nowhere."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.end_to_end.harness import SECRET, Inbox, Watcher
from tests.end_to_end.test_cockpit import TOKEN, WORDS, api, until, write
from watcher.core.endpoints import Secret
from watcher.core.signing import signature
from watcher.receiver import Receiver

KEY = "a key of more than thirty-two characters"
OTHER_KEY = "another key of more than thirty-two characters"


@pytest.fixture
def settings(uri: str) -> Callable[..., dict[str, Any]]:
    def make(**keys: Any) -> dict[str, Any]:
        return {
            "webhooks": {"retryDelays": [0.2] * 20},
            "watcher": {"mongoUri": uri, "http": {"token": TOKEN}, "secretKey": KEY, **keys},
        }

    return make


@asynccontextmanager
async def a_receiver() -> AsyncIterator[Inbox]:
    """Takes everything; whether it is signed well is looked at by the test."""
    inbox = Inbox()
    async with Receiver([], on_receipt=inbox.take) as receiver:
        inbox.url = receiver.url
        yield inbox


def is_signed_by(secret: str, receipt: Any) -> bool:
    given = {name.lower(): value for name, value in receipt.headers.items()}
    return bool(given["x-webhook-signature"] == signature(receipt.body, Secret(key=secret.encode())))


async def shows(watcher: Watcher, metric: str, value: float) -> None:
    for _ in range(100):
        if await watcher.metric(metric) == value:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{metric} is {await watcher.metric(metric)}")


async def made(client: httpx.AsyncClient, **definition: Any) -> Any:
    answer = await client.post("/api/endpoints", json={"definition": definition})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_one_that_is_made_is_told_and_signed_for_with_the_secret_that_was_shown_once(
    librechat, watchers, settings
):
    watcher = watchers(settings())
    await watcher.start()
    async with a_receiver() as inbox, api(watcher) as client:
        answer = await made(client, name="crm", url=f"{inbox.url}?token=in-the-url", events=["message.*"])
        assert answer["endpoint"]["inForce"] is True
        assert answer["endpoint"]["origin"] == "managed"
        secret = answer["secret"]

        await write(librechat, 0, 3)
        await inbox.until_accepted(3)

        assert all(is_signed_by(secret, receipt) for receipt in inbox.receipts)
        listed = (await client.get("/api/endpoints")).text
        assert secret not in listed
        assert "in-the-url" not in listed

        await watcher.kill9_and_start()
        await write(librechat, 3, 3)
        await inbox.until(lambda _: len(inbox.ids) == 6)
        assert all(is_signed_by(secret, receipt) for receipt in inbox.receipts)

    for file in watcher.folder.iterdir():
        if file.is_file() and file != watcher.config:
            content = file.read_bytes()
            assert secret.encode() not in content, file
            assert b"in-the-url" not in content, file
    assert secret not in watcher.log


async def test_a_change_and_a_rotation_are_in_force_when_they_are_answered(librechat, watchers, settings):
    watcher = watchers(settings())
    await watcher.start()
    async with a_receiver() as inbox, api(watcher) as client:
        first = await made(client, name="crm", url=inbox.url, events=["message.created"], signing="librechat")
        only_two = {"definition": {"filters": [{"event": "*", "condition": {"userId": "u1"}}]}}
        changed = await client.patch("/api/endpoints/crm", json=only_two)
        assert changed.json()["secret"] is None
        await write(librechat, 0, 4)
        await inbox.until_accepted(2)

        rotated = (await client.post("/api/endpoints/crm/rotate", json={})).json()
        assert rotated["endpoint"]["secrets"] == 2
        await write(librechat, 4, 2)
        await inbox.until_accepted(3)
        assert [is_signed_by(first["secret"], each) for each in inbox.receipts] == [True, True, False]
        assert is_signed_by(rotated["secret"], inbox.receipts[-1])
        retired = await client.post("/api/endpoints/crm/retire")
        assert retired.json()["endpoint"]["secrets"] == 1

        stale = {**only_two, "revision": first["endpoint"]["revision"]}
        assert (await client.patch("/api/endpoints/crm", json=stale)).status_code == 409
        wrong = await client.patch("/api/endpoints/crm", json={"definition": {"events": ["message.creatd"]}})
        assert wrong.status_code == 422
        assert "did you mean `message.created`?" in wrong.json()["error"]
        assert (await client.post("/api/endpoints/crm/pause", json={})).status_code == 200

        audited = (await client.get("/api/audit")).json()["entries"]
        assert [each["act"] for each in audited] == [
            "endpoint.paused",
            "secret.retired",
            "secret.rotated",
            "endpoint.changed",
            "endpoint.created",
        ]
        assert {each["address"] for each in audited} == {"127.0.0.1"}


async def test_changes_are_in_force_though_the_file_is_wrong_and_that_goes_on_to_be_told(
    librechat, watchers, settings
):
    watcher = watchers(settings())
    await watcher.start()
    async with a_receiver() as inbox, a_receiver() as other, api(watcher) as client:
        await made(client, name="crm", url=inbox.url, events=["message.created"])
        good = watcher.config.read_text()
        watcher.config.write_text(f"{good}nonsense: [")

        nobody = {"definition": {"filters": [{"event": "*", "condition": {"userId": "nobody"}}]}}
        changed = await client.patch("/api/endpoints/crm", json=nobody)
        assert changed.json()["endpoint"]["inForce"] is True
        await write(librechat, 0, 2)
        await shows(watcher, "watcher_changes_total", 2)  # what is read later is judged by what is said later
        all_of_them = await client.patch("/api/endpoints/crm", json={"definition": {"filters": None}})
        assert all_of_them.json()["endpoint"]["inForce"] is True
        await write(librechat, 2, 1)
        await inbox.until_accepted(1)
        dropped = await client.delete("/api/endpoints/crm", params={"cancel": "true"})
        assert dropped.status_code == 200, dropped.text
        await write(librechat, 3, 2)
        assert await watcher.metric("watcher_settings_refused") == 1
        assert "wrong in their files" in (await client.get("/readyz")).json()["parts"]["settings"]["says"]

        await made(client, name="audit", url=other.url, events=["message.created"])
        watcher.config.write_text(good)
        await shows(watcher, "watcher_settings_refused", 0)
        await write(librechat, 5, 1)
        await other.until(lambda got: bool(got) and b'"m5"' in got[-1].body)
        assert [b'"m2"' in receipt.body for receipt in inbox.receipts] == [True]


async def test_one_that_is_deleted_gets_nothing_more_whatever_waited_for_it(librechat, watchers, settings):
    watcher = watchers(settings())
    await watcher.start()
    async with a_receiver() as inbox, a_receiver() as other, api(watcher) as client:
        await made(client, name="crm", url=inbox.url)
        await made(client, name="audit", url=other.url)
        await client.post("/api/endpoints/crm/pause", json={})
        await shows(watcher, 'watcher_endpoint_paused{endpoint="crm"}', 1)
        await write(librechat, 0, 5)
        await other.until_accepted(5)

        refused = await client.delete("/api/endpoints/crm")
        assert (refused.status_code, "5 deliveries wait" in refused.text) == (409, True)
        answer = await client.delete("/api/endpoints/crm", params={"cancel": "true"})
        assert answer.json() == {"cancelled": 5, "left": 0}

        await made(client, name="crm", url=inbox.url)
        await write(librechat, 5, 1)
        await inbox.until_accepted(1)
        await other.until_accepted(6)
        assert len(inbox.receipts) == 1, "not paused, and nothing of the one before"


async def test_who_has_another_key_does_not_start_without_it(librechat, watchers, settings):
    watcher = watchers(settings())
    await watcher.start()
    async with a_receiver() as inbox, api(watcher) as client:
        await made(client, name="crm", url=inbox.url)
        assert await watcher.stop() == 0
        for key in (OTHER_KEY, None):
            watcher.configure(settings(secretKey=key) if key else without_key(settings()))
            watcher.launch()
            assert await watcher.ended() == 2
            assert "endpoint crm: it stands encrypted in the state" in watcher.log

        watcher.configure(settings(secretKey=[OTHER_KEY, KEY]))
        await watcher.start()
        resealing = await asyncio.to_thread(command, watcher, "reseal")
        assert resealing.returncode == 0, resealing.stderr
        assert await watcher.stop() == 0
        watcher.configure(settings(secretKey=OTHER_KEY))
        await watcher.start()
        await write(librechat, 0, 1)
        await inbox.until_accepted(1)


async def test_without_a_key_managing_is_off_and_says_why(librechat, watchers, settings, receivers):
    inbox = await receivers()
    keyless = without_key(settings())
    keyless["webhooks"] |= {"url": inbox.url, "secret": SECRET}
    watcher = watchers(keyless)
    await watcher.start()
    async with api(watcher) as client:
        told = (await client.get("/api/endpoints")).json()
        assert told["managing"]["on"] is False
        assert "WATCHER_SECRET_KEY" in told["managing"]["why"]
        assert [(each["name"], each["origin"], each["locked"]) for each in told["endpoints"]] == [
            ("default", "file", True)
        ]
        answer = await client.post("/api/endpoints", json={"definition": {"name": "crm", "url": inbox.url}})
        assert (answer.status_code, answer.json()["error"]) == (409, told["managing"]["why"])


async def test_all_replicas_tell_it_and_one_reads_for_it(librechat, watchers, settings, uri, mongo_client):
    shared = settings(state=f"{uri}_state")
    one, two = watchers(shared), watchers(settings(state=f"{uri}_state"))
    try:
        await one.start()
        await two.start()
        async with a_receiver() as inbox, api(one) as client, api(two) as beside:
            await made(client, name="crm", url=inbox.url)
            await until(
                beside,
                "/api/endpoints",
                lambda told: [each["inForce"] for each in told["endpoints"]] == [True],
                seconds=5,
            )
            await write(librechat, 0, 20)
            await inbox.until_accepted(20)
            one.kill9()
            await write(librechat, 20, 20)
            await inbox.until(lambda _: len(inbox.ids) == 40, seconds=30)  # some twice: what was not settled
            await until(beside, "/api/endpoints", lambda told: told["endpoints"][0]["counts"]["pending"] == 0)
            gone = await beside.delete("/api/endpoints/crm")
            assert gone.status_code == 200, gone.text
    finally:
        for watcher in (one, two):
            if watcher.process and watcher.process.poll() is None:
                watcher.kill9()
        await mongo_client.admin.command({"killAllSessions": []})
        await mongo_client.drop_database(f"{librechat.name}_state")


async def test_a_trial_tells_what_it_would_have_got_of_what_happened(librechat, watchers, settings):
    watcher = watchers(settings())
    await watcher.start()
    async with api(watcher) as client:
        await write(librechat, 0, 4)
        await librechat.messages.update_one({"messageId": "m0"}, {"$set": {"text": "other words"}})
        definition = {
            "events": ["message.created"],
            "filters": [{"event": "*", "condition": {"userId": "u1"}}],
            "transform": {"said": "{{ data.text }}", "by": "{{ data.userId }}"},
        }

        answer = await client.post("/api/trial", json={"definition": definition})

        told = answer.json()
        assert answer.status_code == 200, answer.text
        assert (told["events"], told["sent"], told["caughtUp"]) == (5, 2, True)
        newest, *rest = told["tried"]
        assert (newest["event"], newest["sent"], newest["subscribed"]) == ("message.updated", False, False)
        assert [each["sent"] for each in rest] == [True, False, True, False]
        assert rest[0]["bodyShape"] == '{"said":"…","by":"…"}'
        assert (rest[0]["body"], WORDS in answer.text) == (None, False)
        assert "userId" in rest[1]["misses"][0]

        fails = {"events": ["message.*"], "transform": {"by": "{{ data.nobody }}"}}
        failing = (await client.post("/api/trial", json={"definition": fails})).json()
        assert [(each["sent"], each["refused"]) for each in failing["tried"]] == [
            (False, f"transform.by: data.nobody is undefined (event {each['event']})")
            for each in told["tried"]
        ]
        assert (await client.get("/api/audit")).json()["entries"] == []


def test_a_state_of_an_earlier_version_has_none(tmp_path):
    from watcher.adapters.sqlite.registry import registered

    with sqlite3.connect(tmp_path / "old.db") as db:
        assert registered(db).endpoints == ()


def without_key(settings: dict[str, Any]) -> dict[str, Any]:
    del settings["watcher"]["secretKey"]
    return settings


def command(watcher: Watcher, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "watcher", "endpoints", *args, "--config", str(watcher.config)],
        capture_output=True,
        text=True,
        timeout=60,
    )
