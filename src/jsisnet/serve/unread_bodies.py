"""Answers before a body has been read: the rest of it is read and dropped.

Otherwise the connection would be reset while the client still sends, and it would miss the answer.
"""

import asyncio
from contextlib import suppress
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS, _PAUSE = 10.0, 1.0
"""Time for the rest of a body, and longest pause in it; a slower client may miss the answer."""


class UnreadBodies:
    """Reads what an app leaves of a body before the answer is sent."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        """Wrap an app.

        Args:
            app: The app.
            most: Bytes that are read and dropped at most.
        """
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; other messages of ASGI pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Who expects to be told to continue has not begun to send.
        expects = any(name == b"expect" for name, _ in scope["headers"])
        isread = False

        async def noting() -> Message:
            nonlocal isread
            message = await receive()
            isread = isread or not message.get("more_body", False)
            return message

        async def draining(message: Message) -> None:
            if message["type"] == "http.response.start" and not isread:
                if not expects and message["status"] != HTTPStatus.REQUEST_TIMEOUT:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(_drop(noting, self.most), _SECONDS)
                if not isread:
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self.app(scope, noting, draining)


async def _drop(receive: Receive, most: int) -> None:
    message: Message = {"more_body": True}
    count = 0
    while message.get("more_body", False) and count <= most:
        message = await asyncio.wait_for(receive(), _PAUSE)
        count += len(message.get("body", b""))
