"""Privacy: what is hidden is nowhere in the body, and hashes can be joined by."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON, an_endpoint
from watcher.core.bodies import Bodies
from watcher.core.changes import ChangeId
from watcher.core.conditions import compile_condition
from watcher.core.endpoints import Filter
from watcher.core.events import Entity, Event, EventId, EventType
from watcher.core.privacy import Privacy, derived_key, hashed

KEY = b"a key of hashes"


def an_event(**fields: Any) -> Event:
    return Event(
        **{
            "type": EventType("message.created"),
            "change": ChangeId("82" + "0" * 16),
            "at": NOON,
            "entity": Entity("conversation:c1"),
            "user_id": "u1",
            "data": {"userId": "u1", "text": "hi"},
            **fields,
        }
    )


def sealed(data: dict[str, Any], **hiding: Any) -> Any:
    """`data` as the body shows it."""
    return body(an_event(data=data), **hiding)["data"]


def body(event: Event, **hiding: Any) -> Any:
    endpoint = an_endpoint(privacy=Privacy(**{"key": KEY, **hiding}))
    return json.loads(Bodies(event).of(endpoint, EventId("webhook_1")).content)


LENGTH_1 = {"textLength": 1}


def h(text: str, key: bytes = KEY) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


@pytest.mark.parametrize(
    ("hiding", "data", "shown"),
    [
        ({"omit": ("text",)}, {"text": "hi", "n": 1}, {"n": 1}),
        ({"omit": ("text",)}, {"a": [{"text": 1, "b": {"text": [], "c": 2}}]}, {"a": [{"b": {"c": 2}}]}),
        ({"omit": ("a.text",)}, {"text": 1, "a": {"text": 2}}, {"text": 1, "a": {}}),
        ({"omit": ("a.text",)}, {"b": {"a": {"text": 1}}}, {"b": {"a": {"text": 1}}}),
        (
            {"omit": ("files.filename",)},
            {"files": [{"filename": "a", "n": 1}, [{"filename": "b"}]]},
            {"files": [{"n": 1}, [{}]]},
        ),
        ({"omit": ("a", "a.b")}, {"a": {"b": 1}}, {}),
        ({"omit": ("Text",)}, {"text": 1}, {"text": 1}),
        ({"hash": ("a",)}, {"a": "x", "b": {"a": "x"}}, {"a": h("x"), "b": {"a": h("x")}}),
        ({"hash": ("a",)}, {"a": None}, {"a": None}),
        ({"hash": ("a",)}, {"a": ""}, {"a": h("")}),
        ({"hash": ("a",)}, {"a": "ü😀"}, {"a": h("ü😀")}),
        ({"hash": ("a",)}, {"a": 5.0}, {"a": h("5")}),
        ({"hash": ("a",)}, {"a": True}, {"a": h("true")}),
        ({"hash": ("a",)}, {"a": {"z": 1, "b": [1.0]}}, {"a": h('{"b":[1],"z":1}')}),
        ({"hash": ("a",)}, {"a": datetime(2026, 1, 1, tzinfo=UTC)}, {"a": h("2026-01-01T00:00:00.000Z")}),
        ({"hash": ("a",)}, {"a": 2**60}, {"a": h(str(2**60))}),
        ({"hash": ("a.b",)}, {"a": {"b": "x"}, "b": "x"}, {"a": {"b": h("x")}, "b": "x"}),
        ({"hash": ("a", "b"), "omit": ("a", "c.b")}, {"a": 1, "c": {"b": 2}, "b": 1}, {"c": {}, "b": h("1")}),
        ({"hash": ("a.b",), "omit": ("b",)}, {"a": {"b": 1}}, {"a": {}}),
        ({"text_length": True}, {"a": 1, "text": "a😀ü", "b": 2}, {"a": 1, "textLength": 3, "b": 2}),
        ({"text_length": True}, {"feedback": {"text": ""}}, {"feedback": {"textLength": 0}}),
        ({"text_length": True}, {"text": None, "a": {"text": 5}}, {"text": None, "a": {}}),
        ({"text_length": True}, {"text": ["words"], "a": {"text": {"b": "words"}}}, {"a": {}}),
        ({"text_length": True, "omit": ("text",)}, {"text": "hi"}, {}),
        ({"text_length": True, "hash": ("text",)}, {"text": "hi"}, {"textLength": 2}),
        ({"text_length": True, "omit": ("a.text",)}, {"a": {"text": ""}, "text": "x"}, {"a": {}, **LENGTH_1}),
    ],
)  # fmt: skip
def test_what_is_hidden_and_how(hiding: dict[str, Any], data: dict[str, Any], shown: dict[str, Any]) -> None:
    told = sealed(data, **hiding)

    assert told == shown
    assert list(told) == list(shown), "what is told by its length stands where it stood"


def test_the_person_in_the_envelope_is_hidden_as_in_the_data() -> None:
    event = an_event()

    assert body(event, omit=("userId",))["userId"] is None
    assert (
        body(event, hash=("userId",))["userId"] == body(event, hash=("userId",))["data"]["userId"] == h("u1")
    )
    assert body(replace(event, user_id=None), hash=("userId",))["userId"] is None
    assert body(event, hash=("a.userId",))["userId"] == "u1", "a path is one in the data"
    assert list(body(event, omit=("userId", "text"))) == ["event", "timestamp", "data", "userId", "webhookId"]


def test_a_value_has_one_hash_under_every_name_and_in_every_event() -> None:
    login = an_event(type=EventType("user.login"), data={"userId": "u7", "author": ["u7"]})

    first = sealed({"userId": "u7", "deep": {"author": "u7"}}, hash=("userId", "author"))
    other = body(login, hash=("userId",))

    assert first["userId"] == first["deep"]["author"] == other["data"]["userId"] == h("u7")


def test_another_key_gives_other_hashes_and_the_derived_one_does_not_sign() -> None:
    assert hashed("u1", b"a") != hashed("u1", b"b")
    assert hashed("u1", derived_key(b"s")) not in (hashed("u1", b"s"), h("u1", b"s"))
    assert derived_key(b"s") == derived_key(b"s")


def test_the_key_is_never_printed() -> None:
    assert KEY.decode() not in repr(Privacy(hash=("userId",), key=KEY))


def test_the_length_is_that_of_the_whole_text() -> None:
    told = sealed({"text": "😀" * 1_000_000}, text_length=True)

    assert told == {"textLength": 1_000_000}


def test_filters_judge_an_event_as_it_was() -> None:
    condition = {"text": "hi", "userId": "u1"}
    choosy = an_endpoint(
        filters=(Filter(pattern="*", condition=condition, predicate=compile_condition(condition)),),
        privacy=Privacy(omit=("text",), hash=("userId",), key=KEY),
    )

    assert choosy.wants(an_event())


@pytest.mark.parametrize(
    ("hiding", "entity", "data", "identity"),
    [
        ({"omit": ("text",)}, "conversation:c1", {}, "c1"),
        ({"omit": ("conversationId",)}, "conversation:c1", {}, None),
        ({"hash": ("conversationId",)}, "conversation:c1", {}, h("c1")),
        ({"hash": ("userId",)}, "user:u1", {}, h("u1")),
        ({"hash": ("userId",)}, "users:u1", {}, h("u1")),
        ({"hash": ("userId",)}, "conversation:c1", {"conversationId": "c1"}, "c1"),
        ({"hash": ("owner",)}, "thing:7", {"a": [{"owner": 7}]}, h("7")),
        ({"omit": ("a",)}, "thing:7", {"a": [{"owner": "7"}]}, None),
        ({"omit": ("a",), "hash": ("b",)}, "thing:7", {"a": "7", "b": "7"}, None),
        ({"omit": ("a.b",)}, "thing:7", {"a": {"b": "7", "c": "8"}}, None),
        ({"omit": ("a.b",)}, "thing:8", {"a": {"b": "7", "c": "8"}}, "8"),
    ],
)
def test_the_id_of_the_thing_is_hidden_wherever_it_would_tell_what_is_hidden(
    hiding: dict[str, Any], entity: str, data: dict[str, Any], identity: str | None
) -> None:
    event = an_event(entity=Entity(entity), data=data)

    assert Privacy(**{"key": KEY, **hiding}).identity(event) == identity


# ---------------------------------------------------------------- for any data

NAMES = st.sampled_from(["text", "userId", "a", "b", "files"])
MARKED = st.builds(lambda n: f"V{n}V", st.integers(0, 10**6))
VALUES = st.recursive(
    MARKED | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
DATA = st.dictionaries(NAMES, VALUES, max_size=5)


@given(data=DATA, names=st.sets(NAMES))
def test_no_value_under_an_omitted_name_is_anywhere_in_the_body(
    data: dict[str, Any], names: set[str]
) -> None:
    event = an_event(user_id="V-1V", data=data)

    told = body(event, omit=tuple(names))

    assert names.isdisjoint(_names(told["data"]))
    hidden = set(_texts_under(data, names)) - set(_texts_under(data, names, outside=True))
    written = json.dumps(told)
    assert not [value for value in hidden if value in written]
    assert (told["userId"] is None) == ("userId" in names)


@given(data=DATA, names=st.sets(NAMES, min_size=1))
def test_hashing_keeps_the_shape_and_tells_alike_what_is_alike(data: dict[str, Any], names: set[str]) -> None:
    told = sealed(data, hash=tuple(names))

    pairs = list(_pairs(sealed(data), told, names))
    assert all((was is None) == (is_ is None) for was, is_ in pairs)
    hashes = {json.dumps(was, sort_keys=True): is_ for was, is_ in pairs}
    assert all(hashes[json.dumps(was, sort_keys=True)] == is_ for was, is_ in pairs)
    assert len(set(hashes.values())) == len(hashes)


@given(data=DATA)
def test_who_hides_nothing_that_is_there_is_told_all(data: dict[str, Any]) -> None:
    assert sealed(data, omit=("nowhere", "a.nowhere"), hash=("no",)) == sealed(data)


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_names, value.values()))
    return set().union(*map(_names, value)) if isinstance(value, list) else set()


def _texts_under(value: Any, names: set[str], *, inside: bool = False, outside: bool = False) -> list[str]:
    """The marked texts below one of the names; or those that are below none."""
    if isinstance(value, str):
        return [value] if inside != outside else []
    if isinstance(value, dict):
        below = [
            _texts_under(item, names, inside=inside or name in names, outside=outside)
            for name, item in value.items()
        ]
    else:
        items = value if isinstance(value, list) else ()
        below = [_texts_under(item, names, inside=inside, outside=outside) for item in items]
    return [text for texts in below for text in texts]


def _pairs(was: Any, told: Any, names: set[str]) -> Any:
    """Hashed values, each with what it was; the rest must be as it was."""
    if isinstance(was, dict):
        assert list(was) == list(told)
        for name, item in was.items():
            if name in names:
                yield item, told[name]
            else:
                yield from _pairs(item, told[name], names)
    elif isinstance(was, list):
        assert len(was) == len(told)
        for one, other in zip(was, told, strict=True):
            yield from _pairs(one, other, names)
    else:
        assert was == told
