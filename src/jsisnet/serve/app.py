"""The server as an ASGI app: routes, errors, keys and logs put together."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

import jsisnet
from jsisnet.serve import panoptic, problems, static, status
from jsisnet.serve.access import key_check
from jsisnet.serve.limits import Limits
from jsisnet.serve.metrics import Metrics
from jsisnet.serve.pool import Pool
from jsisnet.serve.request_log import RequestLog
from jsisnet.serve.service import Service
from jsisnet.serve.unread_bodies import UnreadBodies

_DROPPED = 4
"""Bodies that are too large are read up to so many times the limit, so that the client hears of it.
"""

_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/?#@\s]+")

_DESCRIPTION = """Panoptic segmentation: a class and an instance for every pixel of a photo.

Errors are `application/problem+json` (RFC 9457); every response has the header `X-Request-ID`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AppConfig:
    """What an app accepts, and from whom.

    Raises:
        ValueError: If an origin is none.
    """

    limits: Limits = field(default_factory=Limits)

    keys: tuple[str, ...] = field(default=(), repr=False)
    """API keys; without any, everyone who reaches the server may use it."""

    origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may use the server, such as ``https://example.org``; or
    ``*`` for all."""

    def __post_init__(self) -> None:
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"origin {origin!r}: expected a scheme and a host, as in https://example.org"
                )


class Application:
    """The ASGI app, and the service behind it."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        """Join an app and its service."""
        self._app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)


def create_app(pools: Mapping[str, Pool], config: AppConfig | None = None) -> Application:
    """Create the app of a server; its lifespan starts and closes the pools.

    For example
        app = create_app({"coco": Pool(Work(model="coco"))})

    Args:
        pools: Pools of worker processes by the names of their models; the first is the default.
        config: What the app accepts.
    """
    config = config or AppConfig()
    service = Service(pools, config.limits, Metrics(pools))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            for pool in pools.values():
                await run_in_threadpool(pool.start)
            yield
        finally:
            for pool in pools.values():
                await run_in_threadpool(pool.close)

    app = FastAPI(
        title="jsisnet",
        version=jsisnet.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # Swagger's page would load scripts from another host
        redoc_url=None,
        redirect_slashes=False,  # it would send clients to whatever host they name
    )
    needs_key = [Depends(key_check(config.keys))]
    app.include_router(panoptic.routes(service), dependencies=needs_key)
    app.include_router(status.model_routes(service), dependencies=needs_key)
    app.include_router(status.health_routes(service))
    app.include_router(static.routes())
    problems.install(app)
    if config.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["Retry-After", "X-Request-ID"],
        )
    inner = UnreadBodies(app, _DROPPED * config.limits.body)
    return Application(RequestLog(inner, service.metrics), service)
