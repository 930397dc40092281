"""Times as the file keeps them: whole milliseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def to_ms(time: datetime | None) -> int | None:
    return None if time is None else (time - EPOCH) // MILLISECOND


def from_ms(ms: int) -> datetime:
    return EPOCH + ms * MILLISECOND


def maybe_from_ms(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
