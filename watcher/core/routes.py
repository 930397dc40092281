"""A Route: how an endpoint is reached. Whom its TLS trusts, by which proxy, and where it must not lead.

Two equal routes may share a connection; two different ones never do."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files in PEM form by their paths; None: what the system trusts, and no certificate of our own."""

    ca: str | None = None
    """Authorities that are trusted instead of the system's."""
    cert: str | None = None
    """Our own certificate, for receivers that want one; with its chain."""
    key: str | None = None
    """Its key; None: it is in the same file."""
    print: str = ""
    """Stands for what was in the files: other contents are another value, though the paths are the same."""

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(file for file in (self.ca, self.cert, self.key) if file is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """What stands between us and a receiver. Nothing of it is printed: it may carry a password."""

    url: str = field(repr=False)
    """`http://host:port` or `https://host:port`, without user and password."""
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How to connect. The default: directly, to whom the system trusts."""

    tls: Tls = Tls()
    proxy: Proxy | None = None
    deny_private: bool = False
    """Refuse addresses that only we can reach (`core/addresses.py`)."""


DIRECT = Route()
