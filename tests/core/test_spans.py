"""Ids of traces and spans: made of the webhook's id, the same wherever and whenever they are made."""

from __future__ import annotations

import re
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON
from watcher.core.events import EventId
from watcher.core.spans import attempt_span_id, change_span_id, trace_id, traceparent

ONE, OTHER = EventId("webhook_1"), EventId("webhook_2")


def test_an_event_has_its_trace_and_no_other_has_it():
    assert trace_id(ONE) == trace_id(ONE)
    assert trace_id(ONE) != trace_id(OTHER)


def test_each_attempt_has_a_span_of_its_own():
    first = attempt_span_id(ONE, attempt=1, began=NOON)
    cut_and_begun_again = attempt_span_id(ONE, attempt=1, began=NOON + timedelta(seconds=1))
    second = attempt_span_id(ONE, attempt=2, began=NOON)

    assert first == attempt_span_id(ONE, attempt=1, began=NOON)
    assert len({first, cut_and_begun_again, second, change_span_id(ONE)}) == 4


@given(st.text(), st.booleans())
def test_the_header_has_the_form_of_trace_context(text: str, sampled: bool):
    identity = EventId(text)

    header = traceparent(trace_id(identity), change_span_id(identity), sampled=sampled)

    assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]", header)
