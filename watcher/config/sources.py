"""Where settings come from: flags, environment, mounted secrets and one file, laid over each other.

Flag before environment before file. What is not written anywhere is not here: defaults come later."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path as FilePath
from secrets import token_hex
from typing import Any

from watcher.config.report import Origin, Report
from watcher.config.yaml_positions import Path, is_text, parse
from watcher.core.forms import is_template

SECTIONS = ("webhooks", "watcher")

OVERRIDES: Mapping[str, Path] = {
    "MONGO_URI": ("watcher", "mongoUri"),
    "WEBHOOK_URL": ("webhooks", "url"),
    "WEBHOOK_SECRET": ("webhooks", "secret"),
    "WEBHOOK_EVENTS": ("webhooks", "events"),
    "WATCHER_STATE": ("watcher", "state"),
    "WATCHER_HTTP": ("watcher", "http", "listen"),
    "WATCHER_ADMIN_TOKEN": ("watcher", "http", "token"),
    "WATCHER_SECRET_KEY": ("watcher", "secretKey"),
    "WATCHER_LOG": ("watcher", "log"),
    "WATCHER_LOG_LEVEL": ("watcher", "logLevel"),
}
"""Which setting a variable gives. Its flag is named like it: `--mongo-uri`, `--url`, `--state`, …"""


class Expanded(str):
    """Text that came from outside the file, where everything is text: `5000` may be meant as a number."""

    __slots__ = ()


class Environment:
    """Variables, each of which may instead name a mounted file: `NAME_FILE`. Empty counts as not set."""

    def __init__(self, variables: Mapping[str, str], report: Report) -> None:
        self._variables = variables
        self._report = report
        self._known: dict[str, tuple[str, str] | None] = {}
        self.files: list[FilePath] = []
        """Mounted secrets that were read."""

    def lookup(self, name: str) -> tuple[str, str] | None:
        """The value and the variable that it came from; None if not set, or wrong (then it is reported)."""
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def is_set(self, name: str) -> bool:
        return bool(self._variables.get(name) or self._variables.get(f"{name}_FILE"))

    def _read(self, name: str) -> tuple[str, str] | None:
        value, mounted = self._variables.get(name), self._variables.get(f"{name}_FILE")
        if value and mounted:
            what = f"both {name} and {name}_FILE are set"
            self._report.add_of(name, what, "unset one of them: which one is meant cannot be known")
            return None
        if mounted:
            return self._read_mounted(f"{name}_FILE", FilePath(mounted))
        if not value:
            return None
        if not is_text(value):
            self._report.add_of(name, "not valid UTF-8 text", "set it again, as UTF-8")
            return None
        return value, name

    def _read_mounted(self, variable: str, file: FilePath) -> tuple[str, str] | None:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            self._report.add_of(variable, f"{file} is not UTF-8 text", "store the secret as plain text")
            return None
        except (OSError, ValueError) as error:
            cure = "mount the file, and let the user that runs the watcher read it"
            self._report.add_of(variable, f"{file} cannot be read: {_reason(error)}", cure)
            return None
        self.files.append(file)
        text = text.removesuffix("\n").removesuffix("\r")
        if not text or not is_text(text):
            self._report.add_of(variable, f"{file} is empty or not text", "write the value into it")
            return None
        return text, variable


def written(
    *,
    file: FilePath | None,
    environment: Environment,
    flags: Mapping[str, str],
    report: Report,
    sending: bool = True,
    mongo: bool = True,
) -> dict[str, Any]:
    """What flags, environment and file say, as one tree; a value that cannot be had is None and reported.

    Without `sending`, what is only needed to send is not read at all; without `mongo`, a `mongoUri` that
    cannot be had is left out."""
    overrides = _overrides(environment, flags, report, OVERRIDES if sending else OVERRIDES.keys() - UNSENT)
    tree = {} if file is None else _read_file(file, report)
    if not sending:
        _do_without_sending(tree, default=environment.is_set("WEBHOOK_URL"))
    if not mongo:
        _do_without_mongo(tree, environment)

    expand(tree, (), overrides.keys(), environment, report)

    for path, (value, source) in overrides.items():
        if _put(tree, path, value):
            report.origins = {at: origin for at, origin in report.origins.items() if at[: len(path)] != path}
            report.origins[path] = Origin(source=source)
    return tree


def _overrides(
    environment: Environment, flags: Mapping[str, str], report: Report, variables: Collection[str]
) -> dict[Path, tuple[Expanded, str]]:
    assert flags.keys() <= {_flag_of(variable) for variable in OVERRIDES}, "a flag without a setting"
    overrides = {}
    for variable, path in OVERRIDES.items():
        if variable not in variables:
            continue
        name = _flag_of(variable)
        if name in flags:
            overrides[path] = (Expanded(flags[name]), f"--{name.replace('_', '-')}")
        elif found := environment.lookup(variable):
            overrides[path] = (Expanded(found[0]), found[1])
        elif environment.is_set(variable):
            report.spoil(path)
    return overrides


def _flag_of(variable: str) -> str:
    return variable.lower().removeprefix("webhook_").removeprefix("watcher_")


def _put(tree: dict[str, Any], path: Path, value: Expanded) -> bool:
    """Set the value, unless what should hold it is no mapping; then the shape will say so."""
    *holders, key = path
    place: Any = tree
    for holder in holders:
        place = place.setdefault(holder, {})
        if not isinstance(place, dict):
            return False
    place[key] = value
    return True


# --- what a command does without --------------------------------------------------------------------------

UNSENT = frozenset({"WEBHOOK_URL", "WEBHOOK_SECRET", "WATCHER_ADMIN_TOKEN"})
"""Not read by a command that sends nothing and serves nobody."""

NOWHERE = "https://nowhere.invalid/"
"""Stands for every url where nothing is sent."""


NO_KEY = token_hex()
"""Stands for every key of hashes there: they look like those that are sent, are others at each run, and tell
nobody what they are of."""


def _do_without_sending(tree: dict[str, Any], *, default: bool) -> None:
    """Who is told what stays; where and by which secrets goes. `default`: WEBHOOK_URL makes an endpoint."""
    if default:
        tree.setdefault("webhooks", {})
    webhooks = tree.get("webhooks")
    if isinstance(webhooks, dict):
        if default or "url" in webhooks:
            webhooks["url"] = NOWHERE if default else _holes_of_url(webhooks["url"])
        listed = webhooks.get("endpoints")
        endpoints = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        for each in endpoints:
            each["url"] = _holes_of_url(each.get("url"))
        for each in (webhooks, *endpoints):
            _without_sending(each)
    http = tree["watcher"].get("http") if isinstance(tree.get("watcher"), dict) else None
    if isinstance(http, dict):
        http.pop("token", None)


def without_sending(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """An endpoint's keys without where it is and by which secrets it is told."""
    kept = {**endpoint, "url": _holes_of_url(endpoint.get("url"))}
    _without_sending(kept)
    return kept


