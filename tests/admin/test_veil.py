"""The veil: what people wrote stays hidden, however a receiver repeats it."""

from __future__ import annotations

import html
import json
from typing import Any
from urllib.parse import quote_plus

import pytest

from watcher.admin.api.veil import BLOT, Veil
from watcher.core.events import EventId

ID = EventId("webhook_1")
TITLE = 'The <"secret"> plan & its price of 100 €'
TEXT = "你好，世界。" + "Nobody else is to read this. " * 40


def encoded(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def over(data: Any, identity: EventId = ID) -> Veil:
    """Over a documented body."""
    body = {"event": "message.created", "timestamp": "", "data": data, "userId": "u1", "webhookId": identity}
    return Veil(encoded(body), ID)


def test_of_a_documented_body_ids_and_words_of_librechat_are_shown_and_nothing_else():
    veil = over({"messageId": "m1", "text": "hello you", "files": [{"type": "pdf", "filename": "plan.pdf"}]})

    shape = json.loads(veil.shape)

    assert shape["data"] == {
        "messageId": "m1",
        "text": BLOT,
        "files": [{"type": "pdf", "filename": BLOT}],
    }
    assert (shape["event"], shape["userId"], shape["webhookId"]) == ("message.created", "u1", ID)


@pytest.mark.parametrize("body", [{"to": "ann@example.com", "type": "what she wrote"}, ["what she wrote"]])
def test_of_a_body_of_the_operator_s_own_every_text_is_blotted_out(body):
    shape = Veil(encoded(body), ID).shape

    assert "ann" not in shape
    assert "wrote" not in shape


def test_a_body_that_only_looks_like_a_documented_one_is_not_trusted():
    veil = over({"type": "what she wrote"}, identity=EventId("webhook_2"))

    assert "wrote" not in veil.shape
    assert veil.hides("cannot take 'what she wrote'")


@pytest.mark.parametrize(
    "write",
    [
        str,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps({"sent": json.dumps(text)}),
        html.escape,
        quote_plus,
    ],
)
@pytest.mark.parametrize("text", [TITLE, TEXT])
def test_an_answer_that_repeats_a_text_is_hidden_however_it_is_written(write, text):
    veil = over({"title": TITLE, "text": TEXT})

    assert veil.hides(f"cannot take {write(text)}"[:1024])
    assert veil.over((("X-Error", write(text)[:200]), ("X-Id", "7"))) == (("X-Error", BLOT), ("X-Id", "7"))


def test_short_texts_count_whole_and_names_of_two_letters_where_letters_are_words():
    veil = over({"text": "Yes!", "name": "王明", "title": "no"})

    assert veil.hides("you said Yes!")
    assert veil.hides("unknown user 王明")
    assert not veil.hides("no such user; ask 王 whether the answer is yes")


def test_an_answer_with_words_of_its_own_is_shown():
    veil = over({"text": TEXT, "title": TITLE, "messageId": "m1"})

    for said in ("", "Internal Server Error", '{"error":"no user m1"}', "<h1>502 Bad Gateway</h1>" * 40):
        assert not veil.hides(said)


def test_under_what_is_no_json_everything_is_hidden():
    veil = Veil(b"what she wrote", ID)

    assert veil.shape == BLOT
    assert veil.hides("anything")
