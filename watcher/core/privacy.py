"""Privacy: what an endpoint is not told. Fields left out, hashed, or told by their length only.

The laws: what is hidden is hidden everywhere in the body, at any depth; and a value has one hash at an
endpoint, under whatever name and in whatever event, so that who may not know it can still join by it. Filters
judge an event as it was before."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from watcher.core.encoding import MAX_DEPTH, encode
from watcher.core.events import Event

TEXT, TEXT_LENGTH = "text", "textLength"
"""The field that `textLength` is about, and what stands in its place."""

USER = "userId"
"""The one name that the body's envelope has in common with `data`."""

DERIVED_FROM = b"librechat-watcher hash"
"""What a signing secret is keyed with to give the key of hashes: a hash tells nothing of a signature."""

Hiding = Literal["omit", "hash"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What is hidden. A bare name means every field of that name, a dotted one a path from `data`."""

    omit: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    text_length: bool = False
    key: bytes = field(default=b"", repr=False)
    """Of the hashes. Whoever has it can try out which value a hash stands for."""
    _paths: _Paths = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_paths", _paths(self.omit, self.hash))

    def seal(self, event: Event) -> Event:
        """The event as the endpoint may know it."""
        return replace(
            event, data=self._sealed(event.data, MAX_DEPTH, self._paths), user_id=self._user(event)
        )

    def identity(self, event: Event) -> str | None:
        """The id of what the event is about, as the endpoint may know it.

        It is hidden where its own field is (`conversationId` of a conversation), in this event or not; and
        where any hidden field of this event has that value, whatever its name."""
        kind, _, identity = event.entity.partition(":")
        hidings = {hiding for hiding, value in self._hidden(event) if str(value) == identity}
        own = self._paths.bare.get(f"{kind}Id")
        if own is not None:
            hidings.add(own)
        if "omit" in hidings:
            return None
        return hashed(identity, self.key) if hidings else identity

    def shown(self, paths: Iterable[str]) -> frozenset[str]:
        """Of the paths that fields of `data` may have, those under which it still finds something."""
        return frozenset(shown for path in paths if (shown := self._shown(path.split("."))) is not None)

    def _shown(self, names: list[str]) -> str | None:
        paths: _Paths | None = self._paths
        for place, name in enumerate(names):
            hiding = self._hiding(name, paths)
            if hiding == "omit" or (hiding == "hash" and place < len(names) - 1):
                return None
            paths = paths.below.get(name) if paths else None
        if self.text_length and names[-1] == TEXT:
            return ".".join((*names[:-1], TEXT_LENGTH))
        return ".".join(names)

    def _user(self, event: Event) -> str | None:
        match self._paths.bare.get(USER):
            case "omit":
                return None
            case "hash" if event.user_id is not None:
                return hashed(event.user_id, self.key)
            case _:
                return event.user_id

    def _sealed(self, value: Any, levels: int, paths: _Paths | None) -> Any:
        if not levels:
            return value  # so deep, whatever it holds is written as null
        if isinstance(value, list | tuple):
            return [self._sealed(item, levels - 1, paths) for item in value]
        if not isinstance(value, Mapping):
            return value
        sealed: dict[str, Any] = {}
        for name, item in value.items():
            hiding = self._hiding(name, paths)
            if hiding == "omit":
                continue
            if self.text_length and name == TEXT and item is not None:
                if isinstance(item, str):  # what else a row may have there is not told at all
                    sealed[TEXT_LENGTH] = len(item)
            elif hiding == "hash":
                sealed[name] = None if item is None else hashed(item, self.key)
            else:
                sealed[name] = self._sealed(item, levels - 1, paths.below.get(name) if paths else None)
        return sealed

    def _hiding(self, name: str, paths: _Paths | None) -> Hiding | None:
        here = paths.here.get(name) if paths else None
        return here if here == "omit" else self._paths.bare.get(name, here)

    def _hidden(self, event: Event) -> Iterator[tuple[Hiding, Any]]:
        """Every single value that is left out or hashed."""
        if (hiding := self._paths.bare.get(USER)) is not None:
            yield hiding, event.user_id
        yield from self._hidden_in(event.data, MAX_DEPTH, self._paths)

    def _hidden_in(self, value: Any, levels: int, paths: _Paths | None) -> Iterator[tuple[Hiding, Any]]:
        if not levels:
            return
        if isinstance(value, list | tuple):
            for item in value:
                yield from self._hidden_in(item, levels - 1, paths)
        elif isinstance(value, Mapping):
            for name, item in value.items():
                hiding = self._hiding(name, paths)
                if hiding is not None:
                    yield from ((hiding, leaf) for leaf in _leaves(item, levels - 1))
                else:
                    yield from self._hidden_in(item, levels - 1, paths.below.get(name) if paths else None)


def hashed(value: Any, key: bytes) -> str:
    """The keyed hash of a value: HMAC-SHA256 of what the body would show of it, in lower-case hex.

    A text by its UTF-8, all else by its JSON with sorted names: a receiver who has the key can make it, too.

    >>> hashed("u1", b"key") == hmac.digest(b"key", b"u1", "sha256").hex()
    True
    """
    return hmac.digest(key, _shown(value), "sha256").hex()


def derived_key(secret: bytes) -> bytes:
    """The key of hashes where none is given, from a signing secret."""
    return hmac.digest(secret, DERIVED_FROM, "sha256")


def _shown(value: Any) -> bytes:
    written = encode(value)
    shown = json.loads(written)
    if isinstance(shown, str):
        return shown.encode()
    return encode(_in_order(shown)) if isinstance(shown, dict | list) else written


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_order(value[name]) for name in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def _leaves(value: Any, levels: int) -> Iterator[Any]:
    if isinstance(value, Mapping | list | tuple):
        if levels:
            for item in value.values() if isinstance(value, Mapping) else value:
                yield from _leaves(item, levels - 1)
    else:
        yield value


# ---------------------------------------------------------------- the names, laid out for the walk


@dataclass(slots=True)
class _Paths:
    """What is hidden from a place on downwards. Lists are walked through without a step of their own."""

    here: dict[str, Hiding] = field(default_factory=dict)
    below: dict[str, _Paths] = field(default_factory=dict)
    bare: dict[str, Hiding] = field(default_factory=dict)
    """At any depth; in the topmost only."""


def _paths(omit: tuple[str, ...], hash_: tuple[str, ...]) -> _Paths:
    top = _Paths()
    hidings: tuple[tuple[tuple[str, ...], Hiding], ...] = ((hash_, "hash"), (omit, "omit"))
    for names, hiding in hidings:  # what is both is left out
        for name in names:
            *holders, last = name.split(".")
            if not holders:
                top.bare[last] = hiding
                continue
            place = top
            for holder in holders:
                place = place.below.setdefault(holder, _Paths())
            place.here[last] = hiding
    return top
