"""Segmentation of many photos in one process: reading, network and writing overlap."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from jsisnet.files.processes import available_cores
from jsisnet.inference.photo_files import Photo
from jsisnet.inference.photo_job import Item, Outcome, PhotoJob

_GPU_THREADS = 4
"""Threads that read, and as many that write, so that a GPU need not wait."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def overlapped(
    photos: Iterable[Photo], job: PhotoJob, on_written: Callable[[Outcome], None]
) -> Iterator[Outcome]:
    """Segment photos, a few at a time, while others are read and written.

    Args:
        photos: The photos.
        job: Steps to take with each.
        on_written: Called in any thread as soon as the files of a photo are written, even if the
            iteration is interrupted meanwhile.

    Yields:
        Outcomes in the order of the photos.
    """
    engine = job.predictor.engine
    threads = 1 if engine.device == "cpu" else min(_GPU_THREADS, available_cores())
    size = 1 if engine.config.size is None else engine.batch_size

    def predicted() -> Iterator[Item]:
        items = in_threads(job.read, photos, threads)
        while batch := list(islice(items, size)):
            job.predict(batch)
            yield from batch

    def write(item: Item) -> Outcome:
        outcome = job.write(item)
        on_written(outcome)
        return outcome

    yield from in_threads(write, predicted(), threads)


def in_threads(
    function: Callable[[_In], _Out], items: Iterable[_In], threads: int
) -> Iterator[_Out]:
    """Apply a function to items in threads, at most one item per thread ahead.

    Calls that have begun come to their end, even if the iteration stops.

    Yields:
        Results in the order of the items.
    """
    pending: deque[Future[_Out]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
