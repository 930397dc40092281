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

    monotonic = staticmethod(time.monotonic)
    jitter = staticmethod(random.random)

    async def sleep(self, span: timedelta) -> None:
        heed()
        await asyncio.sleep(span.total_seconds())
