"""Managing: endpoints made, changed and dropped at run time, each change with its line in the audit list.

The law: a definition is stored only after the settings have made an endpoint of it; and who changes one has
seen the last change of it."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from watcher.core.addresses import display_url
from watcher.core.endpoints import Endpoint
from watcher.core.managing import Act, AuditEntry, Definition, Origin, Sealed
from watcher.core.signing import STANDARD_PREFIX
from watcher.errors import ConfigError, Problem, Unsealable
from watcher.ports import Clock, Registry, Sealing

IS_OFF = (
    "managing endpoints is off: there is no key to encrypt their secrets with."
    " Set WATCHER_SECRET_KEY (openssl rand -base64 32), and keep it as you keep the state."
)
OR_DELETE = "or drop it with all that waits for it: librechat-watcher endpoints delete {name}"

SECRET_BYTES = 32
"""Of a generated secret. Standard Webhooks asks for 24 to 64."""

DEEPEST = 200
"""Levels of a definition: more than its keys may have, and far from the depth at which Python gives up."""

HIDDEN = "(hidden)"
"""Stands for each value that may be secret."""


class NotDone(Exception):
    """It cannot be done as things are: why, and the cure."""

    def __init__(self, why: Literal["off", "unknown", "taken", "changed", "locked"], text: str) -> None:
        super().__init__(text)
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Managed:
    """A managed endpoint, opened."""

    stored: Sealed
    definition: Definition = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """After a change."""

    managed: Managed
    secret: str | None = field(repr=False)
    """One that was generated just now: shown this once, and never again."""


class Managing:
    """All that can be done with managed endpoints."""

    def __init__(
        self,
        registry: Registry,
        *,
        sealing: Callable[[], Sealing | None],
        define: Callable[[Definition], Endpoint],
        locked: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        """`sealing`: None where there is no key. `define`: by the settings as they are now; raises
        ConfigError. `locked`: the names in the settings' file."""
        self._registry = registry
        self._sealing = sealing
        self._define = define
        self._locked = locked
        self._clock = clock

    @property
    def is_on(self) -> bool:
        return self._sealing() is not None

    async def spelled(self, name: str) -> str | None:
        """The name of a managed endpoint as it is written there, in large and small letters; None: there is
        none. Raises OutboxError."""
        stored = (await self._registry.registered()).endpoints
        return next((each.name for each in stored if each.name.lower() == name.lower()), None)

    async def is_free(self, name: str) -> bool:
        """Whether no endpoint has this name. Raises OutboxError."""
        return not self._is_locked(name) and await self.spelled(name) is None

    async def every(self) -> Sequence[Managed]:
        """Those that can be opened. Raises OutboxError."""
        return self.opened((await self._registry.registered()).endpoints)

    def opened(self, registered: Sequence[Sealed]) -> Sequence[Managed]:
        """Those of them that can be."""
        found, sealing = [], self._sealing()
        for stored in registered:
            try:
                found.append(Managed(stored=stored, definition=definition_of(stored, sealing)))
            except ConfigError:
                continue  # where it matters, its settings are refused
        return found

    async def create(self, definition: Definition, origin: Origin) -> Made:
        """Raises NotDone, ConfigError for what is wrong with the definition, or OutboxError."""
        sealing = self._demand_on()
        # With another key than the others have it would keep every replica from starting, this one too.
        for each in (await self._registry.registered()).endpoints:
            definition_of(each, sealing)
        _demand_flat(definition)
        whole, secret = _with_secret(definition)
        endpoint = await asyncio.to_thread(self._define, whole)
        self._demand_unlocked(endpoint.name)
        now = self._clock.now()
        stored = Sealed(name=endpoint.name, revision=0, created_at=now, changed_at=now, sealed=b"")
        entry = self._entry("endpoint.created", endpoint.name, origin, keys=sorted(definition))
        return await self._store(Managed(stored=stored, definition=whole), None, entry, secret)

    async def change(self, name: str, patch: Mapping[str, Any], origin: Origin, *, seen: int | None) -> Made:
        """`patch`: keys that get another value, or none (null); mappings are merged (RFC 7396). `seen`: the
        revision that was looked at; None: whichever. Raises NotDone, ConfigError or OutboxError."""
        before = await self._named(name)
        if seen is not None and before.stored.revision != seen:
            raise _changed_meanwhile(name)
        _demand_flat(patch)
        patch = _unveiled(patch, before.definition)
        if patch.get("name", before.stored.name) != before.stored.name:
            cure = "leave it as it is; or make a new endpoint, and delete this one"
            raise ConfigError([Problem(where="name", what="cannot be changed", cure=cure)])
        definition, secret = _with_secret({**merged(before.definition, patch), "name": before.stored.name})
        await asyncio.to_thread(self._define, definition)
        # A key that neither has is nothing that was changed, whatever somebody pasted there.
        keys = sorted(patch.keys() & {*before.definition, *definition})
        entry = self._entry("endpoint.changed", before.stored.name, origin, keys=keys)
        return await self._store(
            replace(before, definition=definition), before.stored.revision, entry, secret
        )

    async def rotate(self, name: str, origin: Origin, *, secret: str | None, keep_old: bool) -> Made:
        """Sign with another secret from now on: with this one, or a new one. `keep_old`: the one before goes
        on to sign beside it where the signature has room (`standard`), so that a receiver may have either.

        Raises NotDone, ConfigError or OutboxError."""
        before = await self._named(name)
        generated = None if secret is not None else a_secret()
        old = _secrets_of(before.definition)
        # Hashes, which it may inherit, are made with the oldest one: while old ones are kept, that stays.
        hidden = (await asyncio.to_thread(self._define, before.definition)).privacy
        kept = dict.fromkeys([*old[:1], *(old[-1:] if hidden is not None and hidden.hash else ())])
        definition = {
            **before.definition,
            "secret": [secret or generated, *(kept if keep_old else ())],
        }
        await asyncio.to_thread(self._define, definition)
        entry = self._entry("secret.rotated", before.stored.name, origin, kept=len(kept) if keep_old else 0)
        return await self._store(
            replace(before, definition=definition), before.stored.revision, entry, generated
        )

    async def retire(self, name: str, origin: Origin) -> Made:
        """Forget the secrets of before the last rotation. Raises NotDone, ConfigError or OutboxError."""
        before = await self._named(name)
        definition = {**before.definition, "secret": _secrets_of(before.definition)[:1]}
        await asyncio.to_thread(self._define, definition)
        entry = self._entry("secret.retired", before.stored.name, origin)
        return await self._store(replace(before, definition=definition), before.stored.revision, entry, None)

    async def delete(self, name: str, origin: Origin) -> None:
        """Works without the key, too. Raises NotDone or OutboxError."""
        stored = await self._stored(name)
        entry = self._entry("endpoint.deleted", stored.name, origin)
        if not await self._registry.deregister(stored.name, replacing=stored.revision, entry=entry):
            raise _changed_meanwhile(name)

    async def reseal(self, origin: Origin) -> int:
        """Encrypt with the first key what an older one still opens; how many it were.

        Raises NotDone, ConfigError where none opens it, or OutboxError."""
        sealing = self._demand_on()
        old = [
            each
            for each in (await self._registry.registered()).endpoints
            if not sealing.is_current(each.sealed)
        ]
        for stored in old:
            managed = Managed(stored=stored, definition=definition_of(stored, sealing))
            entry = self._entry("endpoint.changed", stored.name, origin, why="encrypted with another key")
            await self._store(managed, stored.revision, entry, None)
        return len(old)

    async def candidate(self, definition: Definition, name: str | None) -> Endpoint:
        """An endpoint to be tried: of a definition, or of a change of a managed one. What it needs besides, a
        name and a URL, it gets. Raises NotDone, ConfigError or OutboxError."""
        _demand_flat(definition)
        if name is not None:
            before = (await self._named(name)).definition
            whole = merged(before, _unveiled(definition, before))
        else:
            whole = {"name": "trial", "url": "https://nowhere.invalid/", **definition}
        return await asyncio.to_thread(self._define, _with_secret(whole)[0])

    # ------------------------------------------------------------------ helpers

    async def _store(self, managed: Managed, seen: int | None, entry: AuditEntry, secret: str | None) -> Made:
        sealing, name = self._demand_on(), managed.stored.name
        sealed = sealing.seal(json.dumps(dict(managed.definition)), name=name)
        stored = replace(managed.stored, sealed=sealed, changed_at=self._clock.now())
        revision = await self._registry.register(stored, replacing=seen, entry=entry)
        if revision is None and seen is None:
            raise NotDone("taken", f"there is a managed endpoint {name!r} already. Take another name.")
        if revision is None:
            raise _changed_meanwhile(name)
        return Made(managed=replace(managed, stored=replace(stored, revision=revision)), secret=secret)

    async def _named(self, name: str) -> Managed:
        sealing, stored = self._demand_on(), await self._stored(name)
        return Managed(stored=stored, definition=definition_of(stored, sealing))

    async def _stored(self, name: str) -> Sealed:
        known = {each.name.lower(): each for each in (await self._registry.registered()).endpoints}
        if name.lower() in known:
            return known[name.lower()]
        self._demand_unlocked(name)
        names = ", ".join(each.name for each in known.values()) or "none"
        raise NotDone("unknown", f"no managed endpoint {name!r}. There are: {names}.")

    def _demand_on(self) -> Sealing:
        sealing = self._sealing()
        if sealing is None:
            raise NotDone("off", IS_OFF)
        return sealing

    def _demand_unlocked(self, name: str) -> None:
        if self._is_locked(name):
            raise NotDone("locked", f"{name} stands in the settings' file: it is changed there.")

    def _is_locked(self, name: str) -> bool:
        return name.lower() in {each.lower() for each in self._locked()}

    def _entry(self, act: Act, subject: str, origin: Origin, **details: Any) -> AuditEntry:
        return AuditEntry(at=self._clock.now(), act=act, subject=subject, origin=origin, details=details)


