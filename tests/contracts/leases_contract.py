"""What all Leases promise, sentence by sentence of the port's docstrings."""

from __future__ import annotations

from watcher.core.leases import LASTS

KNOWN = ("capture", "endpoint:crm")


class LeasesContract:
    """Subclasses give the `join` fixture, which makes the leases of one more replica, and `pass_time`."""

    async def test_a_replica_sees_itself_and_the_others(self, join):
        one, other = join("one"), join("other")

        assert (await one.look(KNOWN)).replicas == {"one"}
        assert (await other.look(KNOWN)).replicas == {"one", "other"}
        assert (await one.look(KNOWN)).replicas == {"one", "other"}

    async def test_a_replica_sees_what_each_knows(self, join):
        one, other = join("one"), join("other")
        await one.look(["capture", "endpoint:x"])
        await other.look(["capture"])

        knows = (await one.look(["capture", "endpoint:y"])).knows

        assert knows == {"one": {"capture", "endpoint:y"}, "other": {"capture"}}

    async def test_what_one_holds_no_other_takes(self, join):
        one, other = join("one"), join("other")

        lease = await one.take("capture")

        assert (lease.name, lease.holder, lease.epoch) == ("capture", "one", 1)
        assert await other.take("capture") is None
        assert await one.take("capture") is None
        look = await other.look(KNOWN)
        assert look.holders == {"capture": "one"}
        assert look.mine == frozenset()
        assert (await one.look(KNOWN)).mine == {lease}

    async def test_what_was_given_back_is_free_with_the_next_epoch(self, join):
        one, other = join("one"), join("other")
        lease = await one.take("capture")

        await one.give_back(lease)

        assert (await other.look(KNOWN)).holders == {}
        assert (await other.take("capture")).epoch == 2
        assert (await one.look(KNOWN)).mine == frozenset()

    async def test_giving_back_what_another_has_taken_changes_nothing(self, join):
        one, other = join("one"), join("other")
        stale = await one.take("capture")
        await one.give_back(stale)
        taken = await other.take("capture")

        await one.give_back(stale)

        assert (await other.look(KNOWN)).mine == {taken}

    async def test_who_leaves_is_seen_no_more_and_frees_what_it_held(self, join):
        one, other = join("one"), join("other")
        await one.look(KNOWN)
        await one.take("capture")
        await one.take("endpoint:crm")

        await one.leave()

        look = await other.look(KNOWN)
        assert (look.replicas, look.holders) == ({"other"}, {})

    async def test_who_does_not_look_for_long_is_seen_no_more_and_loses_what_it_held(self, join, pass_time):
        one, other = join("one"), join("other")
        await one.look(KNOWN)
        lease = await one.take("capture")

        await pass_time(LASTS)

        look = await other.look(KNOWN)
        assert (look.replicas, look.holders) == ({"other"}, {})
        taken = await other.take("capture")
        assert taken.epoch == lease.epoch + 1
        assert (await one.look(KNOWN)).mine == frozenset()
        assert (await other.look(KNOWN)).replicas == {"one", "other"}

    async def test_who_comes_back_before_another_came_has_what_it_had(self, join, pass_time):
        one = join("one")
        lease = await one.take("capture")

        await pass_time(LASTS)

        assert (await one.look(KNOWN)).mine == {lease}

    async def test_looking_renews(self, join, pass_time):
        one, other = join("one"), join("other")
        await one.look(KNOWN)
        await one.take("capture")

        for _ in range(3):
            await pass_time(LASTS / 2)
            await one.look(KNOWN)

        look = await other.look(KNOWN)
        assert (look.replicas, look.holders) == ({"one", "other"}, {"capture": "one"})
        assert await other.take("capture") is None
