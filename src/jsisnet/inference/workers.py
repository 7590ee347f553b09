"""Segmentation of many photos by several processes; one that is killed is replaced."""

import logging
import multiprocessing
import pickle
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from jsisnet.files.processes import TERMINATION_TIMEOUT, exit_with_parent, signals_blocked
from jsisnet.inference.photo_files import Photo
from jsisnet.inference.photo_job import Outcome, PhotoJob

_AHEAD = 2
"""Photos that a worker has at a time, so that it need not wait for the next one."""

_ATTEMPTS = 2
"""Workers that may be killed while they segment one photo, before it is given up."""

_STOP = None
"""Message that lets a worker end."""


@dataclass(frozen=True, slots=True)
class _Logged:
    """A message that a worker logged."""

    logger: str
    level: int
    message: str


class _Forward(logging.Handler):
    """Sends what a worker logs to the process that started it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.WARNING)
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        """Send the message of a record."""
        with suppress(OSError):
            self._connection.send(_Logged(record.name, record.levelno, record.getMessage()))


@lru_cache(1000)
def _log_once(logged: _Logged) -> None:
    """Log a message of a worker, unless another one has logged the same."""
    logging.getLogger(logged.logger).log(logged.level, "%s", logged.message)


@dataclass(slots=True)
class _Worker:
    """A process and the photos that it was given and has not finished, oldest first."""

    process: BaseProcess
    connection: Connection
    photos: deque[Photo] = field(default_factory=deque)
    ready: bool = False
    """Whether it has loaded the network."""


def in_workers(
    photos: Sequence[Photo],
    job: PhotoJob,
    count: int,
    on_written: Callable[[Outcome], None],
    on_warning: Callable[[str], object],
) -> Iterator[Outcome]:
    """Segment photos in several processes, each of which loads the network.

    Args:
        photos: The photos.
        job: Steps to take with each; it is pickled.
        count: Number of processes.
        on_written: Called as soon as the files of a photo are known to be written, even if the
            iteration is interrupted meanwhile.
        on_warning: Called with a message for each process that ends unexpectedly.

    Yields:
        Outcomes as they come.

    Raises:
        ValueError: If the job can't be pickled, or no process can load the network.
    """
    crew = _Crew(deque(photos), _pickled(job), on_warning)
    left = len(photos)
    try:
        for _ in range(min(count, left)):
            crew.start()
        while left:
            for outcome in crew.outcomes():
                on_written(outcome)
                yield outcome
                left -= 1
    finally:
        for outcome in crew.stop():
            on_written(outcome)


class _Crew:
    """The workers, and the photos that none of them has yet."""

    def __init__(
        self, waiting: deque[Photo], job: bytes, on_warning: Callable[[str], object]
    ) -> None:
        self.waiting, self.job, self.on_warning = waiting, job, on_warning
        self.workers: list[_Worker] = []
        self.killed: Counter[str] = Counter()
        """Number of workers that were killed, by the photo they were at."""
        self.false_starts = 0

    def start(self) -> None:
        """Start another worker."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self.job), daemon=True)
        with signals_blocked(signal.SIGINT):  # Ctrl-C comes to this process alone
            process.start()
            self.workers.append(_Worker(process, ours))
        theirs.close()

    def outcomes(self) -> Iterator[Outcome]:
        """Wait for the next messages, and return the outcomes among them."""
        by_connection = {worker.connection: worker for worker in self.workers}
        for connection in wait(list(by_connection)):
            assert isinstance(connection, Connection)
            worker = by_connection[connection]
            try:
                message = connection.recv()
            except (EOFError, OSError):
                yield from self._replace(worker)
                continue
            if isinstance(message, Exception):
                raise message
            if isinstance(message, _Logged):
                _log_once(message)
                continue
            worker.ready = True
            if isinstance(message, Outcome):
                worker.photos.popleft()
                yield message
            self._feed(worker)

    def stop(self) -> Iterator[Outcome]:
        """End all workers, and return the outcomes of photos that they finish meanwhile."""
        for worker in self.workers:
            with suppress(OSError):
                worker.connection.send(_STOP)
        deadline = time.monotonic() + TERMINATION_TIMEOUT
        for worker in self.workers:
            with suppress(EOFError, OSError):
                while worker.connection.poll(max(0.0, deadline - time.monotonic())):
                    message = worker.connection.recv()
                    if isinstance(message, Outcome):
                        yield message
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.join()
            worker.connection.close()

    def _feed(self, worker: _Worker) -> None:
        """Give a worker photos, one of them to begin with while the others are few."""
        with suppress(OSError):  # a worker that is gone is noticed when its message is read
            while self.waiting and len(worker.photos) < _AHEAD:
                worker.photos.append(self.waiting.popleft())
                worker.connection.send(worker.photos[-1])

    def _replace(self, worker: _Worker) -> Iterator[Outcome]:
        """Start a worker in place of one that ended, for the photos that it had."""
        worker.process.join()
        self.workers.remove(worker)
        worker.connection.close()
        ended = (
            f"a worker process ended unexpectedly (exit code {worker.process.exitcode}), perhaps "
            "out of memory"
        )
        if not worker.ready:
            self.false_starts += 1
            if self.false_starts >= _ATTEMPTS:
                raise ValueError(f"{ended}, before it had loaded the network; try fewer workers")
        if worker.photos:
            suspect = worker.photos[0]
            self.killed[suspect.name] += 1
            if self.killed[suspect.name] >= _ATTEMPTS:
                worker.photos.popleft()
                yield Outcome(photo=suspect, error=ValueError(f"{ended}, each time it was tried"))
        self.waiting.extendleft(reversed(worker.photos))
        self.on_warning(f"{ended}; its photos are given to another one")
        self.start()


def _work(connection: Connection, pickled: bytes) -> None:
    """Segment the photos that come through a connection, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    exit_with_parent()
    logging.getLogger().addHandler(_Forward(connection))
    try:
        job: PhotoJob = pickle.loads(pickled)
        connection.send("ready")
        while (photo := connection.recv()) is not _STOP:
            connection.send(portable(job.segment(photo)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the process that wanted the outcomes is gone
    except Exception as error:
        with suppress(OSError):
            connection.send(portable_error(error))


def portable(outcome: Outcome) -> Outcome:
    """Return an outcome that can be sent to another process."""
    if outcome.error is None:
        return outcome
    return Outcome(photo=outcome.photo, error=portable_error(outcome.error))


def portable_error(error: Exception) -> Exception:
    """Return an error of a built-in type as it is, and the message of any other one."""
    if type(error).__module__ == "builtins":
        return error
    return ValueError(f"{error}") if isinstance(error, ValueError) else RuntimeError(f"{error!r}")


def _pickled(job: PhotoJob) -> bytes:
    try:
        return pickle.dumps(job)
    except Exception as error:  # what is pickled may be of any other package
        raise ValueError(
            f"the engine {job.predictor.engine.name} can't be used by several processes "
            f"({error}); use one worker"
        ) from error
