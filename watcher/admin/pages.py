"""The page: static files, which hold no data. What it shows it gets from the API, with the token."""

from __future__ import annotations

from importlib.resources import files

from aiohttp import web

from watcher.admin.api.serving import Handler

TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"


def add_page(app: web.Application) -> None:
    """`/` and the files beside it, read once."""
    for file in sorted(files("watcher.admin").joinpath("page").iterdir(), key=lambda file: file.name):
        suffix = file.name[file.name.rindex(".") :]
        handler = _giving(file.read_text(encoding="utf-8"), TYPES[suffix])
        app.router.add_get("/" if file.name == INDEX else f"/{file.name}", handler)


def _giving(text: str, content_type: str) -> Handler:
    async def give(_: web.Request) -> web.Response:
        response = web.Response(text=text, content_type=content_type, charset="utf-8")
        response.enable_compression()
        return response

    return give
