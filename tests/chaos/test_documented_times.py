"""The documented retry times, waited for in full; and a rate kept for a minute."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from tests.end_to_end.harness import SECRET


def settings(uri: str, url: str, **webhooks):
    return {"webhooks": {"url": url, "secret": SECRET, **webhooks}, "watcher": {"mongoUri": uri}}


@pytest.mark.long
@pytest.mark.timeout(200)
async def test_attempts_come_at_0_5_15_and_60_seconds(librechat, uri, receivers, watchers):
    inbox = await receivers(fail=1.0, status=500)
    await watchers(settings(uri, inbox.url)).start()

    await librechat.messages.insert_one({"messageId": "m1", "conversationId": "c1", "user": "u1"})
    await inbox.until(lambda receipts: len(receipts) == 4, seconds=100)

    waits = [(b.received_at - a.received_at).total_seconds() for a, b in pairwise(inbox.receipts)]
    print(f"\nwaits: {', '.join(f'{wait:.2f}' for wait in waits)} s")
    assert [round(wait) for wait in waits] == [5, 15, 60]


@pytest.mark.long
@pytest.mark.timeout(200)
async def test_a_rate_is_kept_in_every_second_of_a_minute(librechat, uri, receivers, watchers):
    inbox = await receivers(delay=timedelta(milliseconds=30))
    await watchers(settings(uri, inbox.url, rateLimit={"maxPerSecond": 50})).start()

    rows = [{"messageId": f"m{n}", "conversationId": f"c{n}", "user": "u1"} for n in range(3_000)]
    await librechat.messages.insert_many(rows)
    await inbox.until_accepted(3_000, seconds=120)

    times = [receipt.received_at for receipt in inbox.receipts]
    second = timedelta(seconds=1)
    busiest = max(
        sum(start <= at < start + second for at in times[number : number + 120])
        for number, start in enumerate(times)
    )
    took = (times[-1] - times[0]).total_seconds()
    print(f"\nbusiest second {busiest}, {3_000 / took:.1f}/s over {took:.0f} s")
    assert busiest <= 50
    assert 3_000 / took > 42
