"""A Lease: the right of one replica to do one thing, for as long as it says that it lives.

    free ──take──▶ held ──renew──▶ held ──give back──▶ free
                     └── not renewed in time: another may take it ──▶ held, with the next epoch

The law: a lease that another has taken has a higher epoch, and the store refuses what a stale holder writes.
Who is to hold what is worked out by each replica from what all of them see, so that they come to the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

CAPTURE = "capture"
"""The lease of whoever reads the change stream."""

LASTS = timedelta(seconds=5)
"""How long a lease lasts that is not renewed. A replica that died is replaced within this and two beats, well
below the 10 s that are promised; one that is merely slow for less keeps what it has."""

BEAT = timedelta(seconds=1)
"""How often a replica says that it lives, and looks who else does: four may go wrong before a lease ends."""

MARGIN = timedelta(milliseconds=500)
"""A holder stops to send so much before its lease ends: clocks run at different paces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One thing that this replica may do now."""

    name: str
    """`capture`, or `endpoint:<name>`."""
    holder: str
    epoch: int
    """How many have held it, this one included. What is written in the name of an older one is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one replica sees of all, at one moment."""

    replica: str
    """The one that looks."""
    replicas: frozenset[str]
    """Those that live; this one is among them."""
    holders: Mapping[str, str]
    """Who holds which lease, by the lease's name. Free ones, and ended ones, are not here."""
    mine: frozenset[Lease] = frozenset()
    """What this replica holds, renewed just now."""


def endpoint_lease(endpoint: str) -> str:
    """The name of the lease of whoever sends to an endpoint."""
    return f"endpoint:{endpoint}"


def shared_out(names: Collection[str], look: Look) -> Mapping[str, str]:
    """Who is to hold what: as even as it can be, and with as few moves as that takes.

    The same for every replica that sees the same."""
    share: dict[str, list[str]] = {replica: [] for replica in sorted(look.replicas)}
    free = []
    for name in sorted(names):
        holder = look.holders.get(name)
        if holder in share:
            share[holder].append(name)
        else:
            free.append(name)

    for name in free:
        share[_least(share)].append(name)
    while len(share[most := _most(share)]) - len(share[least := _least(share)]) > 1:
        share[least].append(share[most].pop())
    return {name: replica for replica, held in share.items() for name in held}


def _least(share: Mapping[str, Collection[str]]) -> str:
    return min(share, key=lambda replica: (len(share[replica]), replica))


def _most(share: Mapping[str, Collection[str]]) -> str:
    return max(share, key=lambda replica: (len(share[replica]), replica))