def _without_sending(level: dict[str, Any]) -> None:
    for key in ("secret", "tls", "proxy"):
        level.pop(key, None)
    if (headers := level.pop("headers", None)) and isinstance(headers, dict):
        level["headers"] = {name: _unread(text) for name, text in headers.items() if _has_holes(text)}
    level["signing"] = "none"
    level["hashKey"] = NO_KEY


def _has_holes(text: Any) -> bool:
    return isinstance(text, str) and is_template(text)


def _unread(text: str) -> str:
    """The text with nothing of the environment in it."""
    return _VARIABLE.sub("unread", text)


def _holes_of_url(url: Any) -> str:
    """A URL that leads nowhere, and is filled of events as this one."""
    if not _has_holes(url):
        return NOWHERE
    return NOWHERE + re.sub("^([^/{]*//)?[^/{]*/?", "", _unread(url))


def _do_without_mongo(tree: dict[str, Any], environment: Environment) -> None:
    watcher = tree.get("watcher")
    uri = watcher.get("mongoUri") if isinstance(watcher, dict) else None
    if isinstance(uri, str) and any(
        found[1] and found[2] is None and not environment.is_set(found[1])
        for found in _VARIABLE.finditer(uri)
    ):
        del tree["watcher"]["mongoUri"]


# --- the file ---------------------------------------------------------------------------------------------


