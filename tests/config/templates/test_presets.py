"""Presets: one readable message for each event, whatever of it may be known, and nobody is called by it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.config.mappings import load_mappings
from watcher.config.templates import escapes
from watcher.config.templates.trees import PRESETS, read_preset
from watcher.core.catalogue import Sample, catalogue
from watcher.core.encoding import encode
from watcher.core.events import BEYOND, DOCUMENTED
from watcher.core.forms import Filled
from watcher.core.privacy import Privacy
from watcher.core.samples import sample, sample_event

NAMES = ("slack", "discord", "teams")
ENTRIES = {str(entry.event): entry for entry in catalogue(load_mappings())}
SAMPLES = [(entry, told) for entry in ENTRIES.values() for told in entry.samples]


def message(preset: str, context: dict[str, Any]) -> Any:
    made = read_preset(preset).fill(context)
    assert isinstance(made, Filled), made
    return json.loads(encode(made.value))


def a_context(event: str = "message.created", user_id: str | None = "u1", **data: Any) -> dict[str, Any]:
    return {
        "event": event,
        "timestamp": "2026-11-24T12:00:00.000Z",
        "data": data,
        "userId": user_id,
        "webhookId": "webhook_1",
    }


def texts(value: Any) -> Iterator[str]:
    """Every text of a message that is shown."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("text", "content") and isinstance(each, str):
                yield each
            else:
                yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def well_formed(preset: str, told: Any) -> None:
    """The shape that each of them takes, and its limits."""
    shown = list(texts(told))
    assert shown
    assert all(text.strip() or preset in ("slack", "teams") for text in shown)
    if preset == "slack":
        assert (list(told), told["mrkdwn"]) == (["text", "mrkdwn", "blocks"], False)
        rich, context = told["blocks"]
        (section,) = rich["elements"]
        head, rest = section["elements"]
        assert (rich["type"], section["type"]) == ("rich_text", "rich_text_section")
        assert (head["type"], head["style"], rest["type"]) == ("text", {"bold": True}, "text")
        assert told["text"].strip() == escapes.slack(head["text"] + rest["text"]).strip(), "the same for both"
        assert [(each["type"], each["emoji"]) for each in context["elements"]] == [("plain_text", False)]
        assert all(0 < len(text) <= 3_000 for text in shown)
    elif preset == "discord":
        assert list(told) == ["content", "allowed_mentions", "flags"]
        assert 0 < len(told["content"].encode("utf-16-le")) // 2 <= 2_000
        assert (told["allowed_mentions"], told["flags"]) == ({"parse": []}, 4)
    else:
        (attachment,) = told["attachments"]
        card = attachment["content"]
        assert (told["type"], attachment["contentType"]) == (
            "message",
            "application/vnd.microsoft.card.adaptive",
        )
        assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
        assert all(run["type"] == "TextRun" for block in card["body"] for run in block["inlines"])
        assert len(encode(told)) < 28_000


@pytest.mark.parametrize("preset", NAMES)
def test_there_is_a_message_for_every_sample_of_every_event(preset: str) -> None:
    assert ENTRIES.keys() >= {*DOCUMENTED, *BEYOND}

    for entry, told in SAMPLES:
        body = json.loads(sample(entry, endpoint="chat", told=told).body)
        well_formed(preset, message(preset, body))


@pytest.mark.parametrize("preset", NAMES)
def test_each_kind_of_event_reads_differently(preset: str) -> None:
    bodies = [json.loads(sample(entry, endpoint="chat").body) for entry in ENTRIES.values()]
    heads = {next(texts(message(preset, body))).splitlines()[0].partition(":")[0] for body in bodies}

    assert len(heads) == len(ENTRIES)
    assert not [head for head in heads if re.search(r"\w\.\w", head)], "words, not the event's name"


@settings(max_examples=150, deadline=None)
@given(told=st.sampled_from(SAMPLES), names=st.data(), preset=st.sampled_from(NAMES))
def test_whatever_is_hidden_there_is_a_message(told: tuple[Any, Sample], names: Any, preset: str) -> None:
    entry, shown = told
    known = sorted({*shown.data, "userId", "text", "feedback.text", "feedback.rating"})
    some = st.lists(st.sampled_from(known), unique=True).map(tuple)
    privacy = Privacy(omit=names.draw(some), hash=names.draw(some), text_length=names.draw(st.booleans()))

    event = privacy.seal(sample_event(entry, told=shown))

    context = {**a_context(event.type, event.user_id), "data": json.loads(encode(event.data))}
    well_formed(preset, message(preset, context))


