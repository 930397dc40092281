"""Spans: one trace for each event at each endpoint, from its commit in MongoDB to its receipt.

The law: trace and spans have ids that follow from the webhook's own. So all attempts meet in one trace, after
a restart and at another replica too, and nothing about traces is stored."""

from __future__ import annotations

import hashlib
from datetime import datetime

from watcher.core.events import EventId


def trace_id(identity: EventId) -> int:
    """Of all that is done for one delivery; 128 bits, evenly spread, as samplers want them."""
    return _number("trace", identity, size=16)


def change_span_id(identity: EventId) -> int:
    """Of the trace's first span: from the commit to the store."""
    return _number("change", identity, size=8)


def attempt_span_id(identity: EventId, *, attempt: int, began: datetime) -> int:
    """Of one request. By its beginning too: one that our shutdown cut has the next one's number."""
    return _number("attempt", identity, attempt, began.isoformat(), size=8)


def traceparent(trace: int, span: int, *, sampled: bool) -> str:
    """The header of W3C Trace Context.

    >>> traceparent(1, 2, sampled=True)
    '00-00000000000000000000000000000001-0000000000000002-01'
    """
    return f"00-{trace:032x}-{span:016x}-{sampled:02x}"


def _number(*parts: object, size: int) -> int:
    """Never 0, which stands for no id."""
    digest = hashlib.blake2b("\n".join(map(str, parts)).encode(), digest_size=size).digest()
    return int.from_bytes(digest) or 1
