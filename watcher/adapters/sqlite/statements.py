"""The SQL of the outbox, read once from `queries.sql`, and the one statement whose length varies."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

SCHEMA = files(__package__).joinpath("schema.sql").read_text()


def _named(text: str) -> Mapping[str, str]:
    statements: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("-- name: "):
            name = line.removeprefix("-- name: ").strip()
            statements[name] = []
        elif name:
            statements[name].append(line)
    return {name: "\n".join(lines).strip().rstrip(";") for name, lines in statements.items()}


SQL = _named(files(__package__).joinpath("queries.sql").read_text())

ADDED = ("seq", "id", "endpoint", "event", "entity", "at", "state", "hold_key", "held_until", "reason")
"""The columns of a new delivery, in the order of the values; `settled_at`, `crc` and `body` end the row."""


@cache
def add(rows: int) -> str:
    """Insert so many deliveries; what is already there is left as it is. Returns what was new."""
    columns = (*ADDED, "settled_at", "crc", "body")
    values = ", ".join([f"({', '.join('?' * len(columns))})"] * rows)
    return (
        f"INSERT INTO deliveries ({', '.join(columns)}) VALUES {values} "  # noqa: S608 (constants and `?` only)
        "ON CONFLICT (id) DO NOTHING RETURNING endpoint, state"
    )
