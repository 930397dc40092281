"""Bodies as Python sees them: every odd value, and the 1 MB rule. What V8 says is in test_encoding_v8.py."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.core import encoding
from watcher.core.changes import ChangeId
from watcher.core.encoding import (
    CLOSING_BYTES,
    MAX_BODY_BYTES,
    MAX_DEPTH,
    WHOLE_TEXT_BYTES,
    batch_body,
    close_body,
    encode,
    open_body,
    timestamp,
)
from watcher.core.events import Entity, Event, EventId, EventType

SEVEN = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
WEBHOOK = EventId("webhook_" + "0123456789abcdef" * 2 + "01234567")
SAFE = 2**53 - 1


def an_event(data: dict[str, Any], *, user_id: str | None = "u1", at: datetime = SEVEN) -> Event:
    return Event(
        type=EventType("message.created"),
        change=ChangeId("82" + "0" * 60),
        at=at,
        entity=Entity("conversation:c1"),
        user_id=user_id,
        data=data,
    )


def body_of(data: dict[str, Any]) -> bytes:
    return close_body(open_body(an_event(data)), WEBHOOK)


def sent(data: dict[str, Any]) -> Any:
    return json.loads(body_of(data))["data"]


def nested(levels: int) -> dict[str, Any]:
    """An object of so many levels in all."""
    value: dict[str, Any] = {"leaf": 1}
    for _ in range(levels - 1):
        value = {"in": value}
    return value


class Colour(IntEnum):
    RED = 3


class Word(StrEnum):
    HELLO = "hello"


class Silent:
    def __str__(self) -> str:
        raise RuntimeError("no words")


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("value", "json_text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (SAFE, "9007199254740991"),
        (-SAFE, "-9007199254740991"),
        (SAFE + 1, '"9007199254740992"'),
        (-SAFE - 1, '"-9007199254740992"'),
        (2**63 - 1, '"9223372036854775807"'),
        (-(2**63), '"-9223372036854775808"'),
        (10**400, f'"1{"0" * 400}"'),
        ([10**5000], '["int"]'),  # more digits than Python is willing to print
        (1.0, "1"),
        (-0.0, "0"),
        (-3.0, "-3"),
        (0.1, "0.1"),
        (1.5, "1.5"),
        (0.001, "0.001"),
        (0.000123, "0.000123"),
        (0.000001, "0.000001"),
        (-0.0000015, "-0.0000015"),
        (9.99e-7, "9.99e-7"),
        (1e-7, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (5e-324, "5e-324"),
        (999999999999999.9, "999999999999999.9"),
        (1234567890123456.5, "1234567890123456.5"),
        (float(SAFE), "9007199254740991"),
        (float(SAFE + 1), "9007199254740992"),
        (1e16, "10000000000000000"),
        (-1.2345678901234567e17, "-123456789012345660"),
        (1e20, "100000000000000000000"),
        (9.999999999999999e20, "999999999999999900000"),
        (1e21, "1e+21"),
        (-1.5e300, "-1.5e+300"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (math.nan, "null"),
        (math.inf, "null"),
        (-math.inf, "null"),
        ("", '""'),
        ("Grüße 日本 😀", '"Grüße 日本 😀"'),
        ('"\\/', '"\\"\\\\/"'),
        ("\b\f\n\r\t\v\x00\x1f\x7f", '"\\b\\f\\n\\r\\t\\u000b\\u0000\\u001f\x7f"'),
        ("\u2028\u2029\ufeff", '"\u2028\u2029\ufeff"'),
        ("a\ud800b\udc00", '"a\ufffdb\ufffd"'),
        ("\ud83d\ude00", '"😀"'),
        (SEVEN, '"2026-11-24T07:00:00.000Z"'),
        ((1, [2.0]), "[1,[2]]"),
        ([], "[]"),
        ({}, "{}"),
        ({"b": 1, "a": 2}, '{"b":1,"a":2}'),
        ({"b": 1, "10": 2, "9": 3, "a": 4, "0": 5}, '{"0":5,"9":3,"10":2,"b":1,"a":4}'),
        (
            {"01": 1, "4294967295": 2, "-1": 3, "1e3": 4, "1.5": 5, "": 6, "4294967294": 7, "٣": 8},
            '{"4294967294":7,"01":1,"4294967295":2,"-1":3,"1e3":4,"1.5":5,"":6,"٣":8}',
        ),
        ({"__proto__": {"toJSON": 1}, "constructor": 2}, '{"__proto__":{"toJSON":1},"constructor":2}'),
        ({"x": 0, 1: "int", None: "none", "a\ud800": 1.0}, '{"1":"int","x":0,"None":"none","a\ufffd":1}'),
        ({1: "first", "1": "last"}, '{"1":"last"}'),
        (dict.fromkeys(["\ud800", "\udfff"], 1), '{"\ufffd":1}'),
        (MappingProxyType({"a": 1.0}), '{"a":1}'),
        (Colour.RED, "3"),
        (Word.HELLO, '"hello"'),
        (Decimal("1.50"), '"1.50"'),
        (b"bytes", "\"b'bytes'\""),
        ([Silent(), 2.0], '["Silent",2]'),
    ],
)
def test_every_value_is_written_as_v8_writes_it(value: object, json_text: str) -> None:
    assert encode(value).decode() == json_text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (SEVEN, "2026-11-24T07:00:00.000Z"),
        (SEVEN.replace(microsecond=999_999), "2026-11-24T07:00:00.999Z"),
        (datetime(2026, 11, 24, 8, tzinfo=timezone(timedelta(hours=1))), "2026-11-24T07:00:00.000Z"),
        (datetime(1969, 12, 31, 23, 59, 59, 999_500, tzinfo=UTC), "1969-12-31T23:59:59.999Z"),
        (datetime(5, 1, 1, tzinfo=UTC), "0005-01-01T00:00:00.000Z"),
        (datetime(2026, 11, 24, 7), "2026-11-24T07:00:00.000Z"),  # noqa: DTZ001
    ],
)
def test_a_time_has_javascripts_form_and_is_never_rounded_up(at: datetime, text: str) -> None:
    assert timestamp(at) == text


def test_a_time_that_has_no_utc_form_is_still_written() -> None:
    at = datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))

    assert encode([at]) == b'["9999-12-31 23:59:59.999999-01:00"]'


def test_what_lies_deeper_than_the_limit_becomes_null() -> None:
    assert encode(nested(MAX_DEPTH)).count(b"{") == MAX_DEPTH
    assert encode(nested(MAX_DEPTH + 1)) == encode(nested(MAX_DEPTH)).replace(b'{"leaf":1}', b'{"in":null}')


def test_a_value_that_holds_itself_is_still_written() -> None:
    endless: list[Any] = []
    endless.append(endless)

    assert encode(endless) == b"[" * MAX_DEPTH + b"null" + b"]" * MAX_DEPTH


# ---------------------------------------------------------------- values: properties

TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(["0", "7", "4294967294", "4294967295", "01"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**64), 2**64)
    | st.floats()
    | TEXTS
    | st.datetimes(timezones=st.just(UTC))
)
KEYS = TEXTS | st.integers() | st.none()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


def as_javascript(text: bytes) -> Any:
    """The parsed value, as JavaScript has it: every number a double; no name twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return json.loads(text, parse_int=float, object_pairs_hook=unique)


