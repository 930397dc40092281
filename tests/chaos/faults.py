"""Faults: what goes wrong with processes, networks and receivers. Each can be brought about, and healed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.chaos.proxy import Proxy
from tests.chaos.receiver import Mood, Receiver
from tests.end_to_end.harness import Watcher
from watcher.demo.mongod import PrivateMongo

READY_SECONDS = 6.0


class Fault(Protocol):
    """One thing that goes wrong."""

    @property
    def name(self) -> str: ...

    @property
    def loses_answers_of(self) -> Sequence[str]:
        """Endpoints whose answers may get lost by it: what they accepted meanwhile may come again."""
        ...

    async def inject(self) -> None: ...

    async def heal(self) -> None: ...


@dataclass(frozen=True, slots=True)
class WatcherKilled:
    """`kill -9`, and the same program again on the same state."""

    watcher: Watcher
    loses_answers_of: Sequence[str]
    name: str = "kill -9 of the watcher"

    async def inject(self) -> None:
        assert self.watcher.process is not None
        status = self.watcher.process.poll()
        assert status is None, f"the watcher ended by itself, with {status}:\n{self.watcher.log[-4_000:]}"
        self.watcher.kill9()

    async def heal(self) -> None:
        self.watcher.launch()
        # While MongoDB is gone it gets not ready; but killed at every start, it could do nothing at all.
        await self.watcher.becomes_ready(seconds=READY_SECONDS)


@dataclass(frozen=True, slots=True)
class WatcherKilledStarting:
    """`kill -9`, and again before it can be ready."""

    killed: WatcherKilled
    name: str = "kill -9 of the watcher, twice"

    @property
    def loses_answers_of(self) -> Sequence[str]:
        return self.killed.loses_answers_of

    async def inject(self) -> None:
        await self.killed.inject()
        self.killed.watcher.launch()

    async def heal(self) -> None:
        await self.killed.inject()
        await self.killed.heal()


@dataclass(frozen=True, slots=True)
class WatcherFrozen:
    """SIGSTOP and SIGCONT: the machine was suspended."""

    watcher: Watcher
    loses_answers_of: Sequence[str]
    name: str = "watcher frozen"

    async def inject(self) -> None:
        self.watcher.freeze()

    async def heal(self) -> None:
        self.watcher.thaw()


@dataclass(frozen=True, slots=True)
class WatcherStopped:
    """SIGTERM, as when a node is drained, and the same program again. What it has begun it ends."""

    watcher: Watcher
    name: str = "watcher stopped"
    loses_answers_of: Sequence[str] = ()

    async def inject(self) -> None:
        assert await self.watcher.stop() == 0

    async def heal(self) -> None:
        self.watcher.launch()
        await self.watcher.becomes_ready(seconds=READY_SECONDS)


@dataclass(frozen=True, slots=True)
class SteppedDown:
    """The primary gives up, and another is elected."""

    mongo: PrivateMongo
    name: str = "step-down"
    loses_answers_of: Sequence[str] = ()

    async def inject(self) -> None:
        await self.mongo.step_down(10)

    async def heal(self) -> None:
        pass


@dataclass(slots=True)
class PrimaryKilled:
    """`kill -9` of the primary; it comes back as a secondary."""

    mongo: PrivateMongo
    name: str = "kill -9 of the primary"
    loses_answers_of: Sequence[str] = ()

    async def inject(self) -> None:
        self.mongo.kill9(await self.mongo.primary())

    async def heal(self) -> None:
        await self.mongo.start()


@dataclass(slots=True)
class PrimaryFrozen:
    """SIGSTOP of the primary: its connections stay open and nothing answers. Then SIGCONT."""

    mongo: PrivateMongo
    name: str = "primary frozen"
    loses_answers_of: Sequence[str] = ()
    _frozen: int = 0

    async def inject(self) -> None:
        self._frozen = await self.mongo.primary()
        self.mongo.freeze(self._frozen)

    async def heal(self) -> None:
        self.mongo.thaw(self._frozen)
        await self.mongo.start()


@dataclass(frozen=True, slots=True)
class LineCut:
    """The network resets what is open and refuses what is new."""

    proxies: Sequence[Proxy]
    where: str
    loses_answers_of: Sequence[str] = ()

    @property
    def name(self) -> str:
        return f"line to {self.where} cut"

    async def inject(self) -> None:
        for proxy in self.proxies:
            proxy.cut()

    async def heal(self) -> None:
        for proxy in self.proxies:
            await proxy.heal()


@dataclass(frozen=True, slots=True)
class LineHung:
    """The network lets nothing pass, and breaks nothing."""

    proxies: Sequence[Proxy]
    where: str
    loses_answers_of: Sequence[str] = ()

    @property
    def name(self) -> str:
        return f"line to {self.where} hung"

    async def inject(self) -> None:
        for proxy in self.proxies:
            proxy.hang()

    async def heal(self) -> None:
        for proxy in self.proxies:
            await proxy.heal()


@dataclass(frozen=True, slots=True)
class ConnectionsForgotten:
    """A router has lost its table: the connections of now are dead, and nobody is told."""

    proxies: Sequence[Proxy]
    where: str
    loses_answers_of: Sequence[str] = ()

    @property
    def name(self) -> str:
        return f"connections to {self.where} forgotten"

    async def inject(self) -> None:
        for proxy in self.proxies:
            proxy.forget()

    async def heal(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class ReceiverIn:
    """A receiver answers everybody in the same bad way for a while."""

    receiver: Receiver
    mood: Mood
    loses_answers_of: Sequence[str] = ()

    @property
    def name(self) -> str:
        return f"receiver {self.mood}"

    async def inject(self) -> None:
        self.receiver.mood = self.mood

    async def heal(self) -> None:
        self.receiver.mood = None
