"""Traces: facts as spans of OpenTelemetry, sent over OTLP. Ids, names, counts, times; no contents, no URLs.

Its packages come with the extra `traces`. Where spans go, and how many are taken, are the SDK's own settings:
the environment variables `OTEL_*`."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, cast

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from watcher import __version__
from watcher.adapters.prometheus import outcome_word, verdict_word
from watcher.adapters.times import EPOCH
from watcher.core.deliveries import Delivery, Lift
from watcher.core.events import EventId
from watcher.core.facts import Attempted, Fact, Settled, SpansLost
from watcher.core.outcomes import Answered, NotSent, Outcome, Unreachable, Unsendable
from watcher.core.spans import attempt_span_id, change_span_id, trace_id, traceparent
from watcher.core.verdicts import Delivered, Release
from watcher.ports import Clock, Observer, Outbox

SAY_AGAIN = timedelta(minutes=1)
"""A collector that is away fails every few seconds."""

FAREWELL = timedelta(seconds=1)
"""What is left at the end has so long to get there: whoever stops us does not wait for a collector."""

# The exporter's own lines quote addresses and answers; what is to be known of it is a fact.
logging.getLogger("opentelemetry").propagate = False
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())


@asynccontextmanager
async def tracing(*, clock: Clock, observe: Observer) -> AsyncIterator[Traces]:
    """Traces, until the `async with` block ends; then what is left is sent. They go out on a thread."""
    loop = asyncio.get_running_loop()
    exporter = _Exporter(OTLPSpanExporter(), clock=clock, tell=lambda n: _tell(loop, observe, n))
    traces = Traces(clock=clock, processor=BatchSpanProcessor(exporter))
    try:
        yield traces
    finally:
        closing = threading.Thread(target=traces.close, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, FAREWELL.total_seconds())


class Traces:
    """An Observer that makes spans, and what else it takes that they tell of one event from end to end."""

    def __init__(self, *, clock: Clock, processor: Any) -> None:
        """`processor`: the SDK's SpanProcessor that takes the spans."""
        self._clock = clock
        self._ids = _GivenIds()
        own = Resource({"service.name": "librechat-watcher", "service.version": __version__})
        self._provider = TracerProvider(
            id_generator=self._ids,
            resource=own.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("librechat-watcher", __version__)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def __call__(self, fact: Fact) -> None:
        if isinstance(fact, Settled):
            for each in fact.attempts:
                self._attempted(each)

    def headers(self, identity: EventId, attempt: int, began: datetime) -> Sequence[tuple[str, str]]:
        """What tells the receiver of which trace the request is."""
        trace = trace_id(identity)
        span = attempt_span_id(identity, attempt=attempt, began=began)
        return (("traceparent", traceparent(trace, span, sampled=self._sampled(trace))),)

    def watched(self, outbox: Outbox) -> Outbox:
        """The outbox, of whose new deliveries the first span is made as soon as they are stored."""
        return cast(Outbox, _Watched(outbox, self._stored))

    def _stored(self, entries: Sequence[Delivery | Lift]) -> None:
        now = self._clock.now()
        for entry in entries:
            if isinstance(entry, Delivery):
                about = {
                    "webhook.id": entry.id,
                    "webhook.event": entry.event,
                    "webhook.endpoint": entry.endpoint,
                }
                self._ids.next = trace_id(entry.id), change_span_id(entry.id)
                self._tracer.start_span(
                    "change",
                    context=Context(),
                    kind=SpanKind.CONSUMER,
                    attributes={**about, "webhook.held": entry.hold is not None},
                    start_time=_ns(entry.at),
                ).end(_ns(now))

    def _attempted(self, fact: Attempted) -> None:
        if fact.members == (fact.id,):
            self._attempt(fact, fact.id)
            return
        # The receiver goes on in the batch's own trace; links lead to it from each event's, and back.
        self._attempt(fact, fact.id, links=[Link(self._change(each)) for each in fact.members])
        whole = self._context(fact.id, attempt_span_id(fact.id, attempt=fact.attempt, began=fact.began))
        for each in fact.members:
            self._attempt(fact, each, links=[Link(whole)])

    def _attempt(self, fact: Attempted, identity: EventId, links: Sequence[Link] = ()) -> None:
        self._ids.next = trace_id(identity), attempt_span_id(identity, attempt=fact.attempt, began=fact.began)
        is_root = identity not in fact.members  # a batch, which nobody committed
        span = self._tracer.start_span(
            "attempt",
            context=Context() if is_root else set_span_in_context(NonRecordingSpan(self._change(identity))),
            kind=SpanKind.CLIENT,
            attributes={
                "webhook.id": identity,
                "webhook.event": fact.event,
                "webhook.endpoint": fact.endpoint,
                "webhook.carried": fact.carried,
                "webhook.verdict": verdict_word(fact.verdict),
                "http.request.method": "POST",
                "http.request.resend_count": fact.attempt - 1,
                **_met(fact.outcome),
            },
            links=links,
            start_time=_ns(fact.began),
        )
        if not isinstance(fact.verdict, Delivered | Release):
            span.set_status(Status(StatusCode.ERROR, fact.verdict.reason))
        span.end(_ns(fact.began + fact.took))

    def _change(self, identity: EventId) -> SpanContext:
        return self._context(identity, change_span_id(identity))

    def _context(self, identity: EventId, span: int) -> SpanContext:
        trace = trace_id(identity)
        flags = TraceFlags.SAMPLED if self._sampled(trace) else TraceFlags.DEFAULT
        return SpanContext(trace, span, is_remote=False, trace_flags=TraceFlags(flags))

    def _sampled(self, trace: int) -> bool:
        """By the trace's id alone, so that all that make spans of it come to the same."""
        decision = self._provider.sampler.should_sample(None, trace, "change").decision
        return decision is Decision.RECORD_AND_SAMPLE


class _Watched:
    """Whatever an outbox does; and tells of what was appended."""

    def __init__(self, outbox: Outbox, stored: Callable[[Sequence[Delivery | Lift]], object]) -> None:
        self._outbox = outbox
        self._told = stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outbox, name)

    async def append(self, entries: Sequence[Delivery | Lift], **more: Any) -> int:
        new = await self._outbox.append(entries, **more)
        if new:
            self._told(entries)
        return new


