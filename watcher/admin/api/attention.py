"""Attention: what an operator should look at: in words that name the cure, and where on the page it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from watcher.admin.api.shapes import Attention
from watcher.admin.desk import Desk
from watcher.admin.readiness import Readiness
from watcher.core.circuits import Standing
from watcher.ports import Counts


def attention(
    desk: Desk, readiness: Readiness, standings: Mapping[str, Standing], counts: Mapping[str, Counts]
) -> Iterator[Attention]:
    """The worst first."""
    yield from _unready(readiness)
    oplog = desk.undertakings.oplog
    if oplog is not None and oplog.scarce:
        yield _of_part("oplog", readiness.parts["oplog"].says)

    known = [endpoint.name for endpoint in desk.endpoints()]
    for name in known:
        if name in standings:
            yield from _standing(name, standings[name], counts.get(name, Counts()).pending)
    for name, each in counts.items():
        if each.dead:
            yield Attention(
                text=f"{_deliveries(each.dead)} to {name} gave up. See why, then replay or leave them.",
                endpoint=name,
                state="dead",
            )
        if name not in known and each.pending:
            gone = "is in the settings no more: bring it back, or cancel them"
            yield Attention(
                text=f"{_deliveries(each.pending)} for {name}, which {gone}.", endpoint=name, state="pending"
            )
    if readiness.parts["settings"].says != "in force":
        yield _of_part("settings", readiness.parts["settings"].says)


def _unready(readiness: Readiness) -> Iterator[Attention]:
    # A state that cannot be written stops the stream, too, in the same words: told once, of the state.
    told = {part.says: name for name, part in readiness.parts.items() if not part.ready}
    for says, name in told.items():
        yield _of_part(name, says)


def _of_part(name: str, says: str) -> Attention:
    return Attention(text=f"{name}: {says}", part=name)


def _standing(name: str, standing: Standing, waiting: int) -> Iterator[Attention]:
    wait = f"{_deliveries(waiting)} {'waits' if waiting == 1 else 'wait'}"
    match standing.state:
        case "open":
            yield Attention(
                text=f"{name} fails ({standing.reason}): {wait}. Bring the receiver back: then all goes out.",
                endpoint=name,
            )
        case "paused":
            yield Attention(
                text=f"{name} is paused ({standing.reason}): {wait} until it is resumed.", endpoint=name
            )
        case "slowed":
            pass  # it is being obeyed


def _deliveries(number: int) -> str:
    return f"{number} {'delivery' if number == 1 else 'deliveries'}"
