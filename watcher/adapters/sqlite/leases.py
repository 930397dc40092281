"""The leases where the state is a file: its lock lets in one replica only, which holds whatever it wants."""

from __future__ import annotations

from collections.abc import Collection

from watcher.core.leases import Lease, Look

REPLICA = "this one"


class SoleLeases:
    """`Leases` of one who is alone."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}

    async def look(self, knows: Collection[str]) -> Look:
        return Look(
            replica=REPLICA,
            replicas=frozenset({REPLICA}),
            holders=dict.fromkeys(self._held, REPLICA),
            mine=frozenset(self._held.values()),
        )

    async def take(self, name: str) -> Lease | None:
        if name in self._held:
            return None
        self._held[name] = Lease(name=name, holder=REPLICA, epoch=1)
        return self._held[name]

    async def give_back(self, lease: Lease) -> None:
        self._held.pop(lease.name, None)

    async def leave(self) -> None:
        self._held.clear()
