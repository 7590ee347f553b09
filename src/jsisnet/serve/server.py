"""The server's process: it listens, serves until a signal, and finishes what it has accepted."""

import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import FrameType

import uvicorn

from jsisnet.serve.app import AppConfig, Application, create_app
from jsisnet.serve.connections import BoundedProtocol
from jsisnet.serve.pool import Pool

_MAX_HEADER = 16_384
"""Bytes of the header of a request."""

_BACKLOG = 128

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerConfig:
    """Where a server listens, and how it stops."""

    host: str = "127.0.0.1"
    """Name or address of the interface; ``0.0.0.0`` for all."""

    port: int = 8000
    """Port; 0 for any free one."""

    grace: int = 30
    """Seconds that accepted requests have to be finished after SIGTERM."""

    app: AppConfig = field(default_factory=AppConfig)


def run_server(
    pools: Mapping[str, Pool], config: ServerConfig, on_start: Callable[[str], object]
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        pools: Pools by the names of their models; they are started, and closed at the end.
        config: Where to listen.
        on_start: Called with the URL when requests are taken.

    Raises:
        ValueError: If the address can't be used, or a model can't be loaded.
    """
    try:
        with _bound(config) as listener:
            for pool in pools.values():
                pool.start()
            app = create_app(pools, config.app)
            _Server(app, config, on_start).run([listener])
    finally:
        for pool in pools.values():
            pool.close()


class _Server(uvicorn.Server):
    """A uvicorn server that tells when it starts, drains, and ends without error."""

    def __init__(
        self, app: Application, config: ServerConfig, on_start: Callable[[str], object]
    ) -> None:
        super().__init__(_uvicorn_config(app, config))
        self.service, self.settings, self.on_start = app.service, config, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        try:
            await super().startup(sockets)
        except OSError as error:  # another server began to listen while the models were loaded
            await self.lifespan.shutdown()
            raise _unusable(self.settings, error) from error
        assert sockets is not None
        self.on_start(_url(self.settings.host, *sockets[0].getsockname()[:2]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was accepted; if that is cut short, the closed pools refuse the rest."""
        await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second Ctrl-C stops at once."""
        self.service.draining = True
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals, which are the ordinary way to stop, and do not raise them again."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def _uvicorn_config(app: Application, config: ServerConfig) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedProtocol.within(config.app.limits),
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=int(max(1, config.app.limits.read_seconds)),
        timeout_graceful_shutdown=config.grace,
        h11_max_incomplete_event_size=_MAX_HEADER,
    )


def _url(host: str, address: str, port: int) -> str:
    """Return a URL that a browser on this machine can open."""
    if ip_address(address.partition("%")[0]).is_unspecified:
        host = "::1" if ":" in address else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(config: ServerConfig) -> socket.socket:
    """Return a socket that is bound, but does not listen yet."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            stack.pop_all()
    except (OSError, UnicodeError) as error:
        raise _unusable(config, error) from error
    return listener


def _unusable(config: ServerConfig, error: OSError | UnicodeError) -> ValueError:
    reason, hint = "not the name of a host", ""
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        hint = "; choose another --port" if error.errno == errno.EADDRINUSE else ""
    return ValueError(f"{config.host}:{config.port}: can't listen there ({reason}){hint}")
