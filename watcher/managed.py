"""Managed endpoints join what the settings say: read from the state, opened, made into endpoints.

The law: one that cannot be opened, or does not fit the settings any more, is a problem of the settings, and
nothing starts without it. Going on would lose in silence what it was to be told."""

from __future__ import annotations

from dataclasses import replace

from watcher.adapters.sealing import AesSealing
from watcher.admin.managing import OR_DELETE, definition_of
from watcher.config.settings import Settings
from watcher.core.endpoints import Endpoint
from watcher.core.managing import Registered, Sealed
from watcher.errors import ConfigError, Problem
from watcher.ports import Sealing


def sealing_by(settings: Settings) -> Sealing | None:
    """None: managing is off, as there is no key."""
    return AesSealing(settings.secret_keys) if settings.secret_keys else None


def joined(settings: Settings, registered: Registered) -> Settings:
    """The settings with the managed endpoints among theirs. Raises ConfigError with all that is wrong."""
    if not settings.enabled or not registered.endpoints:
        return settings
    sealing, problems = sealing_by(settings), list[Problem]()
    endpoints = {endpoint.name.lower(): endpoint for endpoint in settings.endpoints}
    managed: list[Endpoint] = []
    revisions: dict[str, int] = {}
    for sealed in registered.endpoints:
        try:
            endpoint = settings.define(definition_of(sealed, sealing))
        except ConfigError as error:
            problems += error.problems
        else:
            managed.append(endpoint)
            revisions[endpoint.name] = sealed.revision
            if sealed.name.lower() in endpoints:
                problems.append(_taken(sealed))
    if problems:
        raise ConfigError(problems)
    return replace(settings, endpoints=(*settings.endpoints, *managed), managed=revisions)


def _taken(sealed: Sealed) -> Problem:
    return Problem(
        where=f"endpoint {sealed.name}",
        what="it stands in the settings' file, and as a managed one in the state",
        cure=f"give the one in the file another name; {OR_DELETE.format(name=sealed.name)}",
    )
