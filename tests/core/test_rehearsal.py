"""Rehearsals: what would go wrong with an endpoint's templates is known before the first event."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import an_endpoint
from watcher.config.mappings import load_mappings
from watcher.config.templates.trees import Faults, read_addressing, read_preset, read_transform
from watcher.core.catalogue import catalogue, fields_of
from watcher.core.conditions import compile_condition
from watcher.core.endpoints import Endpoint, Filter
from watcher.core.privacy import Privacy
from watcher.core.rehearsal import Rehearsal, rehearse

MAPPINGS = load_mappings()
ENTRIES, FIELDS = catalogue(MAPPINGS), fields_of(MAPPINGS)


def a_transform(source: Any) -> Any:
    faults: Faults = []
    transform = read_transform(source, faults)
    assert not faults
    return transform


def rehearsed(source: Any = None, **fields: Any) -> Rehearsal:
    form = {} if source is None else {"form": a_transform(source)}
    found = rehearse(an_endpoint(**form, **fields), ENTRIES, FIELDS)
    assert found is not None
    return found


def test_who_has_no_templates_has_nothing_to_rehearse() -> None:
    assert rehearse(an_endpoint(), ENTRIES, FIELDS) is None


@pytest.mark.parametrize(
    ("source", "events", "unknown"),
    [
        ("{{ data.title }}", ("conversation.created",), ()),
        ("{{ data.titel }}", ("conversation.created",), (("titel", "title"),)),
        ("{{ data.titel | default('') }}", ("conversation.created",), (("titel", "title"),)),
        ("{{ data.title }}", ("user.login",), (("title", None),)),
        ("{{ data.feedback.score }}", ("message.feedback",), (("feedback.score", None),)),
        ("{{ data.feedback.tag.anything }}{{ data.recovered }}", ("message.feedback",), ()),
        ("{{ data.files[0].name }}{{ userId }}", ("message.created",), ()),
    ],
)  # fmt: skip
def test_a_field_that_no_event_has_is_told_with_what_was_meant(
    source: str, events: tuple[str, ...], unknown: tuple[tuple[str, str | None], ...]
) -> None:
    found = rehearsed(source, events=events).unknown

    assert [(each.path, each.hidden) for each in found] == [(path, False) for path, _ in unknown]
    assert all(meant is None or each.meant == meant for each, (_, meant) in zip(found, unknown, strict=True))


@pytest.mark.parametrize(
    ("privacy", "path", "hidden"),
    [
        (Privacy(omit=("text",)), "text", True),
        (Privacy(omit=("feedback",)), "feedback.tag", True),
        (Privacy(omit=("feedback.tag",)), "feedback.tag", True),
        (Privacy(hash=("feedback",), key=b"k"), "feedback.tag", True),
        (Privacy(hash=("text",), key=b"k"), "text", None),
        (Privacy(text_length=True), "text", True),
        (Privacy(text_length=True), "textLength", None),
        (Privacy(text_length=True), "feedback.textLength", None),
        (Privacy(), "textLength", False),
    ],
)
def test_a_field_that_is_hidden_is_told_as_such(privacy: Privacy, path: str, hidden: bool | None) -> None:
    found = rehearsed("{{ data." + path + " | default('') }}", events=("message.feedback",), privacy=privacy)

    assert [each.hidden for each in found.unknown] == ([] if hidden is None else [hidden])


def test_events_of_which_no_body_can_be_made_are_told_by_their_reason() -> None:
    events = ("message.created", "message.deleted", "user.login")

    found = rehearsed({"a": "{{ data.text }}"}, events=events)

    assert found.failing == {"transform.a: data.text is undefined": ("message.deleted", "user.login")}


def test_what_a_filter_keeps_away_need_not_be_told() -> None:
    condition = {"text": {"$exists": True}}
    only = Filter(pattern="message.*", condition=condition, predicate=compile_condition(condition))

    found = rehearsed("{{ data.text }}", events=("message.created", "message.deleted"), filters=(only,))

    assert found.failing == {}


@pytest.mark.parametrize(
    ("source", "events", "missing"),
    [
        ({"n": "{{ data.files }}"}, ("message.created", "user.login"), {"files": ("message.created",)}),
        ({"n": "{{ data.files | default([]) }}"}, ("message.created",), {}),
        ({"n": "{{ data.messageId }}{{ userId }}{{ data.feedback }}"}, ("message.feedback",), {}),
        ({"n": "{{ data.tenantId }}"}, ("message.created",), {"tenantId": ("message.created",)}),
        ({"n": "{{ data.recovered }}"}, ("user.login",), {"recovered": ("user.login",)}),
        ("{{ data.feedback.tag }}", ("message.feedback",), {"feedback.tag": ("message.feedback",)}),
        ("{{ data.feedback.tag | default('') }}", ("message.feedback",), {}),
        ("{% if data.text is defined %}{{ data.text }}{% endif %}", ("message.created",), {}),
        ("{{ data.files[0].filename | default('') }}", ("message.created",), {}),
    ],
)
def test_a_field_that_may_be_missing_is_told_where_the_template_fails_without_it(
    source: Any, events: tuple[str, ...], missing: dict[str, tuple[str, ...]]
) -> None:
    if events[1:]:
        source = {"n": "{% if data.messageId is defined %}" + source["n"] + "{% endif %}"}

    assert rehearsed(source, events=events).missing == missing


@pytest.mark.parametrize(
    ("condition", "missing"),
    [
        ({"files": {"$exists": True}}, set()),
        ({"files": {"$exists": True}, "tenantId": "acme"}, set()),
        ({"tenantId": {"$in": ["acme"]}}, {"files"}),
    ],
)
def test_a_field_that_a_filter_asks_for_is_not_missing(condition: dict[str, Any], missing: set[str]) -> None:
    only = Filter(pattern="*", condition=condition, predicate=compile_condition(condition))
    source = "{{ data.files }} of {{ data.messageId }}"

    assert rehearsed(source, events=("message.created",), filters=(only,)).missing.keys() == missing


@pytest.mark.parametrize(
    ("source", "fields", "mute"),
    [
        ({"a": "{{ 1 // 0 }}"}, {}, True),
        ({"a": "{{ 1 // 0 }}"}, {"filters": ({"nosuchfield": 1},)}, True),
        ({"a": "{{ data.titel }}"}, {"events": ("conversation.created",)}, True),
        ({"a": "{{ data.title }}"}, {"events": ("conversation.created", "user.login")}, False),
        ({"a": "{{ data.tenantId }}"}, {}, False),
        ({"a": "{{ data.tenantId }}"}, {"filters": ({"tenantId": "acme"},)}, False),
        ({"a": "fixed"}, {}, False),
    ],
)
def test_an_endpoint_that_can_be_told_of_nothing_at_all_is_mute(
    source: Any, fields: dict[str, Any], mute: bool
) -> None:
    fields["filters"] = tuple(
        Filter(pattern="*", condition=each, predicate=compile_condition(each))
        for each in fields.get("filters", ())
    )

    assert rehearsed(source, **fields).mute is mute


def test_an_address_that_always_leads_elsewhere_makes_it_mute() -> None:
    faults: Faults = []
    addressing = read_addressing("https://a.example/{{ '..' }}/", {}, faults)

    found = rehearse(an_endpoint(addressing=addressing), ENTRIES, FIELDS)

    assert found is not None
    assert found.mute


def test_addresses_are_rehearsed_too() -> None:
    faults: Faults = []
    addressing = read_addressing("https://a.example/{{ data.titel }}", {}, faults)
    endpoint = Endpoint(name="a", url="", secrets=(), events=("user.login",), addressing=addressing)

    found = rehearse(endpoint, ENTRIES, FIELDS)

    assert found is not None
    assert [each.path for each in found.unknown] == ["titel"]
    assert found.failing == {"url: data.titel is undefined": ("user.login",)}


@pytest.mark.parametrize("name", ["slack", "discord", "teams"])
def test_a_preset_needs_nothing(name: str) -> None:
    endpoint = an_endpoint(form=read_preset(name), events=("*", "watcher.gap", "user.deleted"))

    assert rehearse(endpoint, ENTRIES, FIELDS) == Rehearsal(unknown=(), failing={}, missing={}, mute=False)
