"""A lookout: what readiness, metrics, alerts and page of one watcher say of a trouble, and how soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import yaml

from docs.generate import RULES
from tests.deploy.evaluation import Scrape, holds
from tests.end_to_end.harness import Watcher

WITHIN_SECONDS = 30
"""Each of them says so by then."""

SCRAPE_TIMEOUT_SECONDS = 10
"""Prometheus's own, unless told otherwise: an answer that comes later is none."""

CALM = 3
"""Looks in a row at which nothing is said."""

ALERTS = {
    rule["alert"].removeprefix("LibreChatWatcher"): rule["expr"]
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}


class Lookout:
    """Looks at one watcher, again and again. Its `async with` is the time of the client."""

    def __init__(self, watcher: Watcher, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{watcher.port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=SCRAPE_TIMEOUT_SECONDS,
        )
        self._scrapes: list[Scrape] = []
        self._said: dict[str, float] = {}
        self.ready = False
        self.parts: dict[str, Any] = {}
        self.attention: list[dict[str, Any]] = []

    async def __aenter__(self) -> Lookout:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def look(self) -> None:
        get = self._client.get
        readiness, scrape, overview = await get("/readyz"), await get("/metrics"), await get("/api/overview")
        self.ready, self.parts = readiness.status_code == 200, readiness.json()["parts"]
        self._scrapes.append(Scrape.of(scrape.text, at=time.monotonic()))
        assert overview.status_code == 200, overview.text
        self.attention = overview.json()["attention"]

    def alerts(self, name: str) -> bool:
        """Whether its expression holds; some alerts wait for a while then."""
        return holds(ALERTS[name], self._scrapes)

    async def until_said(self, *, part: str, cure: str, alert: str, endpoint: str | None = None) -> None:
        """All of them say so, in words that name the cure. The page: of the part, or of the endpoint."""
        about = {"endpoint": endpoint} if endpoint is not None else {"part": part}
        says: dict[str, Callable[[], bool]] = {
            "readiness": lambda: cure in self.parts[part]["says"],
            "alert": lambda: self.alerts(alert),
            "page": lambda: any(_is(entry, cure, about) for entry in self.attention),
        }
        began = time.monotonic()
        while len(self._said) < len(says):
            await self.look()
            took = time.monotonic() - began
            for who, said in says.items():
                if said():
                    self._said.setdefault(who, took)
            assert took < WITHIN_SECONDS, self._told(f"after {took:.0f} s only {sorted(self._said)} say so")
            await asyncio.sleep(0.5)
        print(f"\n{alert}: " + ", ".join(f"{who} {seconds:.1f} s" for who, seconds in self._said.items()))

    async def until_quiet(self, *, alert: str, seconds: float = 60) -> None:
        """None of them says anything any more."""
        began = time.monotonic()
        self._said.clear()
        self._scrapes.clear()
        while len(self._scrapes) < CALM:
            await self.look()
            if not self.ready or self.attention or self.alerts(alert):
                self._scrapes.clear()
            assert time.monotonic() - began < seconds, self._told("they are not quiet again")
            await asyncio.sleep(0.5)

    def _told(self, what: str) -> str:
        return f"{what}: {self.ready} {self.parts} {self.attention}"


def _is(entry: dict[str, Any], cure: str, about: dict[str, str]) -> bool:
    return cure in entry["text"] and all(entry[name] == value for name, value in about.items())
