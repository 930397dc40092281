"""Answers that are no good news, in the one form that they have everywhere."""

from __future__ import annotations

from aiohttp import web

IS_OFF = (
    "the page and the API are off: no token is configured."
    " Set watcher.http.token (WATCHER_ADMIN_TOKEN) to a long random text, and start again."
)


def failed(status: int, error: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return web.json_response({"error": error}, status=status, headers=headers)
