"""A Form: how an endpoint wants to be told. The documented body, a CloudEvent, or one of its own making."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from watcher.core.changes import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """The five keys that LibreChat documents (`format: librechat`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvents:
    """A CloudEvent in structured mode (`format: cloudevents`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What became of a template."""

    value: Any
    """Plain values, JSON-ready after `encoding.encode`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A template cannot be filled for this event."""

    reason: str
    """Names of fields and kinds of values; never what a document holds."""


def is_template(text: str) -> bool:
    """Has it holes that are filled for each event?"""
    return any(mark in text for mark in ("{{", "{%", "{#"))


Fill = Callable[[Document], Filled | Failed]
"""Fills a template from the five keys of an event's body. The same body gives the same, on any machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """A body of the operator's own making (`transform:`), or a ready-made one (`preset:`)."""

    name: str
    """`transform`, or `preset slack`."""
    source: Any = field(repr=False)
    """As it was written."""
    fill: Fill = field(repr=False, compare=False)
    reads: tuple[str, ...] = field(default=(), compare=False)
    """The paths of `data` that it names: `check` looks whether there are such fields."""


Form = Documented | CloudEvents | Transform

DOCUMENTED = Documented()


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where one event goes, and with which headers of the endpoint's own."""

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressing:
    """URL and headers that follow from the event. The endpoint's `url` and `headers` are their templates."""

    address: Callable[[Document], Address | Failed] = field(repr=False, compare=False)
    reads: tuple[str, ...] = field(default=(), compare=False)