def definition_of(sealed: Sealed, sealing: Sealing | None) -> Definition:
    """What is in it. Raises ConfigError when it cannot be opened."""
    if sealing is None:
        why, cure = "and no key is set", "set WATCHER_SECRET_KEY to the key that it was encrypted with"
    else:
        try:
            found: Definition = json.loads(sealing.opened(sealed.sealed, name=sealed.name))
            return found
        except Unsealable as error:
            why = f"and {error}"
            cure = "give watcher.secretKey the key that it was encrypted with (a list may have both)"
    raise ConfigError(
        [
            Problem(
                where=f"endpoint {sealed.name}",
                what=f"it stands encrypted in the state, {why}",
                cure=f"{cure}; {OR_DELETE.format(name=sealed.name)}",
            )
        ]
    )


def merged(target: Any, patch: Any) -> Any:
    """A JSON Merge Patch (RFC 7396), applied.

    >>> merged({"headers": {"a": 1, "b": 2}, "retries": 3}, {"headers": {"a": None}, "timeout": 9})
    {'headers': {'b': 2}, 'retries': 3, 'timeout': 9}
    """
    if not isinstance(patch, Mapping):
        return patch
    left = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            left.pop(key, None)
        else:
            left[key] = merged(left.get(key), value)
    return left


def veiled(definition: Definition) -> dict[str, Any]:
    """A definition as it may be shown: what may be secret is hidden, but that it is there.

    >>> veiled({"url": "https://hooks.slack.example/T0/B0/x", "secret": ["a", "b"], "headers": {"A": "b"}})
    {'url': 'https://hooks.slack.example/…', 'headers': {'A': '(hidden)'}}
    """
    shown = {key: value for key, value in definition.items() if key != "secret"}
    if "url" in shown:
        shown["url"] = display_url(shown["url"])
    if "headers" in shown:
        shown["headers"] = dict.fromkeys(shown["headers"], HIDDEN)
    if "hashKey" in shown:
        shown["hashKey"] = HIDDEN
    return shown


