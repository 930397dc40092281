"""Endpoints from `webhooks:`: what each inherits, what its keys mean together, and the finished value.

Defaults, then the top level, then the endpoint's own keys: the nearest wins, mappings are merged."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from pydantic.alias_generators import to_camel

from watcher.config.forms import addressing, check_batch, form, inherited, read_level, single
from watcher.config.privacy import HIDING, check_key, check_names, hides, privacy
from watcher.config.report import Report, dotted
from watcher.config.shapes import EndpointShape, FilterShape, WebhooksShape
from watcher.config.values import is_loopback
from watcher.config.yaml_positions import Path
from watcher.core.conditions import BadCondition, compile_condition
from watcher.core.endpoints import Endpoint, Filter, RateLimit
from watcher.core.schemas import Known
from watcher.core.signing import standard_key

TOP = ("webhooks",)
TOP_NAME = "default"
"""The name of the endpoint that `webhooks.url` describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One endpoint as written, with everything that it inherits."""

    path: Path
    own: Mapping[str, Any]
    """Keys of its own."""
    keys: Mapping[str, Any]
    """All keys, inherited ones too. `url` and `name` may be missing: then that is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """What `webhooks:` says for all its endpoints, with the defaults below it."""

    own: Mapping[str, Any] = field(repr=False)
    """What is written there."""
    keys: Mapping[str, Any] = field(repr=False)
    usual_format: str
    """Of an endpoint that makes its body in its own way."""

    @classmethod
    def of(cls, shape: WebhooksShape, defaults: Mapping[str, Any], report: Report) -> Self:
        own = _level(TOP, shape.given(), report)
        return cls(own=own, keys=over(defaults, own), usual_format=defaults["format"])

    @property
    def enabled(self) -> bool:
        return bool(self.keys["enabled"])

    def receiver(self, path: Path, shape: EndpointShape, report: Report) -> Receiver:
        """One of its endpoints. What does not go together is reported."""
        shared = {key: value for key, value in self.keys.items() if key not in NOT_INHERITED}
        own = _level(path, shape.given(), report)
        above = inherited(shared, own, usual=self.usual_format)
        receiver = Receiver(path=path, own=own, keys=over(above, own))
        _check(receiver, report)
        return receiver


NOT_INHERITED = ("url", "enabled", "endpoints")


def receivers(top: Top, report: Report, *, needed: bool) -> Sequence[Receiver]:
    """Everybody who is to be told; nobody with `enabled: false`. What does not go together is reported."""
    found = []
    if "url" in top.own:
        found.append(Receiver(path=TOP, own=top.own, keys={**top.keys, "name": TOP_NAME}))
        _check(found[0], report)
    for index, listed in enumerate(top.keys["endpoints"]):
        path = (*TOP, "endpoints", index)
        if report.sound(path):
            found.append(top.receiver(path, listed, report))

    _check_names(found, report)
    if not top.enabled:
        return ()
    if needed and not top.keys["endpoints"]:
        _check_anybody(found, report)
    return found


def check_fields(found: Sequence[Receiver], known: Callable[[], Known], report: Report) -> None:
    """Tell which names of fields no event has. `known` is asked only if somebody names one."""
    hiding = [receiver for receiver in found if hides(receiver.keys)]
    if hiding:
        lists = {
            (*(receiver.path if key in receiver.own else TOP), key): receiver.keys.get(key, [])
            for receiver in hiding
            for key in HIDING
        }
        check_names(lists.items(), known(), report)


def endpoint(receiver: Receiver) -> Endpoint:
    """The finished value. Only when nothing was reported."""
    keys = receiver.keys
    delays = itertools.chain(keys["retry_delays"], itertools.repeat(keys["retry_delays"][-1]))
    return Endpoint(
        name=keys["name"],
        url=keys["url"],
        secrets=() if keys["signing"] == "none" else keys["secret"],
        signing=keys["signing"],
        events=tuple(keys["events"]),
        filters=tuple(keys["filters"]),
        headers=tuple(keys["headers"].items()),
        retry_delays=tuple(timedelta(seconds=s) for s in itertools.islice(delays, keys["retries"])),
        timeout=timedelta(milliseconds=keys["timeout"]),
        rate=RateLimit(**keys["rate_limit"] | ({"batch_size": 1} if single(keys) else {})),
        ordered=keys["ordering"] == "entity",
        privacy=privacy(keys),
        form=form(keys),
        addressing=addressing(keys),
    )


