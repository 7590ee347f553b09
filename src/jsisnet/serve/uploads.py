"""Bodies of requests: photos, raw or as a field of a form, within the limits."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from jsisnet.serve.form import photo_in_form
from jsisnet.serve.limits import Limits
from jsisnet.serve.problems import ProblemError

Hold = Callable[[int], None]
"""Function that is told of further bytes of a body."""

FORM = "multipart/form-data"
_RAW = (
    *("application/octet-stream", "binary/octet-stream", ""),
    "application/x-www-form-urlencoded",  # what curl --data-binary says if it is not told
)
"""Content types of photos besides ``image/...``; clients may send none."""

_MAX_NAME = 120
"""Characters of a file's name that are kept."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A photo that a client sent."""

    content: bytes = field(repr=False)

    name: str | None
    """Name of its file without folders, if known."""


def check_head(request: Request, limits: Limits) -> None:
    """Check what the headers say of a body, before any of it is read.

    Raises:
        ProblemError: If it is compressed, of another type than a photo or a form, or too large.
    """
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise ProblemError(
            415,
            f"the body has Content-Encoding {coding[:80]!r}; send it without, as photos are "
            "compressed already",
            {"Accept-Encoding": "identity"},
        )
    kind = _media_type(request)
    if kind not in _RAW and kind != FORM and not kind.startswith("image/"):
        raise ProblemError(
            415,
            f"the body is {kind[:80]!r}; expected image/..., application/octet-stream or {FORM}",
            {"Accept": f"image/*, application/octet-stream, {FORM}"},
        )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.body:
        raise _too_large(limits)


async def read_upload(request: Request, limits: Limits, hold: Hold) -> Upload:
    """Read the photo of a request.

    Args:
        request: The request.
        limits: Limits of its body.
        hold: Told of bytes before they are kept; it may refuse them.

    Raises:
        ProblemError: If the body is too large, too slow, empty, or a form without a photo.
        ClientDisconnect: If the client leaves.
    """
    body = await _read(request, limits, hold)
    upload = _from_form(request, body) if _media_type(request) == FORM else Upload(body, None)
    if not upload.content:
        raise ProblemError(422, "the photo is empty; expected the content of an image file")
    return upload


async def _read(request: Request, limits: Limits, hold: Hold) -> bytes:
    """Read a body; no more than the limit is ever held."""
    body = bytearray()
    now = asyncio.get_running_loop().time
    latest = now() + limits.transfer_seconds
    try:
        async with asyncio.timeout(limits.read_seconds) as idle:
            async for chunk in request.stream():
                if len(body) + len(chunk) > limits.body:
                    raise _too_large(limits)
                hold(len(chunk))
                body += chunk
                idle.reschedule(min(now() + limits.read_seconds, latest))
    except TimeoutError:
        raise ProblemError(408, f"the body came too slowly: {len(body):,} bytes so far") from None
    return bytes(body)


def _from_form(request: Request, body: bytes) -> Upload:
    """Return the photo of a form."""
    try:
        photo = photo_in_form(body, request.headers["content-type"])
    except ValueError as error:
        raise ProblemError(422, str(error)) from error
    return Upload(photo.content, _plain_name(photo.name))


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _too_large(limits: Limits) -> ProblemError:
    return ProblemError(
        413,
        f"the body is larger than {limits.body / 2**20:g} MiB; send a smaller file",
    )


def _plain_name(name: str | None) -> str | None:
    """Return the last part of a path, without what can't be printed."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:_MAX_NAME] or None
