"""The SQL of the outbox, read once from the files beside, and the statements whose length varies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files


def _read(file: str) -> str:
    return files(__package__).joinpath(file).read_text()


def _blocks(text: str, label: str) -> Mapping[str, str]:
    """The parts of a file, each under a line `-- <label>: <name>`."""
    blocks: dict[str, list[str]] = {}
    name, marker = "", f"-- {label}: "
    for line in text.splitlines():
        if line.startswith(marker):
            name = line.removeprefix(marker).strip()
            blocks[name] = []
        elif name:
            blocks[name].append(line)
    return {name: "\n".join(lines).strip().rstrip(";") for name, lines in blocks.items()}


def _statements(script: str) -> Sequence[str]:
    code = "\n".join(line for line in script.splitlines() if not line.startswith("--"))
    return [statement for statement in code.split(";") if statement.strip()]


SQL = _blocks(_read("queries.sql"), "name")

SCHEMA = _statements(_read("schema.sql"))
"""What makes a new file."""

MIGRATIONS = {
    int(version): _statements(script)
    for version, script in _blocks(_read("migrations.sql"), "version").items()
}
"""What makes a file of the version before into one of this version."""

ADDED = (
    *("seq", "id", "endpoint", "event", "entity", "row", "at", "state", "hold_key", "held_until", "reason"),
    *("settled_at", "crc", "user", "conversation", "body", "entity_spot"),
)
"""The columns of a new delivery, in the order of the values."""


SETTLED = (
    *("seq", "state", "attempts", "due_at", "status", "reason", "attempted_at", "took_ms", "settled_at"),
    "attempt",
)
"""What is told of a delivery that is settled, in the order of the values."""

MOST_ROWS = 200
"""In one statement: as many as come together in a backlog. Each statement gives the interpreter up, and waits
until it gets it back."""


def split(rows: int) -> Iterator[int]:
    """So many rows as a few statements. Of few lengths, so that SQLite knows each of them already."""
    size = MOST_ROWS
    while rows:
        while size > rows:
            size //= 2
        yield size
        rows -= size


@cache
def add(rows: int) -> str:
    """Insert so many deliveries, but for their bodies; what is already there is left as it is."""
    return _insert("deliveries", ADDED, rows) + " ON CONFLICT (id) DO NOTHING"


@cache
def add_bodies(rows: int) -> str:
    """Insert what is sent of so many of them."""
    return _insert("bodies", ("seq", "body", "context"), rows)


@cache
def add_spots(rows: int) -> str:
    """Insert the spots of so many of them."""
    return _insert("spots", ("seq", "user_spot", "conversation_spot"), rows)


@cache
def settle(rows: int) -> str:
    """Write what became of so many deliveries; those that are not pending are left as they are."""
    names = ", ".join(f"column{number} AS {name}" for number, name in enumerate(SETTLED, start=1))
    told = f"SELECT {names} FROM (VALUES {_rows(rows, SETTLED)})"  # noqa: S608 (constants and `?` only)
    return SQL["settle"].format(told=told)


def _insert(table: str, columns: Sequence[str], rows: int) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {_rows(rows, columns)}"  # noqa: S608 (constants and `?` only)


def _rows(number: int, columns: Sequence[str]) -> str:
    return ", ".join([f"({', '.join('?' * len(columns))})"] * number)
