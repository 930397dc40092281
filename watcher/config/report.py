"""A Report: every problem found so far, each told at the place where an operator can mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watcher.config.yaml_positions import Path, Position
from watcher.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value was written: a line of the file, or an environment variable or flag as a whole."""

    source: str
    """`webhooks.yaml`, `WEBHOOK_URL` or `--state`."""
    line: int | None = None
    """None for a variable or a flag."""


class Report:
    """Collects problems. What a wrong value spoils is remembered, so that no second problem is made of it."""

    def __init__(self) -> None:
        self.origins: dict[Path, Origin] = {}
        self._file: str | None = None
        self._found: list[tuple[int, Problem]] = []
        self._spoiled: set[Path] = set()
        self._unread = False
        self._called: tuple[Path, str] | None = None

    def call(self, path: Path, name: str) -> None:
        """What stands below a path that nobody wrote is told as of this."""
        self._called = (path, name)

    def read_from(self, file: str, positions: Mapping[Path, Position]) -> None:
        """From now on, keys that stand in the file are told with its name and their line."""
        self._file = file
        self.origins |= {path: Origin(source=file, line=at.line) for path, at in positions.items()}

    def add(self, path: Path, what: str, cure: str) -> None:
        """A problem of the setting at `path`, told where it (or what should hold it) was written."""
        origin = self._origin(path)
        if origin is None:
            self._tell(0, ": ".join(part for part in (self._file, self._dotted(path)) if part), what, cure)
        elif origin.line is None:
            self._tell(0, origin.source, what, cure)
        else:
            self._tell(origin.line, f"{origin.source}:{origin.line}: {dotted(path)}", what, cure)

    def add_at(self, line: int, path: Path, what: str, cure: str) -> None:
        """A problem of a line of the file, whether or not a key stands there."""
        where = f"{self._file}:{line}: {dotted(path)}" if path else f"{self._file}:{line}"
        self._tell(line, where, what, cure)

    def add_of(self, source: str, what: str, cure: str) -> None:
        """A problem of a whole file, variable or flag."""
        self._tell(0, source, what, cure)

    def spoil(self, path: Path) -> None:
        """The value at `path` is wrong and told: what follows from it is no problem of its own."""
        self._spoiled.add(path)

    def spoil_all(self) -> None:
        """The file could not be read, so nothing can be said to be missing."""
        self._unread = True

    def sound(self, path: Path) -> bool:
        """May this value's presence or absence be judged?"""
        return not self._unread and not any(path[: len(spoiled)] == spoiled for spoiled in self._spoiled)

    def told(self, path: Path) -> bool:
        """Has the value at `path`, what holds it or something in it been told as wrong already?"""
        return any(path[: len(spoiled)] == spoiled[: len(path)] for spoiled in self._spoiled)

    def raise_if_any(self) -> None:
        """Raise ConfigError with all problems: variables and flags first, then by line of the file."""
        if self._found:
            raise ConfigError([problem for _, problem in sorted(self._found, key=lambda found: found[0])])

    def _origin(self, path: Path) -> Origin | None:
        holders = (path[:length] for length in range(len(path), 0, -1))
        return next((self.origins[holder] for holder in holders if holder in self.origins), None)

    def _dotted(self, path: Path) -> str:
        if self._called is not None and path[: len(self._called[0])] == self._called[0]:
            base, name = self._called
            return ": ".join(part for part in (name, dotted(path[len(base) :])) if part)
        return dotted(path)

    def _tell(self, line: int, where: str, what: str, cure: str) -> None:
        self._found.append((line, Problem(where=where, what=what, cure=cure)))


def dotted(path: Path) -> str:
    """A path as operators read it.

    >>> dotted(("webhooks", "endpoints", 0, "url"))
    'webhooks.endpoints[0].url'
    """
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
