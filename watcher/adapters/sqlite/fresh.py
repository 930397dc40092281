"""What was stored a moment ago, kept for who sends it: what was just written is not read back.

The law: what it gives for an endpoint is what the store would give. It knows a span of `seq`, and all that
became pending in it; wherever something else happened in the store, it forgets, and the store is asked."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

from watcher.core.deliveries import Stored

MOST_ROWS = 2_000
MOST_BYTES = 4 * 1024 * 1024
"""In memory, for all endpoints together. One that keeps up leaves next to nothing here; what others leave is
read from the store when they come to it."""


class Fresh:
    """Pending deliveries by endpoint, the oldest first. Used by one thread."""

    def __init__(self) -> None:
        self._upto: int | None = None
        """The end of the span; None: nothing is known."""
        self._from = 0
        self._begins: dict[str, int] = {}
        """Of endpoints whose span begins later: what was before has been given, or was too much to keep."""
        self._rows: dict[str, deque[Stored]] = defaultdict(deque)
        self._number = self._bytes = 0

    def extend(self, rows: Sequence[Stored], *, after: int, upto: int) -> None:
        """These, in order, are all that became pending with a `seq` in (after, upto]."""
        if self._upto != after:
            self.forget()
            self._from = after
        self._upto = upto
        for row in rows:
            self._rows[row.delivery.endpoint].append(row)
            self._number += 1
            self._bytes += row.delivery.size
        while self._number > MOST_ROWS or self._bytes > MOST_BYTES:
            self._drop(max(self._rows, key=self._weight), through=upto)

    def forget(self) -> None:
        """The store is not as it was."""
        self._upto = None
        self._begins.clear()
        self._rows.clear()
        self._number = self._bytes = 0

    def beyond(self, endpoint: str, *, after: int) -> bool | None:
        """Is something pending beyond that? None: not known."""
        if not self._knows(endpoint, after):
            return None
        rows = self._rows[endpoint]
        return bool(rows) and rows[-1].seq > after

    def take(self, endpoint: str, *, after: int, limit: int, max_bytes: int) -> Sequence[Stored] | None:
        """The next ones beyond that, once, bounded as in `Outbox.pending`. None: not known."""
        if not self._knows(endpoint, after):
            return None
        self._drop(endpoint, through=after)
        rows, taken, weight = self._rows[endpoint], list[Stored](), 0
        while rows and len(taken) < limit and weight < max_bytes:
            taken.append(rows[0])
            weight += rows[0].delivery.size
            self._drop(endpoint, through=rows[0].seq)
        return taken

    def _knows(self, endpoint: str, after: int) -> bool:
        return self._upto is not None and after >= self._begins.get(endpoint, self._from)

    def _drop(self, endpoint: str, *, through: int) -> None:
        rows = self._rows[endpoint]
        while rows and rows[0].seq <= through:
            self._number -= 1
            self._bytes -= rows.popleft().delivery.size
            self._begins[endpoint] = through

    def _weight(self, endpoint: str) -> int:
        return sum(row.delivery.size for row in self._rows[endpoint])
