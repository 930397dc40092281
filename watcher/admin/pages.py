"""The page: static files, which hold no data. What it shows it gets from the API, with the token."""

from __future__ import annotations

import gzip
from importlib.resources import files

from watcher.admin.http.messages import Request, Response
from watcher.admin.http.routes import Handler, Routes

TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"


def add_page(routes: Routes) -> None:
    """`/` and the files beside it, read once."""
    for file in sorted(files("watcher.admin").joinpath("page").iterdir(), key=lambda file: file.name):
        suffix = file.name[file.name.rindex(".") :]
        handler = _giving(file.read_bytes(), f"{TYPES[suffix]}; charset=utf-8")
        for method in ("GET", "HEAD"):
            routes.add(method, "/" if file.name == INDEX else f"/{file.name}", handler)


def _giving(content: bytes, content_type: str) -> Handler:
    packed = gzip.compress(content, mtime=0)

    async def give(request: Request, _: str) -> Response:
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(body=content, content_type=content_type)
        return Response(body=packed, content_type=content_type, headers={"Content-Encoding": "gzip"})

    return give
