"""`POST /v1/panoptic`: segment a photo."""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from jsisnet.serve import documentation
from jsisnet.serve.jobs import Answer, Form, Masks, Refusal, Task, Wishes
from jsisnet.serve.logs import FIELDS
from jsisnet.serve.problems import ProblemError
from jsisnet.serve.responses import JSON, PNG, ZIP
from jsisnet.serve.service import Service
from jsisnet.serve.uploads import check_head, read_upload

_FORMS: Mapping[str, Form] = {JSON: "json", ZIP: "coco", PNG: "overlay"}
"""Form of an answer by media type."""

_log = logging.getLogger(__name__)


class Options(BaseModel):
    """Query parameters of a segmentation."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str | None, Field(description="Model; default: the first one.")] = None
    form: Annotated[
        Form | None,
        Field(
            alias="as",
            description="Form of the answer. Default: by the header Accept, otherwise json.",
        ),
    ] = None
    masks: Annotated[
        Masks,
        Field(
            description="In JSON: rle, COCO's run lengths of each segment; png, one PNG whose "
            "colours are ids, r + 256 g + 65536 b; or none."
        ),
    ] = "rle"
    min_score: Annotated[
        float | None,
        Field(ge=0, le=1, description="Lowest score of a thing; default: the model's."),
    ] = None
    classes: Annotated[
        str | None,
        Field(
            description="Names of the classes to segment, separated by commas; default: all.",
            examples=["person,car"],
        ),
    ] = None


def routes(service: Service) -> APIRouter:
    """Return the route."""
    router = APIRouter()

    @router.post(
        "/v1/panoptic",
        summary="Segment a photo",
        response_class=Response,
        responses=documentation.ANSWERS,
        openapi_extra=documentation.BODY,
    )
    async def panoptic(request: Request, options: Annotated[Options, Query()]) -> Response:
        """Segment a photo: a class and an instance for every pixel.

        The body is an image file, or a form with a file in the field `image`.
        """
        _check_parameters(request)
        name = options.model or service.default
        pool = service.pool(name)
        request.state.model = name
        check_head(request, service.limits)
        service.check_room(pool)
        with service.holding(pool) as hold:
            upload = await read_upload(request, service.limits, hold)
            task = Task(
                content=upload.content,
                name=upload.name,
                model=name,
                wishes=_wishes(options, request.headers.get("accept", "")),
            )
            with service.admitted(pool):
                answer = await _result(request, pool.submit(task))
        if isinstance(answer, Refusal):
            raise _problem(answer, pool.retry_after)
        service.metrics.observe(name, answer.seconds)
        return Response(answer.body, media_type=answer.media_type)

    return router


def _check_parameters(request: Request) -> None:
    """Refuse parameters that are given twice or name no class, rather than guess what is meant."""
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if given.count(name) > 1:
            raise ProblemError(422, f"{name}: given {given.count(name)} times; expected it once")
    if not request.query_params.get("classes", "all").strip(" ,"):
        raise ProblemError(422, "classes: no name in it; leave it out for all classes")


def _wishes(options: Options, accept: str) -> Wishes:
    names = None if options.classes is None else options.classes.split(",")
    return Wishes(
        form=options.form or preferred(accept),
        masks=options.masks,
        min_score=options.min_score,
        classes=None if names is None else tuple(filter(None, map(str.strip, names))),
    )


def preferred(accept: str) -> Form:
    """Return the form that a header Accept prefers; JSON if it names none."""
    best, weight = "", 0.0
    for item in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            value = float(quality)
        except ValueError:
            continue
        if kind in _FORMS and value > weight:
            best, weight = kind, value
    return _FORMS[best or JSON]


async def _result(request: Request, future: "Future[Answer | Refusal]") -> Answer | Refusal:
    """Wait for an answer; if the client leaves, the task is dropped."""
    answer = asyncio.wrap_future(future)
    left = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((answer, left), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        left.cancel()
        answer.cancel()


async def _left(request: Request) -> None:
    """Return when the client has left."""
    message: dict[str, Any] = {}
    while message.get("type") != "http.disconnect":
        message = dict(await request.receive())


def _problem(refusal: Refusal, retry_after: int) -> ProblemError:
    if refusal.cause:
        _log.error("%s", refusal.detail, extra={FIELDS: {"traceback": refusal.cause}})
    headers = {"Retry-After": str(retry_after)} if refusal.status == 503 else {}  # noqa: PLR2004
    return ProblemError(refusal.status, refusal.detail, headers)
