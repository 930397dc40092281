"""One trace for each event: what the collector gets and what the receiver gets belong together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.end_to_end.harness import Inbox
from tests.end_to_end.test_main_line import a_message, settings


class Collector:
    """An OTLP/HTTP collector that keeps what it gets."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Any] = []

    async def take(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        self.spans += [
            span for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]
        return web.Response()

    def of(self, trace: str) -> dict[str, list[Any]]:
        """The spans of one trace, by name."""
        found: dict[str, list[Any]] = {}
        for span in self.spans:
            if span.trace_id.hex() == trace:
                found.setdefault(span.name, []).append(span)
        return found

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.spans) < count:  # noqa: ASYNC110 (another process sends them)
                await asyncio.sleep(0.05)


@asynccontextmanager
async def a_collector(monkeypatch) -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    try:
        yield collector
    finally:
        await runner.cleanup()


class Loaded(Random):
    """Below one half: the receiver fails."""

    value = 0.0

    def random(self) -> float:
        return self.value


def traced(uri: str, url: str, **webhooks: Any) -> dict[str, Any]:
    own: dict[str, Any] = settings(uri, url, **webhooks)
    own["watcher"]["traces"] = True
    return own


def parents(inbox: Inbox) -> list[str]:
    return [receipt.headers["traceparent"] for receipt in inbox.receipts]


async def test_receiver_and_collector_hear_of_the_same_trace(
    librechat, uri, receivers, watchers, monkeypatch
):
    inbox = await receivers()
    async with a_collector(monkeypatch) as collector:
        watcher = watchers(traced(uri, inbox.url))
        await watcher.start()
        await librechat.messages.insert_one(a_message(1, "c1"))
        await inbox.until_accepted(1)
        await collector.until(2)
        assert await watcher.stop() == 0

    (header,) = parents(inbox)
    version, trace, span, flags = header.split("-")
    (change,), (attempt,) = collector.of(trace)["change"], collector.of(trace)["attempt"]
    about = {each.key: each.value for each in attempt.attributes}
    assert (version, flags) == ("00", "01")
    assert attempt.span_id.hex() == span
    assert attempt.parent_span_id == change.span_id
    assert change.parent_span_id == b""
    assert change.start_time_unix_nano < change.end_time_unix_nano < attempt.end_time_unix_nano
    assert about["http.response.status_code"].int_value == 200
    assert about["webhook.id"].string_value == inbox.receipts[0].id
    assert "text 1" not in repr(collector.spans)


async def test_attempts_of_two_lives_are_in_one_trace(librechat, uri, receivers, watchers, monkeypatch):
    dice = Loaded()
    inbox = await receivers(fail=0.5, rng=dice)
    async with a_collector(monkeypatch) as collector:
        watcher = watchers(traced(uri, inbox.url, retries=9, retryDelays=[0.5] * 9))
        await watcher.start()
        await librechat.messages.insert_one(a_message(1, "c1"))
        await inbox.until(lambda receipts: len(receipts) >= 1)
        await collector.until(2)
        await watcher.kill9_and_start()
        dice.value = 1.0
        await inbox.until_accepted(1)
        assert await watcher.stop() == 0

    (trace,) = {header.split("-")[1] for header in parents(inbox)}
    attempts = collector.of(trace)["attempt"]
    assert len(collector.of(trace)["change"]) == 1
    assert {each.parent_span_id for each in attempts} == {collector.of(trace)["change"][0].span_id}
    assert attempts[-1].span_id.hex() == parents(inbox)[-1].split("-")[2]


async def test_without_the_setting_nothing_is_sent_along(librechat, uri, receivers, watchers, monkeypatch):
    inbox = await receivers()
    async with a_collector(monkeypatch) as collector:
        watcher = watchers(settings(uri, inbox.url))
        await watcher.start()
        await librechat.messages.insert_one(a_message(1, "c1"))
        await inbox.until_accepted(1)
        assert await watcher.stop() == 0

    assert "traceparent" not in {name.lower() for name in inbox.receipts[0].headers}
    assert collector.spans == []


async def test_a_collector_that_is_away_delays_nothing_and_is_told(
    librechat, uri, receivers, watchers, monkeypatch
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    inbox = await receivers()
    watcher = watchers(traced(uri, inbox.url))
    await watcher.start()

    await librechat.messages.insert_one(a_message(1, "c1"))
    await inbox.until_accepted(1)
    await watcher.until_logged('"traces.lost"')
    lost = await watcher.metric("watcher_trace_spans_lost_total")

    assert await watcher.stop() == 0
    assert lost
    assert all(json.loads(line)["event"] for line in watcher.log.splitlines()), "only lines of ours"
