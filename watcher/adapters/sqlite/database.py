"""The file: opened by one `run` at a time, brought up to our schema, its complaints in our words."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import TypeVar

from watcher.adapters.sqlite.checks import CURE
from watcher.adapters.sqlite.spots import spot
from watcher.adapters.sqlite.statements import MIGRATIONS, SCHEMA
from watcher.errors import OutboxBroken, OutboxError, OutboxLocked

APPLICATION_ID = 0x4C435731  # "LCW1": tells our files from other people's SQLite databases
SCHEMA_VERSION = max(MIGRATIONS)

T = TypeVar("T")

BUSY_MS = 5_000

OLDEST_SQLITE = (3, 35)
"""RETURNING came with it (March 2021)."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the state for this process: two would send everything twice, and out of order."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OutboxError(f"{path}: {_unwritable(error.strerror)}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutboxLocked(
                f"{path}: another `librechat-watcher run` (or `backfill`) works on this state.\n"
                "  Stop it first, or give this one a state of its own (watcher.state, WATCHER_STATE)."
            ) from error
        yield
    finally:
        os.close(handle)


def demand_writable(path: Path) -> None:
    """Raises OutboxError when this user may not write the file, or make it. Leaves everything as it is."""
    there = path if path.exists() else next(parent for parent in path.absolute().parents if parent.exists())
    for each in (path.parent, there) if path.exists() else (there,):
        if not os.access(each, os.W_OK | (os.X_OK if each.is_dir() else 0)):
            raise OutboxError(f"{path}: {_unwritable(f'{each} may not be written')}")


def _unwritable(why: str | None) -> str:
    return (
        f"the state cannot be kept there ({why}).\n"
        "  Give watcher.state (WATCHER_STATE) a folder that this user may write to."
    )


def connect(path: Path, *, writing: bool, waits: bool = True, beside: bool = False) -> sqlite3.Connection:
    """Open the file, made with our schema if `writing` and it is not there. `waits`: for who holds it.
    `beside`: a `run` is at work on it. If that is an older one, it could not read what we would write.

    Raises OutboxError or OutboxBroken."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise OutboxError(
            f"SQLite {sqlite3.sqlite_version} is too old.\n  Use a Python with SQLite 3.35 or newer."
        )
    with translated(path):
        mode = "rwc" if writing else "ro"
        if writing and not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # bodies are people's words
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
    try:
        with translated(path):
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS if waits else 0}")
            if writing:
                if beside:
                    _demand(_version(connection, path), SCHEMA_VERSION, path)
                _migrate(connection, path)
                connection.execute("PRAGMA journal_mode = WAL")
                # FULL: what was acknowledged survives a power cut, dead letters and positions alike.
                connection.execute("PRAGMA synchronous = FULL")
                # Statements of many rows keep what they would undo: beyond 64 KB in a temporary file, else.
                connection.execute("PRAGMA temp_store = MEMORY")
            else:
                _version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def read_beside(
    path: Path, work: Callable[[sqlite3.Connection], T], *, oldest: int = SCHEMA_VERSION
) -> T | None:
    """What is found in the file, read beside a running `run` or without one; None where nothing is stored.

    `oldest`: the first version of the schema in which it can be found. Only `run` brings a file up to ours.
    Raises OutboxError."""
    if not path.exists():
        return None
    with closing(connect(path, writing=False)) as connection, translated(path):
        version = _version(connection, path)
        if version == 0:
            return None
        _demand(version, oldest, path)
        return work(connection)


def examine(connection: sqlite3.Connection, path: Path) -> None:
    """Look through the whole file: about a second for a few hundred megabytes. Raises OutboxBroken.

    A row that no index leads to any more would never be sent, and nothing else would tell of it."""
    with translated(path):
        ((found,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if found != "ok":
        raise OutboxBroken(f"{path}: the state is damaged ({found}).\n  {CURE}")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's and the disk's complaints as an OutboxError or OutboxBroken with the cure."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        if _tells_damage(error):
            raise OutboxBroken(f"{path}: {error}.\n  {CURE}") from error
        raise OutboxError(f"{path}: {error}.\n  {_cure(error)}") from error


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection, path)
    if version == SCHEMA_VERSION:
        return
    steps = (
        [SCHEMA] if version == 0 else [MIGRATIONS[each] for each in range(version + 1, SCHEMA_VERSION + 1)]
    )
    connection.create_function("spot", 2, spot)
    with connection:  # one transaction: a crash in the middle leaves the file as it was
        connection.execute("BEGIN IMMEDIATE")
        for statement in chain.from_iterable(steps):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The file's version of the schema; 0 for one that is empty."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not ours and not empty:
        raise OutboxError(f"{path}: is a database of another program.\n  Give watcher.state another path.")
    if version > SCHEMA_VERSION:
        raise OutboxError(
            f"{path}: was written by a newer librechat-watcher (schema {version}; known: {SCHEMA_VERSION}).\n"
            "  Run that version or a newer one; or give this one another state, which begins anew."
        )
    return version


def _demand(version: int, oldest: int, path: Path) -> None:
    """Raises OutboxError for a file of a version before the oldest that will do."""
    if 0 < version < oldest:
        raise OutboxError(
            f"{path}: was written by an older librechat-watcher (schema {version}; needed: {oldest}).\n"
            "  Start `librechat-watcher run` of this version on it: that brings it up to date."
        )


def _tells_damage(error: Exception) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    undecodable = isinstance(error, UnicodeDecodeError) or "Could not decode" in str(error)
    unreadable = "malformed JSON" in str(error)  # all that we give SQLite is well formed
    return undecodable or unreadable or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _cure(error: Exception) -> str:
    text = str(error)
    if "full" in text or getattr(error, "errno", None) == 28:
        return "Free some space on this disk; nothing is lost meanwhile."
    if "readonly" in text or "unable to open" in text or "ermission" in text:
        return "Give this user the right to read and write the file and its folder."
    return "Look at this disk: is it full, may this user write to it, what does the system's log say of it?"
