"""The photos that wait for a worker."""

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition

from jsisnet.serve.jobs import Answer, Refusal, Task


@dataclass(eq=False, slots=True)
class Job:
    """A task, and where its answer goes."""

    task: Task

    future: "Future[Answer | Refusal]" = field(default_factory=Future)

    submitted: float = field(default_factory=time.monotonic)

    losses: int = 0
    """Workers that ended while they had it."""


@dataclass(eq=False, slots=True)
class Taker:
    """A worker as the queue sees it."""

    ended: bool = False

    held: int = 0
    """Jobs that it has."""

    alone: bool = False
    """Whether the job that it has may have ended another worker, so that no other one joins it."""

    def may_take(self, job: Job) -> bool:
        """Return whether a job may join those that the worker has."""
        return not self.alone and (not job.losses or not self.held)


class JobQueue:
    """A queue for several threads; jobs whose clients have left are dropped."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._changed = Condition()

    def __len__(self) -> int:
        with self._changed:
            return sum(not job.future.cancelled() for job in self._jobs)

    def put(self, job: Job) -> None:
        """Add a job."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify_all()

    def put_back(self, job: Job) -> None:
        """Return a job that its worker lost; it is the next one."""
        with self._changed:
            self._jobs.appendleft(job)
            self._changed.notify_all()

    def take(self, taker: Taker) -> Job | None:
        """Wait for a job; ``None`` once the worker has ended, which `wake` makes it look for."""
        with self._changed:
            while not taker.ended:
                if not self._jobs or not taker.may_take(self._jobs[0]):
                    self._changed.wait()
                elif _is_wanted(job := self._jobs.popleft()):
                    taker.held += 1
                    taker.alone = bool(job.losses)
                    return job
        return None

    def release(self, taker: Taker) -> None:
        """Note that a worker has finished or lost a job."""
        with self._changed:
            taker.held -= 1
            taker.alone = False
            self._changed.notify_all()

    def wake(self) -> None:
        """Make all threads that wait look whether their workers have ended."""
        with self._changed:
            self._changed.notify_all()

    def refuse_all(self, refusal: Refusal) -> None:
        """Answer all jobs with a refusal."""
        with self._changed:
            jobs = list(self._jobs)
            self._jobs.clear()
        for job in jobs:
            if _is_wanted(job):
                job.future.set_result(refusal)


def _is_wanted(job: Job) -> bool:
    """Return whether the client of a job is still there, and can't leave unnoticed any more."""
    return job.future.running() or job.future.set_running_or_notify_cancel()
