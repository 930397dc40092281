"""Broken promises, and who must act. Expected failure (a 503, a time-out) is a value, not an exception.

WatcherError
├── ConfigError           operator: the settings are wrong (exit 2, nothing started)
├── InputError            operator: a file given to a command cannot be used (exit 2)
├── SourceError           reading MongoDB went wrong
│   ├── SourceUnavailable supervisor: unreachable or in election; wait and open again
│   ├── SourceRefused     operator: standalone server, wrong password, missing rights
│   └── PositionLost      operator's choice (`onPositionLost`): the resume token is unusable
│       └── NotRecognised operator: and nothing that was remembered is there; another database?
├── OutboxError           supervisor: the state store cannot be written (disk full)
│   └── OutboxLocked      operator: another `run` holds this state
├── LeaseLost             nobody: another replica does it now
├── OutboxBroken          operator: the state was damaged, or taken away while it was used
├── Unsealable            operator: the key is another one than managed endpoints were encrypted with
└── DemoError             operator: the demo's private MongoDB cannot be started
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class WatcherError(Exception):
    """The root. `str(error)` is a whole message for an operator: what, why, cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in the settings, or in a file: where, what, why, cure."""

    where: str
    """`webhooks.yaml:4: webhooks.endpoints[0].url`, or the environment variable's name."""
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n  {self.cure}"


class ConfigError(WatcherError):
    """Every problem of the settings at once, so that one edit can mend them all."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class InputError(WatcherError):
    """Everything wrong with what a command was given to read."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class SourceError(WatcherError):
    """Reading MongoDB went wrong."""


class SourceUnavailable(SourceError):
    """Unreachable, in election, cursor gone: nothing is lost, open again from the checkpoint."""


class SourceRefused(SourceError):
    """MongoDB answers, and will go on refusing until an operator changes something."""


class PositionLost(SourceError):
    """The resume token cannot be used any more: it fell off the oplog, or the server rejects it."""

    def __init__(self, message: str, *, why: str = "the stored position cannot be used any more") -> None:
        self.why = why
        """The same for receivers: without hosts, codes and cures."""
        super().__init__(message)


class NotRecognised(PositionLost):
    """Not one row that was remembered is there: to tell them all as deleted would most likely be wrong."""


class OutboxError(WatcherError):
    """The state store broke its promise: what it was given is not stored."""


class OutboxLocked(OutboxError):
    """Another process holds this state."""


class LeaseLost(WatcherError):
    """Another replica has taken over what this one was doing: nothing more of it is written here."""

    def __init__(self, lease: str) -> None:
        self.lease = lease
        super().__init__(f"the lease {lease!r} was taken over by another replica")


class OutboxBroken(WatcherError):
    """The state was damaged, or taken away while it was used: no waiting mends it, so `run` stops."""


class Unsealable(WatcherError):
    """None of the keys opens it, or it was tampered with."""


class DemoError(WatcherError):
    """The demo's private MongoDB cannot be started here."""
