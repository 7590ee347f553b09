"""The page on ``/``, and its style and script."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

_FOLDER = Path(__file__).with_name("page")

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
"""Name and media type of each file by path."""

_PLACEHOLDER = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>jsisnet</title>"
    "<p>POST a photo to /v1/panoptic; /openapi.json describes the interface.</html>"
)

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
    """Return a route for each file of the page."""
    router = APIRouter(include_in_schema=False)
    for path, (name, media_type) in _FILES.items():
        router.add_api_route(path, _route(name, media_type), methods=["GET", "HEAD"])
    return router


def _route(name: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        file = _FOLDER / name
        if not file.is_file():
            return Response(_PLACEHOLDER, media_type="text/html; charset=utf-8", headers=HEADERS)
        return FileResponse(file, media_type=media_type, headers=HEADERS)

    return page
