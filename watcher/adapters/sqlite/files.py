"""The files of an open state. SQLite goes on writing into a file that was deleted, and all of it is lost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from watcher.errors import OutboxBroken

Inode = tuple[int, int]

SUFFIXES = ("", "-wal", "-shm", ".lock")


class Files:
    """Which files a state's names led to when it was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        paths = [f"{path}{suffix}" for suffix in SUFFIXES]
        self._opened: Mapping[str, Inode] = {each: inode for each in paths if (inode := _inode(each))}

    def demand_all(self) -> None:
        """Raises OutboxBroken when one of them was deleted, or another file stands in its place. (And OSError
        when that cannot be seen now.)"""
        for path, inode in self._opened.items():
            if _inode(path) != inode:
                raise OutboxBroken(
                    f"{path}: was deleted or replaced while `run` worked on this state.\n"
                    f"  Put it back as it was, with what belongs to it ({self._path.name}*), and start again."
                    " Without it the next start begins anew\n"
                    "  (watcher.startFrom), without knowing what was sent."
                )


def _inode(path: str) -> Inode | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (at every commit: a Path costs as much again)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
