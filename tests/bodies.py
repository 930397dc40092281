"""Bodies judged by their schemas, as a receiver would that has only the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from watcher.config.mappings import load_mappings
from watcher.core.catalogue import catalogue
from watcher.core.openapi import document


@cache
def bundled_document() -> dict[str, Any]:
    """The document for the mapping files that come along."""
    return document(catalogue(load_mappings()), version="1")


def misfits(body: dict[str, Any], against: dict[str, Any] | None = None) -> Sequence[str]:
    """What of a body its event's schema does not allow: `data.text: 5 is not of type 'string'`."""
    validator = _validator(body["event"]) if against is None else validator_for(body["event"], against)
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(body)]


def validator_for(event: str, against: dict[str, Any]) -> Draft202012Validator:
    resource = Resource.from_contents(against, default_specification=DRAFT202012)
    return Draft202012Validator(
        {"$ref": f"urn:webhooks#/components/schemas/{event}"},
        registry=Registry().with_resource("urn:webhooks", resource),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


@cache
def _validator(event: str) -> Draft202012Validator:
    return validator_for(event, bundled_document())
