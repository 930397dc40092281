"""A Lease: the right of one replica to do one thing, for as long as it says that it lives.

    free ──take──▶ held ──renew──▶ held ──give back──▶ free
                     └── not renewed in time: another may take it ──▶ held, with the next epoch

The law: a lease that another has taken has a higher epoch, and the store refuses what a stale holder writes.
Who is to hold what is worked out by each replica from what all of them see, so that they come to the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
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

MUCH_SKEW = timedelta(seconds=5)
"""Leases and events go by MongoDB's clock, retries, rates and signatures by ours: more than this shows."""


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
    knows: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By replica, what its settings let it do. Of one that does not tell (an older version): all."""
    holders: Mapping[str, str]
    """Who holds which lease, by the lease's name. Free ones, and ended ones, are not here."""
    mine: frozenset[Lease] = frozenset()
    """What this replica holds, renewed just now."""
    skew: timedelta = timedelta(0)
    """How far MongoDB's clock is ahead of this replica's."""


def endpoint_lease(endpoint: str) -> str:
    """The name of the lease of whoever sends to an endpoint."""
    return f"endpoint:{endpoint}"


def shared_out(names: Collection[str], look: Look) -> Mapping[str, str]:
    """Who is to hold what: as even as it can be, and with as few moves as that takes. Nobody is to hold what
    its settings do not know: an endpoint that was served well would be served no more.

    The same for every replica that sees the same. `names`: what the replica that looks knows."""
    everything = frozenset(names).union(*look.knows.values())
    able = {name: _able(name, everything, look) for name in sorted(everything)}
    share: dict[str, list[str]] = {replica: [] for replica in sorted(look.replicas)}
    free = []
    for name, replicas in able.items():
        holder = look.holders.get(name)
        if holder is not None and holder in replicas:
            share[holder].append(name)
        elif replicas:
            free.append(name)

    for name in free:
        share[min(able[name], key=lambda replica: (len(share[replica]), replica))].append(name)
    while (move := _evening(share, able)) is not None:
        name, giver, taker = move
        share[giver].remove(name)
        share[taker].append(name)
    return {name: replica for replica, held in share.items() for name in held}


def _able(name: str, everything: frozenset[str], look: Look) -> Collection[str]:
    """Who may hold it. Who reads the changes should know every endpoint: it stores nothing for others."""
    able = [replica for replica in look.replicas if name in look.knows.get(replica, everything)]
    if name == CAPTURE:
        knowing_all = [replica for replica in able if look.knows.get(replica, everything) >= everything]
        return knowing_all or able
    return able


def _evening(
    share: Mapping[str, list[str]], able: Mapping[str, Collection[str]]
) -> tuple[str, str, str] | None:
    """One move that makes the shares more even: what, from whom, to whom. None: they are."""
    for giver in sorted(share, key=lambda replica: (len(share[replica]), replica), reverse=True):
        for name in reversed(share[giver]):
            takers = [replica for replica in able[name] if len(share[replica]) + 1 < len(share[giver])]
            if takers:
                return name, giver, min(takers, key=lambda replica: (len(share[replica]), replica))
    return None
