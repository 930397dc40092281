"""A Request that was read whole, and the Response to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asked for."""

    method: str
    segments: tuple[str, ...]
    """The path between its slashes, decoded: a slash in a segment was written as `%2F`."""
    query: Mapping[str, Sequence[str]]
    """The values of each name, in their order."""
    headers: Mapping[str, str] = field(repr=False)
    """By name in small letters. Of repeats the first counts; bytes that are no UTF-8 are surrogates."""
    body: bytes = field(repr=False)
    address: str
    """Of who is connected: the client, or a proxy before it."""

    @property
    def path(self) -> str:
        return "/" + "/".join(self.segments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What it gets."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(value: Any, *, status: int = 200, headers: Mapping[str, str] = NONE) -> Response:
    return Response(
        status=status,
        body=json.dumps(value).encode(),
        content_type="application/json; charset=utf-8",
        headers=headers,
    )


def failed(status: int, error: str, headers: Mapping[str, str] = NONE) -> Response:
    """The one form of all that is no good news."""
    return as_json({"error": error}, status=status, headers=headers)
