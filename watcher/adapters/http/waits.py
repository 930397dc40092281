"""What a `Retry-After` header asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST_WAIT = timedelta(days=365)  # keeps any `Retry-After` inside what a datetime can hold


def retry_after(value: str | None, *, date: str | None, now: datetime) -> timedelta | None:
    """The span that a `Retry-After` header (RFC 9110 §10.2.3) asks for; None when it says nothing usable.

    A date is taken relative to the receiver's own clock (`Date`) where it told it, else to `now`.

    >>> retry_after("120", date=None, now=datetime.now(UTC))
    datetime.timedelta(seconds=120)
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        # Ten digits are three centuries; int() refuses to read more than 4300 of them.
        return LONGEST_WAIT if len(text) > 9 else min(timedelta(seconds=int(text)), LONGEST_WAIT)
    until = _http_date(text)
    if until is None:
        return None
    since = (_http_date(date) if date else None) or now
    return max(timedelta(0), min(until - since, LONGEST_WAIT))


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date if date.tzinfo else date.replace(tzinfo=UTC)  # the asctime form has no zone
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
