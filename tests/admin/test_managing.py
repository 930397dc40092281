"""Managing endpoints: what is stored is judged first, changed by who has seen it, and noted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import NOON, an_endpoint
from watcher.adapters.sealing import AesSealing
from watcher.admin.managing import HIDDEN, Managing, NotDone, veiled
from watcher.core.endpoints import Secret
from watcher.core.managing import Origin
from watcher.core.privacy import Privacy
from watcher.core.signing import standard_key
from watcher.errors import ConfigError, Problem
from watcher.testing import FakeClock, MemoryOutbox

HERE = Origin(way="api", address="10.1.2.3")
CRM = {"name": "crm", "url": "https://crm.example/T0/B0/token", "headers": {"Authorization": "Bearer x"}}


class Desk:
    def __init__(self) -> None:
        self.outbox = MemoryOutbox()
        self.inherited_hash: tuple[str, ...] = ()
        self.sealing: AesSealing | None = AesSealing([Secret(key=b"k" * 32)])
        self.managing = Managing(
            self.outbox,
            sealing=lambda: self.sealing,
            define=self.define,
            locked=lambda: {"default"},
            clock=FakeClock(NOON),
        )

    def define(self, definition: Any) -> Any:
        if not str(definition.get("url", "")).startswith("https://"):
            raise ConfigError([Problem(where="endpoint", what="url is wrong", cure="mend it")])
        hash_ = (*definition.get("hash", ()), *self.inherited_hash)
        privacy = Privacy(hash=hash_) if hash_ else None
        return an_endpoint(name=definition["name"], url=definition["url"], privacy=privacy)

    async def definition(self) -> Any:
        (managed,) = await self.managing.every()
        return managed.definition

    async def acts(self) -> list[str]:
        return [entry.act for _, entry in await self.outbox.audit(before=None, limit=9)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_one_without_a_secret_gets_one_of_its_own(desk):
    made = await desk.managing.create(CRM, HERE)

    assert (await desk.definition()) == {**CRM, "secret": made.secret}
    assert len(standard_key(Secret(key=made.secret.encode()))) == 32
    assert made.secret not in repr(made)


async def test_one_that_has_a_secret_or_wants_none_gets_none(desk):
    given = await desk.managing.create({**CRM, "secret": "mine"}, HERE)
    unsigned = await desk.managing.create({**CRM, "name": "audit", "signing": "none"}, HERE)

    assert (given.secret, unsigned.secret) == (None, None)


async def test_what_is_wrong_is_not_stored(desk):
    with pytest.raises(ConfigError):
        await desk.managing.create({"name": "crm"}, HERE)
    await desk.managing.create(CRM, HERE)
    with pytest.raises(ConfigError):
        await desk.managing.change("crm", {"url": "gopher://x"}, HERE, seen=None)

    assert (await desk.definition())["url"] == CRM["url"]
    assert await desk.acts() == ["endpoint.created"]


async def test_what_nests_without_end_is_refused(desk):
    deep: Any = {}
    for _ in range(5000):
        deep = {"$and": [deep]}
    await desk.managing.create(CRM, HERE)

    for work in (
        desk.managing.create({**CRM, "name": "deep", "filters": deep}, HERE),
        desk.managing.change("crm", {"filters": deep}, HERE, seen=None),
        desk.managing.candidate({"filters": deep}, None),
        desk.managing.candidate({"filters": deep}, "crm"),
    ):
        with pytest.raises(ConfigError, match="nests more than"):
            await work


async def test_a_change_is_merged_and_null_takes_out(desk):
    await desk.managing.create({**CRM, "secret": "s", "timeout": 9000}, HERE)

    patch = {"timeout": None, "headers": {"X-A": "1"}, "retries": 2}
    await desk.managing.change("CRM", patch, HERE, seen=1)

    headers = {"Authorization": "Bearer x", "X-A": "1"}
    assert await desk.definition() == {**CRM, "secret": "s", "headers": headers, "retries": 2}


async def test_what_was_shown_hidden_and_comes_back_is_left_as_it_is(desk):
    await desk.managing.create({**CRM, "secret": "s", "hashKey": "h"}, HERE)
    before = await desk.definition()
    shown = veiled(before)

    await desk.managing.change("crm", shown, HERE, seen=None)

    assert await desk.definition() == before
    assert (shown["headers"], shown["hashKey"]) == ({"Authorization": HIDDEN}, HIDDEN)
    assert "token" not in str(shown)
    assert "secret" not in shown


async def test_who_has_not_seen_the_last_change_is_refused(desk):
    made = await desk.managing.create(CRM, HERE)
    await desk.managing.change("crm", {"retries": 1}, HERE, seen=made.managed.stored.revision)

    with pytest.raises(NotDone) as refused:
        await desk.managing.change("crm", {"retries": 2}, HERE, seen=made.managed.stored.revision)

    assert refused.value.why == "changed"
    assert (await desk.definition())["retries"] == 1


async def test_a_name_stays_what_it_is(desk):
    await desk.managing.create(CRM, HERE)

    with pytest.raises(ConfigError, match="cannot be changed"):
        await desk.managing.change("crm", {"name": "other"}, HERE, seen=None)


async def test_a_new_secret_signs_and_the_one_before_is_kept_until_it_is_retired(desk):
    await desk.managing.create({**CRM, "secret": "first"}, HERE)

    second = await desk.managing.rotate("crm", HERE, secret=None, keep_old=True)
    assert (await desk.definition())["secret"] == [second.secret, "first"]
    await desk.managing.rotate("crm", HERE, secret="third", keep_old=True)
    assert (await desk.definition())["secret"] == ["third", second.secret]
    await desk.managing.retire("crm", HERE)
    assert (await desk.definition())["secret"] == ["third"]
    await desk.managing.rotate("crm", HERE, secret="fourth", keep_old=False)
    assert (await desk.definition())["secret"] == ["fourth"]

    assert (await desk.acts())[:4] == [
        "secret.rotated",
        "secret.retired",
        "secret.rotated",
        "secret.rotated",
    ]


@pytest.mark.parametrize("inherits", [False, True])
async def test_hashes_are_made_with_the_oldest_secret_so_that_one_stays(desk, inherits):
    desk.inherited_hash = ("userId",) if inherits else ()
    own = {} if inherits else {"hash": ["userId"]}
    await desk.managing.create({**CRM, "secret": "first", **own}, HERE)

    for secret in ("second", "third"):
        await desk.managing.rotate("crm", HERE, secret=secret, keep_old=True)

    assert (await desk.definition())["secret"] == ["third", "second", "first"]


async def test_names_of_the_file_are_locked_and_each_name_is_there_once(desk):
    await desk.managing.create(CRM, HERE)
    for name, why in (("default", "locked"), ("Crm", "taken")):
        with pytest.raises(NotDone) as refused:
            await desk.managing.create({**CRM, "name": name}, HERE)
        assert refused.value.why == why
    for work in (
        desk.managing.change("default", {}, HERE, seen=None),
        desk.managing.delete("default", HERE),
        desk.managing.retire("default", HERE),
    ):
        with pytest.raises(NotDone, match="in the settings' file"):
            await work
    with pytest.raises(NotDone, match=r"There are: crm\."):
        await desk.managing.delete("nobody", HERE)


async def test_without_a_key_nothing_is_made_or_changed_but_it_can_be_dropped(desk):
    await desk.managing.create(CRM, HERE)
    desk.sealing = None

    for work in (
        desk.managing.create({**CRM, "name": "other"}, HERE),
        desk.managing.change("crm", {}, HERE, seen=None),
        desk.managing.rotate("crm", HERE, secret=None, keep_old=True),
        desk.managing.reseal(HERE),
    ):
        with pytest.raises(NotDone, match="WATCHER_SECRET_KEY"):
            await work
    assert await desk.managing.every() == []

    await desk.managing.delete("crm", HERE)
    assert (await desk.outbox.registered()).endpoints == ()


async def test_nothing_is_made_with_a_key_that_does_not_open_what_is_there(desk):
    await desk.managing.create(CRM, HERE)
    desk.sealing = AesSealing([Secret(key=b"n" * 32)])

    with pytest.raises(ConfigError, match="encrypted with another key"):
        await desk.managing.create({**CRM, "name": "audit"}, HERE)

    assert [each.name for each in (await desk.outbox.registered()).endpoints] == ["crm"]


async def test_only_what_an_older_key_opens_is_encrypted_anew(desk):
    await desk.managing.create(CRM, HERE)
    desk.sealing = AesSealing([Secret(key=b"n" * 32), Secret(key=b"k" * 32)])
    await desk.managing.create({**CRM, "name": "audit"}, HERE)

    assert await desk.managing.reseal(HERE) == 1
    assert await desk.managing.reseal(HERE) == 0

    desk.sealing = AesSealing([Secret(key=b"n" * 32)])
    assert {each.stored.name for each in await desk.managing.every()} == {"crm", "audit"}


async def test_no_secret_is_in_the_audit_list(desk):
    await desk.managing.create({**CRM, "secret": "first"}, HERE)
    pasted = {"sk_live_51": None}  # it was taken for a key
    await desk.managing.change("crm", {"headers": {"X-A": "hidden-value"}, **pasted}, HERE, seen=None)
    await desk.managing.rotate("crm", HERE, secret="second-secret", keep_old=True)

    told = repr(await desk.outbox.audit(before=None, limit=9))

    for word in ("first", "token", "Bearer", "hidden-value", "second-secret", "sk_live"):
        assert word not in told
    assert "'keys': ['headers']" in told
