"""What a mapping file says about its fields goes into the catalogue; what is wrong is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from openapi_spec_validator import validate

from tests.bodies import misfits
from watcher.config.mappings import load_mappings
from watcher.core.catalogue import CatalogueEntry, catalogue
from watcher.core.openapi import document
from watcher.errors import ConfigError

PROMPTS = """
collection: prompts
entity: {prompt: row._id}
user: row.author
rules:
  - event: prompt.created
    summary: A prompt was written.
    operations: [insert]
    data: {promptId: row._id, labels: row.labels, tenantId: row.tenantId}
"""

LABELS = 'fields:\n  labels: {type: [array, "null"], items: {type: string}, description: Words for it.}\n'

LOUD = """
collection: messages
rules:
  - event: message.feedback
    summary: A message was rated, in a house of ours.
    operations: [update]
    changed: [feedback]
    data: {messageId: row.messageId, feedback: {pick: [stars], of: row.feedback}}
fields:
  feedback: {type: object, properties: {stars: {type: integer}}, description: Stars.}
"""


def test_a_field_of_which_nothing_is_said_may_be_anything(tmp_path: Path):
    entry = entries(tmp_path, PROMPTS)["prompt.created"]

    assert {name: field.schema.get("type") for name, field in entry.fields.items()} == {
        "promptId": None,
        "labels": None,
        "tenantId": "string",
    }
    described = document(list(entries(tmp_path, PROMPTS).values()), version="1")
    validate(described)
    assert misfits(a_body(promptId=1, labels={"a": 1}), described) == []
    assert misfits(a_body(promptId=1, label=[]), described)


def test_a_field_is_what_its_file_says(tmp_path: Path):
    described = document(list(entries(tmp_path, PROMPTS + LABELS).values()), version="1")

    validate(described)
    assert misfits(a_body(labels=["a"]), described) == []
    assert misfits(a_body(labels=None), described) == []
    assert misfits(a_body(labels=[1]), described)


def test_what_an_added_file_says_of_a_field_goes_before_what_ours_says(tmp_path: Path):
    feedback = entries(tmp_path, LOUD)["message.feedback"].fields["feedback"]

    assert feedback.meaning == "Stars."
    assert not feedback.always


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("fields: [labels]", "fields: must be a mapping"),
        ("fields: {labels: string}", "fields.labels: must be a mapping"),
        ("fields: {labels: {typ: string}}", "did you mean `type`?"),
        ("fields: {labels: {type: strin}}", "did you mean `string`?"),
        ("fields: {labels: {type: [string, null]}}", 'write "null", in quotes'),
        ("fields: {labels: {always: maybe}}", "must be true or false"),
        ("fields: {labels: {description: 3}}", "must be a word or text"),
        ("fields: {labels: {enum: a}}", "must be a list"),
        ("fields: {labels: {items: {type: text}}}", "fields.labels.items.type: not a word"),
        ("fields: {labels: {items: {always: true}}}", "unknown key"),
        ("fields: {labels: {properties: [a]}}", "write `properties: {name: {…}}`"),
        ("fields: {labels: {properties: {a: {type: int}}}}", "fields.labels.properties.a.type"),
        ("fields: {labels: {additionalProperties: {type: int}}}", "fields.labels.additionalProperties.type"),
    ],
)
def test_what_is_no_schema_is_told(tmp_path: Path, fields: str, expected: str):
    with pytest.raises(ConfigError) as caught:
        entries(tmp_path, f"{PROMPTS}{fields}\n")

    assert any(expected in str(problem) for problem in caught.value.problems), caught.value.problems


def entries(folder: Path, text: str) -> dict[str, CatalogueEntry]:
    file = folder / "own.yaml"
    file.write_text(text)
    return {str(entry.event): entry for entry in catalogue(load_mappings([file]))}


def a_body(**data: object) -> dict[str, object]:
    return {
        "event": "prompt.created",
        "timestamp": "2026-01-01T12:00:00.000Z",
        "data": data,
        "userId": None,
        "webhookId": "webhook_1",
    }
