"""Privacy as an operator writes it: names that must exist, and the key that hashes are made with.

The law: a slip of the pen is told. A name that hides nothing would let everything out in silence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from watcher.config.report import Report
from watcher.config.values import did_you_mean
from watcher.config.yaml_positions import Path
from watcher.core.privacy import Privacy, derived_key
from watcher.core.schemas import Known

HIDING = ("omit", "hash")


def privacy(keys: Mapping[str, Any]) -> Privacy | None:
    """What an endpoint's keys hide. Only when nothing was reported."""
    omit, hash_ = keys.get("omit", ()), keys.get("hash", ())
    text_length = keys.get("text_length", False)
    if not (omit or hash_ or text_length):
        return None
    return Privacy(
        omit=tuple(omit), hash=tuple(hash_), text_length=text_length, key=_key(keys) if hash_ else b""
    )


def _key(keys: Mapping[str, Any]) -> bytes:
    if "hash_key" in keys:
        return bytes(keys["hash_key"].key)
    # The oldest one: while a secret is rotated it stays the last, and so do the hashes.
    return derived_key(keys["secret"][-1].key)


def hides(keys: Mapping[str, Any]) -> bool:
    """Does it name fields, so that what fields there are must be known?"""
    return any(keys.get(key) for key in HIDING)


def check_key(path: Path, keys: Mapping[str, Any], report: Report) -> None:
    """Told at `path`, the endpoint's: hashes without a key could be made by anybody."""
    if keys.get("hash") and "hash_key" not in keys and (keys["signing"] == "none" or "secret" not in keys):
        if "secret" not in keys and keys["signing"] != "none":
            return  # that is told already, and mends this too
        cure = "write `hashKey: ${WEBHOOK_HASH_KEY}`, a long random text"
        report.add((*path, "hash"), "needs a key, and there is no secret to make one of", cure)


def check_names(lists: Iterable[tuple[Path, list[str]]], known: Known, report: Report) -> None:
    """Tell each name of the lists (each with its path in the settings) that no event has."""
    for path, names in lists:
        for index, name in enumerate(names):
            if known.has(name):
                continue
            meant = did_you_mean(name, known.paths if "." in name else known.names)
            hint = f"did you mean `{meant}`? " if meant else ""
            cure = f"{hint}`librechat-watcher events NAME` shows the fields; yours are under `fields:`"
            report.add((*path, index), f"no event has a field `{name}`, so nothing would be hidden", cure)