class _GivenIds(IdGenerator):
    """Ids are not drawn, they are worked out before."""

    next: tuple[int, int]

    def generate_trace_id(self) -> int:
        return self.next[0]

    def generate_span_id(self) -> int:
        return self.next[1]


class _Exporter(SpanExporter):
    """Hands the spans over, and tells how many could not be."""

    def __init__(self, inner: SpanExporter, *, clock: Clock, tell: Callable[[int], object]) -> None:
        self._inner = inner
        self._clock = clock
        self._tell = tell
        self._lost = 0
        self._told_at: float | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        self._lost += len(spans) * (result is not SpanExportResult.SUCCESS)
        now = self._clock.monotonic()
        if self._lost and (self._told_at is None or now - self._told_at >= SAY_AGAIN.total_seconds()):
            self._tell(self._lost)
            self._lost, self._told_at = 0, now
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def _tell(loop: asyncio.AbstractEventLoop, observe: Observer, spans: int) -> None:
    """From the exporter's thread: observers live on the loop's."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(observe, SpansLost(spans=spans))


def _met(outcome: Outcome) -> dict[str, str | int]:
    """By OpenTelemetry's conventions for HTTP clients."""
    match outcome:
        case Answered(status=status):
            failed = {} if 200 <= status < 300 else {"error.type": str(status)}
            return {"http.response.status_code": status, **failed}
        case Unreachable() | Unsendable() | NotSent():
            return {"error.type": outcome_word(outcome)}


def _ns(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1) * 1_000
