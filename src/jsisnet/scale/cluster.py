"""Work shared among the actors of a Ray cluster."""

import os
import pickle
import socket
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from jsisnet.files.processes import available_cores
from jsisnet.inference.workers import portable_error
from jsisnet.lazy import import_extra

LOCAL = "local"
"""Address that stands for a cluster of this machine alone, which is started and ended here."""

_AUTO = "auto"
"""Address that stands for the cluster that this machine belongs to."""

_STORE_BYTES = 2**28
"""Shared memory of a local cluster; no photo or map passes through it, only what they are called
and what became of them."""

_TIMEOUT = 10
"""Seconds that the head of a cluster has to answer."""

_ATTEMPTS = 2
"""Actors that may be killed while they have a chunk, before its items are tried one by one."""

_REPLACED = "a worker process ended unexpectedly, perhaps out of memory; another one did its work"

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}
"""Environment of Ray: nothing is reported to its authors, and it writes to its log files alone."""

Item = TypeVar("Item")
Result = TypeVar("Result")

Work = Callable[[Iterable[Item]], Iterable[Result]]
"""Function that computes a result for each item, in order; must be picklable."""


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


@contextmanager
def connected(config: ClusterConfig) -> Iterator["Cluster"]:
    """Connect to a cluster until the block ends.

    Raises:
        ImportError: If Ray is not installed.
        ValueError: If no cluster answers, or it has too few cores or GPUs for one actor.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    ray = import_extra("a cluster", "ray")
    import_extra("a cluster", "ray.data")
    with ExitStack() as stack:
        if not ray.is_initialized():
            stack.callback(ray.shutdown)
            _connect(ray, config, stack)
        yield Cluster(config, _actors(ray.cluster_resources(), config))


def _connect(ray: ModuleType, config: ClusterConfig, stack: ExitStack) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if config.address == LOCAL:
        # A folder of its own for the logs of a session, which would pile up otherwise.
        logs = tempfile.TemporaryDirectory(prefix="jsisnet-ray-", ignore_cleanup_errors=True)
        stack.callback(logs.cleanup)
        stack.callback(ray.shutdown)
        options |= {
            "num_cpus": (config.workers or available_cores()) * config.threads,
            "object_store_memory": _STORE_BYTES,
            "include_dashboard": False,
            "_temp_dir": logs.name,
        }
    try:
        _check_address(config.address)
        with warnings.catch_warnings(), _standard_error_closed():
            warnings.simplefilter("ignore")  # about settings of future versions
            ray.init(address=config.address, **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(_unreachable(config.address, error)) from error


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


def _check_address(address: str) -> None:
    """Check that HOST:PORT accepts connections, for which Ray itself waits for minutes."""
    if address in (LOCAL, _AUTO):
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError("expected local, auto, HOST:PORT or ray://HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT).close()


def _unreachable(address: str, error: Exception) -> str:
    if address == LOCAL:
        return f"Ray can't be started on this machine: {_first_line(error)}"
    if address == _AUTO:
        return (
            "no Ray cluster runs on this machine; start one with `ray start --head`, or use "
            "--cluster local"
        )
    return f"no Ray cluster answers at {address}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return next(iter(f"{error}".strip().splitlines()), type(error).__name__)


def _actors(resources: Mapping[str, float], config: ClusterConfig) -> int:
    """Return the number of actors that a cluster has room for, and that are wanted."""
    cores = int(resources.get("CPU", 0)) // config.threads
    room = min(cores, int(resources.get("GPU", 0))) if config.gpu else cores
    if room < 1:
        what = "GPU" if config.gpu and cores else f"{config.threads} free cores for a worker"
        raise ValueError(f"the Ray cluster at {config.address} has no {what}")
    return min(room, config.workers or room)


class LostError(ValueError):
    """A worker ended while it had an item, each time that it was tried."""

    def __init__(self) -> None:
        super().__init__(
            "a worker process ended unexpectedly, perhaps out of memory, each time it was tried"
        )


@dataclass(frozen=True, slots=True)
class Cluster:
    """An open connection to a cluster."""

    config: ClusterConfig
    workers: int
    """Number of actors."""

    def run(
        self,
        work: Work[Item, Result],
        items: Sequence[Item],
        chunk: int,
        on_warning: Callable[[str], object] = lambda _: None,
    ) -> Iterator[tuple[int, Result | LostError]]:
        """Compute a result for each item, in any order; an actor that is killed is replaced.

        Items that a killed actor had are tried once more, and then one by one.

        Args:
            work: Computes the results; each actor unpickles it once.
            items: The items.
            chunk: Items that an actor gets at a time.
            on_warning: Called with a message if actors were killed.

        Yields:
            The position of an item and its result, exactly once for each item.

        Raises:
            ValueError: If `work` raises an error, or the cluster fails.
        """
        left = dict(enumerate(items))
        for size in (chunk, 1):
            for number, result in self._attempt(work, left, size, on_warning):
                del left[number]
                yield number, result
            if not left:
                return
        for number in left:
            yield number, LostError()

    def _attempt(
        self,
        work: Work[Item, Result],
        items: Mapping[int, Item],
        size: int,
        on_warning: Callable[[str], object],
    ) -> Iterator[tuple[int, Result]]:
        """Yield results, but not those of chunks at which an actor was killed each time."""
        import ray

        numbers = list(items)
        chunks = [numbers[start : start + size] for start in range(0, len(numbers), size)]
        rows = [
            {"numbers": pickle.dumps(chunk), "items": pickle.dumps([items[n] for n in chunk])}
            for chunk in chunks
        ]
        begun = ray.remote(_Begun).options(num_cpus=0, max_restarts=-1).remote()
        try:
            for row in self._rows(rows, (Path.cwd(), _pickled(work), begun)):
                attempt, results = pickle.loads(row["results"])
                if attempt > 1:
                    on_warning(_REPLACED)
                if isinstance(results, Exception):
                    raise results
                if results is not None:
                    yield from zip(pickle.loads(row["numbers"]), results, strict=True)
        except ray.exceptions.RayError as error:
            raise ValueError(
                f"the Ray cluster at {self.config.address} failed: {_first_line(error)}; each of "
                "its machines needs the same version of jsisnet"
            ) from error

    def _rows(
        self, rows: list[dict[str, bytes]], arguments: tuple[object, ...]
    ) -> Iterator[dict[str, bytes]]:
        """Pass rows through the actors, with Ray Data."""
        from ray import data

        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        _silence()
        dataset = data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Worker,
            fn_constructor_args=arguments,
            batch_size=None,
            compute=data.ActorPoolStrategy(size=min(self.workers, len(rows))),
            num_cpus=self.config.threads,
            num_gpus=1 if self.config.gpu else None,
        )
        for batch in dataset.iter_batches(
            batch_size=None, prefetch_batches=0, batch_format="numpy"
        ):
            for numbers, results in zip(batch["numbers"], batch["results"], strict=True):
                yield {"numbers": numbers, "results": results}


def _silence() -> None:
    """Keep what Ray Data tells of its progress out of standard error."""
    import logging

    for name in ("ray.data", "ray.data._internal", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _Begun:
    """Counts how often each chunk was begun, in an actor of its own that outlives the others."""

    def __init__(self) -> None:
        self.times: Counter[bytes] = Counter()

    def count(self, chunk: bytes) -> int:
        self.times[chunk] += 1
        return self.times[chunk]


class _Worker:
    """What an actor runs: it loads the work once, and computes the results of chunks.

    An error is a result, because Ray would try again without end if it were raised.
    """

    def __init__(self, folder: Path, work: bytes, begun: Any) -> None:  # noqa: ANN401 - Ray's own
        self.begun = begun
        self.error: Exception | None = None
        # Paths may be relative to the folder of the command.
        with suppress(OSError):
            os.chdir(folder)
        try:
            self.work: Work[Any, Any] = pickle.loads(work)
        except Exception as error:
            self.error = portable_error(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        chunks = zip(batch["numbers"], batch["items"], strict=True)
        results = [pickle.dumps(self._results(bytes(n), bytes(items))) for n, items in chunks]
        return {"numbers": batch["numbers"], "results": results}

    def _results(self, numbers: bytes, items: bytes) -> tuple[int, list[Any] | Exception | None]:
        """Return which attempt it is, and the results of a chunk; ``None`` after too many."""
        import ray

        if self.error is not None:
            return 1, self.error
        attempt: int = ray.get(self.begun.count.remote(numbers))
        if attempt > _ATTEMPTS:
            return attempt, None
        try:
            return attempt, list(self.work(pickle.loads(items)))
        except Exception as error:
            return attempt, portable_error(error)


def _pickled(work: object) -> bytes:
    try:
        return pickle.dumps(work)
    except Exception as error:  # what is pickled may be of any other package
        raise ValueError(f"the model can't be sent to other processes ({error})") from error
