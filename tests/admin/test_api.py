"""The API over a real socket, on a log in memory: what it tells, what it does, and whom it refuses."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

import watcher.admin
from tests.admin.test_server import a_port
from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement, an_attempt, an_endpoint
from tests.contracts.figures_contract import a_figure
from watcher.adapters.sealing import AesSealing
from watcher.admin import glance
from watcher.admin.api.operations import OPERATIONS
from watcher.admin.changing import PAGE
from watcher.admin.desk import Desk
from watcher.admin.history import History
from watcher.admin.managing import Managing
from watcher.admin.readiness import ReadinessObserver
from watcher.admin.server import serving
from watcher.admin.undertakings import GIVEN_UP, Undertakings
from watcher.config.managed import definition_schema
from watcher.config.mappings import load_mappings
from watcher.core.backfill import STILL, Backfill
from watcher.core.catalogue import catalogue
from watcher.core.circuits import Standing
from watcher.core.endpoints import Secret
from watcher.core.events import Entity, EventId, EventType
from watcher.core.facts import (
    Captured,
    LeaseEnded,
    LogChanged,
    Recovered,
    Recovering,
    RecoveryBegan,
    Scanned,
    Settled,
    StoreFailed,
    StreamLost,
    StreamOpened,
)
from watcher.core.leases import CAPTURE
from watcher.core.outcomes import Answered, Unreachable
from watcher.core.trials import Trial
from watcher.core.verdicts import Dead, Delivered, RetryAt
from watcher.errors import ConfigError, OutboxError, Problem
from watcher.observers import Observers
from watcher.ports import Counts
from watcher.testing import FakeClock, MemoryOutbox, RecordingSender

TOKEN = "a-token-of-some-length"
WORDS = "what somebody wrote to somebody"
A_BATCH = Captured(changes=1, events=1, deliveries=1, stored=1, lag=timedelta(0), took=timedelta(0))
BODY = json.dumps(
    {
        "event": "message.created",
        "data": {"messageId": "m1", "text": WORDS},
        "webhookId": f"webhook_{int(NOON.timestamp()) + 1:08x}{0:08x}{1:024x}",
    },
    separators=(",", ":"),
).encode()
"""Of `numbered(1)`."""


class Stage:
    """An API with all that it works on at hand."""

    def __init__(self) -> None:
        self.outbox = MemoryOutbox()
        self.sender = RecordingSender(lambda _: Answered(status=204, headers=(("X-Id", "7"),)))
        self.clock = FakeClock(NOON)
        self.undertakings = Undertakings(self.clock)
        self.facts: list[Any] = []
        self.endpoints = [
            an_endpoint(url="https://crm.example/hook/very-secret-path"),
            an_endpoint(name="audit"),
        ]
        self.managed: dict[str, int] = {}
        self.takes_up = True
        """Changes of managed endpoints come into force."""
        self.sealing: AesSealing | None = AesSealing([Secret(key=b"k" * 32)])
        entries = catalogue(load_mappings(()))
        self.desk = Desk(
            token=Secret(key=TOKEN.encode()),
            shows_text=False,
            shares=False,
            max_store_bytes=10**9,
            outbox=self.outbox,
            log=self.outbox,
            figures=self.outbox,
            registry=self.outbox,
            managing=Managing(
                self.outbox,
                sealing=lambda: self.sealing,
                define=self.define,
                locked=lambda: {"crm", "audit"},
                clock=self.clock,
            ),
            sender=self.sender,
            endpoints=lambda: self.endpoints,
            definitions=definition_schema,
            managed=lambda: self.managed,
            trial=self.trial,
            in_force=self.in_force,
            catalogue=lambda: entries,
            readiness=ReadinessObserver(clock=self.clock),
            history=History(self.clock),
            undertakings=self.undertakings,
            observe=Observers(self.undertakings, self.facts.append),
            clock=self.clock,
            version="1.2.3",
        )

    def define(self, definition: Any) -> Any:
        """As the settings would: a URL is wanted."""
        if "url" not in definition:
            raise ConfigError([Problem(where="endpoint", what="url is missing", cure="write it")])
        events = tuple(definition.get("events", ["*"]))
        return an_endpoint(name=definition["name"], url=definition["url"], events=events)

    async def in_force(self, revision: int) -> bool:
        if self.takes_up:
            kept = await self.desk.managing.every()
            self.endpoints[2:] = [self.define(each.definition) for each in kept]
            self.managed = {each.stored.name: each.stored.revision for each in kept}
        return self.takes_up

    async def trial(self, endpoint: Any, limit: int) -> Trial:
        self.tried = (endpoint, limit)
        return Trial(since=NOON, tried=[], caught_up=True, trouble=None)

    async def put(self, *rows: Any) -> None:
        await self.outbox.append(rows, checkpoint=a_checkpoint(), through=NOON)

    async def settle(self, row: Any, verdict: Any, answer: Answered) -> None:
        rows = await self.outbox.pending(row.endpoint, after=0, limit=10_000, max_bytes=10**9)
        (stored,) = [each for each in rows if each.delivery.id == row.id]
        await self.outbox.settle([a_settlement(stored, verdict, answer)])


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def metrics() -> tuple[bytes, str]:
    return b"", "text/plain"


@pytest.fixture
async def client(stage):
    async with Served(stage.desk) as client:
        yield client


class Served:
    """A client of the API of a desk, with the token."""

    def __init__(self, desk: Desk, *, token: str = TOKEN) -> None:
        port = a_port()
        self._serving = serving("127.0.0.1", port, readiness=desk.readiness.judge, metrics=metrics, desk=desk)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers)

    async def __aenter__(self) -> httpx.AsyncClient:
        await self._serving.__aenter__()
        return self._client

    async def __aexit__(self, *error: Any) -> None:
        await self._client.aclose()
        await self._serving.__aexit__(*error)


def numbered(number: int, **fields: Any) -> Any:
    identity = EventId(f"webhook_{int(NOON.timestamp()) + number:08x}{0:08x}{number:024x}")
    return a_delivery(id=identity, entity=Entity(f"conversation:{number}"), **fields)


# ------------------------------------------------------------------ who may


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_nobody_does_anything_without_the_token(stage, operation):
    path = f"/api{operation.path}".replace("{name}", "crm").replace("{id}", "webhook_1")
    for token in ("", "another", TOKEN[:-1], TOKEN + "x"):
        async with Served(stage.desk, token=token) as client:
            answer = await client.request(operation.method, path, json={})
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert TOKEN not in answer.text


async def test_the_token_counts_in_its_header_only(stage):
    async with Served(stage.desk, token="") as client:
        for path, headers in (
            (f"/api/overview?token={TOKEN}", {}),
            ("/api/overview", {"Cookie": f"token={TOKEN}"}),
            ("/api/overview", {"Authorization": TOKEN}),
            ("/api/overview", {"Authorization": f"Basic {TOKEN}"}),
        ):
            assert (await client.get(path, headers=headers)).status_code == 401
        good = await client.get("/api/overview", headers={"Authorization": f"bearer {TOKEN}"})
        assert good.status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/overview", "/api", "/api/openapi.json"])
async def test_without_a_configured_token_all_of_it_is_off_and_says_why(stage, path):
    async with Served(replace(stage.desk, token=None)) as client:
        answer = await client.get(path)

        assert answer.status_code == 404
        assert "watcher.http.token" in answer.json()["error"]


async def test_every_answer_keeps_others_out(client):
    for path in ("/", "/api/overview", "/api/nothing", "/livez"):
        headers = (await client.get(path)).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Set-Cookie" not in headers


async def test_the_page_is_small_on_the_wire(client):
    names = ["", *(file.name for file in Path(watcher.admin.__file__).with_name("page").glob("*.[jc]s*"))]
    sizes = [(await client.get(f"/{name}")).num_bytes_downloaded for name in names]

    assert len(names) > 10
    assert sum(sizes) < 60_000


# ------------------------------------------------------------------ the description


async def test_the_description_is_a_sound_openapi_document_of_every_operation(client):
    described = (await client.get("/api/openapi.json")).json()

    from openapi_spec_validator import validate

    validate(described)
    found = {(method.upper(), path) for path, item in described["paths"].items() for method in item}
    assert found == {(operation.method, f"/api{operation.path}") for operation in OPERATIONS}


def fits(described: dict[str, Any], shape: str, value: Any) -> None:
    Draft202012Validator({"$ref": f"#/components/schemas/{shape}", **described}).validate(value)


async def test_answers_are_as_described(stage, client):
    rows = [numbered(number, user="ann") for number in range(3)]
    await stage.put(*rows)
    await stage.settle(rows[0], Dead(reason="status 500"), Answered(status=500, answer="no"))
    await stage.outbox.tally([a_figure()])
    described = (await client.get("/api/openapi.json")).json()

    for path, shape in (
        ("/api/overview", "Overview"),
        ("/api/endpoints", "Endpoints"),
        ("/api/endpoints/crm/figures", "Figures"),
        ("/api/endpoints/nobody/figures", "Failure"),
        ("/api/deliveries", "Page"),
        ("/api/deliveries/count", "Numbers"),
        (f"/api/deliveries/{rows[0].id}", "Detail"),
        ("/api/events", "EventNames"),
        ("/api/deliveries/webhook_nobody", "Failure"),
    ):
        fits(described, shape, (await client.get(path)).json())


# ------------------------------------------------------------------ deliveries


async def test_deliveries_are_told_page_by_page(stage, client):
    rows = [numbered(number) for number in range(5)]
    await stage.put(*rows)

    first = (await client.get("/api/deliveries?limit=2")).json()
    second = (await client.get(f"/api/deliveries?limit=2&before={first['next']}")).json()
    last = (await client.get(f"/api/deliveries?limit=2&before={second['next']}")).json()

    told = [each["id"] for page in (first, second, last) for each in page["deliveries"]]
    assert told == [row.id for row in rows[::-1]]
    assert last["next"] is None


async def test_filters_may_be_repeated_and_are_joined(stage, client):
    rows = [numbered(1), numbered(2, endpoint="audit"), numbered(3, endpoint="third", user="ann")]
    await stage.put(*rows)

    async def ids(query: str) -> list[str]:
        page = (await client.get(f"/api/deliveries?{query}")).json()
        return [each["id"] for each in page["deliveries"]]

    assert await ids("endpoint=crm&endpoint=audit") == [rows[1].id, rows[0].id]
    assert await ids("endpoint=third&user=ann") == [rows[2].id]
    assert await ids("user=ann&state=dead") == []
    numbers = (await client.get("/api/deliveries/count?endpoint=crm&endpoint=audit")).json()
    assert numbers == {"count": 2, "byState": {"pending": 2}}


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("limit=0", "limit"),
        ("limit=1000", "limit"),
        ("state=lost", "state"),
        ("since=yesterday", "since"),
        ("since=2026-11-26T12:00:00", "since"),
        ("nothing=1", "nothing"),
        ("user=a&user=b", "user"),
    ],
)
async def test_a_query_that_does_not_fit_is_refused_with_where_and_why(client, query, where):
    answer = await client.get(f"/api/deliveries?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(where)


async def test_one_is_told_with_its_attempts_and_without_what_people_wrote(stage, client):
    row = numbered(1, body=BODY)
    await stage.put(row)
    echo = Answered(status=400, headers=(("X-Id", "7"),), answer=f"cannot take {WORDS}")
    await stage.settle(row, Dead(reason="status 400"), echo)

    told = (await client.get(f"/api/deliveries/{row.id}")).json()

    assert WORDS not in json.dumps(told)
    assert told["body"] is None
    assert json.loads(told["bodyShape"])["data"] == {"messageId": "m1", "text": "…"}
    (attempt,) = told["attempts"]
    assert (attempt["status"], attempt["answer"], attempt["headers"]) == (400, None, [["X-Id", "7"]])
    assert (told["replayable"], told["why"], told["cancellable"]) == (True, None, False)


async def test_what_waits_can_be_cancelled_and_not_replayed(stage, client):
    row = numbered(1)
    await stage.put(row)

    told = (await client.get(f"/api/deliveries/{row.id}")).json()

    assert (told["cancellable"], told["replayable"]) == (True, False)
    assert "waits" in told["why"]


async def test_what_people_wrote_is_told_where_the_operator_turned_it_on(stage):
    row = numbered(1, body=BODY)
    await stage.put(row)
    await stage.settle(row, Dead(reason="status 400"), Answered(status=400, answer=WORDS))
    async with Served(replace(stage.desk, shows_text=True)) as client:
        told = (await client.get(f"/api/deliveries/{row.id}")).json()

        assert told["body"] == BODY.decode()
        assert told["attempts"][0]["answer"] == WORDS


async def test_dead_ones_are_sent_again_by_id_and_by_filter(stage, client):
    rows = [numbered(number) for number in range(6)]
    await stage.put(*rows)
    for row in rows[:4]:
        await stage.settle(row, Dead(reason="status 500"), Answered(status=500))
    await stage.settle(rows[4], Delivered(), Answered(status=200))

    by_id = (await client.post("/api/deliveries/replay", json={"ids": [rows[0].id]})).json()
    by_filter = await client.post(
        "/api/deliveries/replay", json={"filter": {"endpoint": ["crm"]}, "expected": 3}
    )

    assert by_id == {"changed": 1, "byEndpoint": {"crm": 1}, "left": 0, "done": True, "next": None}
    assert by_filter.json()["changed"] == 3, "what has arrived is not sent again unasked"
    assert (await stage.outbox.counts())["crm"] == Counts(delivered=1, pending=5)


@pytest.mark.long
async def test_what_is_left_is_ahead_also_where_what_was_sent_again_has_arrived(stage, client, monkeypatch):
    rows = [numbered(number) for number in range(2 * PAGE)]
    await stage.put(*rows)
    for row in rows:
        await stage.settle(row, Delivered(), Answered(status=200))
    replay = stage.outbox.replay

    async def replay_and_deliver(ids: Any) -> int:
        changed: int = await replay(ids)
        for row in rows:
            if row.id in ids:
                await stage.settle(row, Delivered(), Answered(status=200))
        return changed

    monkeypatch.setattr(stage.outbox, "replay", replay_and_deliver)
    monkeypatch.setattr("watcher.admin.api.deliveries.WORKS_SECONDS", -1.0)
    asked = {"filter": {"state": ["delivered"]}, "expected": len(rows)}

    told = (await client.post("/api/deliveries/replay", json=asked)).json()

    assert told["done"] is False
    assert told["changed"] + told["left"] == pytest.approx(len(rows), abs=2)


async def test_far_more_than_were_shown_are_not_changed(stage, client):
    await stage.put(*(numbered(number) for number in range(20)))

    answer = await client.post("/api/deliveries/cancel", json={"filter": {}, "expected": 3})

    assert answer.status_code == 409
    assert "20" in answer.json()["error"]
    assert (await stage.outbox.counts())["crm"] == Counts(pending=20)


async def test_long_work_tells_how_far_it_has_come_and_goes_on(stage, client):
    number = 2 * PAGE + 1
    await stage.put(*(numbered(each) for each in range(number)))
    cancel, asked = stage.outbox.cancel, {"filter": {"endpoint": ["crm"]}, "expected": number}

    async def slow(ids: Any, *, reason: str) -> Any:
        stage.clock.advance(timedelta(seconds=2))
        return await cancel(ids, reason=reason)

    stage.outbox.cancel = slow
    answers, works = list[Any](), list[Any]()
    while not answers or not answers[-1]["done"]:
        if answers:
            asked["after"] = answers[-1]["next"]
        answers.append((await client.post("/api/deliveries/cancel", json=asked)).json())
        works.append([work_told(each) for each in (await client.get("/api/overview")).json()["work"]])

    assert works[0] == [("cancel of endpoint=crm", "deliveries", PAGE - 1, number)]
    assert works[1] == [("cancel of endpoint=crm", "deliveries", 2 * PAGE - 2, number)]
    assert works[-1] == []
    facts = [fact for fact in stage.facts if isinstance(fact, LogChanged)]
    assert [(dict(fact.by_endpoint), fact.left, fact.done) for fact in facts] == [
        (each["byEndpoint"], each["left"], each["done"]) for each in answers
    ]
    assert [each["left"] for each in answers[:2]] == [PAGE + 2, 3]  # a page ends where a change does
    assert sum(each["changed"] for each in answers) == number
    assert (await stage.outbox.counts())["crm"] == Counts(cancelled=number)


def work_told(work: dict[str, Any]) -> tuple[str, str, int, int | None]:
    return work["name"], work["unit"], work["rows"], work["of"]


@pytest.mark.parametrize("how", ["given up", "broken off"])
async def test_changing_many_that_nobody_goes_on_with_is_not_under_way_for_ever(stage, client, how):
    number = PAGE + 1
    await stage.put(*(numbered(each) for each in range(number)))
    cancel, calls = stage.outbox.cancel, 0

    async def slow(ids: Any, *, reason: str) -> Any:
        nonlocal calls
        calls += 1
        if how == "broken off" and calls == 2:
            raise OutboxError("the disk is full.\n  Free some space.")
        stage.clock.advance(timedelta(seconds=2 if how == "given up" else 0))
        return await cancel(ids, reason=reason)

    stage.outbox.cancel = slow
    answer = await client.post("/api/deliveries/cancel", json={"filter": {}, "expected": number})

    assert answer.status_code == (200 if how == "given up" else 503)
    (told,) = (await client.get("/api/overview")).json()["work"]
    assert work_told(told) == (
        "cancel of all",
        "deliveries",
        PAGE - 1,
        number if how == "given up" else None,
    )
    stage.clock.advance(GIVEN_UP + timedelta(seconds=1))
    assert (await client.get("/api/overview")).json()["work"] == []


async def test_nothing_is_unpacked_for_a_client_as_that_would_keep_deliveries_waiting(stage, client):
    await stage.put(numbered(1))
    packed = gzip.compress(json.dumps({"filter": {}, "expected": 1}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    answer = await client.post("/api/deliveries/cancel", content=packed, headers=headers)

    assert answer.status_code == 400
    assert (await stage.outbox.counts())["crm"] == Counts(pending=1)


@pytest.mark.parametrize("digits", [17, 400, 5_000])
async def test_numbers_that_nobody_can_mean_are_refused_as_what_they_are(client, digits):
    body = f'{{"filter": {{}}, "expected": {"9" * digits}}}'
    headers = {"Content-Type": "application/json"}

    answer = await client.post("/api/deliveries/replay", content=body, headers=headers)

    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": None, "filter": {}, "expected": 0},
        {"ids": ["webhook_1"], "filter": {}},
        {"filter": {}},
        {"filter": {"sate": ["dead"]}, "expected": 1},
        {"filter": {}, "expected": True},
        [],
        "all",
    ],
)
@pytest.mark.parametrize("act", ["replay", "cancel"])
async def test_a_change_that_is_not_clear_changes_nothing(stage, client, act, body):
    await stage.put(numbered(1))

    answer = await client.post(f"/api/deliveries/{act}", json=body)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]
    assert (await stage.outbox.counts())["crm"] == Counts(pending=1)


# ------------------------------------------------------------------ endpoints and the overview


async def test_an_endpoint_is_paused_and_let_go_on(stage, client):
    paused = (await client.post("/api/endpoints/crm/pause", json={"reason": "maintenance"})).json()
    assert (paused["state"], paused["reason"]) == ("paused", "maintenance")
    assert (await stage.outbox.standings())["crm"].state == "paused"

    assert (await client.post("/api/endpoints/crm/resume")).json()["state"] == "ok"

    assert await stage.outbox.standings() == {}
    assert (await client.post("/api/endpoints/nobody/pause")).status_code == 404


async def test_a_ping_sends_a_signed_sample_and_stores_nothing(stage, client):
    told = (await client.post("/api/endpoints/crm/ping", json={"event": "user.login"})).json()

    (request,) = stage.sender.requests
    assert json.loads(request.body)["event"] == "user.login"
    assert dict(request.headers)["X-Webhook-Signature"].startswith("sha256=")
    assert (told["ok"], told["status"], told["headers"]) == (True, 204, [["X-Id", "7"]])
    assert await stage.outbox.counts() == {}
    assert (await client.post("/api/endpoints/crm/ping", json={"event": "x"})).status_code == 404


async def test_endpoints_are_told_with_what_was_seen_of_them_and_without_their_paths(stage, client):
    await stage.put(numbered(1), numbered(2, endpoint="former"))
    for number in range(4):
        failed = number == 3
        made = an_attempt(
            outcome=Answered(status=500 if failed else 200),
            verdict=Dead(reason="status 500") if failed else Delivered(),
            took=timedelta(milliseconds=10),
        )
        stage.desk.history(Settled(attempts=(made,)))
        stage.clock.advance(timedelta(seconds=10))

    answer = await client.get("/api/endpoints")

    crm, audit, former = answer.json()["endpoints"]
    assert "very-secret-path" not in answer.text
    assert (crm["url"], crm["state"], audit["state"], former["state"]) == (
        "https://crm.example/…",
        "ok",
        "ok",
        "gone",
    )
    assert crm["recent"]["attempts"], crm["recent"]["failed"] == (4, 1)
    assert crm["history"]["delivered"][-5:] == [1, 1, 1, 0, 0]
    assert crm["history"]["failed"][-5:] == [0, 0, 0, 1, 0]
    assert 10 <= crm["recent"]["p50Ms"] < 14
    assert crm["byEvent"]["message.created"] == {
        "delivered": 3,
        "failed": 1,
        "p50Ms": crm["recent"]["p50Ms"],
    }
    assert crm["oldestWaiting"] == "2026-11-24T12:00:00.000Z"


async def test_the_overview_tells_what_to_look_at_and_what_is_under_way(stage, client):
    rows = [numbered(1), numbered(2), numbered(3, endpoint="audit")]
    await stage.put(*rows)
    await stage.settle(rows[0], Dead(reason="status 500"), Answered(status=500))
    await stage.outbox.stand("audit", Standing(state="open", reason="status 503", since=NOON))
    scanned = Scanned(collection="messages", read=5, rows=50, total=200, done=False, took=timedelta(0))
    stage.desk.undertakings(scanned)
    stage.desk.history(
        Captured(changes=7, events=7, deliveries=7, stored=7, lag=timedelta(seconds=2), took=timedelta(0))
    )

    told = (await client.get("/api/overview")).json()

    assert told["version"] == "1.2.3"
    assert told["ready"] is False, "no stream was opened"
    entries = {(each["part"], each["endpoint"], each["state"]): each["text"] for each in told["attention"]}
    assert "audit fails (status 503): 1 delivery waits." in entries[None, "audit", None]
    assert "1 delivery to crm gave up." in entries[None, "crm", "dead"]
    assert entries["stream", None, None] == "stream: the change stream is not open yet"
    assert told["counts"] == {"held": 0, "pending": 2, "delivered": 0, "dead": 1, "cancelled": 0}
    (work,) = told["work"]
    assert (work["name"], work["rows"], work["of"]) == ("first scan of messages", 50, 200)
    assert (told["history"]["captured"][-1], told["history"]["lagSeconds"][-1]) == (7, 2.0)


async def test_the_overview_tells_of_what_waits_for_an_operator(stage, client):
    await stage.put(numbered(1), numbered(2, endpoint="former"), numbered(3, endpoint="former"))
    await stage.outbox.stand("crm", Standing(state="paused", reason="status 410", since=NOON))
    await stage.outbox.stand("former", Standing(state="open", reason="status 503", since=NOON))

    told = (await client.get("/api/overview")).json()["attention"]
    attention = [each["text"] for each in told]

    assert "crm is paused (status 410): 1 delivery waits until it is resumed." in attention
    (gone,) = [each for each in attention if "former" in each]
    assert gone.startswith("2 deliveries wait for former, which is in the settings no more")


@pytest.mark.parametrize(
    "end",
    [
        Recovered(since=NOON, until=NOON, rows=9, counts={}, took=timedelta(0)),
        StreamOpened(resumed=True),
        LeaseEnded(lease=CAPTURE, epoch=1, lost=True),
    ],
)
async def test_a_repair_is_under_way_until_it_has_ended_or_is_another_replica_s(stage, client, end):
    tell = stage.desk.undertakings
    tell(RecoveryBegan(since=NOON, until=NOON, reason="lost", resumed=False))
    tell(Recovering(phase="found", collection="messages", rows=7, events=1))
    (work,) = (await client.get("/api/overview")).json()["work"]
    assert (work["rows"], work["of"]) == (7, None)
    assert work["name"].startswith("repair of the gap since 2026-11-24T12:00:00")

    tell(end)

    assert (await client.get("/api/overview")).json()["work"] == []


async def test_a_state_that_stops_the_stream_is_told_once_and_as_what_it_is(stage, client):
    full = "state.db: database or disk is full.\n  Free some space on this disk."
    for fact in (
        StoreFailed(doing="append", reason=full, retry_in=timedelta(0)),
        StreamLost(reason=full, retry_in=timedelta(0)),
    ):
        stage.desk.readiness(fact)

    told = (await client.get("/api/overview")).json()["attention"]

    assert [each["part"] for each in told if "Free some space" in each["text"]] == ["store"]


async def test_a_backfill_is_under_way_until_it_is_done_or_forgotten(stage, client):
    since = NOON - timedelta(days=30)
    events = (EventType("message.created"), EventType("file.uploaded"))
    begun = Backfill(name="x", since=since, until=NOON, events=events, rows=500, total=2_000)
    begun = replace(begun, began_at=NOON, page_at=NOON)
    await stage.outbox.fill([], begun)

    async def work() -> list[Any]:
        told: list[Any] = (await client.get("/api/overview")).json()["work"]
        return told

    (told,) = await work()
    assert told["name"] == (
        "backfill of 2 events from 2026-10-25T12:00:00+00:00 to 2026-11-24T12:00:00+00:00"
    )
    assert (told["rows"], told["of"], told["since"]) == (500, 2_000, "2026-11-24T12:00:00.000Z")

    stage.clock.advance(STILL)
    (told,) = await work()
    assert told["name"].endswith("(stands still: given again, the command goes on)")
    stage.clock.advance(timedelta(days=1))
    assert await work() == []

    await stage.outbox.fill([], replace(begun, page_at=stage.clock.now(), rows=2_000, done=True))
    assert await work() == []


@pytest.mark.parametrize("how", ["refuses", "hangs"])
async def test_the_overview_comes_without_the_state_when_that_is_in_trouble(stage, client, monkeypatch, how):
    monkeypatch.setattr(glance, "WITHIN", timedelta(milliseconds=50))

    async def in_trouble(*_: Any, **__: Any) -> Any:
        if how == "refuses":
            raise OutboxError("nobody answers.\n  Is it up?")
        await asyncio.sleep(60)

    stage.outbox.counts = in_trouble
    for fact in (StreamOpened(resumed=False), A_BATCH):
        stage.desk.readiness(fact)

    told = (await client.get("/api/overview")).json()

    assert (told["counts"], told["storeBytes"]) == (None, None)
    (entry,) = told["attention"]
    assert entry["part"] == "store"
    assert "Is its disk, or its MongoDB, overloaded?" in entry["text"]
    fits((await client.get("/api/openapi.json")).json(), "Overview", told)


async def test_a_receiver_that_fails_is_told_of_while_something_waits_for_it(stage, client):
    row = numbered(1)
    await stage.put(row)
    reason = "refused: nothing listens there"
    made = an_attempt(outcome=Unreachable(reason=reason), verdict=RetryAt(at=NOON, reason=reason))
    stage.desk.readiness(Settled(attempts=(made,)))
    stage.clock.advance(timedelta(seconds=10))

    async def told() -> list[str]:
        entries = (await client.get("/api/overview")).json()["attention"]
        return [each["text"] for each in entries if each["endpoint"] == "crm"]

    assert await told() == [
        f"crm fails ({reason}): 1 delivery waits."
        " Bring the receiver back, or correct its url: then all of it goes out."
    ]
    await stage.outbox.cancel([row.id], reason="by an operator")
    assert await told() == []


async def test_a_state_that_cannot_be_read_is_told_with_its_cure(stage, client):
    async def refuse(*_: Any, **__: Any) -> Any:
        raise OutboxError("the disk is full.\n  Free some space.")

    stage.outbox.search = refuse

    answer = await client.get("/api/deliveries")

    assert answer.status_code == 503
    assert "Free some space" in answer.json()["error"]


async def test_a_fault_of_ours_is_told_without_its_text(stage, client):
    async def fail(*_: Any, **__: Any) -> Any:
        raise KeyError(WORDS)

    stage.outbox.search = fail

    answer = await client.get("/api/deliveries")

    assert (answer.status_code, answer.json()) == (500, {"error": "internal: KeyError"})


async def test_another_method_and_another_path_are_told_apart(client):
    wrong = await client.delete("/api/endpoints")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, POST")
    assert (await client.get("/api/nothing")).status_code == 404


async def test_history_is_bounded_and_forgets_after_an_hour(stage):
    stage.desk.history(Captured(changes=1, events=0, deliveries=0, stored=0, lag=None, took=timedelta(0)))
    stage.clock.advance(timedelta(days=3))
    await asyncio.sleep(0)

    steps = stage.desk.history.steps()

    assert len(steps) == 360
    assert sum(step.captured for step in steps) == 0
    assert stage.desk.history.until() - stage.clock.now() <= timedelta(seconds=10)
