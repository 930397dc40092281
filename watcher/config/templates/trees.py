"""Transforms and addresses: what texts with holes in them are put together to.

A transform is YAML (a mapping, a list or a text) whose texts are templates, so what it gives is JSON by its
make, whatever stands in the holes. An address is a URL and headers; no hole can break out of its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from watcher.config.report import dotted
from watcher.config.templates import escapes
from watcher.config.templates.budget import Budget, CannotFill
from watcher.config.templates.expressions import Scope
from watcher.config.templates.plain import kind_of, settled, text_of
from watcher.config.templates.reading import Text, read
from watcher.config.templates.speech import Fault, Speech
from watcher.config.yaml_positions import Path, parse
from watcher.core.changes import Document
from watcher.core.forms import Address, Addressing, Failed, Filled, Transform, is_template

PRESETS = FilePath(__file__).parent.with_name("presets")
"""Ready-made transforms, one file each: what may be copied into `transform:` and changed."""

MAX_LEVELS = 50
"""Of a transform: half of what a body may have, so that there is room for what stands in its holes."""

MAX_URL = 8_000
MAX_HEADER = 8_000
"""Letters. Most servers take no more."""

Faults = list[tuple[Path, Fault]]
"""What is wrong, each with where in the tree."""


def read_transform(source: Any, faults: Faults, *, name: str = "transform") -> Transform:
    """A transform; worth nothing once something is among the faults."""
    reads: set[str] = set()
    tree = _tree(source, (), name, reads, faults)

    def fill(context: Document) -> Filled | Failed:
        budget = Budget()
        try:
            return Filled(value=settled(tree(context, budget), budget))
        except _Unfilled as failed:
            return Failed(reason=str(failed))
        except CannotFill as failed:
            return Failed(reason=f"{name}: {failed}")
        except Exception as error:
            # A fault of ours. Its text may quote the document; its type does not.
            return Failed(reason=f"{name}: {type(error).__name__}")

    return Transform(name=name, source=source, fill=fill, reads=tuple(sorted(reads)))


@cache
def read_preset(name: str) -> Transform:
    """One of the ready-made transforms."""
    faults: Faults = []
    source = parse((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"), ours=True).value
    transform = read_transform(source, faults, name=f"preset {name}")
    assert not faults, faults
    return transform


def read_addressing(url: str, headers: Mapping[str, str], faults: Faults) -> Addressing | None:
    """What fills URL and headers; None where none of them is a template."""
    templates = {
        name: read(text, speech=_HEADER, sole=False) for name, text in headers.items() if is_template(text)
    }
    place = read(url, speech=_URL, sole=False) if is_template(url) else None
    faults += [(("url",), fault) for fault in (place.faults if place else ())]
    faults += [(("headers", name), fault) for name, text in templates.items() for fault in text.faults]
    if place is None and not templates:
        return None

    def address(context: Document) -> Address | Failed:
        budget = Budget()
        try:
            where = url if place is None else _url(_filled(place, context, budget, "url"))
            filled = {
                name: _header(name, _filled(text, context, budget, f"headers.{name}"))
                for name, text in templates.items()
            }
        except _Unfilled as failed:
            return Failed(reason=str(failed))
        except Exception as error:
            return Failed(reason=f"url, headers: {type(error).__name__}")
        return Address(url=where, headers=tuple({**headers, **filled}.items()))

    reads = frozenset[str]().union(
        *(each.reads for each in (*templates.values(), *([place] if place else [])))
    )
    return Addressing(address=address, reads=tuple(sorted(reads)))


class _Unfilled(Exception):
    """Says where and why."""


def _filled(text: Text, context: Document, budget: Budget, where: str) -> Any:
    try:
        return text.fill(Scope(dict(context), budget))
    except CannotFill as failed:
        raise _Unfilled(f"{where}: {failed}") from None


# ---------------------------------------------------------------- transforms

_Tree = Callable[[Document, Budget], Any]


def _tree(source: Any, path: Path, name: str, reads: set[str], faults: Faults) -> _Tree:
    if len(path) > MAX_LEVELS:
        faults.append((path, Fault(f"nests more than {MAX_LEVELS} levels", "make it flatter")))
        return lambda context, budget: None
    match source:
        case dict():
            faults += list(_keys(source, path))
            named = {key: _tree(each, (*path, key), name, reads, faults) for key, each in source.items()}
            return lambda context, budget: {key: each(context, budget) for key, each in named.items()}
        case list():
            listed = [_tree(each, (*path, index), name, reads, faults) for index, each in enumerate(source)]
            return lambda context, budget: [each(context, budget) for each in listed]
        case str() if is_template(source):
            text, where = read(source), dotted((name, *path))
            reads |= text.reads
            faults += [(path, fault) for fault in text.faults]
            return lambda context, budget: _filled(text, context, budget, where)
        case _:
            return lambda context, budget: source


def _keys(source: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Fault]]:
    for key in source:
        if is_template(key):
            yield (
                (*path, key),
                Fault("a key with a template in it", "keys stay as they are; put it in a value"),
            )


# ---------------------------------------------------------------- addresses


def _in_url(value: Any, budget: Budget) -> str:
    """No letter is left that means anything in a URL."""
    if value is None or isinstance(value, list | dict):
        raise CannotFill(f"{kind_of(value)} cannot stand in a URL")
    text = text_of(value, budget)
    budget.make(escapes.LONGEST_PERCENT * len(text))
    return escapes.percent(text)


def _in_header(value: Any, budget: Budget) -> str:
    """No letter is left that ends a line, or that receivers read in different ways."""
    text = re.sub(r"[\x00-\x1f\x7f]", " ", text_of(value, budget))
    budget.make(escapes.LONGEST_PERCENT * len(text))
    return escapes.percent(text, safe=escapes.PRINTABLE_ASCII)


_URL = Speech(
    spoken=_in_url,
    refused={
        "urlencode": Fault("`urlencode` encodes a second time", "remove it: each value here is encoded")
    },
    secret=True,
)
_HEADER = Speech(spoken=_in_header, secret=True)


def _url(text: str) -> str:
    """The URL, if no hole has made it lead elsewhere."""
    if len(text) > MAX_URL:
        raise _Unfilled(f"url: is longer than {MAX_URL:,} letters")
    path = text.partition("?")[0].lower().replace("%2e", ".")
    if any(segment in (".", "..") for segment in path.split("/")):
        raise _Unfilled("url: its path has `.` or `..` between slashes, which would lead elsewhere")
    return text


def _header(name: str, text: str) -> str:
    if len(text) > MAX_HEADER:
        raise _Unfilled(f"headers.{name}: is longer than {MAX_HEADER:,} letters")
    return text.strip()
