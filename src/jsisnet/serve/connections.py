"""Connections that are closed if they are too many, too slow, or not read."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from jsisnet.serve.limits import Limits


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with the limits of a server."""

    limits = Limits()

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._responses = 0

    @classmethod
    def within(cls, limits: Limits) -> type["BoundedProtocol"]:
        """Return the protocol with other limits; uvicorn creates its instances."""
        return type(cls.__name__, (cls,), {"limits": limits})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection; if there are too many, close one without a request."""
        super().connection_made(transport)
        self._await_header()
        if len(self.connections) > self.limits.connections:
            self._longest_waiting()._close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what has arrived."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._deadline is None:
            self._await_header()

    def on_response_complete(self) -> None:
        """Note that a response was written, as far as the client reads it."""
        super().on_response_complete()
        if self.cycle.response_complete and self._deadline is None:  # no request was pipelined
            self._await_header()
        self._responses += 1
        self._bound_unread()
        self.loop.call_later(self.limits.transfer_seconds, self._check_read, self._responses)

    def _await_header(self) -> None:
        """Close the connection unless the header of a request arrives in time."""
        self._deadline = self.loop.call_later(self.limits.read_seconds, self._close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _longest_waiting(self) -> "BoundedProtocol":
        """Return the connection that has waited longest for a header, maybe this one."""
        waiting = (
            (each._deadline.when(), id(each), each)
            for each in self.connections
            if isinstance(each, BoundedProtocol) and each._deadline is not None
        )
        return min(waiting)[2]

    def _check_read(self, responses: int) -> None:
        """Close the connection if the client has not read a response since."""
        if responses == self._responses and self.transport.get_write_buffer_size():
            self._close()

    def _bound_unread(self) -> None:
        """If the responses that clients have not read fill the memory, drop the largest."""
        unread = {
            each: each.transport.get_write_buffer_size()
            for each in self.connections
            if isinstance(each, BoundedProtocol)
        }
        if sum(unread.values()) > self.limits.held:
            max(unread, key=unread.__getitem__)._close()

    def _close(self) -> None:
        self._stop_waiting()
        self.transport.abort()
