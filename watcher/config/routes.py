"""How each endpoint is reached: its `tls:`, `proxy:` and `denyPrivate:`, and what these mean together."""

from __future__ import annotations

from pathlib import Path as FilePath

from pydantic.alias_generators import to_camel

from watcher.config.proxies import Surroundings, proxy_of
from watcher.config.receivers import TOP, Receiver
from watcher.config.report import Report
from watcher.config.tls import Part, tls_of
from watcher.config.yaml_positions import Path
from watcher.core.routes import Proxy, Route, Tls


def route(receiver: Receiver, *, folder: FilePath, surroundings: Surroundings, report: Report) -> Route:
    """The finished value; worth nothing once something was reported. `folder`: where relative paths begin."""
    proxy, named_by = _proxy(receiver, surroundings, report)
    deny_private = receiver.keys["deny_private"]
    place = _place(receiver, "deny_private")
    if deny_private and proxy is not None and report.sound(place):
        report.spoil(place)  # what many endpoints inherit is told once
        report.add(
            place,
            f"cannot be kept: the proxy ({named_by}) looks the name up and connects, not we",
            "write `proxy: none` for this endpoint; or `denyPrivate: false`, and let the proxy refuse",
        )
    return Route(tls=_tls(receiver, folder, report), proxy=proxy, deny_private=deny_private)


def _proxy(receiver: Receiver, surroundings: Surroundings, report: Report) -> tuple[Proxy | None, str]:
    """The proxy, and who names it."""
    if "proxy" in receiver.keys:
        return proxy_of(receiver.keys["proxy"]), "`proxy:`"
    if "url" not in receiver.keys or not report.sound(_place(receiver, "proxy")):
        return None, ""
    return surroundings.proxy_for(receiver.keys["url"]) or (None, "")


def _tls(receiver: Receiver, folder: FilePath, report: Report) -> Tls:
    written, own = dict(receiver.keys.get("tls", {})), receiver.own.get("tls", {})
    if "cert" in own and "key" not in own:
        written.pop("key", None)  # another certificate's
    return tls_of(
        {
            name: Part(
                path=(*(receiver.path if name in own else TOP), "tls", name), file=folder / str(written[name])
            )
            for name in ("ca", "cert", "key")
            if name in written
        },
        report,
    )


def _place(receiver: Receiver, name: str) -> Path:
    """Where a key was written: at the endpoint, or at the top for all."""
    return (*(receiver.path if name in receiver.own else TOP), to_camel(name))
