"""What every Registry promises, sentence by sentence of the port's docstrings."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from tests.builders import NOON
from watcher.core.managing import AuditEntry, Origin, Registered, Sealed

CREATED = AuditEntry(
    at=NOON,
    act="endpoint.created",
    subject="crm",
    origin=Origin(way="api", address="10.1.2.3", forwarded="203.0.113.7"),
    details={"keys": ["url", "events"]},
)
CHANGED = replace(CREATED, act="endpoint.changed", origin=Origin(way="cli", address="alice@here"))
DELETED = replace(CREATED, act="endpoint.deleted", details={})


def a_sealed(**fields):
    return Sealed(
        **{
            "name": "crm",
            "revision": 0,
            "created_at": NOON,
            "changed_at": NOON,
            "sealed": b"\x00\xffsealed",
            **fields,
        }
    )


async def entries(outbox, **page):
    return [entry for _, entry in await outbox.audit(**{"before": None, "limit": 100, **page})]


class RegistryContract:
    """Subclasses give the `outbox` fixture."""

    async def test_at_first_there_is_nothing(self, outbox):
        assert await outbox.registered() == Registered()
        assert await outbox.revision() == 0
        assert await entries(outbox) == []

    async def test_what_is_registered_is_there_with_the_next_revision(self, outbox):
        one = await outbox.register(a_sealed(), replacing=None, entry=CREATED)
        two = await outbox.register(a_sealed(name="Audit"), replacing=None, entry=CREATED)

        assert (one, two) == (1, 2)
        assert await outbox.registered() == Registered(
            revision=2, endpoints=(a_sealed(revision=1), a_sealed(name="Audit", revision=2))
        )
        assert await outbox.revision() == 2

    async def test_a_change_keeps_its_place_and_when_it_was_made(self, outbox):
        await outbox.register(a_sealed(), replacing=None, entry=CREATED)
        await outbox.register(a_sealed(name="audit"), replacing=None, entry=CREATED)
        later = NOON + timedelta(hours=1)
        changed = a_sealed(name="CRM", created_at=later, changed_at=later, sealed=b"other")

        assert await outbox.register(changed, replacing=1, entry=CHANGED) == 3

        first, second = (await outbox.registered()).endpoints
        assert first == replace(changed, revision=3, created_at=NOON)
        assert second.name == "audit"

    async def test_of_a_name_there_is_one_in_large_or_small_letters(self, outbox):
        await outbox.register(a_sealed(), replacing=None, entry=CREATED)

        assert await outbox.register(a_sealed(name="CRM"), replacing=None, entry=CREATED) is None

        assert await outbox.registered() == Registered(revision=1, endpoints=(a_sealed(revision=1),))
        assert await entries(outbox) == [CREATED]

    async def test_who_has_not_seen_the_last_change_changes_nothing(self, outbox):
        await outbox.register(a_sealed(), replacing=None, entry=CREATED)
        await outbox.register(a_sealed(sealed=b"other"), replacing=1, entry=CHANGED)

        assert await outbox.register(a_sealed(), replacing=1, entry=CHANGED) is None
        assert not await outbox.deregister("crm", replacing=1, entry=DELETED)
        assert not await outbox.deregister("nobody", replacing=1, entry=DELETED)

        assert await outbox.revision() == 2
        assert [each.sealed for each in (await outbox.registered()).endpoints] == [b"other"]
        assert await entries(outbox) == [CHANGED, CREATED]

    async def test_what_is_dropped_is_gone_and_its_name_is_free(self, outbox):
        await outbox.register(a_sealed(), replacing=None, entry=CREATED)

        assert await outbox.deregister("CRM", replacing=1, entry=DELETED)

        assert await outbox.registered() == Registered(revision=2)
        assert await entries(outbox) == [DELETED, CREATED]
        assert await outbox.register(a_sealed(), replacing=None, entry=CREATED) == 3

    async def test_of_two_that_make_the_same_at_once_one_does(self, outbox):
        made = await asyncio.gather(
            *(outbox.register(a_sealed(), replacing=None, entry=CREATED) for _ in range(5))
        )

        assert sorted(made, key=str) == [1, None, None, None, None]
        assert await entries(outbox) == [CREATED]

    async def test_the_audit_list_is_told_page_by_page_the_newest_first(self, outbox):
        notes = [replace(CHANGED, at=NOON + timedelta(minutes=n), subject=f"e{n}") for n in range(5)]
        for entry in notes:
            await outbox.note(entry)

        first = await outbox.audit(before=None, limit=2)
        second = await outbox.audit(before=first[-1][0], limit=9)

        assert [entry for _, entry in [*first, *second]] == notes[::-1]
        numbers = [number for number, _ in [*first, *second]]
        assert numbers == sorted(numbers, reverse=True)

    async def test_so_many_entries_are_kept(self, outbox, monkeypatch):
        for home in (
            "watcher.testing",
            "watcher.adapters.sqlite.registry",
            "watcher.adapters.mongo.state.registry",
        ):
            monkeypatch.setattr(f"{home}.AUDITED", 3)
        for n in range(5):
            await outbox.note(replace(CHANGED, subject=f"e{n}"))

        assert [entry.subject for entry in await entries(outbox)] == ["e4", "e3", "e2"]
