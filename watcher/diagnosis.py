"""Diagnosis: what stands in the way of `run`, found by trying, each finding with its cure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from watcher import stores
from watcher.adapters.http.probe import reach
from watcher.adapters.mongo.oplog import position_time
from watcher.adapters.mongo.probe import MongoReport, inspect
from watcher.config.mappings import load_mappings
from watcher.config.settings import Settings
from watcher.core.catalogue import catalogue, fields_of
from watcher.core.changes import Checkpoint
from watcher.core.endpoints import Endpoint
from watcher.core.headroom import Reach, is_scarce
from watcher.core.leases import MUCH_SKEW
from watcher.core.mapping import CollectionMapping
from watcher.core.misfits import misfits
from watcher.core.planning import Plan
from watcher.core.rehearsal import rehearse
from watcher.errors import OutboxBroken, OutboxError, SourceError
from watcher.managed import sealing_by

LITTLE_OPLOG = timedelta(hours=24)
"""A watcher that is down over a night must find its position again."""

LARGER = 'db.adminCommand({replSetResizeOplog: 1, size: MEGABYTES})   (in mongosh, on "admin")'


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    level: Literal["ok", "warning", "problem"]
    about: str
    what: str
    cure: str = ""
    """Empty when all is well."""


async def diagnose(settings: Settings) -> tuple[Finding, ...]:
    """Look at everything that `run` needs, changing nothing. Raises ConfigError for bad mapping files."""
    mappings = load_mappings(settings.mapping_paths)
    plan = Plan.of(mappings, settings.endpoints, unfinished_hold=settings.unfinished_hold)
    position, state = await _state(settings)
    mongo, receivers = await asyncio.gather(
        _mongo(settings, plan, position),
        asyncio.gather(*(_receiver(endpoint) for endpoint in settings.endpoints)),
    )
    return (
        Finding(level="ok", about="settings", what="can be used"),
        state,
        *await _managed(settings),
        *mongo,
        *receivers,
        *_filters(settings, mappings),
        *_templates(settings, mappings),
    )


async def _mongo(settings: Settings, plan: Plan, position: Checkpoint | None) -> Sequence[Finding]:
    try:
        report = await inspect(settings.mongo_uri, settings.database, plan.collections)
    except SourceError as error:
        return [_problem("MongoDB", error)]
    if not report.reachable or report.problems:
        return [_problem("MongoDB", problem) for problem in report.problems]
    return [
        Finding(
            level="ok",
            about="MongoDB",
            what=f"{report.version} at {report.hosts}, {report.kind}"
            + (f" {report.set_name}" if report.set_name else ""),
        ),
        Finding(level="ok", about="rights", what=f"the changes of {settings.database} can be read"),
        *_pre_images(report),
        _oplog(report, position),
        _clock(report),
    ]


def _pre_images(report: MongoReport) -> Sequence[Finding]:
    missing = [each.name for each in report.collections if not each.pre_images]
    if not missing:
        return [Finding(level="ok", about="pre-images", what="on for every watched collection")]
    return [
        Finding(
            level="warning",
            about="pre-images",
            what=f"off for {', '.join(missing)}: the state must remember their rows to tell what was deleted"
            " (a first scan, and about 150 bytes for each row)",
            cure="librechat-watcher prepare   (once, with a user that has dbAdmin on this database)",
        )
    ]


def _oplog(report: MongoReport, position: Checkpoint | None) -> Finding:
    if report.oplog is None:
        return Finding(
            level="ok",
            about="oplog",
            what="window unknown (it takes `read` on the database local; not needed)",
        )
    what = f"reaches back {report.oplog.span / timedelta(hours=1):.1f} h"
    reached = position_time(position) if position is not None else None
    if reached is not None:
        reach = Reach(first=report.oplog.first, last=report.oplog.last, position=reached)
        if reach.headroom < timedelta(0):
            return Finding(
                level="problem",
                about="oplog",
                what=f"the stored position ({reached.isoformat()}) is older than its beginning "
                f"({reach.first.isoformat()}): it is lost",
                cure="Decide what happens then with watcher.onPositionLost, and make the oplog larger:\n"
                + LARGER,
            )
        # On the whole an oplog is cut as fast as time goes by; one that still grows, not at all.
        what += (
            f"; the stored position is {_ago(reach.behind)} old,"
            f" and unless `run` reads on it is lost in about {_ago(reach.headroom)}"
        )
        if is_scarce(reach, reach.headroom, was=False):
            return Finding(
                level="warning",
                about="oplog",
                what=what,
                cure="See that `run` reads on, and make the oplog larger:\n" + LARGER,
            )
    if report.oplog.span < LITTLE_OPLOG:
        return Finding(
            level="warning",
            about="oplog",
            what=f"{what}. A watcher that is down for longer loses its position (a young oplog still grows)",
            cure='db.adminCommand({replSetResizeOplog: 1, minRetentionHours: 48})   (in mongosh, on "admin")',
        )
    return Finding(level="ok", about="oplog", what=what)


def _clock(report: MongoReport) -> Finding:
    skew = report.clock_skew or timedelta(0)
    what = f"MongoDB's is {abs(skew.total_seconds()):.1f} s {'ahead' if skew > timedelta(0) else 'behind'}"
    if abs(skew) > MUCH_SKEW:
        return Finding(
            level="warning", about="clock", what=what, cure="Synchronise both machines' clocks (NTP)."
        )
    return Finding(level="ok", about="clock", what=what)


async def _receiver(endpoint: Endpoint) -> Finding:
    about = f"endpoint {endpoint.name}"
    why = await reach(endpoint.url, endpoint.route)
    if why is None:
        return Finding(level="ok", about=about, what=_answering(endpoint))
    return Finding(
        level="problem",
        about=about,
        what=f"cannot be reached: {why}",
        cure=f"{cure_of(why)} Deliveries wait only as long as its retryDelays.",
    )


def cure_of(why: str) -> str:
    """Of a failure to reach a receiver, by its word (`adapters/http/faults.py`)."""
    match why.partition(":")[0]:
        case "denied":
            return "Write another url; or `denyPrivate: false`, if the receiver may be in your own network."
        case "dns":
            return "Correct the host in its url, or the name server that this machine asks."
        case "tls":
            return _tls_cure(why)
        case "proxy":
            return "Correct `proxy:` (or HTTPS_PROXY, HTTP_PROXY and NO_PROXY), or the proxy."
        case "timeout" | "network":
            return "Correct its url, or let this machine reach it: look at routes and firewalls between."
        case _:
            return "Correct its url, or start it."


def _tls_cure(why: str) -> str:
    if "files of our own settings" in why:
        return "Put the files that `tls:` names in their place."
    if "client certificate" in why:
        return "Name a certificate that it takes, and its key: `tls: {cert: …, key: …}`."
    if "trusted authority" in why:
        return (
            "If the authority is your own, name its certificate: `tls: {ca: …}`; else correct the receiver's."
        )
    if "does not speak TLS" in why:
        return "Correct the port in its url, or write http:// with `allowHttp: true`."
    return "Correct the receiver's certificate or its TLS, or the host in its url."


def _filters(settings: Settings, mappings: Sequence[CollectionMapping]) -> Iterator[Finding]:
    fields = fields_of(mappings)
    for endpoint in settings.endpoints:
        for each in misfits(endpoint, fields):
            yield Finding(
                level="warning",
                about=f"endpoint {endpoint.name}",
                what=f"its filter on {each.pattern} cannot be meant so: {each.what}",
                cure=each.cure,
            )


def _templates(settings: Settings, mappings: Sequence[CollectionMapping]) -> Iterator[Finding]:
    entries, fields = catalogue(mappings), fields_of(mappings)
    for endpoint in settings.endpoints:
        rehearsal = rehearse(endpoint, entries, fields)
        if rehearsal is None:
            continue
        about = f"endpoint {endpoint.name}"
        for each in rehearsal.unknown:
            why = "which this endpoint is not told (`omit`, `hash`, `textLength`)"
            yield Finding(
                level="warning",
                about=about,
                what=f"a template reads data.{each.path}, "
                + (why if each.hidden else "which no event that it gets has"),
                cure="Take it out of the template, or let this endpoint be told it."
                if each.hidden
                else f"Did you mean data.{each.meant}?"
                if each.meant
                else "`librechat-watcher events NAME` shows the fields.",
            )
        for reason, events in rehearsal.failing.items():
            yield Finding(
                level="problem" if rehearsal.mute else "warning",
                about=about,
                what=f"cannot be told of {', '.join(events)}: {reason}",
                cure="Correct the template: every delivery of these events would be dead."
                if rehearsal.mute
                else "Subscribe it to other events, or write `| default(…)` behind what may be missing.",
            )
        for path, events in rehearsal.missing.items():
            yield Finding(
                level="warning",
                about=about,
                what=f"data.{path} may be missing from {', '.join(events)}, and the delivery is dead then",
                cure=f"Write `data.{path} | default(…)`.",
            )


def _answering(endpoint: Endpoint) -> str:
    if endpoint.route.proxy is None:
        return "answers"
    if endpoint.url.lower().startswith("https:"):
        return "answers, through the proxy"
    return "its proxy answers; over http:// only a request tells if the receiver does, too: `ping`"


async def _state(settings: Settings) -> tuple[Checkpoint | None, Finding]:
    about = "state"
    try:
        async with stores.read(settings) as state:
            position = await state.checkpoint()
            await state.try_writing()
    except (OutboxError, OutboxBroken, SourceError) as error:
        return None, _problem(about, error)
    if position is None:
        begin = settings.start_from.isoformat() if settings.start_from else "now"
        return None, Finding(level="ok", about=about, what=f"none yet: the first start begins {begin}")
    return position, Finding(level="ok", about=about, what="holds a position")


async def _managed(settings: Settings) -> Sequence[Finding]:
    """Those that could not be opened are a problem of the settings before this is asked."""
    sealing = sealing_by(settings)
    try:
        async with stores.read(settings) as state:
            endpoints = (await state.registered()).endpoints
    except (OutboxError, OutboxBroken, SourceError):
        return []  # `_state` tells of it
    if sealing is None or not endpoints:
        return []
    about, old = "managed", [each.name for each in endpoints if not sealing.is_current(each.sealed)]
    if old:
        return [
            Finding(
                level="warning",
                about=about,
                what=f"still encrypted with another key than the first: {', '.join(old)}",
                cure="librechat-watcher endpoints reseal   (then take the old key out)",
            )
        ]
    number = f"{len(endpoints)} endpoint{'' if len(endpoints) == 1 else 's'}"
    return [Finding(level="ok", about=about, what=f"{number}, encrypted with the key")]


def _problem(about: str, error: Exception) -> Finding:
    what, _, cure = str(error).partition("\n")
    return Finding(
        level="problem", about=about, what=what, cure="\n".join(line.strip() for line in cure.splitlines())
    )


def _ago(span: timedelta) -> str:
    return str(timedelta(seconds=round(max(0.0, span.total_seconds()))))
