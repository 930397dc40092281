"""A disk that can be full: a small file system where this machine mounts one, else a limit on the watcher."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.end_to_end.harness import Watcher

SIZE_MB = 8


class Disk(Protocol):
    """Where the state lies."""

    folder: Path

    def fill(self, watcher: Watcher) -> None:
        """Leave no room for the watcher's state to grow."""
        ...

    def make_room(self, watcher: Watcher) -> None: ...


class SmallDisk:
    """A file system that a large file fills up: `ENOSPC`, as on any full disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, watcher: Watcher) -> None:
        try:
            with self._filler.open("ab", buffering=0) as file:
                while True:
                    file.write(b"\0" * 4096)
        except OSError:
            pass  # full

    def make_room(self, watcher: Watcher) -> None:
        self._filler.unlink()


class SmallFiles:
    """A limit on the size of the watcher's files: writing on fails, with `EFBIG`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, watcher: Watcher) -> None:
        largest = max(file.stat().st_size for file in self.folder.iterdir())
        self._limit(watcher, max(largest, watcher.log_file.stat().st_size + 500_000))

    def make_room(self, watcher: Watcher) -> None:
        self._limit(watcher, resource.RLIM_INFINITY)

    def _limit(self, watcher: Watcher, size: int) -> None:
        assert watcher.process is not None
        resource.prlimit(watcher.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """The best that this machine allows; skips the test where it allows nothing of the kind."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "chaos", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if mounted:
        try:
            yield SmallDisk(folder)
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
    elif sys.platform == "linux":
        print("\nno file system can be mounted here: the watcher's files are limited instead")
        yield SmallFiles(folder)
    else:
        pytest.skip("neither can a file system be mounted here, nor another process be limited")
