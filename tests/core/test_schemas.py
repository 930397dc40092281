"""The schemas say what can be sent: every body fits, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tests.bodies import bundled_document, misfits
from tests.builders import a_delivery, a_request, an_endpoint
from watcher.config.mappings import bundled_mappings, load_mappings
from watcher.core.catalogue import CatalogueEntry, Sample, catalogue
from watcher.core.deliveries import Stored
from watcher.core.encoding import MAX_BODY_BYTES
from watcher.core.events import BEYOND, DOCUMENTED
from watcher.core.requests import Parcel
from watcher.core.samples import sample
from watcher.core.schemas import ADDED, SHARED, Field, either, kind_of, nullable

ENTRIES = {str(entry.event): entry for entry in catalogue(load_mappings())}
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in bundled_mappings().iterdir()}
BODIES = [
    pytest.param(entry, told, id=f"{name} {told.place}")
    for name, entry in ENTRIES.items()
    for told in entry.samples
]


def body_of(name: str, /, **data: Any) -> dict[str, Any]:
    """An event's first sample, with other data."""
    entry = ENTRIES[name]
    told = entry.samples[0]
    other = Sample(user_id=told.user_id, data={**told.data, **data})
    body: dict[str, Any] = json.loads(sample(entry, endpoint="default", told=other).body)
    return body


def _rules() -> Iterator[tuple[str, dict[str, Any]]]:
    for collection, file in FILES.items():
        for rule in file["rules"]:
            if "event" in rule:
                yield collection, rule


RULES = list(_rules())


def test_the_document_is_openapi_3_1_and_its_schemas_are_json_schema():
    document = bundled_document()

    validate(document)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert list(document["webhooks"])[:16] == list(DOCUMENTED)
    assert set(document["webhooks"]) == {*DOCUMENTED, *BEYOND, "batch"}


def test_every_reference_in_the_document_leads_somewhere():
    document = bundled_document()
    text = json.dumps(document)

    for reference in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
        place = document
        for name in reference.split("/"):
            place = place[name]


def test_the_document_describes_the_headers_that_are_sent():
    sent = dict(
        a_request(
            Parcel(members=(Stored(seq=1, delivery=a_delivery(), attempts=0, due_at=None, batch=None),)),
            an_endpoint(),
        ).headers
    )

    described = bundled_document()["components"]["parameters"]

    assert set(described) == set(sent) - {"Content-Type"}
    for name, parameter in described.items():
        if name != "X-Webhook-ID":
            assert Draft202012Validator(parameter["schema"]).is_valid(sent[name])


@pytest.mark.parametrize(("entry", "told"), BODIES)
def test_what_an_example_sends_fits(entry: CatalogueEntry, told: Sample):
    body = json.loads(sample(entry, endpoint="default", told=told).body)

    assert misfits(body) == []


def test_every_example_in_the_document_fits():
    for webhook in bundled_document()["webhooks"].values():
        examples = webhook["post"]["requestBody"]["content"]["application/json"]["examples"]
        assert examples
        assert [misfit for example in examples.values() for misfit in misfits(example["value"])] == []


@pytest.mark.parametrize("name", ENTRIES)
def test_a_wrong_type_a_field_too_many_and_a_key_too_few_do_not_fit(name: str):
    odd = {"neither": "text nor number nor list nor time"}
    for field in ENTRIES[name].fields:
        if field != "counts":
            assert misfits(body_of(name, **{field: odd})), field
    assert misfits(body_of(name, counts={"message.created": "many"})), "counts"
    assert misfits(body_of(name, password="x"))
    for key in ("timestamp", "data", "userId", "webhookId"):
        whole = body_of(name)
        assert misfits({**whole, key: odd}), key
        del whole[key]
        assert misfits(whole), key
    assert misfits({**body_of(name), "more": 1})


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_said_to_be_always_there_may_not_be_missing(name: str):
    body = body_of(name)
    always = [field for field in body["data"] if ENTRIES[name].fields[field].always]

    assert always
    for field in always:
        rest = {other: value for other, value in body["data"].items() if other != field}
        assert misfits({**body, "data": rest})