NASTY = st.text(max_size=3_000) | st.sampled_from(
    ["<!channel> <!here> <@U123> <https://evil.example|click>", "@everyone @here <@123> <@&1>",
     "&lt;!channel&gt;",
     "*bold* _it_ ~no~ `code` ```\nblock```", "> quote\n# head\n-# small",
     "[click](https://evil.example)", "\\" * 900,
     "&" * 3_000, "*" * 3_000, "😀" * 3_000, "<at>everyone</at>", "\x00\x1b[2J\u202e"]
)  # fmt: skip
ODD = NASTY | st.none() | st.booleans() | st.integers() | st.lists(NASTY, max_size=3)


@settings(max_examples=200, deadline=None)
@given(
    event=st.sampled_from(sorted(ENTRIES)),
    data=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("text", "title", "name", "model", "sender", "reason", "changed"), ODD)
    ),
    user_id=NASTY | st.none(),
)  # fmt: skip
def test_whatever_people_write_it_calls_nobody_and_stays_within_the_limits(
    event: str, data: dict[str, Any], user_id: str | None
) -> None:
    context = json.loads(encode(a_context(event, user_id, **data)))

    slack, discord = message("slack", context), message("discord", context)
    well_formed("slack", slack)
    well_formed("discord", discord)
    well_formed("teams", message("teams", context))

    assert not re.search("[<>]|&(?!(amp|lt|gt);)", slack["text"])
    assert re.search(r"(?<!\\)(\\\\)*[<@]", discord["content"]) is None, "each is escaped"
    assert re.search(r"(?<!\\)(\\\\)*://", discord["content"]) is None, "nothing becomes a link"


MARKUP = "*bold* _it_ ~no~ `code`\n> quote\n- one\n1. two\n<!channel> <@U1> @here #general :tada: https://evil.example"


def kinds_of_text(value: Any) -> set[str]:
    """How Slack is told to read each text."""
    if isinstance(value, list):
        return set().union(*map(kinds_of_text, value))
    if not isinstance(value, dict):
        return set()
    own = {value["type"]} if isinstance(value.get("text"), str) and "type" in value else set()
    return own.union(*map(kinds_of_text, value.values()))


def test_in_slack_no_markup_is_read_in_what_people_wrote() -> None:
    told = message("slack", a_context(text=MARKUP, sender="*me*", title="_it_"))

    assert kinds_of_text(told["blocks"]) == {"text", "plain_text"}, "texts of rich text have no markup"
    assert told["mrkdwn"] is False
    assert MARKUP in told["blocks"][0]["elements"][0]["elements"][1]["text"], "as it was written"


def test_in_discord_lines_of_lists_and_links_are_text() -> None:
    told = message("discord", a_context(text=MARKUP))

    assert "\n\\- one\n1\\. two\n" in told["content"]
    assert "https\\://evil.example" in told["content"]


def test_a_message_is_shown_shortened_and_its_length_where_that_is_all_that_is_known() -> None:
    long = message("slack", a_context(text="word " * 1_000, isCreatedByUser=False, model="gpt-4o"))
    hidden = message("slack", a_context(textLength=4_711))

    assert long["text"].startswith("New answer\nword word")
    assert long["text"].endswith("…")
    assert len(long["text"]) < 450
    assert hidden["text"] == "New message\n4711 letters"


@pytest.mark.parametrize(
    ("data", "head"),
    [
        ({"feedback": {"rating": "thumbsUp"}}, "👍 An answer was rated"),
        ({"feedback": {"rating": "thumbsDown", "text": "wrong"}}, "👎 An answer was rated\nwrong"),
        ({"feedback": None}, "A rating was withdrawn"),
        ({}, "An answer was rated"),
        ({"feedback": "9f86d081"}, "An answer was rated"),
    ],
)
def test_a_rating_is_told_as_far_as_it_is_known(data: dict[str, Any], head: str) -> None:
    assert message("slack", a_context("message.feedback", **data))["text"] == head


def test_an_event_of_the_operators_own_goes_by_its_name() -> None:
    told = message("discord", a_context("preset.shared", title="Mine"))

    assert told["content"].startswith("**preset.shared**: Mine\n")


def test_each_preset_is_a_file_with_its_purpose_in_the_first_lines() -> None:
    assert {file.stem for file in PRESETS.glob("*.yaml")} == set(NAMES)
    for file in PRESETS.glob("*.yaml"):
        assert file.read_text().startswith("# What ")
