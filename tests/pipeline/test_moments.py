"""Logins and registrations wait a moment: what comes then tells whether they were any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from tests.builders import a_checkpoint
from watcher.config.mappings import load_mappings
from watcher.core.changes import Change, ChangeId, Operation
from watcher.core.endpoints import Endpoint
from watcher.core.examples import NOON
from watcher.core.mapping import CollectionMapping
from watcher.core.marks import Marks
from watcher.core.planning import Plan
from watcher.testing import MemoryOutbox

LOGIN = ("_id", "expiration", "user", "__v")
UPSERT = ("_id", "user", "__v", "expiration")
IN_A_WEEK = NOON + timedelta(days=7)


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "a batch each"])
async def test_a_renewed_session_sends_nothing(together: bool) -> None:
    changes = [session("insert", "s2", shape=UPSERT), session("delete", "s1", after=0.3)]

    assert await sent(changes, together=together) == []


async def test_a_renewal_sends_nothing_to_who_hears_of_logouts_alone() -> None:
    changes = [session("insert", "s2", shape=UPSERT), session("delete", "s1", after=0.3)]

    assert await sent(changes, events=("user.logout",)) == []


async def test_two_devices_of_a_person_may_be_renewed_at_once() -> None:
    changes = [
        session("insert", "s3", shape=UPSERT),
        session("insert", "s4", shape=UPSERT, after=0.1),
        session("delete", "s1", after=0.2),
        session("delete", "s2", after=0.3),
    ]

    assert await sent(changes) == []


async def test_a_logout_right_after_a_renewal_is_one() -> None:
    changes = [
        session("insert", "s2", shape=UPSERT),
        session("delete", "s1", after=0.3),
        session("delete", "s2", after=0.9),
    ]

    assert await sent(changes) == ["user.logout s2"]


async def test_logging_in_here_and_out_there_is_both_in_order() -> None:
    changes = [session("insert", "s2", shape=LOGIN), session("delete", "s1", after=0.5)]

    assert await sent(changes) == ["user.login s2", "user.logout s1"]


async def test_who_logs_in_and_out_within_a_moment_did_both_in_order() -> None:
    changes = [session("insert", "s2", shape=UPSERT), session("delete", "s2", after=0.5)]

    assert await sent(changes) == ["user.login s2", "user.logout s2"]


async def test_a_session_that_ends_later_is_a_logout() -> None:
    changes = [session("insert", "s2", shape=UPSERT), session("delete", "s1", after=2.5)]

    assert await sent(changes, together=False) == ["user.login s2", "user.logout s1"]


async def test_somebody_elses_session_has_no_part_in_it() -> None:
    changes = [
        session("insert", "s2", shape=UPSERT),
        session("delete", "s1", user="u2", after=0.3),
    ]

    assert sorted(await sent(changes)) == ["user.login s2", "user.logout s1"]


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "a batch each"])
async def test_a_registration_that_is_rolled_back_sends_nothing(together: bool) -> None:
    changes = [account("insert"), account("delete", after=0.4)]

    assert await sent(changes, together=together, events=("*", "user.deleted")) == []


async def test_an_account_that_is_deleted_later_was_there() -> None:
    changes = [account("insert"), account("delete", after=60)]

    got = await sent(changes, together=False, events=("*", "user.deleted"))

    assert got == ["user.registered", "user.deleted"]


async def test_a_first_login_with_a_provider_comes_after_its_registration() -> None:
    changes = [account("insert"), session("insert", "s1", shape=LOGIN, after=0.05)]

    assert await sent(changes) == ["user.registered", "user.login s1"]


async def test_what_is_held_goes_before_what_happened_later_to_the_same_person() -> None:
    verified = change("users", "update", "u1", 0.1, updated={"emailVerified": True}, row=person())

    got = await sent([account("insert"), verified], events=("*", "user.verified"))

    assert got == ["user.registered", "user.verified"]


# ---------------------------------------------------------------------- helpers


async def sent(
    changes: Sequence[Change], *, together: bool = True, events: tuple[str, ...] = ("*",)
) -> list[str]:
    """What goes out in the end, with the session where there is one."""
    crm = Endpoint(name="crm", url="http://localhost", secrets=(), events=events)
    plan = Plan.of(mappings(), [crm], unfinished_hold=timedelta(seconds=60))
    outbox = MemoryOutbox()
    for batch in [changes] if together else [[change] for change in changes]:
        await read(batch, plan, outbox)
    await outbox.append([], checkpoint=a_checkpoint(), through=changes[-1].at + timedelta(seconds=3))
    rows = await outbox.pending("crm", after=0, limit=99, max_bytes=10**9)
    return [f"{row.delivery.event} {session_in(row.delivery.body)}".strip() for row in rows]


async def read(batch: Sequence[Change], plan: Plan, outbox: MemoryOutbox) -> None:
    # As after a restart: all that is known of earlier batches comes from the store.
    planned = plan.entries(batch, Marks.of(await outbox.marks()))
    await outbox.append(planned.entries, checkpoint=a_checkpoint(), through=batch[-1].at, marks=planned.marks)


def session_in(body: bytes) -> str:
    text = body.decode()
    return text.partition('"sessionId":"')[2].partition('"')[0]


def session(
    operation: Operation, name: str, *, shape: tuple[str, ...] = LOGIN, user: str = "u1", after: float = 0
) -> Change:
    values = {"_id": name, "user": user, "expiration": IN_A_WEEK, "__v": 0}
    return change("sessions", operation, name, after, row={key: values[key] for key in shape})


def account(operation: Operation, *, after: float = 0) -> Change:
    return change("users", operation, "u1", after, row=person() if operation == "insert" else None)


def person() -> Mapping[str, Any]:
    return {"_id": "u1", "email": "ada@example.com", "emailVerified": False, "createdAt": NOON}


def change(
    collection: str,
    operation: Operation,
    document: str,
    after: float,
    *,
    row: Mapping[str, Any] | None,
    updated: Mapping[str, Any] | None = None,
) -> Change:
    return Change(
        id=ChangeId(f"826B044D47{collection}{operation}{document}"),
        collection=collection,
        operation=operation,
        at=NOON + timedelta(seconds=after),
        document_id=document,
        before=None if operation == "insert" else row,
        after={**(row or {}), **(updated or {})} if operation != "delete" else None,
        updated=updated or {},
        removed=(),
    )


@cache
def mappings() -> tuple[CollectionMapping, ...]:
    return load_mappings()
