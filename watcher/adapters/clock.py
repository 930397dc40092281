"""The system's clock, and its dice."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta

from watcher.cancelling import heed


class SystemClock:
    """A `Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, span: timedelta) -> None:
        heed()
        await asyncio.sleep(span.total_seconds())

    def jitter(self) -> float:
        return random.random()
