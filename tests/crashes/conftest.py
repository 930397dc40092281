"""Small windows: so that short stories meet their ends, as what a lane holds in memory."""

from __future__ import annotations

import pytest

from watcher.core import lanes
from watcher.pipeline import ahead, dispatch, remembering


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LINE_ROWS", 2)
    monkeypatch.setattr(dispatch, "LINE_ROWS", 2)
    monkeypatch.setattr(lanes, "WINDOW_ROWS", 8)
    monkeypatch.setattr(remembering, "PAGE_ROWS", 2)
    monkeypatch.setattr(ahead, "MANY", 2)
