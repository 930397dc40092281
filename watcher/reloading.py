"""Reloading: settings that change while the program runs, noticed, read anew, and never half in force.

Files are looked at, not subscribed to: mounted secrets are swapped through symbolic links, and network mounts
tell nobody. The law: what is wrong leaves the old settings in force, and says so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

from watcher.core.facts import SettingsRefused
from watcher.errors import ConfigError, WatcherError
from watcher.ports import Clock, Observer

T = TypeVar("T")

LOOK_EVERY = timedelta(seconds=1)

AGAIN_EVERY = 15
"""Looks after which settings that were wrong are read again, though no file that is known has changed: what
was missing may be there now."""

Seen = tuple[tuple[str, int, int, int] | None, ...]
"""Of a file where it really is, its inode, size and time of change; None where there is none. Of a folder,
all that is in it as well."""


class Reloader(Generic[T]):
    """Waits for other settings."""

    def __init__(
        self,
        read: Callable[[], Awaitable[T]],
        read_the_rest: Callable[[], Awaitable[T | None]],
        files_of: Callable[[T], Iterable[Path]],
        current: T,
        *,
        asked: asyncio.Event,
        clock: Clock,
        observe: Observer,
    ) -> None:
        """`read`: raises ConfigError, or another WatcherError when it cannot be read now. `read_the_rest`:
        what is other though the files are wrong; None: nothing. `files_of`: what it was read from; folders
        mean what is in them. `current`: read just now. `asked`: set when somebody wants it read again,
        changed or not (SIGHUP)."""
        self._read = read
        self._read_the_rest = read_the_rest
        self._files_of = files_of
        self._asked = asked
        self._clock = clock
        self._observe = observe
        self._known = _look(files_of(current))
        self.refused: tuple[str, ...] = ()
        """What is wrong with the files as they are now."""

    async def next(self, current: T) -> T:
        """Return as soon as there are other settings, and they are right; or all but the files are (then
        `refused` is to be told by the caller)."""
        files = tuple(self._files_of(current))
        # As they were before they were read: what changed since then is in no settings yet.
        known = looked = {**await asyncio.to_thread(_look, files), **_some(self._known, files)}
        looks = 0
        while True:
            await self._wait()
            asked, before, looked = self._asked.is_set(), looked, await asyncio.to_thread(_look, files)
            looks += 1
            # Twice the same: whoever writes them has done.
            settled = looked != known and looked == before
            if not (asked or settled or (self.refused and looks % AGAIN_EVERY == 0)):
                continue

            self._asked.clear()
            self._known = known = looked
            try:
                found = await self._read()
            except Exception as error:
                told, self.refused = self.refused, _problems(error)
                with suppress(Exception):  # as `read`; and what it says is told already
                    if (rest := await self._read_the_rest()) is not None:
                        return rest
                if asked or settled or self.refused != told:
                    self._observe(SettingsRefused(problems=self.refused))
            else:
                self.refused = ()
                return found

    async def _wait(self) -> None:
        """For a while, or until somebody asks."""
        async with asyncio.TaskGroup() as tasks:
            waiting = [
                tasks.create_task(self._clock.sleep(LOOK_EVERY)),
                tasks.create_task(_until(self._asked)),
            ]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()


async def _until(event: asyncio.Event) -> None:
    await event.wait()


def _problems(error: Exception) -> tuple[str, ...]:
    if isinstance(error, ConfigError):
        return tuple(str(problem) for problem in error.problems)
    if isinstance(error, WatcherError):
        return (str(error),)
    return (f"they cannot be read: {type(error).__name__}",)  # a fault of ours must not end what works


def _some(seen: Mapping[Path, Seen], paths: Sequence[Path]) -> Mapping[Path, Seen]:
    return {path: seen[path] for path in paths if path in seen}


def _look(paths: Iterable[Path]) -> dict[Path, Seen]:
    return {path: _at(path) for path in paths}


def _at(path: Path) -> Seen:
    entries = [path]
    with suppress(OSError):
        if path.is_dir():
            entries += sorted(path.rglob("*"))
    return tuple(_seen(entry) for entry in entries)


def _seen(path: Path) -> tuple[str, int, int, int] | None:
    try:
        real = os.path.realpath(path)
        state = Path(real).stat()
    except OSError:
        return None
    return real, state.st_ino, state.st_size, state.st_mtime_ns
