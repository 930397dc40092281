"""Attention: what an operator should look at: in words that name the cure, and where on the page it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from watcher.admin.api.shapes import Attention
from watcher.admin.desk import Desk
from watcher.admin.glance import WITHIN, Glance
from watcher.admin.readiness import Readiness
from watcher.core.circuits import Standing
from watcher.ports import Counts

URGENT = ("oplog", "leases")
"""Of parts that work, those whose trouble goes before that of receivers."""

UNREAD = (
    f"the state cannot be read within {WITHIN.total_seconds():.0f} s, and what waits is not known."
    " Is its disk, or its MongoDB, overloaded?"
)


def attention(desk: Desk, readiness: Readiness, seen: Glance | None) -> Iterator[Attention]:
    """The worst first. `seen`: None while the state cannot be read."""
    parts = readiness.parts
    yield from _of_parts({name: part.says for name, part in parts.items() if not part.ready})
    if seen is None and readiness.ready:
        yield Attention(text=f"store: {UNREAD}", part="store")
    warnings = {name: part.says for name, part in parts.items() if part.warns}
    yield from _of_parts({name: says for name, says in warnings.items() if name in URGENT})
    yield from _of_receivers(desk, seen)
    if seen is not None:
        yield from _of_deliveries(desk, seen)
    yield from _of_parts({name: says for name, says in warnings.items() if name not in URGENT})


def _of_parts(told: Mapping[str, str]) -> Iterator[Attention]:
    # A state that cannot be written stops the stream, too, in the same words: told once, of the state.
    for says, name in {says: name for name, says in told.items()}.items():
        yield Attention(text=f"{name}: {says}", part=name)


def _of_receivers(desk: Desk, seen: Glance | None) -> Iterator[Attention]:
    failing = desk.readiness.failing
    for endpoint in desk.endpoints():
        name = endpoint.name
        standing = seen.standings.get(name) if seen is not None else None
        waiting = seen.counts.get(name, Counts()).pending if seen is not None else None
        if standing is not None:
            yield from _standing(name, standing, waiting)
        elif name in failing and waiting != 0:
            yield _fails(name, failing[name].reason, waiting)


def _standing(name: str, standing: Standing, waiting: int | None) -> Iterator[Attention]:
    match standing.state:
        case "open":
            yield _fails(name, standing.reason, waiting)
        case "paused":
            wait = f"{_waiting(waiting)} until it is resumed"
            yield Attention(text=f"{name} is paused ({standing.reason}): {wait}.", endpoint=name)
        case "slowed":
            pass  # it is being obeyed


def _fails(name: str, reason: str, waiting: int | None) -> Attention:
    cure = "Bring the receiver back, or correct its url: then all of it goes out."
    return Attention(text=f"{name} fails ({reason}): {_waiting(waiting)}. {cure}", endpoint=name)


def _of_deliveries(desk: Desk, seen: Glance) -> Iterator[Attention]:
    known = [endpoint.name for endpoint in desk.endpoints()]
    for name, each in seen.counts.items():
        if each.dead:
            yield Attention(
                text=f"{_deliveries(each.dead)} to {name} gave up. See why, then replay or leave them.",
                endpoint=name,
                state="dead",
            )
        if name not in known and each.pending:
            gone = "is in the settings no more: bring it back, or cancel them"
            yield Attention(
                text=f"{_waiting(each.pending)} for {name}, which {gone}.", endpoint=name, state="pending"
            )


def _waiting(number: int | None) -> str:
    if number is None:
        return "what is for it waits"
    return f"{_deliveries(number)} {'waits' if number == 1 else 'wait'}"


def _deliveries(number: int) -> str:
    return f"{number} {'delivery' if number == 1 else 'deliveries'}"