def over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """The upper level's keys before the lower's; mappings are merged, headers in any spelling.

    >>> over({"http": {"listen": 1, "token": 2}, "log": 3}, {"http": {"token": 4}})
    {'log': 3, 'http': {'listen': 1, 'token': 4}}
    """
    spelled = {key.lower() for key in upper}
    merged = {key: value for key, value in lower.items() if key.lower() not in spelled} | dict(upper)
    for key, value in lower.items():
        if isinstance(value, dict) and key in upper:
            merged[key] = over(value, upper[key])
    return merged


# --- one level --------------------------------------------------------------------------------------------


def _level(path: Path, given: dict[str, Any], report: Report) -> dict[str, Any]:
    """What one level says, its filters and templates read, `retries` and `retryDelays` agreeing."""
    if "filters" in given:
        given["filters"] = _compiled((*path, "filters"), given["filters"], report)
    read_level(path, given, report)

    delays = given.get("retry_delays")
    if delays is not None:
        if given.get("retries", len(delays)) != len(delays):
            what = f"retries is {given['retries']}, but retryDelays has {len(delays)} items"
            report.add((*path, "retryDelays"), what, "remove `retries`: the list sets it")
        given["retries"] = len(delays)
    if not delays:
        # No retries here; an endpoint that wants some still finds delays further down.
        given.pop("retry_delays", None)
    return given


def _compiled(path: Path, shapes: Sequence[FilterShape], report: Report) -> Sequence[Filter]:
    filters = []
    for index, shape in enumerate(shapes):
        try:
            predicate = compile_condition(shape.condition)
        except BadCondition as bad:
            for problem in bad.problems:
                report.add((*path, index, "condition", *problem.path), problem.what, problem.cure)
        else:
            filters.append(Filter(pattern=shape.event, condition=shape.condition, predicate=predicate))
    return filters


# --- what keys mean together ------------------------------------------------------------------------------


def _check(receiver: Receiver, report: Report) -> None:
    path, keys = receiver.path, receiver.keys

    def sound(name: str) -> bool:
        key = to_camel(name)
        return report.sound((*path, key)) and (name in receiver.own or report.sound((*TOP, key)))

    for key in ("name", "url"):
        if key not in keys and report.sound((*path, key)):
            report.add((*path, key), "is missing", f"write `{key}:` for each of `endpoints:`")

    plain = keys.get("url", "").lower().startswith("http://")
    if plain and sound("allow_http") and not (keys["allow_http"] or is_loopback(keys["url"])):
        cure = "use https://; or write `allowHttp: true` if the network between is yours alone"
        report.add((*path, "url"), "http:// shows the events to everybody in between", cure)

    if "secret" not in keys and keys["signing"] != "none" and sound("secret") and sound("signing"):
        variable = " (or set WEBHOOK_SECRET)" if path == TOP else ""
        cure = f"write `secret:`{variable}; or `signing: none` if the receiver verifies nothing"
        report.add(
            (*path, "secret"), "is missing: receivers could not tell our events from forged ones", cure
        )
    elif (
        keys["signing"] in ("standard", "both") and "secret" in keys and sound("secret") and sound("signing")
    ):
        for secret in keys["secret"]:
            try:
                standard_key(secret)
            except ValueError as bad:
                cure = "copy the secret anew: its key is base64; one without whsec_ is taken as it is"
                report.add((*path, "secret"), f"is no secret of Standard Webhooks: {bad}", cure)

    if sound("hash") and sound("hash_key") and sound("secret") and sound("signing"):
        check_key(path, keys, report)
    if report.sound((*path, "rateLimit")):
        check_batch(path, receiver.own, keys, report)


def _check_names(found: Sequence[Receiver], report: Report) -> None:
    taken: dict[str, Path] = {}
    for receiver in found:
        name = receiver.keys.get("name")
        if name is None:
            continue
        first = taken.setdefault(name.lower(), receiver.path)
        if first != receiver.path:
            holder = "webhooks.url (the endpoint `default`)" if first == TOP else dotted(first)
            what = f"the name `{name}` is taken by {holder}"
            report.add((*receiver.path, "name"), what, "give each endpoint a name of its own")


def _check_anybody(found: Sequence[Receiver], report: Report) -> None:
    keys = [(*TOP, key) for key in ("url", "endpoints", "enabled")]
    if not found and all(report.sound(key) for key in keys):
        cure = (
            "set WEBHOOK_URL and WEBHOOK_SECRET, or write `url:` and `secret:` (or `endpoints:`) under it;"
            " or set WATCHER_SECRET_KEY, and make endpoints on the page"
        )
        report.add(TOP, "nothing to send to: no endpoint is configured", cure)