@pytest.mark.parametrize("name", ENTRIES)
def test_any_event_may_be_recovered_and_truncated(name: str):
    assert misfits(body_of(name, recovered=True, truncated=["text"])) == []
    assert misfits(body_of(name, recovered=False))


def test_null_stands_where_the_contract_says_so_and_nowhere_else():
    nobody = {**body_of("message.created"), "userId": None}

    assert misfits(nobody) == []
    assert misfits(body_of("message.feedback", feedback=None)) == []
    assert misfits(body_of("conversation.updated", top_p=None, title=None)) == []
    assert misfits(body_of("conversation.created", title=None))
    assert misfits(body_of("message.created", text=None))


def test_parts_that_are_picked_are_all_that_fits():
    assert misfits(body_of("message.feedback", feedback={"rating": "thumbsUp", "_id": "x"}))
    assert misfits(body_of("message.feedback", feedback={"rating": "so-so"}))
    assert misfits(body_of("message.created", files=[{"file_id": "f1", "filepath": "/x"}]))


def test_a_body_that_had_to_be_cut_fits():
    files = [{"file_id": f"f{number}", "filename": "x" * 60} for number in range(20_000)]
    for much in (
        {"text": "é" * MAX_BODY_BYTES},
        {"files": files},
        {"text": "x" * MAX_BODY_BYTES, "files": files},
    ):
        body = body_of("message.created", **much)

        assert body["data"]["truncated"]
        assert misfits(body) == []


@pytest.mark.parametrize(("collection", "rule"), RULES)
def test_every_field_that_a_rule_of_ours_can_send_has_a_schema_with_a_type_and_a_meaning(
    collection: str, rule: dict[str, Any]
):
    entry = ENTRIES[rule["event"]]

    names = {*rule["data"], *rule.get("values", ()), *(["reason"] if "reason" in rule else [])}
    assert names <= set(entry.fields)
    for name in names:
        schema = entry.fields[name].schema
        assert {"type", "description"} <= set(schema), name
        assert "\n" not in schema["description"]


@pytest.mark.parametrize("collection", FILES)
def test_every_field_has_one_home_and_is_sent(collection: str):
    described = set(FILES[collection]["fields"])
    sent = {
        name
        for where, rule in RULES
        if where == collection
        for name in [*rule["data"], *rule.get("values", ())]
    }

    assert described == sent - set(SHARED)
    assert not described & set(ADDED)


@pytest.mark.parametrize(("collection", "rule"), RULES)
def test_a_schema_has_the_parts_that_the_rule_picks(collection: str, rule: dict[str, Any]):
    for name, expression in rule["data"].items():
        if isinstance(expression, dict) and "pick" in expression:
            schema = FILES[collection]["fields"][name]
            parts = schema["items"] if "each" in expression else schema
            assert list(parts["properties"]) == expression["pick"]
            assert parts["additionalProperties"] is False


def test_kinds_are_told_in_words():
    field = Field(schema={"type": "array", "items": {"type": "object", "properties": {"id": {}}}})

    assert kind_of(nullable(field).schema) == "array of object with id, or null"
    assert kind_of(nullable(nullable(field)).schema) == "array of object with id, or null"
    assert kind_of(nullable(Field(schema={})).schema) == "anything"


def test_an_event_that_comes_in_two_forms_has_the_fields_of_both():
    one = {"a": Field(schema={"type": "string"}, always=True), "b": Field(schema={}, always=True)}
    other = {"a": Field(schema={"type": "number"}, always=True), "c": Field(schema={}, always=True)}

    both = either(one, other)

    assert kind_of(both["a"].schema) == "string, or number"
    assert {name: field.always for name, field in both.items()} == {"a": True, "b": False, "c": False}
