"""A pool of worker processes for one model; one that ends unexpectedly is replaced."""

import logging
import multiprocessing
import signal
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import ceil
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Event, Lock, Thread, Timer

from jsisnet.files.processes import TERMINATION_TIMEOUT, available_cores, signals_blocked
from jsisnet.serve.job_queue import Job, JobQueue, Taker
from jsisnet.serve.jobs import Answer, Description, Refusal, Task
from jsisnet.serve.worker import Failure, Work, work

_PIPES = 16
"""Pipes of a worker, of which it uses as many as it takes photos at a time."""

_MAX_LOSSES = 2
"""Workers that may end while they have a photo, before it is given up."""

_MAX_WORKERS = 16
"""Workers by default, at most."""

_WORKERS_PER_CORE = 8
"""Workers for each core, at most; more than one only wait for each other on a CPU."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds before another attempt to start a worker; the pause doubles up to a limit."""

_MAX_RETRY_AFTER = 60

_SMOOTHING = 0.1
"""Share of the latest photo in the average time."""

_GONE = Refusal(status=503, detail="the worker process ended, each time this photo was tried")
_CLOSED = Refusal(status=503, detail="the server is shutting down")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolConfig:
    """How many workers there are, and how long they may take.

    Raises:
        ValueError: If there are far more workers than cores.
    """

    workers: int | None = None
    """Processes; ``None`` for one per core on a CPU, and one on a GPU."""

    seconds: float = 60.0
    """Time one photo may take; its worker is then replaced."""

    start_seconds: float = 120.0
    """Time a worker may take to load the model."""

    def __post_init__(self) -> None:
        most = _WORKERS_PER_CORE * available_cores()
        if self.workers is not None and not 1 <= self.workers <= most:
            raise ValueError(
                f"{self.workers:,} workers; expected 1 to {most} on this machine, "
                f"{_WORKERS_PER_CORE} for each core: each of them loads the model"
            )


@dataclass(eq=False, kw_only=True, slots=True)
class _Worker(Taker):
    """A process and its pipes."""

    process: BaseProcess
    connections: list[Connection]
    stopped: bool = False
    """Whether the server has killed it, so that its photos are not to blame."""

    def kill(self) -> None:
        self.stopped = self.ended = True
        self.process.kill()


@dataclass(slots=True)
class _State:
    """What the threads of a pool share; guarded by a lock."""

    description: Description | None = None
    failure: str | None = None
    """Why the latest worker could not start."""
    ready: int = 0
    restarts: int = 0
    average: float = 0.0
    """Seconds of a photo."""
    workers: set[_Worker] = field(default_factory=set)


def _pause(failures: int) -> float:
    """Return the seconds to wait after so many attempts to start a worker have failed."""
    if not failures:
        return 0.0
    return min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE)


