"""Loading: flags, environment, file and defaults become Settings, or every problem at once is told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

from watcher.config.managed import Definer
from watcher.config.mappings import load_mappings
from watcher.config.messages import shape_of
from watcher.config.proxies import Surroundings
from watcher.config.receivers import Top, check_fields, endpoint, over, receivers
from watcher.config.report import Report
from watcher.config.routes import route
from watcher.config.settings import Settings, StateDatabase, StateFile
from watcher.config.shapes import FileShape, WatcherShape, WebhooksShape
from watcher.config.sources import Environment, expand, written
from watcher.config.values import IN_MONGODB, database
from watcher.config.yaml_positions import parse
from watcher.core.catalogue import fields_of
from watcher.core.endpoints import Secret
from watcher.core.routes import DIRECT
from watcher.core.schemas import Known
from watcher.errors import ConfigError

DEFAULTS = FilePath(__file__).with_name("default.yaml")
"""The one home of every default, written for operators too."""

USUAL_FILE = FilePath("webhooks.yaml")
"""Read when neither `--config` nor WATCHER_CONFIG names another."""

TRACES_NEED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
"""What the extra `traces` brings."""

USUAL_DATABASE = "LibreChat"
STATE_DATABASE = "librechat_watcher"


def load(
    *,
    file: FilePath | None,
    env: Mapping[str, str],
    flags: Mapping[str, str] = MappingProxyType({}),
    need_endpoints: bool = True,
    need_mongo: bool = True,
) -> Settings:
    """The settings, complete and checked; or a ConfigError with all problems, and nothing is half loaded.

    `file` is `--config`; flags are named like their variables (`url`, `state`, `mongo_uri`). A command that
    sends nothing, or can do without MongoDB, says so: then no endpoint is needed, and urls, headers and
    secrets are not read; or no URI is needed."""
    report = Report()
    environment = Environment(env, report)
    source = file or _usual_file(env)
    tree = written(
        file=source,
        environment=environment,
        flags=flags,
        report=report,
        sending=need_endpoints,
        mongo=need_mongo,
    )
    own_events = _own_events(tree, source, report)
    shape = shape_of(tree, report, own_events=own_events)
    defaults = _defaults(environment, report)

    top = Top.of(shape.webhooks or WebhooksShape(), defaults.webhooks.given(), report)
    watcher = over(defaults.watcher.given(), (shape.watcher or WatcherShape()).given())
    found = receivers(top, report, needed=need_endpoints and "secret_key" not in watcher)
    surroundings = Surroundings(environment, report)
    routes = [
        route(each, folder=_beside(source), surroundings=surroundings, report=report)
        if need_endpoints
        else DIRECT
        for each in found
    ]
    state = _state(watcher, env, report)
    mapping_paths = _mapping_paths(watcher["mappings"], source, report)
    if need_mongo:
        _check_mongo(watcher, report)
    _check_traces(watcher, report)
    known = partial(_known, mapping_paths)
    with suppress(ConfigError):  # mapping files that cannot be used are told already
        check_fields(found, known, report)
    report.raise_if_any()

    mongo_uri = watcher.get("mongo_uri", "")
    host, port = watcher["http"]["listen"]
    token = watcher["http"].get("token")
    return Settings(
        endpoints=tuple(
            replace(endpoint(receiver), route=way) for receiver, way in zip(found, routes, strict=True)
        ),
        enabled=top.enabled,
        define=Definer(
            top=top,
            variables=env,
            folder=_beside(source),
            own_events=own_events,
            known=known,
            sends=need_endpoints,
        ),
        secret_keys=watcher.get("secret_key", ()),
        mongo_uri=mongo_uri,
        database=database(mongo_uri) or USUAL_DATABASE,
        state=state,
        http_host=host,
        http_port=port,
        shows_text=watcher["http"]["show_text"],
        admin_token=None if token is None else Secret(key=token.encode()),
        start_from=watcher["start_from"],
        on_position_lost=watcher["on_position_lost"],
        memory=watcher["memory"],
        mapping_paths=mapping_paths,
        max_store_bytes=watcher["max_store"],
        retention_delivered=watcher["retention"]["delivered"],
        retention_dead=watcher["retention"]["dead"],
        unfinished_hold=watcher["unfinished_hold"],
        log=watcher.get("log"),
        log_level=watcher["log_level"],
        traces=watcher["traces"],
        files=(
            *([source] if source else []),
            *environment.files,
            *dict.fromkeys(FilePath(file) for way in routes for file in way.tls.files),
        ),
    )


def _known(mapping_paths: Sequence[FilePath]) -> Known:
    return Known.of(*fields_of(load_mappings(mapping_paths)).values())


def _usual_file(env: Mapping[str, str]) -> FilePath | None:
    if named := env.get("WATCHER_CONFIG"):
        return FilePath(named)
    # A link that leads nowhere is there, too: a mount that went wrong must not mean "no settings".
    return USUAL_FILE if os.path.lexists(USUAL_FILE) else None


def _defaults(environment: Environment, report: Report) -> FileShape:
    tree = parse(DEFAULTS.read_text(encoding="utf-8"), ours=True).value
    expand(tree, (), (), environment, report)
    return FileShape.model_validate(tree)


def _check_traces(watcher: Mapping[str, Any], report: Report) -> None:
    if watcher["traces"] and not all(_is_installed(name) for name in TRACES_NEED):
        report.add(
            ("watcher", "traces"),
            "the packages that send traces are not installed",
            "install them (pip install 'librechat-watcher[traces]'; an image that has them:"
            " docker build --build-arg REQUIREMENTS=requirements-traces.lock), or take `traces: true` out",
        )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even what it would be in
        return False


def _check_mongo(watcher: Mapping[str, Any], report: Report) -> None:
    path = ("watcher", "mongoUri")
    if "mongo_uri" not in watcher and report.sound(path):
        cure = "set MONGO_URI as LibreChat has it, or write `mongoUri:` under `watcher:`"
        report.add(path, "is missing: where is LibreChat's MongoDB?", cure)


def _state(watcher: Mapping[str, Any], env: Mapping[str, str], report: Report) -> StateFile | StateDatabase:
    text = watcher["state"]
    if text.startswith("sqlite:"):
        return StateFile(path=_state_path(text, env, report))
    if text != IN_MONGODB:
        name = database(text) or STATE_DATABASE
        if name == (database(watcher.get("mongo_uri", "")) or USUAL_DATABASE):
            cure = f"write another name into its path, for example {STATE_DATABASE}, or no path at all"
            report.add(("watcher", "state"), f"the database {name} is LibreChat's own", cure)
        return StateDatabase(uri=text, name=name)
    if "mongo_uri" not in watcher and report.sound(("watcher", "mongoUri")):
        cure = "set MONGO_URI as LibreChat has it, or write `state: mongodb://…` with a URI of its own"
        report.add(("watcher", "state"), "is to be kept in LibreChat's MongoDB: where is that?", cure)
    return StateDatabase(uri=watcher.get("mongo_uri", ""), name=STATE_DATABASE)


def _state_path(uri: str, env: Mapping[str, str], report: Report) -> FilePath:
    path = uri.removeprefix("sqlite:///")
    if path.startswith("~/"):
        home = env.get("HOME", "")
        if not home and report.sound(("watcher", "state")):
            cure = "set WATCHER_STATE, for example to sqlite:///var/lib/librechat-watcher/state.db"
            report.add(("watcher", "state"), "~ means nothing here: HOME is not set", cure)
        path = home + path.removeprefix("~")
    return FilePath("/" + path.lstrip("/"))


def _mapping_paths(texts: Sequence[str], file: FilePath | None, report: Report) -> tuple[FilePath, ...]:
    paths = tuple(_beside(file) / text for text in texts)
    for index, path in enumerate(paths):
        if not _exists(path):
            cure = "correct the path; it counts from the settings' file"
            report.add(("watcher", "mappings", index), "no such file or folder", cure)
    return paths


def _own_events(tree: Mapping[str, Any], file: FilePath | None, report: Report) -> frozenset[str]:
    """The events that the operator's mapping files send. What is wrong in those files is reported too."""
    watcher = tree.get("watcher")
    texts = watcher.get("mappings") if isinstance(watcher, dict) else None
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        return frozenset()
    paths = [path for path in (_beside(file) / text for text in texts) if _exists(path)]
    try:
        mappings = load_mappings(paths)
    except ConfigError as error:
        for problem in error.problems:
            report.add_of(problem.where, problem.what, problem.cure)
        return frozenset()
    return frozenset(rule.event for mapping in mappings for rule in mapping.rules if rule.event)


def _beside(file: FilePath | None) -> FilePath:
    """The folder from which relative paths in the settings' file count."""
    return file.parent if file else FilePath()


def _exists(path: FilePath) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
