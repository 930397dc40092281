"""The log of a running watcher, over its API: for a terminal that cannot reach the state itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from aiohttp import (
    ClientError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
)
from aiohttp.hdrs import AUTHORIZATION

from watcher.core.attempts import Attempt
from watcher.core.deliveries import Dossier, Fate, State
from watcher.core.events import Entity, EventId, EventType
from watcher.core.searching import Wanted
from watcher.errors import OutboxError

TIMEOUT = ClientTimeout(total=30)
MOST = 200
"""In one page of the API."""

MOST_IDS = 100
"""In one query."""


class RemoteLog:
    """A `Log`. Of bodies it has what the API shows (`watcher.http.showText`)."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, token: str) -> AsyncIterator[RemoteLog]:
        async def with_token(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
            request.headers[AUTHORIZATION] = f"Bearer {token}"
            return await send(request)

        # As the session's own header it would not go together with what ~/.netrc has for a host, or for all.
        async with ClientSession(middlewares=(with_token,), timeout=TIMEOUT, trust_env=True) as session:
            yield cls(session, url)

    async def search(
        self, wanted: Wanted, *, after: EventId | None, limit: int, oldest_first: bool = False
    ) -> Sequence[Fate]:
        found: list[Fate] = []
        for part in _parts(wanted, oldest_first=oldest_first):
            found += await self._search(part, after, limit - len(found), oldest_first=oldest_first)
        return found

    async def _search(
        self, wanted: Wanted, after: EventId | None, limit: int, *, oldest_first: bool
    ) -> Sequence[Fate]:
        found: list[Fate] = []
        while len(found) < limit:
            query = [*_query(wanted), ("limit", str(min(MOST, limit - len(found))))]
            if oldest_first:
                query.append(("oldestFirst", "true"))
            if after is not None:
                query.append(("before", after))
            page = await self._ask("GET", "/deliveries", params=query)
            found += [_fate(each) for each in page["deliveries"]]
            if page["next"] is None:
                break
            after = EventId(page["next"])
        return found

    async def number(self, wanted: Wanted) -> Mapping[State, int]:
        numbers: Counter[State] = Counter()
        for part in _parts(wanted, oldest_first=False):
            numbers.update((await self._ask("GET", "/deliveries/count", params=_query(part)))["byState"])
        return numbers

    async def dossier(self, identity: EventId) -> Dossier | None:
        told = await self._ask("GET", f"/deliveries/{quote(identity, safe='')}", absent=404)
        if (
            told is None or told.get("id") != identity
        ):  # "count" is not a delivery's, and has a path of its own
            return None
        return Dossier(
            fate=_fate(told),
            entity=Entity(told["entity"]),
            row=Entity(told["row"]),
            body=(told["body"] if told["body"] is not None else told["bodyShape"]).encode(),
            attempts=[_attempt(each) for each in told["attempts"]],
        )

    async def replay(self, ids: Sequence[EventId]) -> Mapping[str, int]:
        return await self._change("replay", ids)

    async def cancel(self, ids: Sequence[EventId], *, reason: str) -> Mapping[str, int]:
        return await self._change("cancel", ids)

    async def _change(self, act: Literal["replay", "cancel"], ids: Sequence[EventId]) -> Mapping[str, int]:
        """The API works for a second at a time."""
        changed, asked = Counter[str](), dict[str, Any](ids=list(ids))
        while True:
            told = await self._ask("POST", f"/deliveries/{act}", json=asked)
            changed.update(told["byEndpoint"])
            if told["done"]:
                return changed
            asked["after"] = told["next"]

    async def _ask(self, method: str, path: str, *, absent: int | None = None, **given: Any) -> Any:
        """Raises OutboxError with what the API says."""
        try:
            async with self._session.request(
                method, f"{self._url}/api{path}", allow_redirects=False, **given
            ) as answer:
                if answer.status == absent:
                    return None
                told = await answer.json(content_type=None)
            if not isinstance(told, dict):
                raise ValueError(f"status {answer.status}")
        except (ClientError, TimeoutError, ValueError) as error:
            raise OutboxError(
                f"{self._url}: no answer of a watcher's API ({type(error).__name__}).\n"
                "  Name the address of its page, with the path in front of it if it lies behind a proxy."
            ) from error
        if answer.status != 200:
            raise OutboxError(f"{self._url}: {told.get('error', answer.status)}")
        return told


def _parts(wanted: Wanted, *, oldest_first: bool) -> Iterator[Wanted]:
    """The same in as many queries as its ids need, one behind the other."""
    if len(wanted.ids) <= MOST_IDS:
        yield wanted
        return
    ids = sorted(set(wanted.ids), reverse=not oldest_first)
    for start in range(0, len(ids), MOST_IDS):
        yield replace(wanted, ids=tuple(ids[start : start + MOST_IDS]))


def _query(wanted: Wanted) -> list[tuple[str, str]]:
    several = {
        "id": wanted.ids,
        "endpoint": wanted.endpoints,
        "state": wanted.states,
        "event": wanted.events,
    }
    one = {
        "user": wanted.user,
        "conversation": wanted.conversation,
        "since": wanted.since.isoformat() if wanted.since else None,
        "until": wanted.until.isoformat() if wanted.until else None,
    }
    return [
        *((name, value) for name, values in several.items() for value in values),
        *((name, value) for name, value in one.items() if value is not None),
    ]


def _fate(told: Mapping[str, Any]) -> Fate:
    return Fate(
        id=EventId(told["id"]),
        endpoint=told["endpoint"],
        event=EventType(told["event"]),
        at=datetime.fromisoformat(told["timestamp"]),
        state=told["state"],
        attempts=told["failedAttempts"],
        status=told["status"],
        reason=told["reason"],
        due_at=_maybe(told["nextTryAt"]),
        held_until=_maybe(told["heldUntil"]),
        attempted_at=_maybe(told["attemptedAt"]),
        settled_at=_maybe(told["settledAt"]),
        user=told["user"],
        conversation=told["conversation"],
    )


def _attempt(told: Mapping[str, Any]) -> Attempt:
    return Attempt(
        at=datetime.fromisoformat(told["at"]),
        took=timedelta(milliseconds=told["tookMs"]),
        status=told["status"],
        reason=told["reason"],
        headers=tuple((name, value) for name, value in told["headers"]),
        answer=told["answer"] or "",
    )


def _maybe(told: str | None) -> datetime | None:
    return datetime.fromisoformat(told) if told is not None else None
