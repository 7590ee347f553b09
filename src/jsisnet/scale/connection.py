"""Connections to Ray clusters, and clusters of this machine that are started for one."""

import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from types import ModuleType
from typing import Any

from jsisnet.files.processes import available_cores
from jsisnet.lazy import import_extra

LOCAL = "local"
"""Address that stands for a cluster of this machine alone, which is started and ended here."""

AUTO = "auto"
"""Address that stands for the cluster that this machine belongs to."""

_STORE_BYTES = 2**28
"""Shared memory of a local cluster; no photo or map passes through it, only what they are called
and what became of them."""

_TIMEOUT = 10
"""Seconds that the head of a cluster has to answer."""

_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a client of gRPC sends first, with settings; the server answers with its own."""

_SETTINGS_FRAME = 4
"""Kind of the server's first frame, which is its fourth byte."""

_MAX_REASON = 300
"""Characters of Ray's messages that are repeated."""

_MAX_FOLDER = 15
"""Longest folder in bytes that Ray's sockets can lie below; systems limit their paths to 103."""

_TOKEN = secrets.token_hex(32)
"""Key of the clusters that this process starts, without which others on this machine can't use
them. Left alone, Ray keeps one in the user's home."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
}
"""Environment of Ray: nothing is reported to its authors, and it writes to its log files alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterConfig:
    """Which cluster is used, and how much of it."""

    address: str = LOCAL
    """``local``, ``auto`` for the cluster that this machine belongs to, HOST:PORT of its head, or
    ``ray://HOST:PORT`` from a machine outside it."""

    workers: int | None = None
    """Number of actors; by default one for each GPU if they use GPUs, otherwise as many as there
    are cores for."""

    gpu: bool = False
    """Whether each actor has a GPU for itself."""

    threads: int = 1
    """Cores that each actor has for itself."""


def import_ray() -> ModuleType:
    """Import Ray, with settings that it reads when it is imported.

    Raises:
        ImportError: If it is not installed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    ray = import_extra("a cluster", "ray")
    import_extra("a cluster", "ray.data")
    return ray


def connect(ray: ModuleType, config: ClusterConfig, stack: ExitStack) -> None:
    """Connect to a cluster until a stack is closed.

    Raises:
        ValueError: If no cluster answers.
    """
    stack.callback(ray.shutdown)
    # Ray has no setting for messages about killed workers, which it prints.
    _change(stack, ray._private.worker, _worker_logs_enabled=False)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    with ExitStack() as start:
        if config.address == LOCAL:
            folder = _logs_folder(stack)
            stack.callback(ray.shutdown)
            _protect(ray, stack, start)
            options |= {
                "num_cpus": (config.workers or available_cores()) * config.threads,
                "object_store_memory": _STORE_BYTES,
                "include_dashboard": False,
                "_temp_dir": str(folder),
            }
        try:
            _check_address(_found(ray, config.address))
            start.enter_context(warnings.catch_warnings())
            start.enter_context(_standard_error_closed())
            start.enter_context(_signal_handlers_kept())
            warnings.simplefilter("ignore")  # about settings of future versions
            ray.init(address=config.address, **options)
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(_unreachable(config.address, error)) from error


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Restore the program's handlers of signals, which Ray replaces."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _change(stack: ExitStack, owner: object, **values: object) -> None:
    """Set attributes until a stack is closed."""
    for name, value in values.items():
        stack.callback(setattr, owner, name, getattr(owner, name, None))
        setattr(owner, name, value)


def _logs_folder(stack: ExitStack) -> Path:
    """Create a folder for the logs and sockets of a session, which would pile up otherwise.

    Ray makes it writable for everyone, so it lies in one that is this user's alone.
    """
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _MAX_FOLDER and Path("/tmp").is_dir():
        parent = "/tmp"
    own = tempfile.TemporaryDirectory(prefix="jsisnet-ray-", dir=parent, ignore_cleanup_errors=True)
    stack.callback(own.cleanup)
    return Path(own.name) / "r"


def _protect(ray: ModuleType, stack: ExitStack, start: ExitStack) -> None:
    """Let no one else use a local cluster: whoever reaches a port of Ray can run programs.

    Ray has no setting for the loopback interface on Linux, on which it listens elsewhere.
    """
    _change(start, ray._private.ray_constants, ENABLE_RAY_CLUSTER=False)
    if not any(name.startswith("RAY_AUTH_") for name in os.environ):
        os.environ["RAY_AUTH_TOKEN"] = _TOKEN
        stack.callback(os.environ.pop, "RAY_AUTH_TOKEN", None)


@contextmanager
def _standard_error_closed() -> Iterator[None]:
    """Drop what Ray's library writes to standard error, such as that it was told to be quiet."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _found(ray: ModuleType, address: str) -> str:
    """Return the address of the cluster that this machine belongs to, if it is wanted."""
    if address != AUTO:
        return address
    return str(ray._private.services.canonicalize_bootstrap_address(address))


def _check_address(address: str) -> None:
    """Check that a server of gRPC answers at HOST:PORT, for which Ray itself waits for minutes."""
    if address == LOCAL:
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal() or int(port) >= 1 << 16 or "/" in host:
        raise ValueError("expected local, auto, HOST:PORT or ray://HOST:PORT")
    with socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT) as connection:
        if os.environ.get("RAY_USE_TLS", "0") != "0":
            return
        connection.sendall(_GREETING)
        answer = connection.recv(4)
    if answer[3:] != bytes([_SETTINGS_FRAME]):
        raise OSError("what listens there is no Ray")


def _unreachable(address: str, error: Exception) -> str:
    reason = shorten(f"{error}" or type(error).__name__, _MAX_REASON)
    if address == LOCAL:
        return f"Ray can't be started on this machine: {reason}"
    if address == AUTO and isinstance(error, ConnectionError):
        return (
            "no Ray cluster runs on this machine; start one with `ray start --head`, or use "
            "--cluster local"
        )
    if isinstance(error, OSError):
        return f"no Ray cluster answers at {address}: {reason}"
    return f"the Ray cluster at {address} can't be used: {reason}"
