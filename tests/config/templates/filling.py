"""Templates, read and filled by the real reader."""

from __future__ import annotations

from typing import Any

from watcher.config.templates.speech import Fault
from watcher.config.templates.trees import Faults, read_transform
from watcher.config.yaml_positions import Path
from watcher.core.forms import Failed, Filled

CONTEXT: dict[str, Any] = {
    "event": "message.created",
    "timestamp": "2026-11-24T12:00:00.000Z",
    "data": {
        "text": "Hello <b>World</b>",
        "number": 7,
        "ratio": 1.5,
        "whole": 2.0,
        "tiny": 1e-7,
        "yes": True,
        "no": False,
        "nothing": None,
        "items": "a field",
        "feedback": {"rating": "thumbsUp", "tag": None},
        "files": [{"name": "a.png", "bytes": 3}, {"name": "b.txt", "bytes": 9}],
    },
    "userId": "u1",
    "webhookId": "webhook_1",
}


def outcome(source: Any, context: dict[str, Any] = CONTEXT) -> Filled | Failed:
    faults: Faults = []
    transform = read_transform(source, faults)
    assert not faults, faults
    return transform.fill(context)


def filled(source: Any, context: dict[str, Any] = CONTEXT) -> Any:
    made = outcome(source, context)
    assert isinstance(made, Filled), made
    return made.value


def reason(source: Any, context: dict[str, Any] = CONTEXT) -> str:
    made = outcome(source, context)
    assert isinstance(made, Failed), made
    return made.reason


def faults_of(source: Any) -> list[tuple[Path, Fault]]:
    faults: Faults = []
    read_transform(source, faults)
    return faults


def fault_of(text: str) -> Fault:
    faults = faults_of(text)
    assert faults
    return faults[0][1]
