"""Managed endpoints: a definition made at run time becomes an endpoint as those of the file do.

It inherits from the top of `webhooks:`. What reaches into the watcher's machine (files, its environment) is
for who writes the file only, and so is what the file forbids to all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from watcher.config.messages import shape_of
from watcher.config.proxies import Surroundings
from watcher.config.receivers import TOP, Top, check_fields, endpoint
from watcher.config.report import Report
from watcher.config.routes import route
from watcher.config.shapes import EndpointShape
from watcher.config.sources import Environment, without_sending
from watcher.core.endpoints import Endpoint
from watcher.core.managing import Definition
from watcher.core.routes import DIRECT
from watcher.core.schemas import Known
from watcher.errors import ConfigError

PLACE = (*TOP, "endpoints", 0)
"""Where it would stand in a file."""


def definition_schema() -> Mapping[str, Mapping[str, Any]]:
    """A definition as JSON Schemas by name, its own is `Definition`. They refer to each other as `#/$defs/…`.

    What its values mean, and what they mean together, it does not tell."""
    schema = EndpointShape.model_json_schema(by_alias=True)
    schemas = {**schema.pop("$defs"), "Definition": {**schema, "title": "Definition"}}
    del schemas["TlsShape"]
    return {name: _plain(each) for name, each in schemas.items()}


def _plain(schema: Any) -> Any:
    """Without defaults that are none, in JSON Schema's own words, and without what is for the file only."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    named = {BOUNDS.get(key, key): _plain(value) for key, value in schema.items() if key != "default"}
    if "properties" in named:
        named["properties"] = {key: each for key, each in named["properties"].items() if key not in FILE_ONLY}
    return named


BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "le": "maximum"}
"""Behind a validator pydantic names them in its own way."""

FILE_ONLY: Mapping[str, str] = {
    "tls": "it names files on the watcher's machine",
    "proxy": "it may hold a password, and opens ways into the watcher's network",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Definer:
    """Makes endpoints of definitions, by the settings of one moment."""

    top: Top = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)
    """The environment, for proxies."""
    folder: FilePath
    """Where relative paths at the top begin."""
    own_events: frozenset[str]
    known: Callable[[], Known]
    """The fields that events have. Raises ConfigError for mapping files that cannot be used."""
    sends: bool
    """Where nothing is sent, urls, headers and secrets are not looked at."""

    def __call__(self, definition: Definition) -> Endpoint:
        """Raises ConfigError with all that is wrong."""
        report = Report()
        report.call(PLACE, _called(definition))
        self._demand_allowed(definition, report)
        written = dict(definition) if self.sends else without_sending(definition)
        # Only their defaults come from outside: `${NAME}` would hand our environment to who asks for it.
        shape = shape_of({"webhooks": {"endpoints": [written]}}, report, own_events=self.own_events)
        if not report.sound(PLACE) or not shape.webhooks.endpoints:
            report.raise_if_any()
        receiver = self.top.receiver(PLACE, shape.webhooks.endpoints[0], report)
        way = DIRECT
        if self.sends:
            surroundings = Surroundings(Environment(self.variables, report), report)
            way = route(receiver, folder=self.folder, surroundings=surroundings, report=report)
        with suppress(ConfigError):  # mapping files that cannot be used are told where they are read
            check_fields([receiver], self.known, report)
        report.raise_if_any()
        return replace(endpoint(receiver), route=way)

    def _demand_allowed(self, definition: Definition, report: Report) -> None:
        for key, why in FILE_ONLY.items():
            if key in definition:
                cure = "write it at the top of `webhooks:`, or make this endpoint in the settings' file"
                report.add((*PLACE, key), f"cannot be set here: {why}", cure)
        if self.top.keys["deny_private"] and definition.get("denyPrivate") is False:
            cure = "remove it; or make this endpoint in the settings' file"
            report.add((*PLACE, "denyPrivate"), "the settings' file forbids private addresses to all", cure)


def _called(definition: Mapping[str, Any]) -> str:
    name = definition.get("name")
    return (
        f"endpoint {name}" if isinstance(name, str) and name.isprintable() and len(name) < 70 else "endpoint"
    )
