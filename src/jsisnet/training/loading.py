"""Loading of the batches of a training, in worker processes that may be lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader

from jsisnet.data.sample import Batch, collate
from jsisnet.data.stream import Stream, StreamSampler
from jsisnet.files.processes import exit_with_parent

_ADVICE = (
    "in a container, allow more memory (docker run --shm-size 8g, --memory), or load the photos in "
    "the training process with --train.workers 0"
)


class LostWorkerError(ValueError):
    """A data loader's worker has ended, or can't be started."""


def load(
    stream: Stream,
    sampler: StreamSampler,
    *,
    batch_size: int,
    accumulate: int,
    workers: int,
    pin_memory: bool,
) -> Iterator[list[Batch]]:
    """Load the micro-batches of one step after the other, without end.

    Args:
        stream: The examples.
        sampler: Positions of this process.
        batch_size: Photos per micro-batch.
        accumulate: Micro-batches per step.
        workers: Worker processes; 0 loads in this process.
        pin_memory: Whether the batches are copied to a GPU.

    Raises:
        LostWorkerError: If the workers can't be started.
        ValueError: If a photo or its ground truth can't be read.
    """
    loader = DataLoader(
        stream,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        worker_init_fn=exit_with_parent,
    )
    batches = _started(loader)
    try:
        while True:
            yield list(islice(batches, accumulate))
    except ValueError as error:
        # The message of a worker's error is its whole traceback; the last line says what it is.
        raise ValueError(str(error).rpartition("\nValueError: ")[2].strip()) from error


@contextmanager
def explaining_lost_workers() -> Iterator[None]:
    """Turn PyTorch's error about a lost worker, which may be raised anywhere, into ours.

    Raises:
        LostWorkerError: If a worker has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise
        _, _, how = str(error).partition(" is killed by signal: ")
        killed = f" by signal: {how.split('.')[0]}" if how else ""
        raise LostWorkerError(
            f"a data-loading process was killed{killed}, perhaps out of memory; {_ADVICE}"
        ) from error


def _started(loader: DataLoader[Any]) -> Iterator[Batch]:
    try:
        return iter(loader)
    except OSError as error:  # /dev/shm, which holds the locks, may be full
        raise LostWorkerError(
            f"the data-loading processes can't be started ({error.strerror}), as with a full "
            f"/dev/shm; {_ADVICE}"
        ) from error
