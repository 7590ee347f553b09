"""Work shared among the actors of a Ray cluster."""

import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from jsisnet.inference.workers import portable_error
from jsisnet.scale.connection import AUTO, ClusterConfig, connect, import_ray

_ATTEMPTS = 2
"""Actors that may be killed while they have a chunk, before its items are tried one by one."""

_STARTS = 2
"""Actors, for each that is wanted, that may be killed one after another before they have loaded
the work."""

_REPLACED = "a worker process ended unexpectedly, perhaps out of memory; another one did its work"

_NEVER_LOADED = (
    "worker processes ended unexpectedly, perhaps out of memory, before they had loaded the "
    "network; try fewer workers"
)

Item = TypeVar("Item")
Result = TypeVar("Result")

Work = Callable[[Iterable[Item]], Iterable[Result]]
"""Function that computes a result for each item, in order; must be picklable."""


@contextmanager
def connected(config: ClusterConfig) -> Iterator["Cluster"]:
    """Connect to a cluster until the block ends.

    Raises:
        ImportError: If Ray is not installed.
        ValueError: If no cluster answers, or it has too few cores or GPUs for one actor.
    """
    ray = import_ray()
    if config.address == AUTO:
        config = replace(config, address=os.environ.get("RAY_ADDRESS") or AUTO)
    with ExitStack() as stack:
        if not ray.is_initialized():
            connect(ray, config, stack)
        yield Cluster(config, _actors(ray.cluster_resources(), config))


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
        begun = (
            ray.remote(_Begun).options(num_cpus=0, max_restarts=-1).remote(_STARTS * self.workers)
        )
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
    """Counts what was begun and not finished, in an actor of its own that outlives the others."""

    def __init__(self, most_starts: int) -> None:
        self.times: Counter[bytes] = Counter()
        self.starts, self.most_starts = 0, most_starts

    def count(self, chunk: bytes) -> int:
        """Return how often a chunk was begun."""
        self.times[chunk] += 1
        return self.times[chunk]

    def start(self) -> bool:
        """Return whether another worker may load the work."""
        self.starts += 1
        return self.starts <= self.most_starts

    def loaded(self) -> None:
        """Note that a worker has loaded the work."""
        self.starts = 0


class _Worker:
    """What an actor runs: it loads the work once, and computes the results of chunks.

    An error is a result, because Ray would try again without end if it were raised.
    """

    def __init__(self, folder: Path, work: bytes, begun: Any) -> None:  # noqa: ANN401 - Ray's own
        import ray

        self.begun = begun
        self.error: Exception | None = None
        # Paths may be relative to the folder of the command.
        with suppress(OSError):
            os.chdir(folder)
        if not ray.get(begun.start.remote()):
            self.error = ValueError(_NEVER_LOADED)
            return
        try:
            self.work: Work[Any, Any] = pickle.loads(work)
        except Exception as error:
            self.error = portable_error(error)
        begun.loaded.remote()

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
