"""What was just stored is given from memory; and it is what the store itself would give."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement
from watcher.adapters.sqlite import fresh
from watcher.adapters.sqlite.database import connect
from watcher.adapters.sqlite.fresh import Fresh
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.adapters.sqlite.polling import OTHERS_SECONDS
from watcher.adapters.sqlite.rows import just_stored
from watcher.core.deliveries import Hold, Lift, Stored
from watcher.core.events import Entity, EventId

EVERYTHING = {"limit": 10**6, "max_bytes": 10**9}


def rows(*seqs: int, endpoint: str = "crm", size: int = 10):
    return [just_stored(seq, a_delivery(endpoint=endpoint, body=b"x" * size)) for seq in seqs]


def seqs(taken):
    return None if taken is None else [row.seq for row in taken]


def test_nothing_is_known_before_something_was_stored():
    known = Fresh()

    assert known.take("crm", after=0, **EVERYTHING) is None
    assert known.beyond("crm", after=0) is None


def test_what_was_stored_is_given_once_in_order_and_bounded():
    known = Fresh()
    known.extend(rows(4, 5, 6), after=3, upto=6)

    assert known.take("crm", after=2, **EVERYTHING) is None, "what was stored before is not known"
    assert known.beyond("crm", after=5) is True
    assert seqs(known.take("crm", after=3, limit=2, max_bytes=10**9)) == [4, 5]
    assert known.take("crm", after=3, **EVERYTHING) is None, "asked for again, the store tells it"
    assert seqs(known.take("crm", after=5, limit=9, max_bytes=1)) == [6]
    assert known.take("crm", after=6, **EVERYTHING) == []
    assert known.beyond("crm", after=6) is False
    assert known.take("audit", after=3, **EVERYTHING) == [], "nothing was stored for it"


def test_a_gap_makes_it_begin_anew():
    known = Fresh()
    known.extend(rows(4), after=3, upto=4)
    known.extend(rows(7), after=6, upto=7)  # something was stored as 5 or 6, and it was not told

    assert known.take("crm", after=4, **EVERYTHING) is None
    assert seqs(known.take("crm", after=6, **EVERYTHING)) == [7]


@pytest.mark.parametrize(("most", "size"), [("MOST_ROWS", 10), ("MOST_BYTES", 1000)])
def test_what_would_be_too_much_is_left_to_the_store_for_the_endpoint_that_has_most(monkeypatch, most, size):
    monkeypatch.setattr(fresh, most, 5 if most == "MOST_ROWS" else 5_500)
    known = Fresh()
    known.extend(rows(1, endpoint="audit", size=size), after=0, upto=1)
    known.extend(rows(2, 3, 4, 5, size=size), after=1, upto=5)
    known.extend(rows(6, size=size), after=5, upto=6)

    assert known.take("crm", after=1, **EVERYTHING) is None
    assert known.take("crm", after=5, **EVERYTHING) is None
    assert known.take("crm", after=6, **EVERYTHING) == []
    assert seqs(known.take("audit", after=0, **EVERYTHING)) == [1]


async def test_what_was_stored_for_one_that_is_gone_is_given_though_others_shared_its_transaction(
    tmp_path: Path,
):
    first, cut, last = a_delivery(), a_delivery(), a_delivery()
    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        await outbox.append([first], checkpoint=a_checkpoint(), through=NOON)
        (sent,) = await outbox.pending("crm", after=0, **EVERYTHING)
        busy = threading.Event()
        others = [
            asyncio.create_task(outbox._writer.do(lambda _: busy.wait())),  # what follows is one group
            asyncio.create_task(outbox.settle([a_settlement(sent)])),
        ]
        waiting = asyncio.create_task(outbox.appended("crm", after=sent.seq))
        appending = asyncio.create_task(outbox.append([cut], checkpoint=a_checkpoint(), through=NOON))
        await asyncio.sleep(0.05)
        appending.cancel()
        busy.set()
        await asyncio.wait({*others, appending})

        async with asyncio.timeout(OTHERS_SECONDS / 2):
            await waiting
        await outbox.append([last], checkpoint=a_checkpoint(), through=NOON)
        given = await outbox.pending("crm", after=sent.seq, **EVERYTHING)
        assert [row.delivery.id for row in given] == [cut.id, last.id]


async def test_what_is_cancelled_is_not_given_even_if_who_asked_for_it_is_gone(tmp_path: Path):
    delivery = a_delivery()
    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        await outbox.append([delivery], checkpoint=a_checkpoint(), through=NOON)
        asking = asyncio.create_task(outbox.cancel([delivery.id], reason="not wanted"))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})

        assert await outbox.pending("crm", after=0, **EVERYTHING) == []


@pytest.mark.parametrize("seed", range(12))
async def test_it_gives_what_the_store_would_give_whatever_happens(tmp_path: Path, seed: int):
    dice, path = random.Random(seed), tmp_path / "state.db"
    cursors = {"crm": 0, "audit": 0}
    compared = 0
    async with SqliteOutbox.open(path) as outbox, SqliteOutbox.beside(path) as beside:
        with closing(connect(path, writing=False)) as db:
            ids: list[EventId] = []
            sent: list[Stored] = []
            for minute in range(120):
                through = NOON + timedelta(minutes=minute)
                match dice.choice(
                    ["append"] * 6 + ["cut"] * 2 + ["hold", "lift", "again", "replay", "cancel", "beside"]
                ):
                    case "append":
                        made = [
                            a_delivery(endpoint=dice.choice(["crm", "audit"]))
                            for _ in range(dice.randint(1, 4))
                        ]
                        ids += [each.id for each in made]
                        await outbox.append(made, checkpoint=a_checkpoint(), through=through)
                    case "cut":
                        made = [a_delivery(), a_delivery(endpoint="audit")]
                        ids += [each.id for each in made]
                        unsettled = [each for each in sent if dice.random() < 0.5]
                        settling = asyncio.create_task(
                            outbox.settle([a_settlement(each) for each in unsettled])
                        )
                        sent = [each for each in sent if each not in unsettled]
                        appending = asyncio.create_task(
                            outbox.append(made, checkpoint=a_checkpoint(), through=through)
                        )
                        await asyncio.sleep(0)
                        appending.cancel()
                        await asyncio.wait({settling, appending})
                        if dice.random() < 0.5:
                            await outbox.append([a_delivery()], checkpoint=a_checkpoint(), through=through)
                    case "hold":
                        hold = Hold(
                            key=f"messages:{dice.randint(1, 3)}", until=through + timedelta(minutes=5)
                        )
                        held = a_delivery(row=Entity(hold.key), hold=hold)
                        await outbox.append([held], checkpoint=a_checkpoint(), through=through)
                    case "lift":
                        lift = Lift(key=f"messages:{dice.randint(1, 3)}", to="pending", reason="finished")
                        await outbox.append([lift, a_delivery()], checkpoint=a_checkpoint(), through=through)
                    case "again" if ids:
                        known = a_delivery(id=dice.choice(ids))
                        await outbox.append([known, a_delivery()], checkpoint=a_checkpoint(), through=through)
                    case "replay" if ids:
                        await outbox.replay([dice.choice(ids)])
                    case "cancel" if ids:
                        await outbox.cancel([dice.choice(ids)], reason="not wanted")
                    case "beside" if ids:
                        await beside.cancel([dice.choice(ids)], reason="not wanted")
                        await beside.replay([dice.choice(ids)])
                        await outbox.recalls()
                        await outbox.append([a_delivery()], checkpoint=a_checkpoint(), through=through)
                for endpoint, cursor in cursors.items():
                    if dice.random() < 0.5:
                        there = db.execute(
                            "SELECT seq FROM deliveries WHERE state = 'pending' AND endpoint = ? AND seq > ?"
                            " ORDER BY seq",
                            [endpoint, cursor],
                        ).fetchall()
                        given = await outbox.pending(endpoint, after=cursor, **EVERYTHING)
                        assert [(row.seq,) for row in given] == there
                        compared += len(given)
                        if given:
                            cursors[endpoint] = given[-1].seq
                            sent += given
                            settled = [each for each in sent if dice.random() < 0.8]
                            sent = [each for each in sent if each not in settled]
                            await outbox.settle([a_settlement(row) for row in settled])
    assert compared > 50
