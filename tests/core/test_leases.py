"""Who is to hold what: as even as it can be, with few moves, and the same for all."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from watcher.core.leases import CAPTURE, Look, shared_out

NAMES = [f"endpoint:{number}" for number in range(9)]
REPLICAS = ["a", "b", "c", "d"]


def look(*replicas: str, **holders: str) -> Look:
    return Look(replica="a", replicas=frozenset(replicas), holders=holders)


def test_one_alone_holds_all():
    assert shared_out(["x", "y"], look("a")) == {"x": "a", "y": "a"}


def test_what_is_free_goes_to_those_who_have_least():
    assert shared_out(["x", "y", "z"], look("a", "b", x="a")) == {"x": "a", "y": "b", "z": "a"}


def test_who_comes_gets_a_share_and_nothing_else_moves():
    assert shared_out(["w", "x", "y", "z"], look("a", "b", w="a", x="a", y="a", z="a")) == {
        "w": "a",
        "x": "a",
        "y": "b",
        "z": "b",
    }


def test_a_difference_of_one_moves_nothing():
    assert shared_out(["x", "y", "z"], look("a", "b", x="b", y="b", z="a")) == {"x": "b", "y": "b", "z": "a"}


def test_what_the_dead_held_is_free():
    assert shared_out(["x"], look("a", x="gone")) == {"x": "a"}


@given(
    st.sets(st.sampled_from(NAMES), max_size=9),
    st.sets(st.sampled_from(REPLICAS), min_size=1),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from([*REPLICAS, "gone"])),
)
def test_every_name_has_one_who_lives_and_the_shares_are_even(names, replicas, holders):
    seen = look(*replicas, **holders)

    target = shared_out(names, seen)

    shares = Counter(dict.fromkeys(replicas, 0)) + Counter()
    shares.update(target.values())
    sizes = [shares[replica] for replica in replicas]
    assert target.keys() == names
    assert set(target.values()) <= replicas
    assert max(sizes) - min(sizes) <= 1
    # Once all hold what they are to hold, nothing moves any more.
    assert shared_out(names, look(*replicas, **target)) == target


def test_what_only_one_knows_stays_with_it():
    seen = Look(
        replica="a",
        replicas=frozenset({"a", "b"}),
        knows={"a": frozenset("wxyz"), "b": frozenset("x")},
        holders=dict.fromkeys("wxyz", "a"),
    )

    for names in ("wxyz", "x"):
        assert shared_out(names, seen) == {"w": "a", "x": "b", "y": "a", "z": "a"}


def test_the_changes_are_read_by_one_who_knows_every_endpoint():
    seen = Look(
        replica="a",
        replicas=frozenset({"a", "b"}),
        knows={"a": frozenset({CAPTURE, "x"}), "b": frozenset({CAPTURE, "x", "y"})},
        holders={CAPTURE: "a", "x": "a", "y": "b"},
    )

    assert shared_out({CAPTURE, "x"}, seen) == {"x": "a", CAPTURE: "b", "y": "b"}


def test_where_nobody_knows_every_endpoint_anybody_reads():
    knows = {"a": frozenset({CAPTURE, "x"}), "b": frozenset({CAPTURE, "y"})}
    seen = Look(replica="a", replicas=frozenset(knows), knows=knows, holders={})

    assert shared_out({CAPTURE, "x"}, seen) == {CAPTURE: "a", "x": "a", "y": "b"}


def test_what_nobody_knows_is_nobody_s():
    seen = Look(replica="a", replicas=frozenset("a"), knows={"a": frozenset("x")}, holders={"y": "gone"})

    assert shared_out("x", seen) == {"x": "a"}


@given(
    st.dictionaries(st.sampled_from(REPLICAS), st.frozensets(st.sampled_from(NAMES)), min_size=1),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from([*REPLICAS, "gone"])),
)
def test_nobody_gets_what_it_does_not_know_and_all_come_to_the_same(knows, holders):
    seen = Look(replica="a", replicas=frozenset(knows), knows=knows, holders=holders)
    everything = frozenset().union(*knows.values())

    target = shared_out(everything, seen)

    assert target.keys() == everything
    assert all(name in knows[replica] for name, replica in target.items())
    for names in knows.values():
        assert shared_out(names, seen) == target
    settled = Look(replica="a", replicas=frozenset(knows), knows=knows, holders=target)
    assert shared_out(everything, settled) == target
    shares = {replica: [name for name, holder in target.items() if holder == replica] for replica in knows}
    for name, holder in target.items():
        fewest = min(len(shares[replica]) for replica in knows if name in knows[replica])
        assert len(shares[holder]) - fewest <= 1
