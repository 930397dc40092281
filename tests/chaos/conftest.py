"""The same real parts as in the end-to-end tests."""

from __future__ import annotations

from tests.end_to_end.conftest import librechat, receivers, uri, watchers

__all__ = ["librechat", "receivers", "uri", "watchers"]
