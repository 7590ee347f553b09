"""Request ids, the log of the requests, and their metrics: the outermost layer of the app."""

import asyncio
import logging
import re
import secrets
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jsisnet.serve import problems
from jsisnet.serve.logs import FIELDS
from jsisnet.serve.metrics import Metrics
from jsisnet.serve.problems import CLIENT_LEFT

_HEADER = b"x-request-id"

_PLAIN = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""Request ids that are taken over from clients."""

_MAX_PATH = 200
"""Characters of a path that the log shows."""

_log = logging.getLogger("jsisnet.serve.access")


@dataclass(slots=True)
class _Exchange:
    """A request and what becomes of it."""

    id: str
    status: int = CLIENT_LEFT
    sent: int = 0


class RequestLog:
    """Gives each request an id, logs it when it is over, and counts it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an app.

        Args:
            app: The app.
            metrics: Where requests are counted.
        """
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; other messages of ASGI pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, began = _Exchange(_request_id(scope)), time.perf_counter()
        scope.setdefault("state", {})["request_id"] = exchange.id

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (_HEADER, exchange.id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            exchange.sent += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except asyncio.CancelledError:  # the time that a server has to finish is over
            if exchange.status != CLIENT_LEFT:
                raise
            refusal = problems.response(exchange.id, 503, "the server is shutting down")
            await refusal(scope, receive, noting)
        except Exception:  # the client has its answer; the log has the cause
            extra = {FIELDS: {"request_id": exchange.id}}
            _log.exception("unexpected error", extra=extra)
        finally:
            self._note(scope, exchange, time.perf_counter() - began)

    def _note(self, scope: Scope, exchange: _Exchange, seconds: float) -> None:
        model = scope["state"].get("model", "")
        self.metrics.count(exchange.status, model, seconds)
        client = scope.get("client")
        fields = {
            "request_id": exchange.id,
            "client": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"][:_MAX_PATH],
            "status": exchange.status,
            "seconds": round(seconds, 4),
            "bytes": exchange.sent,
        }
        if model:
            fields["model"] = model
        _log.info("request", extra={FIELDS: fields})


def _request_id(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == _HEADER), b"")
    text = given.decode("latin-1")
    return text if _PLAIN.fullmatch(text) else secrets.token_hex(8)