def _read_file(file: FilePath, report: Report) -> dict[str, Any]:
    text = _text_of(file, report)
    if text is None:
        report.spoil_all()
        return {}
    is_librechat = file.name in ("librechat.yaml", "librechat.yml")
    parsed = parse(text, only=SECTIONS if is_librechat else None)
    report.read_from(str(file), parsed.positions)
    for fault in parsed.faults:
        report.add_at(fault.position.line, fault.path, fault.what, fault.cure)

    if isinstance(parsed.value, dict):
        for fault in parsed.faults:
            if fault.path and _value_at(parsed.value, fault.path) is None:
                report.spoil(fault.path)
        return {key: value for key, value in parsed.value.items() if not _is_own(key)}
    if not parsed.faults:
        what = "the file is empty" if parsed.value is None else "this is no mapping of keys to values"
        report.add_of(str(file), what, "begin with `webhooks:`; docs/OPERATING.md shows every key")
    report.spoil_all()
    return {}


def _is_own(key: Any) -> bool:
    """Is it the operator's own, as in compose files: a home for YAML's anchors?"""
    return isinstance(key, str) and key.startswith("x-")


def _text_of(file: FilePath, report: Report) -> str | None:
    name = str(file)
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        report.add_of(name, "no such file", "correct --config or WATCHER_CONFIG, or create the file")
    except IsADirectoryError:
        cure = "give the file itself (a container engine makes a folder where a mounted file does not exist)"
        report.add_of(name, "this is a folder", cure)
    except (OSError, ValueError) as error:
        cure = "let the user that runs the watcher read it"
        report.add_of(name, f"cannot be read: {_reason(error)}", cure)
    else:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            report.add_of(f"{name}:{line}", "not UTF-8 text", "save the file as UTF-8")
    return None


# --- ${NAME} ----------------------------------------------------------------------------------------------

_VARIABLE = re.compile(r"\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\})?")


def expand(tree: Any, path: Path, skip: Collection[Path], environment: Environment, report: Report) -> None:
    """Put the environment's values in place of `${NAME}`, except where a flag or variable wins anyway."""
    for step, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        at = (*path, step)
        if at in skip:
            continue
        if isinstance(value, dict | list):
            expand(value, at, skip, environment, report)
        elif isinstance(value, str) and "${" in value:
            tree[step] = _expanded(value, at, environment, report)


def _expanded(text: str, path: Path, environment: Environment, report: Report) -> Expanded | None:
    values = [_value_of(variable, path, environment, report) for variable in _VARIABLE.finditer(text)]
    if None in values:
        report.spoil(path)
        return None
    pieces = iter(str(value) for value in values)
    return Expanded(_VARIABLE.sub(lambda _: next(pieces), text))


def _value_of(variable: re.Match[str], path: Path, environment: Environment, report: Report) -> str | None:
    name, default = variable[1], variable[2]
    if name is None:
        report.add(path, "`${` without a variable's name and `}`", "write ${NAME} or ${NAME:-default}")
        return None
    if found := environment.lookup(name):
        return found[0]
    if environment.is_set(name):
        return None  # told by the look-up
    if default is None:
        cure = f"set {name} (or {name}_FILE), or write ${{{name}:-default}}"
        report.add(path, f"the environment variable {name} is not set, or empty", cure)
    return default


# --- small things -----------------------------------------------------------------------------------------


def _value_at(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "not a file's name"