def _unveiled(patch: Mapping[str, Any], before: Definition) -> Mapping[str, Any]:
    """Without what stands in it as `veiled` shows it: nobody means to send to `https://crm.example/…`."""
    hidden, kept = veiled(before), dict(patch)
    for key in ("url", "hashKey"):
        if key in hidden and kept.get(key) == hidden[key]:
            del kept[key]
    if isinstance(kept.get("headers"), Mapping):
        kept["headers"] = {name: value for name, value in kept["headers"].items() if value != HIDDEN}
    return kept


def _demand_flat(definition: Mapping[str, Any]) -> None:
    level: list[Any] = [definition]
    for _ in range(DEEPEST):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    cure = "make it flatter"
    raise ConfigError([Problem(where="endpoint", what=f"nests more than {DEEPEST} levels", cure=cure)])


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def a_secret() -> str:
    """As Standard Webhooks writes them."""
    return STANDARD_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _with_secret(definition: Definition) -> tuple[Definition, str | None]:
    """With a secret of its own: that of the settings' file is for who writes the file."""
    if "secret" in definition or definition.get("signing") == "none":
        return definition, None
    generated = a_secret()
    return {**definition, "secret": generated}, generated


def _secrets_of(definition: Definition) -> Sequence[str]:
    found = definition.get("secret", [])
    return found if isinstance(found, list) else [found]


def _changed_meanwhile(name: str) -> NotDone:
    return NotDone("changed", f"{name} was changed meanwhile. Look at it again, then ask again.")
