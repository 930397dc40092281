"""The words of a mapping file: checks of single keys that tell what is wrong, where, and the cure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watcher.config.report import Report
from watcher.config.values import did_you_mean
from watcher.config.yaml_positions import Path
from watcher.core.expressions import BadExpression, check_path


class Words:
    """Reads keys of mappings. A wrong one is reported, and read as if it were not there."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def keys(self, raw: Any, path: Path, known: Sequence[str]) -> Mapping[str, Any] | None:
        """The mapping at a path, with its unknown keys told; None if it is none."""
        if not isinstance(raw, dict):
            cure = f"write `key: value` lines; known here: {', '.join(known)}"
            self.report.add(path, "must be a mapping", cure)
            return None
        for key in raw:
            if key not in known:
                close = did_you_mean(key, known)
                cure = f"did you mean `{close}`?" if close else f"known here: {', '.join(known)}"
                self.report.add((*path, key), "unknown key", cure)
        return raw

    def text(self, raw: Mapping[str, Any], path: Path, key: str) -> str | None:
        value = raw.get(key)
        if key not in raw or (isinstance(value, str) and value):
            return value
        self.report.add((*path, key), "must be a word or text", "put it in quotes, or remove the key")
        return None

    def flag(self, raw: Mapping[str, Any], path: Path, key: str) -> bool:
        value = raw.get(key, False)
        if isinstance(value, bool):
            return value
        self.report.add((*path, key), "must be true or false", "write true or false, without quotes")
        return False

    def names(self, raw: Mapping[str, Any], path: Path, key: str) -> tuple[str, ...]:
        """A list of top-level names of the row."""
        value = raw.get(key, [])
        if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
            self.report.add((*path, key), "must be a list of names", "write [name, name]")
            return ()
        for index, name in enumerate(value):
            if "." in name:
                cure = f"write `{name.partition('.')[0]}`: changes are told by top-level name"
                self.report.add((*path, key, index), f"`{name}` is not a top-level name", cure)
        return tuple(value)

    def choice(self, raw: Mapping[str, Any], path: Path, key: str, choices: Sequence[str]) -> str | None:
        value = raw.get(key)
        if key not in raw or value in choices:
            return value
        close = did_you_mean(value, choices) if isinstance(value, str) else None
        cure = f"did you mean `{close}`?" if close else f"write one of: {', '.join(choices)}"
        self.report.add((*path, key), "not a word that is known here", cure)
        return None


def checked_path(raw: Any, path: Path, report: Report) -> str | None:
    """A path into the view."""
    if not isinstance(raw, str):
        report.add(path, "must be a path", "write it as `row.user`")
        return None
    try:
        check_path(raw)
    except BadExpression as bad:
        report.add(path, bad.what, bad.cure)
        return None
    return raw
