"""Settings from a text: written to a real file, loaded by the real loader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from watcher.config.loading import load
from watcher.config.settings import Settings
from watcher.errors import ConfigError, Problem

VALID = """\
webhooks:
  url: https://receiver.example/hook
  secret: s3cret
watcher:
  mongoUri: mongodb://127.0.0.1:27017/LibreChat
"""
"""The least that loads."""

DOCUMENTED = """\
webhooks:
  enabled: true
  url: "https://your-server.com/webhooks/librechat"
  secret: "your-webhook-secret"
  events: [message.created, "conversation.*"]
  headers: {X-Custom-Header: custom-value}
  retries: 3
  retryDelays: [5, 15, 60]
  timeout: 5000
  rateLimit: {maxPerSecond: 100, batchSize: 1}
  filters:
    - event: message.created
      condition: {endpoint: openAI, isCreatedByUser: false}
  endpoints:
    - name: crm
      url: https://crm.example/hook
      signing: librechat
      format: librechat
      ordering: entity
      allowHttp: false
watcher:
  mongoUri: ${MONGO_URI}
  state: sqlite:///var/lib/librechat-watcher/state.db
  http: {listen: 127.0.0.1:8686, token: ${WATCHER_ADMIN_TOKEN}}
  startFrom: now
  onPositionLost: recover
  memory: auto
  mappings: [./my-mappings]
  maxStore: 4GB
  retention: {delivered: 72h, dead: 30d}
  unfinishedHold: 60
"""
"""The whole documented form, as far as this version supports it."""


def write_mapping(file: Path) -> None:
    """A mapping file that adds an event of the operator's own."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(
        """\
collection: conversations
rules:
  - event: conversation.pinned
    summary: A conversation was pinned.
    operations: [update]
    changed: [pinned]
    data: {conversationId: row.conversationId}
    examples:
      - given: {operation: update, before: {conversationId: c1}, updated: {pinned: true}}
        sends: {conversationId: c1}
      - given: {operation: update, before: {conversationId: c1}, updated: {title: x}}
        sends: nothing
"""
    )


def loaded(
    folder: Path,
    text: str = VALID,
    *,
    name: str = "webhooks.yaml",
    env: Mapping[str, str] = {},
    flags: Mapping[str, str] = {},
    need_endpoints: bool = True,
    need_mongo: bool = True,
) -> Settings:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return load(
        file=file,
        env={"HOME": "/home/me", **env},
        flags=flags,
        need_endpoints=need_endpoints,
        need_mongo=need_mongo,
    )


def refused(
    folder: Path,
    text: str = VALID,
    *,
    name: str = "webhooks.yaml",
    env: Mapping[str, str] = {},
    flags: Mapping[str, str] = {},
) -> tuple[Problem, ...]:
    """The problems of settings that must not load; files are told without the folder."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, name=name, env=env, flags=flags)
    return tuple(
        Problem(where=problem.where.removeprefix(f"{folder}/"), what=problem.what, cure=problem.cure)
        for problem in caught.value.problems
    )


def told(problems: tuple[Problem, ...]) -> list[tuple[str, str]]:
    """Where and what, for comparing whole lists."""
    return [(problem.where, problem.what) for problem in problems]
