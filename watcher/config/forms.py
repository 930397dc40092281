"""Forms as an operator writes them: one way to make the body, and templates in URL and headers.

What reads templates is loaded only where there are some: it takes as long as all the rest of a start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from watcher.config.report import Report
from watcher.config.yaml_positions import Path
from watcher.core.forms import DOCUMENTED, Addressing, CloudEvents, Form, is_template

if TYPE_CHECKING:
    from watcher.config.templates.speech import Fault

WAYS = ("preset", "transform", "format")
"""Keys that say what the body is: whoever writes one of them inherits none of the others."""


def read_level(path: Path, given: dict[str, Any], report: Report) -> None:
    """Read the templates of one level of the settings, in its place, and tell what is wrong with them."""
    ways = [way for way in WAYS if way in given and given[way] != "librechat"]
    if len(ways) > 1:
        what = f"`{ways[0]}` makes the body already, and there is one body only"
        report.add((*path, ways[1]), what, "keep one of the two, or give each an endpoint of its own")
    faults: list[tuple[Path, Fault]] = []
    if "transform" in given:
        from watcher.config.templates.trees import read_transform

        in_transform: list[tuple[Path, Fault]] = []
        given["transform"] = read_transform(given["transform"], in_transform)
        faults += [(("transform", *at), fault) for at, fault in in_transform]
    _addressing(given, faults)
    for at, fault in faults:
        report.add((*path, *at), fault.what, fault.cure)


def inherited(keys: Mapping[str, Any], own: Mapping[str, Any], *, usual: str) -> Mapping[str, Any]:
    """What an endpoint inherits. `usual`: the format of one that makes its body in its own way."""
    if not any(way in own for way in WAYS):
        return keys
    return {key: value for key, value in keys.items() if key not in WAYS} | {"format": usual}


def form(keys: Mapping[str, Any]) -> Form:
    """What an endpoint's keys make of a body. Only when nothing was reported."""
    if "preset" in keys:
        from watcher.config.templates.trees import read_preset

        return read_preset(keys["preset"])
    if "transform" in keys:
        made: Form = keys["transform"]
        return made
    return CloudEvents() if keys["format"] == "cloudevents" else DOCUMENTED


def addressing(keys: Mapping[str, Any]) -> Addressing | None:
    """What fills an endpoint's URL and headers. Only when nothing was reported."""
    return _addressing(keys, [])


def single(keys: Mapping[str, Any]) -> str | None:
    """Why an endpoint gets each event in a request of its own; None if it need not."""
    if "preset" in keys:
        return "a preset tells one event"
    if any(map(is_template, _texts(keys))):
        return "its URL or headers are made of one event"
    return None


def check_batch(path: Path, own: Mapping[str, Any], keys: Mapping[str, Any], report: Report) -> None:
    """Told where it is written; inherited from above, a batch is one event there."""
    why = single(keys)
    if why is not None and own.get("rate_limit", {}).get("batch_size", 1) > 1:
        report.add((*path, "rateLimit", "batchSize"), f"cannot be more than 1: {why}", "remove it")


def _addressing(keys: Mapping[str, Any], faults: list[tuple[Path, Fault]]) -> Addressing | None:
    if not any(map(is_template, _texts(keys))):
        return None
    from watcher.config.templates.trees import read_addressing

    return read_addressing(keys.get("url", ""), keys.get("headers", {}), faults)


def _texts(keys: Mapping[str, Any]) -> Iterable[str]:
    return [keys.get("url", ""), *keys.get("headers", {}).values()]
