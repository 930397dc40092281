"""Speech: how what is read is spoken, of values in it and of what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from watcher.config.templates.budget import Budget
from watcher.config.templates.plain import text_of


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a template that cannot be used."""

    what: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How what is read is spoken: of values in it, and of what is wrong with it."""

    spoken: Callable[[Any, Budget], str] = text_of
    """A value as text."""
    refused: Mapping[str, Fault] = field(default_factory=dict)
    """Filters that make no sense there."""
    secret: bool = False
    """It may hold a secret: nothing of it is quoted."""

    def quoted(self, name: str) -> str:
        return "what stands there" if self.secret else f"`{name}`"
