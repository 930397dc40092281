"""A Settlement: how an attempt ended for one delivery, and what its record says from then on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from watcher.core.attempts import Attempt
from watcher.core.deliveries import State, Stored
from watcher.core.swift import swift
from watcher.core.verdicts import Dead, Delivered, RetryAt


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an attempt ended for one delivery. The words are those of `Fate`."""

    stored: Stored
    verdict: Delivered | RetryAt | Dead
    attempt: Attempt
    """To be added to those that are kept."""

    @property
    def state(self) -> State:
        match self.verdict:
            case Delivered():
                return "delivered"
            case RetryAt():
                return "pending"
            case Dead():
                return "dead"

    @property
    def attempts(self) -> int:
        # Not one more than there are: a store that failed may have settled it, and is asked again.
        return self.stored.attempts + (not isinstance(self.verdict, Delivered))

    @property
    def due_at(self) -> datetime | None:
        return self.verdict.at if isinstance(self.verdict, RetryAt) else None

    @property
    def settled_at(self) -> datetime | None:
        return None if isinstance(self.verdict, RetryAt) else self.attempt.at + self.attempt.took
