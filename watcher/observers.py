"""Observers together: each is told every fact, and none can hurt the others or the pipeline."""

from __future__ import annotations

from watcher.core.facts import Fact
from watcher.ports import Observer


class Observers:
    """One Observer that tells many. One that raises has failed its own duty only; it is counted."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers
        self.failures = 0
        """Shown as a metric: what cannot be told must at least be counted."""

    def add(self, observer: Observer) -> None:
        """From now on it is told as well."""
        self._observers = (*self._observers, observer)

    def __call__(self, fact: Fact) -> None:
        for observe in self._observers:
            try:
                observe(fact)
            except Exception:
                self.failures += 1
