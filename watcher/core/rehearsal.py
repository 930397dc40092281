"""A Rehearsal: does what an operator wrote of an endpoint's bodies and address fit the events that it gets?

Asked by `check`, of the catalogue's samples: before the first real event finds out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import orjson

from watcher.core.catalogue import CatalogueEntry
from watcher.core.endpoints import Endpoint
from watcher.core.events import EventType
from watcher.core.forms import Failed, Transform
from watcher.core.planning import owed
from watcher.core.samples import sample_event
from watcher.core.schemas import Fields, Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A field that a template reads, and that no event of the endpoint has."""

    path: str
    """From `data`."""
    hidden: bool
    """There is one, but the endpoint is not told it."""
    meant: str | None
    """What it may have been meant to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What would go wrong."""

    unknown: tuple[Unknown, ...]
    failing: Mapping[str, tuple[EventType, ...]]
    """Why no request can be made of a sample, and of which events' samples."""


def rehearse(
    endpoint: Endpoint, entries: Sequence[CatalogueEntry], fields: Mapping[EventType, Fields]
) -> Rehearsal | None:
    """Try the endpoint's templates; None where it has none."""
    reads = list(endpoint.form.reads) if isinstance(endpoint.form, Transform) else []
    reads += endpoint.addressing.reads if endpoint.addressing is not None else ()
    if not reads and not isinstance(endpoint.form, Transform) and endpoint.addressing is None:
        return None
    heard = [entry for entry in entries if endpoint.subscribes(entry.event)]
    there = Known.of(*(fields[entry.event] for entry in heard))
    told = there if endpoint.privacy is None else Known(endpoint.privacy.shown(there.paths))
    ready = isinstance(endpoint.form, Transform) and endpoint.form.name != "transform"
    # A ready-made one asks for whatever any event has, and does without it.
    asked = [] if ready else [path for path in dict.fromkeys(reads) if not told.leads(path)]
    return Rehearsal(
        unknown=tuple(
            _unknown(path, told, there)
            for path in asked
            if not any(path.startswith(f"{holder}.") for holder in asked)
        ),
        failing=_failing(endpoint, heard),
    )


def _unknown(path: str, told: Known, there: Known) -> Unknown:
    close = get_close_matches(path, sorted(told.paths), n=1, cutoff=0.6)
    return Unknown(path=path, hidden=there.leads(path), meant=close[0] if close else None)


def _failing(endpoint: Endpoint, heard: Sequence[CatalogueEntry]) -> Mapping[str, tuple[EventType, ...]]:
    failing: dict[str, tuple[EventType, ...]] = {}
    for entry in heard:
        event = sample_event(entry)
        if not endpoint.wants(event):
            continue
        delivery = owed(event, endpoint)
        reason = delivery.refused
        if reason is None and endpoint.addressing is not None:
            address = endpoint.addressing.address(orjson.loads(delivery.context or delivery.body))
            reason = address.reason if isinstance(address, Failed) else None
        if reason is not None:
            reason = reason.removesuffix(f" (event {event.type})")
            failing[reason] = (*failing.get(reason, ()), event.type)
    return failing
