"""The catalogue as an OpenAPI 3.1 document: what a receiver is sent, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from watcher.core.catalogue import CatalogueEntry
from watcher.core.encoding import batch_body
from watcher.core.events import EventId, batch_id
from watcher.core.requests import BATCH, USER_AGENT
from watcher.core.samples import SAMPLE_AT, sample
from watcher.core.schemas import BATCH_SUMMARY, Schema, batch_schema, body_schema
from watcher.core.signing import SIGNATURE_HEADER

ABOUT = """\
Every event is one POST. Its body has the same five keys each time, and may come more than once: repeats
have the same `webhookId` and the same bytes. Events about one conversation, user, agent or file come in the
order in which they happened.

The schemas describe what LibreChat writes. A row that something else damaged is sent as it is all the same,
rather than not at all, and may not fit. Fields without a value are left out."""


def document(entries: Sequence[CatalogueEntry], *, version: str) -> dict[str, Any]:
    """The document for these events and for the batches that carry them."""
    schemas = {
        str(entry.event): body_schema(entry.event, entry.fields, summary=entry.summary) for entry in entries
    }
    webhooks = {entry.event: _webhook(entry.event, _about(entry), _examples(entry)) for entry in entries}
    return {
        "openapi": "3.1.0",
        "info": {"title": "LibreChat webhooks", "version": version, "description": ABOUT},
        "webhooks": {**webhooks, BATCH: _webhook(BATCH, BATCH_SUMMARY, _batch_examples(entries))},
        "components": {
            "schemas": {**schemas, BATCH: batch_schema([_ref("schemas", name) for name in schemas])},
            "parameters": {parameter["name"]: parameter for parameter in _PARAMETERS},
            "responses": _RESPONSES,
        },
    }


def _webhook(event: str, summary: str, examples: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": _ref("schemas", event), "examples": examples}
    return {
        "post": {
            "operationId": event,
            "summary": summary,
            "parameters": [_ref("parameters", parameter["name"]) for parameter in _PARAMETERS],
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": {status: _ref("responses", name) for status, name in _ANSWERS.items()},
        }
    }


def _about(entry: CatalogueEntry) -> str:
    return entry.summary if entry.documented else f"{entry.summary} Sent only when subscribed by name."


def _examples(entry: CatalogueEntry) -> dict[str, Any]:
    """What the mapping files' own examples send, each under its place there."""
    return {
        told.place or "sample": {"value": json.loads(sample(entry, endpoint="default", told=told).body)}
        for told in entry.samples
    }


def _batch_examples(entries: Sequence[CatalogueEntry]) -> dict[str, Any]:
    members = [sample(entry, endpoint="default") for entry in entries[:2]]
    identity: EventId = batch_id(tuple(member.id for member in members))
    body = batch_body([member.body for member in members], at=SAMPLE_AT, batch=identity)
    return {"sample": {"value": json.loads(body)}}


def _ref(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


def _header(name: str, schema: Schema, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "schema": schema, "description": description}


_PARAMETERS = (
    _header(
        SIGNATURE_HEADER,
        {"type": "string", "pattern": "^sha256=[0-9a-f]{64}$"},
        "HMAC-SHA256 of the raw body with the endpoint's secret, in hex. Compare in constant time, and "
        "refuse what is wrong. Missing only where the operator chose `signing: none`.",
    ),
    _header(
        "X-Webhook-ID",
        {"type": "string", "pattern": "^webhook_"},
        "The body's `webhookId`. The same on every attempt.",
    ),
    _header("X-Webhook-Event", {"type": "string"}, "The body's `event`."),
    _header(
        "X-Webhook-Attempt",
        {"type": "string", "pattern": "^[1-9][0-9]*$"},
        "1 on the first attempt; one more after each that failed.",
    ),
    _header("User-Agent", {"const": USER_AGENT}, "Always the same."),
)

_RETRY_AFTER = {
    "description": "Seconds, or a date: not to be tried again before.",
    "schema": {"type": "string"},
}

_RESPONSES = {
    "taken": {"description": "Any 2xx within the timeout: taken. It is not sent again."},
    "gone": {
        "description": "Nobody is here any more. The endpoint is paused until an operator resumes it.",
    },
    "failed": {
        "description": "Anything else, a redirect too, and no answer within the timeout: failed. It is tried "
        "again after each of the endpoint's `retryDelays`, with the same body, and after the last it is "
        "kept as dead, for an operator to replay.",
        "headers": {"Retry-After": _RETRY_AFTER},
    },
}

_ANSWERS = {"2XX": "taken", "410": "gone", "default": "failed"}
