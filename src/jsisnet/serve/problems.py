"""Errors as `application/problem+json` (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

MEDIA_TYPE = "application/problem+json"

CLIENT_LEFT = 499
"""Status in the log of requests whose clients left before the answer, as nginx has it."""


_MAX_DETAIL = 1_000
"""Characters of a detail, which may repeat what the client sent."""


class ProblemError(Exception):
    """A request that is refused."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """Refuse a request.

        Args:
            status: Status code of HTTP.
            detail: One sentence: what was found, what was expected.
            headers: Further headers of the response.
        """
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def response(
    request_id: str, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the response for a problem."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail if len(detail) <= _MAX_DETAIL else f"{detail[:_MAX_DETAIL]}...",
        "request_id": request_id,
    }
    return JSONResponse(content, status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make an app answer all errors with problems."""
    app.add_exception_handler(ProblemError, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, _client_left)
    app.add_exception_handler(Exception, _bug)


def _id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return response(_id(request), error.status, error.detail, error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer what the router raises: no such path, or another method."""
    assert isinstance(error, HTTPException)
    details = {
        404: f"no such path: {request.url.path}; /openapi.json lists all",
        405: f"{request.method} is not allowed here",
    }
    detail = details.get(error.status_code, str(error.detail))
    return response(_id(request), error.status_code, detail, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = (f"{each['loc'][-1]}: {each['msg']}" for each in error.errors())
    return response(_id(request), 422, "; ".join(found))


async def _client_left(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_LEFT)


async def _bug(request: Request, _error: Exception) -> Response:
    return response(_id(request), 500, "internal error; the server's log has more")
