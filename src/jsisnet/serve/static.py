"""The page on ``/``, and its style and scripts."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

_FOLDER = Path(__file__).with_name("page")

_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; connect-src 'self' data: blob:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Headers of the page: nothing from another host, and no frame around it."""


def routes() -> APIRouter:
    """Return a route for each file of the page; index.html is on ``/``."""
    router = APIRouter(include_in_schema=False)
    for file in sorted(_FOLDER.iterdir()):
        if file.suffix in _MEDIA_TYPES:
            path = "/" if file.name == "index.html" else f"/{file.name}"
            router.add_api_route(path, _route(file), methods=["GET", "HEAD"])
    return router


def _route(file: Path) -> Callable[[], Awaitable[FileResponse]]:
    media_type = f"{_MEDIA_TYPES[file.suffix]}; charset=utf-8"

    async def page() -> FileResponse:
        return FileResponse(file, media_type=media_type, headers=HEADERS)

    return page
