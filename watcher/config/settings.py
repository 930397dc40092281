"""Settings: what an operator decided, complete and checked. Nothing behind this point asks again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Self

from watcher.core.endpoints import Endpoint, Secret
from watcher.core.managing import Definition

OnPositionLost = Literal["recover", "fail", "restart"]
LogStyle = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFile:
    """A state of one replica's own."""

    path: Path
    """The SQLite file. Its folder may not exist yet."""

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDatabase:
    """A state that any number of replicas share."""

    uri: str = field(repr=False)
    name: str

    def __str__(self) -> str:
        return f"MongoDB, database {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One program's settings. Printing it shows no secret, no URI and no header."""

    endpoints: tuple[Endpoint, ...]
    """Who is told: `default`, then in the file's order, then managed ones. Empty with `enabled: false`."""
    managed: Mapping[str, int] = field(default_factory=dict)
    """The managed ones among them, which stand in the state (`watcher/managed.py`): each name's revision."""
    enabled: bool
    define: Callable[[Definition], Endpoint] = field(repr=False, compare=False)
    """Makes an endpoint of a managed one's definition. Raises ConfigError."""
    mongo_uri: str = field(repr=False)
    """Empty only where the caller loaded with `need_mongo=False`."""
    database: str
    """LibreChat's database, from the URI's path."""
    state: StateFile | StateDatabase
    http_host: str
    http_port: int
    """0: any free port."""
    admin_token: Secret | None
    """None: the page and the API are off; health and metrics are served."""
    secret_keys: tuple[Secret, ...]
    """What managed endpoints are encrypted with: the first; the others still open. Empty: managing is off."""
    shows_text: bool
    """Whether the page and the API show texts of people: bodies, and answers that repeat them."""
    start_from: datetime | None
    """Where a first start begins; None means now."""
    on_position_lost: OnPositionLost
    memory: Literal["auto", "always"]
    mapping_paths: tuple[Path, ...]
    """Extra mapping files and folders, in the operator's order. They existed when this was loaded."""
    max_store_bytes: int
    """What the state may hold before capture pauses."""
    retention_delivered: timedelta
    retention_dead: timedelta
    unfinished_hold: timedelta
    log: LogStyle | None
    """None: `console` on a terminal, else `json`."""
    log_level: LogLevel
    traces: bool
    """Spans go to a collector, as the environment's `OTEL_*` say, and `traceparent` to the receivers."""
    files: tuple[Path, ...]
    """What was read to get here, the settings' file first, then mounted secrets and the files that `tls:`
    names: what a reload watches."""

    def needing_restart(self, other: Self) -> tuple[str, ...]:
        """The keys that are other ones there, and that a running program cannot take up."""
        return tuple(
            key
            for key, names in NEED_RESTART.items()
            if any(getattr(self, n) != getattr(other, n) for n in names)
        )


NEED_RESTART = {
    "watcher.mongoUri": ("mongo_uri", "database"),
    "watcher.state": ("state",),
    "watcher.http": ("http_host", "http_port", "admin_token", "shows_text"),
    "watcher.log": ("log",),
    "watcher.traces": ("traces",),
    "watcher.maxStore": ("max_store_bytes",),
    "watcher.retention": ("retention_delivered", "retention_dead"),
}
"""What is opened once, and then lives as long as the program."""
