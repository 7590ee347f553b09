"""`GET /v1/models`, and the state of the server for people and machines."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from jsisnet.serve import metrics
from jsisnet.serve.pool import Pool
from jsisnet.serve.service import Service


def model_routes(service: Service) -> APIRouter:
    """Return the routes that need a key where there are keys."""
    router = APIRouter()

    @router.get("/v1/models", summary="List the models and their classes")
    async def models() -> dict[str, Any]:
        """List the models: engine, size of the input, and classes with their colours."""
        return {
            "models": [
                _model(name, pool, isdefault=name == service.default)
                for name, pool in service.pools.items()
            ]
        }

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def prometheus() -> Response:
        """Return counts, latencies and the state of the workers in Prometheus' text format."""
        return Response(service.metrics.text(), media_type=metrics.MEDIA_TYPE)

    return router


def health_routes(service: Service) -> APIRouter:
    """Return the routes that supervisors poll, which need no key."""
    router = APIRouter()

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", summary="Whether the server works, or should be restarted")
    async def healthz() -> JSONResponse:
        """Answer 503 if a model has no worker left and none can be started."""
        failures = {
            name: pool.failure for name, pool in service.pools.items() if pool.failure is not None
        }
        status = "failing" if failures else "ok"
        return JSONResponse({"status": status}, 503 if failures else 200)

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", summary="Whether the server takes requests")
    async def readyz() -> JSONResponse:
        """Answer 503 while a model has no worker, and while the server shuts down."""
        ready = {name: pool.ready for name, pool in service.pools.items()}
        isready = all(ready.values()) and not service.draining
        status = "draining" if service.draining else "ready" if isready else "starting"
        return JSONResponse({"status": status, "workers": ready}, 200 if isready else 503)

    return router


def _model(name: str, pool: Pool, *, isdefault: bool) -> dict[str, Any]:
    described = pool.description
    return {
        "name": name,
        "default": isdefault,
        "engine": described.engine,
        "device": described.device,
        "size": None if described.size is None else list(described.size),
        "categories": [dict(each) for each in described.categories],
    }
