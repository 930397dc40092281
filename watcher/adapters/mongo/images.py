"""Which collections keep pre-images: asked when a stream is opened, and again when its changes say otherwise.

The law: the collections' options are believed, never a change. An old change has no pre-image where they were
turned on since, or expired; so a change that says otherwise is a reason to ask, and no more."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from watcher.adapters.mongo.connect import Client
from watcher.adapters.mongo.decode import RawEvent
from watcher.adapters.mongo.probe import collection_reports

ASK_SECONDS = 10.0
"""Between two doubts that ask. A backlog from before pre-images were kept says otherwise in each batch."""

TELLING = frozenset({"update", "replace", "delete"})
"""Operations whose changes have a pre-image where they are kept."""


class PreImages:
    """What is believed of the watched collections of one open stream."""

    def __init__(self, client: Client, database: str, names: Collection[str]) -> None:
        self._client = client
        self._database = database
        self._names = names
        self._next_question = 0.0
        self.missing = frozenset(names)
        """Collections that keep none."""

    async def ask(self) -> bool:
        """Believe the options as they are now; whether that is news. Raises PyMongoError."""
        believed = self.missing
        reports = await collection_reports(self._client, self._database, self._names)
        self.missing = frozenset(name for name, report in reports.items() if not report.pre_images)
        return self.missing != believed

    def doubted(self, events: Sequence[RawEvent], now: float) -> bool:
        """Is it time to ask again, since some of these changes say otherwise?"""
        if now < self._next_question:
            return False
        telling = [event for event in events if event.get("operationType") in TELLING]
        if not any(map(self._says_otherwise, telling)):
            return False
        self._next_question = now + ASK_SECONDS
        return True

    def _says_otherwise(self, event: RawEvent) -> bool:
        has_image = bool(event.get("fullDocumentBeforeChange"))
        return has_image == (event["ns"]["coll"] in self.missing)
