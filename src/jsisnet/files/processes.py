"""Work shared among processes, with results in order, and the memory a process needs."""

import ctypes
import gc
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

TERMINATION_TIMEOUT = 3
"""Seconds that a terminated process has to exit by itself before it is killed."""


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""


def process_peak_memory() -> float:
    """Return the peak resident memory of this process in MiB, without its child processes."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, getrusage inherits the peak of the parent process.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 2**10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def reuse_freed_memory() -> None:
    """Keep freed blocks of up to 4 MiB for the next ones, in this process and those it forks.

    By default glibc returns blocks of more than 128 KiB to the system, which clears each page of
    the next one. It raises this limit to the size of any larger block that it has returned; see
    mallopt(3), M_MMAP_THRESHOLD.
    """
    bytes(2**22)


def reuse_large_freed_memory() -> None:
    """Keep freed blocks of less than 1 GiB for the next ones, for work that repeats itself.

    By default glibc returns many of them to the system, which clears each page of the next one; a
    training step spent a fifth of its time on that. The process keeps its memory until it ends. No
    effect with other C libraries; see mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, -1)


def exit_with_parent(worker: int = 0) -> None:  # noqa: ARG001 - a `worker_init_fn` of torch
    """Exit this process at once when its parent is killed.

    Otherwise it would write files that another command may have begun to replace. A worker of a
    torch `DataLoader` by itself checks only every five seconds.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


Result = TypeVar("Result")

Share = Callable[[Iterable[int]], Iterable[Result]]
"""Function that computes the results of some numbers, one by one; must be picklable."""

_TIME_TO_COMPLETE = 0.5
"""Seconds that processes have to complete their current results, if these are not needed."""

_NUMBERS_AT_A_TIME = 2
"""Numbers that a process has, so that it need not wait for the next one."""

_MOST_AHEAD = 8
"""Results for each process that may wait for an earlier one."""

_METHOD = "fork" if sys.platform == "linux" else "spawn"
"""A forked process starts at once, because its modules are already imported."""


_STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a process to stop."""


@contextmanager
def signals_blocked(*numbers: int) -> Iterator[None]:
    """Hold signals back until the block ends; processes started inside inherit the blocked set."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_order(share: Share[Result], count: int, processes: int) -> Iterator[Result]:
    """Yield results in order, computed by several processes.

    Each process has two numbers to compute at a time, so faster ones compute more, and those that
    are far ahead wait. They end when this process is gone.

    Args:
        share: Computes the results of one process.
        count: Total number of results.
        processes: Number of worker processes; with one, the results are computed in this process.

    Raises:
        ValueError: If `share` raises it, or a process ends unexpectedly.
    """
    workers = min(processes, count)
    if workers <= 1:
        yield from share(range(count))
        return
    crew: list[_Worker] = []
    try:
        # Garbage collection in a forked process would copy the memory of the objects it visits.
        gc.freeze()
        for _ in range(workers):
            _start(share, crew)
        gc.unfreeze()
        yield from _collect(crew, count)
    finally:
        _end(crew)


def _end(crew: Sequence["_Worker"]) -> None:
    """End the processes; one that still computes may complete its file, but not for long."""
    for worker in crew:
        worker.pipe.close()
    last = monotonic() + _TIME_TO_COMPLETE
    for worker in crew:
        if worker.numbers:
            worker.process.join(max(0, last - monotonic()))
        worker.process.kill()
        worker.process.join()


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, and the numbers whose results it has yet to send."""

    process: BaseProcess
    pipe: Connection
    numbers: deque[int] = field(default_factory=deque)
    failed: bool = False

    def hand_out(self, numbers: Iterator[int]) -> None:
        """Send the next number, or that there is none."""
        if self.failed:
            return
        number = next(numbers, None)
        if number is not None:
            self.numbers.append(number)
        with suppress(ConnectionError):  # its end shows when a result is received
            self.pipe.send(number)

    def receive(self) -> tuple[int, Any]:
        """Return a number and its result, or the error that ended the process."""
        try:
            result = self.pipe.recv()
        except (EOFError, ConnectionError):
            raise ValueError(
                "a worker process ended unexpectedly, perhaps out of memory; try fewer processes"
            ) from None
        number = self.numbers.popleft()
        if isinstance(result, Exception):
            self.failed = True
            self.numbers.clear()
        return number, result


def _collect(crew: Sequence[_Worker], count: int) -> Iterator[Any]:
    """Hand out numbers, and yield their results in order."""
    numbers = iter(range(count))
    found: dict[int, Any] = {}
    for worker in [*crew] * _NUMBERS_AT_A_TIME:
        worker.hand_out(numbers)
    for number in range(count):
        while number not in found:
            isfull = len(found) >= _MOST_AHEAD * len(crew)
            for worker in _ready(crew, number if isfull else None):
                found.update([worker.receive()])
                worker.hand_out(numbers)
        result = found.pop(number)
        if isinstance(result, Exception):
            raise result
        yield result


def _ready(crew: Iterable[_Worker], number: int | None) -> list[_Worker]:
    """Wait for a result, or for that of one number, and return the workers that have sent any."""
    busy = {
        worker.pipe: worker
        for worker in crew
        if worker.numbers and (number is None or number in worker.numbers)
    }
    return [busy[pipe] for pipe in wait(list(busy)) if isinstance(pipe, Connection)]


def _start(share: Share[Result], crew: list[_Worker]) -> None:
    context = multiprocessing.get_context(_METHOD)
    pipe, other = context.Pipe()
    inherited = (*(worker.pipe for worker in crew), pipe) if _METHOD == "fork" else ()
    process: BaseProcess = context.Process(  # type: ignore[attr-defined]  # every context has it
        target=_work, args=(share, other, inherited), daemon=True
    )
    # A forked process has this one's handlers until it sets its own. Their exceptions would be lost
    # there, and the signal with them, or continue this process's work in the child.
    with signals_blocked(*_STOPPING):
        process.start()
        crew.append(_Worker(process, pipe))
    other.close()


def _work(share: Share[Result], pipe: Connection, inherited: tuple[Connection, ...]) -> None:
    """Send the results of a share, or the error that it raises."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    # With the other end open, this process would not notice that the parent is gone.
    for other in inherited:
        other.close()
    exit_with_parent()
    try:
        for result in share(iter(pipe.recv, None)):
            pipe.send(result)
    except (EOFError, ConnectionError):
        pass
    except Exception as error:
        with suppress(ConnectionError):  # another error may have ended the work already
            pipe.send(error)
