"""Routes: which handler answers a request. A segment `{…}` of a path stands for any one segment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from watcher.admin.http.messages import Request, Response

Handler = Callable[[Request, str], Awaitable[Response]]
"""Gets what stands for the `{…}`; without one, an empty text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What there is at a path."""

    handler: Handler | None
    """None: nothing, or not by this method."""
    filled: str
    """What stands for the `{…}`."""
    methods: tuple[str, ...]
    """By which there is something."""


class Routes:
    """By path and method."""

    def __init__(self) -> None:
        self._paths: dict[tuple[str, ...], dict[str, Handler]] = {}

    def add(self, method: str, path: str, handler: Handler) -> None:
        self._paths.setdefault(tuple(path.removeprefix("/").split("/")), {})[method] = handler

    def found(self, request: Request) -> Found:
        """A path without `{…}` goes before one with it."""
        there = [(self._paths.get(request.segments, {}), ""), *self._filled(request.segments)]
        handler, filled = next(
            ((methods[request.method], filled) for methods, filled in there if request.method in methods),
            (None, ""),
        )
        return Found(
            handler=handler,
            filled=filled,
            methods=tuple(dict.fromkeys(method for methods, _ in there for method in methods)),
        )

    def _filled(self, segments: tuple[str, ...]) -> list[tuple[dict[str, Handler], str]]:
        return [
            (methods, segments[place])
            for pattern, methods in self._paths.items()
            if (place := _place(pattern)) is not None
            and len(pattern) == len(segments)
            and segments[place]
            and all(at == place or part == segments[at] for at, part in enumerate(pattern))
        ]


def _place(pattern: tuple[str, ...]) -> int | None:
    return next((at for at, part in enumerate(pattern) if part.startswith("{")), None)
