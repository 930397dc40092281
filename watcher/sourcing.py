"""The change source that some settings name, cut to what a plan wants of it."""

from __future__ import annotations

from datetime import datetime

from watcher.adapters.mongo.source import MongoSource
from watcher.config.settings import Settings
from watcher.core.planning import Plan
from watcher.ports import Observer


def source_of(
    settings: Settings,
    plan: Plan,
    *,
    start_from: datetime | None,
    start_name: str = "watcher.startFrom",
    remembering: bool = False,
    observe: Observer,
) -> MongoSource:
    """`start_from`, `start_name`, `remembering`: see MongoSource."""
    return MongoSource(
        settings.mongo_uri,
        settings.database,
        noise=plan.noise,
        noise_to_memory=plan.noise_to_memory,
        remembering=remembering,
        observe=observe,
        start_from=start_from,
        start_name=start_name,
    )
