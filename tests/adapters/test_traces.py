"""Facts as spans: one trace for each event, whoever makes a part of it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.builders import NOON, a_checkpoint, a_delivery
from watcher.adapters.traces import Traces, tracing
from watcher.core.deliveries import Hold
from watcher.core.events import EventId, EventType
from watcher.core.facts import Attempted, Settled, SpansLost
from watcher.core.outcomes import Answered, NotSent, Unreachable
from watcher.core.spans import change_span_id, trace_id
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt
from watcher.testing import Facts, FakeClock, MemoryOutbox

SECOND = timedelta(seconds=1)
ONE, OTHER = EventId("webhook_1"), EventId("webhook_2")


class Stage:
    def __init__(self) -> None:
        self.clock = FakeClock(NOON + SECOND)
        self.memory = InMemorySpanExporter()
        self.traces = Traces(clock=self.clock, processor=SimpleSpanProcessor(self.memory))

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.memory.get_finished_spans()


@pytest.fixture
def stage() -> Stage:
    return Stage()


def attempted(**fields: Any) -> Settled:
    made = Attempted(
        **{
            "endpoint": "crm",
            "id": ONE,
            "event": EventType("message.created"),
            "members": (ONE,),
            "attempt": 1,
            "began": NOON + 2 * SECOND,
            "outcome": Answered(status=200),
            "verdict": Delivered(),
            "took": SECOND,
            "age": 3 * SECOND,
            **fields,
        }
    )
    return Settled(attempts=(made,))


async def append(stage: Stage, *deliveries: Any) -> MemoryOutbox:
    outbox = MemoryOutbox()
    await stage.traces.watched(outbox).append(deliveries, checkpoint=a_checkpoint(), through=NOON)
    return outbox


async def test_the_first_span_goes_from_the_commit_to_the_store(stage):
    delivery = a_delivery(hold=Hold(key="x", until=NOON))

    outbox = await append(stage, delivery)

    (span,) = stage.spans
    assert (await outbox.counts())["crm"].held == 1
    assert (span.name, span.kind, span.parent) == ("change", SpanKind.CONSUMER, None)
    assert (span.context.trace_id, span.context.span_id) == (
        trace_id(delivery.id),
        change_span_id(delivery.id),
    )
    assert (span.start_time, span.end_time) == (ns(NOON), ns(NOON + SECOND))
    assert dict(span.attributes or {}) == {
        "webhook.id": delivery.id,
        "webhook.event": "message.created",
        "webhook.endpoint": "crm",
        "webhook.held": True,
    }


async def test_what_was_stored_before_is_no_change_again(stage):
    delivery = a_delivery()
    outbox = MemoryOutbox()
    watched = stage.traces.watched(outbox)
    for _ in range(2):
        await watched.append([delivery], checkpoint=a_checkpoint(), through=NOON)

    assert len(stage.spans) == 1


async def test_the_rest_of_the_outbox_is_as_it_was(stage):
    outbox = await append(stage, a_delivery())

    assert await stage.traces.watched(outbox).counts() == await outbox.counts()


def test_every_attempt_is_a_child_of_the_first_span(stage):
    again = RetryAt(at=NOON, reason="status 503")
    stage.traces(attempted(outcome=Answered(status=503), verdict=again))
    stage.traces(attempted(attempt=2, began=NOON + 9 * SECOND))

    first, second = stage.spans
    assert {span.context.trace_id for span in stage.spans} == {trace_id(ONE)}
    assert {span.parent.span_id for span in stage.spans if span.parent} == {change_span_id(ONE)}
    assert first.context.span_id != second.context.span_id
    assert (first.start_time, first.end_time) == (ns(NOON + 2 * SECOND), ns(NOON + 3 * SECOND))
    assert (first.kind, first.status.status_code, first.status.description) == (
        SpanKind.CLIENT,
        StatusCode.ERROR,
        "status 503",
    )
    assert dict(first.attributes or {}) == {
        "webhook.id": ONE,
        "webhook.event": "message.created",
        "webhook.endpoint": "crm",
        "webhook.carried": 1,
        "webhook.verdict": "retry_at",
        "http.request.method": "POST",
        "http.request.resend_count": 0,
        "http.response.status_code": 503,
        "error.type": "503",
    }
    assert second.status.status_code == StatusCode.UNSET
    assert second.attributes
    assert "error.type" not in second.attributes
    assert second.attributes["http.request.resend_count"] == 1


@pytest.mark.parametrize(
    ("outcome", "verdict", "word", "failed"),
    [
        (Unreachable(reason="dns: no such host"), Dead(reason="dns: no such host"), "dns", True),
        (NotSent(), Release(), "not_sent", False),
    ],
)
def test_why_there_was_no_answer_is_told_by_one_word(stage, outcome, verdict, word, failed):
    stage.traces(attempted(outcome=outcome, verdict=verdict))

    (span,) = stage.spans
    assert span.attributes["error.type"] == word
    assert "http.response.status_code" not in span.attributes
    assert (span.status.status_code == StatusCode.ERROR) is failed


def test_the_request_tells_which_span_it_is(stage):
    fact = attempted()
    (made,) = fact.attempts

    ((name, value),) = stage.traces.headers(made.id, made.attempt, made.began)
    stage.traces(fact)

    (span,) = stage.spans
    assert name == "traceparent"
    assert value == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


def test_a_batch_has_a_trace_that_leads_to_those_of_what_it_carries(stage):
    batch = EventId("webhook_3")
    fact = attempted(id=batch, members=(ONE, OTHER), event=EventType("batch"))
    (made,) = fact.attempts
    ((_, header),) = stage.traces.headers(batch, made.attempt, made.began)

    stage.traces(fact)

    whole, *parts = stage.spans
    assert header.split("-")[1:3] == [f"{whole.context.trace_id:032x}", f"{whole.context.span_id:016x}"]
    assert (whole.context.trace_id, whole.parent) == (trace_id(batch), None)
    assert [link.context.trace_id for link in whole.links] == [trace_id(ONE), trace_id(OTHER)]
    assert [part.context.trace_id for part in parts] == [trace_id(ONE), trace_id(OTHER)]
    assert [part.parent.span_id for part in parts if part.parent] == [
        change_span_id(ONE),
        change_span_id(OTHER),
    ]
    assert {link.context.span_id for part in parts for link in part.links} == {whole.context.span_id}


def test_attempts_that_are_settled_together_are_told_one_by_one(stage):
    one, other = attempted(), attempted(id=OTHER, members=(OTHER,))

    stage.traces(Settled(attempts=(*one.attempts, *other.attempts)))

    assert [span.attributes["webhook.id"] for span in stage.spans] == [ONE, OTHER]


async def test_what_is_not_sampled_is_so_as_a_whole_and_says_so(monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    stage = Stage()
    deliveries = [a_delivery() for _ in range(60)]

    await append(stage, *deliveries)
    for each in deliveries:
        stage.traces(attempted(id=each.id, members=(each.id,)))

    seen = [span.context.trace_id for span in stage.spans]
    taken = {
        trace_id(each.id)
        for each in deliveries
        if stage.traces.headers(each.id, 1, NOON)[0][1].endswith("-01")
    }
    assert 10 < len(taken) < 50
    assert set(seen) == taken
    assert len(seen) == 2 * len(taken)


def test_who_it_is_may_be_told_by_the_environment(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "webhooks-of-chat")
    stage = Stage()

    stage.traces(attempted())

    (span,) = stage.spans
    assert span.resource.attributes["service.name"] == "webhooks-of-chat"


# --- over the wire ----------------------------------------------------------------------------------------


@asynccontextmanager
async def a_collector(monkeypatch: pytest.MonkeyPatch, *, status: int = 200) -> AsyncIterator[list[Any]]:
    """What a collector of OTLP/HTTP was sent, as resources with their spans."""
    got: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        got.extend(ExportTraceServiceRequest.FromString(await request.read()).resource_spans)
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        yield got
    finally:
        await runner.cleanup()


async def test_what_is_left_at_the_end_is_sent(monkeypatch):
    facts = Facts()
    async with a_collector(monkeypatch) as got, tracing(clock=FakeClock(), observe=facts) as traces:
        traces(attempted())

    (resource,) = got
    names = {each.key: each.value.string_value for each in resource.resource.attributes}
    (scope,) = resource.scope_spans
    (span,) = scope.spans
    assert names["service.name"] == "librechat-watcher"
    assert span.trace_id == trace_id(ONE).to_bytes(16)
    assert span.parent_span_id == change_span_id(ONE).to_bytes(8)
    assert facts.seen == []


async def test_spans_that_are_not_taken_are_counted_and_told(monkeypatch, capfd):
    facts = Facts()
    async with a_collector(monkeypatch, status=400):
        async with tracing(clock=FakeClock(), observe=facts) as traces:
            traces(attempted())
            traces(attempted())
        await facts.until(SpansLost)

    assert facts.of(SpansLost) == [SpansLost(spans=2)]
    assert capfd.readouterr().err == ""


async def test_a_collector_that_never_answers_holds_up_no_end(monkeypatch):
    deaf = asyncio.Event()

    async def never(*_: Any) -> None:
        await deaf.wait()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    )
    began = asyncio.get_running_loop().time()

    async with tracing(clock=FakeClock(), observe=Facts()) as traces:
        traces(attempted())

    assert asyncio.get_running_loop().time() - began < 3
    assert all(thread.daemon for thread in threading.enumerate() if "OtelBatch" in thread.name)
    deaf.set()
    server.close()


async def test_nothing_of_contents_gets_into_a_span(stage):
    await append(stage, a_delivery(body=json.dumps({"text": "s3cr3t"}).encode(), context=b'{"x":"s3cr3t"}'))
    stage.traces(attempted())

    assert "s3cr3t" not in "".join(span.to_json() for span in stage.spans)


def ns(at: Any) -> int:
    return int(at.timestamp()) * 10**9
