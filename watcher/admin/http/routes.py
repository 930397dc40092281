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
        self._plain: dict[tuple[str, ...], dict[str, Handler]] = {}
        self._with_place: dict[tuple[str, ...], dict[str, Handler]] = {}

    def add(self, method: str, path: str, handler: Handler) -> None:
        segments = tuple(path.removeprefix("/").split("/"))
        paths = self._plain if _place(segments) is None else self._with_place
        paths.setdefault(segments, {})[method] = handler

    def found(self, request: Request) -> Found:
        """A path without `{…}` goes before one with it, by whatever method it is asked."""
        methods, filled = self._plain.get(request.segments), ""
        if methods is None:
            methods, filled = self._filled(request.segments)
        return Found(handler=methods.get(request.method), filled=filled, methods=tuple(methods))

    def _filled(self, segments: tuple[str, ...]) -> tuple[dict[str, Handler], str]:
        for pattern, methods in self._with_place.items():
            place = _place(pattern)
            if (
                place is not None
                and len(pattern) == len(segments)
                and segments[place]
                and all(at == place or part == segments[at] for at, part in enumerate(pattern))
            ):
                return methods, segments[place]
        return {}, ""


def _place(pattern: tuple[str, ...]) -> int | None:
    return next((at for at, part in enumerate(pattern) if part.startswith("{")), None)