def as_told(value: Any) -> Any:
    """What a receiver should find where this value was."""
    if isinstance(value, dict):
        return {_whole(str(name)): as_told(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_told(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and abs(value) > SAFE:
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return _whole(value) if isinstance(value, str) else value


def _whole(text: str) -> str:
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in joined)


@given(VALUES)
def test_a_receiver_finds_the_value_that_was_written(value: Any) -> None:
    assert as_javascript(encode(value)) == as_told(value)


@given(VALUES)
def test_what_was_parsed_is_written_again_as_the_same_bytes(value: Any) -> None:
    once = encode(value)

    assert encode(as_javascript(once)) == once


# ---------------------------------------------------------------- bodies


def test_a_body_has_five_keys_in_order_and_not_one_byte_more() -> None:
    event = an_event({"text": "hi", "ratio": 1.0}, at=SEVEN.replace(microsecond=120_900))

    body = close_body(open_body(event), WEBHOOK)

    assert body.decode() == (
        '{"event":"message.created","timestamp":"2026-11-24T07:00:00.120Z","data":{"text":"hi","ratio":1},'
        f'"userId":"u1","webhookId":"{WEBHOOK}"}}'
    )


def test_an_unknown_user_is_null() -> None:
    body = close_body(open_body(an_event({}, user_id=None)), WEBHOOK)

    assert json.loads(body)["userId"] is None


def test_a_batch_carries_the_bodies_verbatim() -> None:
    bodies = [body_of({"n": 1}), body_of({"n": 2})]

    batch = batch_body(bodies, at=SEVEN, batch=EventId("webhook_b"))

    assert batch == (
        b'{"event":"batch","timestamp":"2026-11-24T07:00:00.000Z","data":{"events":['
        + bodies[0] + b"," + bodies[1]
        + b']},"userId":null,"webhookId":"webhook_b"}'
    )  # fmt: skip


def test_the_field_in_which_something_lay_too_deep_is_listed() -> None:
    data = {"id": "m1", "content": nested(MAX_DEPTH), "flat": nested(MAX_DEPTH - 1)}

    told = sent(data)

    assert told["truncated"] == ["content"]
    assert told["flat"] == data["flat"]
    assert orjson.dumps(told["content"]).endswith(b'{"in":null}' + b"}" * (MAX_DEPTH - 2))


# ---------------------------------------------------------------- the 1 MB rule


def test_a_body_is_cut_only_when_it_would_be_too_big() -> None:
    room = MAX_BODY_BYTES - CLOSING_BYTES - len(open_body(an_event({"text": ""})))
    fits, too_long = "x" * room, "x" * (room + 1)

    assert sent({"text": fits}) == {"text": fits}
    assert sent({"text": too_long})["truncated"] == ["text"]


@pytest.mark.parametrize("char", ["x", "ü", "日", "😀", "\n", "\x01"])
def test_a_text_that_is_cut_keeps_whole_characters_and_fills_the_room(char: str) -> None:
    text = char * 1_200_000

    body = body_of({"messageId": "m1", "text": text})

    told = json.loads(body)["data"]
    assert list(told) == ["messageId", "text", "truncated"]
    assert text.startswith(told["text"])
    assert told["truncated"] == ["text"]
    assert MAX_BODY_BYTES - CLOSING_BYTES < len(body) <= MAX_BODY_BYTES


def test_the_longest_texts_are_cut_to_a_common_length_and_the_others_stay() -> None:
    data = {
        "title": "t" * 200_000,
        "text": "x" * 2_000_000,
        "parts": [{"a": "short"}, {"a": "y" * 600_000, "b": "z" * 100_000}],
    }

    told = sent(data)

    assert told["truncated"] == ["parts.1.a", "text"]
    assert len(told["text"]) == len(told["parts"][1]["a"]) > 300_000
    assert told["title"] == data["title"]
    assert told["parts"][1]["b"] == "z" * 100_000


def test_many_texts_share_the_cut_and_the_list_of_them_is_paid_for() -> None:
    data = {"messageId": "m" * 36, "parts": ["p" * 400 for _ in range(5_000)]}

    body = body_of(data)

    told = json.loads(body)["data"]
    assert len(body) <= MAX_BODY_BYTES
    assert told["messageId"] == data["messageId"]
    assert {len(part) for part in told["parts"]} == {len(told["parts"][0])}
    assert len(told["parts"][0]) >= WHOLE_TEXT_BYTES
    assert told["truncated"] == sorted(f"parts.{index}" for index in range(5_000))


def test_without_long_texts_the_largest_fields_are_dropped() -> None:
    data = {"id": "m1", "numbers": [7] * 600_000, "few": [7] * 1_000, "text": "x" * 100_000}

    told = sent(data)

    assert told == {"id": "m1", "few": data["few"], "text": data["text"], "truncated": ["numbers"]}


def test_a_field_of_many_short_texts_is_dropped_rather_than_all_of_them_halved() -> None:
    data = {"id": "m1", "files": [f"file-{n:0100d}" for n in range(20_000)]}

    assert sent(data) == {"id": "m1", "truncated": ["files"]}


def test_a_field_is_dropped_for_what_cutting_cannot_save() -> None:
    data = {"text": "x" * 3_000_000, "numbers": [7] * 600_000}

    told = sent(data)

    assert told["truncated"] == ["numbers", "text"]
    assert len(told["text"]) > 1_000_000


def test_when_the_names_alone_are_too_much_all_data_is_dropped() -> None:
    assert sent({f"name{n}": n for n in range(100_000)}) == {"truncated": ["*"]}
    assert sent({"k" * 2_000_000: 1}) == {"truncated": ["*"]}


def test_a_field_of_that_name_gives_way_to_the_list_only_when_something_was_cut() -> None:
    assert sent({"truncated": "mine"}) == {"truncated": "mine"}

    body = body_of({"truncated": "x" * 2_000_000, "text": "y" * 1_100_000})

    assert json.loads(body)["data"]["truncated"] == ["text"]
    assert len(body) <= MAX_BODY_BYTES


def test_mending_an_odd_value_is_not_cutting() -> None:
    assert sent({"text": "a\ud800", "n": (1.0,)}) == {"text": "a\ufffd", "n": [1]}


def test_an_odd_value_does_not_lift_the_limit() -> None:
    data = {"deep": nested(MAX_DEPTH), "text": "\ud800" * 1_000_000, "7": 10**30}

    body = body_of(data)

    told = json.loads(body)["data"]
    assert len(body) <= MAX_BODY_BYTES
    assert list(told) == ["7", "deep", "text", "truncated"]
    assert told["truncated"] == ["deep", "text"]


PIECES = st.builds(lambda text, times: text * times, TEXTS, st.sampled_from([0, 1, 10, 100, 1_000]))
HEAVY = st.recursive(
    LEAVES | PIECES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS | PIECES, inner, max_size=4)
        | st.builds(lambda value, times: [value] * times, LEAVES, st.sampled_from([1, 100, 1_000]))
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(TEXTS | PIECES, HEAVY, max_size=5), st.none() | TEXTS)
def test_no_body_is_over_the_limit_or_changes_when_written_again(
    data: dict[str, Any], user_id: str | None
) -> None:
    # A lower limit: the law is the same for any, and a thousand bodies of 1 MB take minutes.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "MAX_BODY_BYTES", 2_000)
        body = close_body(open_body(an_event(data, user_id=user_id)), WEBHOOK)

    told = as_javascript(body)
    assert len(body) <= 2_000
    assert list(told) == ["event", "timestamp", "data", "userId", "webhookId"]
    assert told["data"] == as_told(data) or told["data"]["truncated"]
    assert encode(told) == body