class Pool:
    """Processes that have loaded one model, and the photos that wait for them."""

    def __init__(self, model: Work, config: PoolConfig | None = None) -> None:
        """Prepare a pool; `start` starts it.

        Args:
            model: The model, and how a worker runs it.
            config: Number and time limits of the workers.
        """
        self.work, self.config = model, config or PoolConfig()
        self._queue, self._state, self._lock = JobQueue(), _State(), Lock()
        self._closing, self._first = Event(), Event()
        self._keepers: list[Thread] = []

    def start(self) -> Description:
        """Start the workers, and wait until the first one is ready; once started, do nothing.

        Raises:
            ValueError: If the model can't be loaded.
        """
        if not self._keepers:
            self._add_keepers(1)
            self._first.wait()
            description = self._state.description
            if description is None:
                self.close()
                raise ValueError(self._state.failure or "the server was stopped")
            default = min(available_cores(), _MAX_WORKERS) if description.device == "cpu" else 1
            self._add_keepers((self.config.workers or default) - 1)
        return self.description

    def submit(self, task: Task) -> "Future[Answer | Refusal]":
        """Queue a task; cancelling its future drops it if no worker has it yet."""
        job = Job(task)
        if self._closing.is_set() or self.failure is not None:
            job.future.set_result(self._unavailable())
        else:
            self._queue.put(job)
        return job.future

    def close(self) -> None:
        """End the workers; photos that have no answer yet get none."""
        self._closing.set()
        self._queue.refuse_all(_CLOSED)
        with self._lock:
            workers = list(self._state.workers)
        for worker in workers:
            worker.kill()
        self._queue.wake()
        for keeper in self._keepers:
            keeper.join(TERMINATION_TIMEOUT)
        self._first.set()

    @property
    def description(self) -> Description:
        """What the workers have loaded."""
        assert self._state.description is not None, "the pool has not started"
        return self._state.description

    @property
    def failure(self) -> str | None:
        """Why there is no worker, if the last one ended and could not be replaced."""
        return self._state.failure if not self._state.ready else None

    @property
    def workers(self) -> int:
        """Number of workers, ready or not."""
        return len(self._keepers)

    @property
    def ready(self) -> int:
        """Number of workers that have loaded the model."""
        return 0 if self._closing.is_set() else self._state.ready

    @property
    def busy(self) -> int:
        """Number of photos that workers have."""
        with self._lock:
            return sum(worker.held for worker in self._state.workers)

    @property
    def restarts(self) -> int:
        """Number of workers that were replaced."""
        return self._state.restarts

    @property
    def queued(self) -> int:
        """Number of photos that wait."""
        return len(self._queue)

    @property
    def retry_after(self) -> int:
        """Whole seconds after which the photos that wait now may be done."""
        rate = max(1, self._state.ready)
        seconds = ceil((self.queued + self.busy) * self._state.average / rate)
        return min(max(seconds, 1), _MAX_RETRY_AFTER)

    def _unavailable(self) -> Refusal:
        if self._closing.is_set():
            return _CLOSED
        return Refusal(status=503, detail="no worker process could be started; try again later")

    def _add_keepers(self, count: int) -> None:
        for _ in range(count):
            keeper = Thread(target=self._keep, name="worker keeper", daemon=True)
            self._keepers.append(keeper)
            keeper.start()

    def _keep(self) -> None:
        """Start a worker, and another one whenever it ends."""
        failures = 0
        while not self._closing.is_set():
            worker = self._started()
            failure = self._failure_to_start(worker)
            if failure is None:
                failures = 0
                self._serve(worker)
            else:
                failures += 1
                self._note_failure(worker, failure)
            if not self._closing.is_set():
                with self._lock:
                    self._state.restarts += 1
                self._closing.wait(_pause(failures))

    def _started(self) -> _Worker:
        """Start a process."""
        context = multiprocessing.get_context("spawn")
        pipes = [context.Pipe() for _ in range(_PIPES)]
        theirs = [pipe for _, pipe in pipes]
        process = context.Process(target=work, args=(theirs, self.work.open), daemon=True)
        worker = _Worker(process=process, connections=[ours for ours, _ in pipes])
        with self._lock:
            with signals_blocked(signal.SIGINT, signal.SIGTERM):
                process.start()
            self._state.workers.add(worker)
        for pipe in theirs:
            pipe.close()
        if self._closing.is_set():  # since the keeper looked
            worker.kill()
        return worker

    def _failure_to_start(self, worker: _Worker) -> str | None:
        """Wait until a worker has loaded its model; return why it has not, or is not to be used."""
        found: object = None
        with suppress(EOFError, OSError):
            if not worker.connections[0].poll(self.config.start_seconds):
                return f"loading the model took more than {self.config.start_seconds:.0f} s"
            found = worker.connections[0].recv()
        if isinstance(found, Failure):
            return found.reason
        if not isinstance(found, Description):
            worker.process.join(TERMINATION_TIMEOUT)
            return (
                "a worker process ended before it had loaded the model (exit code "
                f"{worker.process.exitcode}), perhaps out of memory"
            )
        with self._lock:
            known = self._state.description
            if known is None:
                self._state.description = found
            elif known.fingerprint != found.fingerprint:
                return (
                    f"{self.work.model} has changed since the server started; restart the server "
                    "to use the new model, or put the old one back"
                )
            self._state.failure = None
        return None

    def _note_failure(self, worker: _Worker, failure: str) -> None:
        """End a worker that is of no use, and refuse the photos if there is no other one."""
        worker.kill()
        self._forget(worker)
        if self._closing.is_set():
            return
        self._state.failure = failure
        if self._state.description is None:
            self._closing.set()
            self._first.set()
            return
        _log.error("no new worker: %s", failure)
        if not self._state.ready:
            self._queue.refuse_all(self._unavailable())

    def _serve(self, worker: _Worker) -> None:
        """Let a worker answer tasks until it ends."""
        lanes = worker.connections[: self.description.lanes]
        for connection in worker.connections[len(lanes) :]:
            connection.close()
        threads = [
            Thread(target=self._feed, args=(worker, lane), name="lane", daemon=True)
            for lane in lanes
        ]
        with self._lock:
            self._state.ready += 1
        for thread in threads:
            thread.start()
        self._first.set()
        wait([worker.process.sentinel])
        worker.ended = True
        self._queue.wake()
        with self._lock:
            self._state.ready -= 1
        for thread in threads:
            thread.join()
        self._forget(worker)
        if not self._closing.is_set():
            _log.warning(
                "worker %s ended unexpectedly (exit code %s); starting another one",
                worker.process.pid,
                worker.process.exitcode,
            )

    def _forget(self, worker: _Worker) -> None:
        worker.process.join()
        with self._lock:
            self._state.workers.discard(worker)
        for connection in worker.connections:
            connection.close()

    def _feed(self, worker: _Worker, connection: Connection) -> None:
        """Give a worker jobs, one after another, until it has ended."""
        while (job := self._queue.take(worker)) is not None:
            answer = self._exchange(worker, connection, job)
            if answer is None:
                # The other lanes must not give this worker any job again.
                worker.ended = True
                job.losses += not worker.stopped
                self._retry(job)
            else:
                job.future.set_result(answer)
            self._queue.release(worker)

    def _retry(self, job: Job) -> None:
        """Queue a lost job again, before all others; or give it up."""
        if self._closing.is_set():
            job.future.set_result(_CLOSED)
        elif job.losses >= _MAX_LOSSES:
            job.future.set_result(_GONE)
        else:
            self._queue.put_back(job)

    def _exchange(
        self, worker: _Worker, connection: Connection, job: Job
    ) -> Answer | Refusal | None:
        """Send a task, and wait for its answer; ``None`` if the worker ends meanwhile."""
        began, limit = time.monotonic(), self.config.seconds
        timer = Timer(limit, worker.kill)  # a worker that is stuck may not even read its pipe
        timer.start()
        try:
            connection.send(replace(job.task, waited=began - job.submitted))
            answer: Answer | Refusal = connection.recv()
        except (EOFError, OSError):
            if time.monotonic() - began < limit:
                return None
            return Refusal(status=504, detail=f"the photo took more than {limit:g} s to segment")
        finally:
            timer.cancel()
        average, seconds = self._state.average, time.monotonic() - began
        self._state.average = average + _SMOOTHING * (seconds - average) if average else seconds
        return answer
