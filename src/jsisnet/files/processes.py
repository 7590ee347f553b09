"""Work shared among processes, with results in order, and the memory a process needs."""

import gc
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

TERMINATION_TIMEOUT = 3
"""Seconds that a terminated process has to exit by itself before it is killed."""


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
    """Keep freed blocks of up to 2 MiB for the next ones, in this process and those it forks.

    By default glibc returns blocks of more than 128 KiB to the system, which clears each page of
    the next one. It raises this limit to the size of any larger block that it has returned; see
    mallopt(3), M_MMAP_THRESHOLD.
    """
    bytes(2**21)


Result = TypeVar("Result")

Share = Callable[[int, int], Iterable[Result]]
"""Function of a rank k and a number of workers n that computes the results k, k + n, k + 2n, ...;
must be picklable."""

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

    Each process sends its results through a pipe of limited size, so it waits when it is ahead and
    ends when the reader is gone.

    Args:
        share: Computes the results of one process.
        count: Total number of results.
        processes: Number of worker processes; with one, the results are computed in this process.

    Raises:
        ValueError: If `share` raises it, or a process ends unexpectedly.
    """
    workers = min(processes, count)
    if workers <= 1:
        yield from share(0, 1)
        return
    readers: list[Connection] = []
    started: list[BaseProcess] = []
    try:
        # Garbage collection in a forked process would copy the memory of the objects it visits.
        gc.freeze()
        for rank in range(workers):
            _start(share, (rank, workers), readers, started)
        gc.unfreeze()
        for number in range(count):
            result: Result | Exception = _receive(readers[number % workers])
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        for process in started:
            process.kill()
            process.join()
        for reader in readers:
            reader.close()


def _start(
    share: Share[Result],
    part: tuple[int, int],
    readers: list[Connection],
    started: list[BaseProcess],
) -> None:
    context = multiprocessing.get_context(_METHOD)
    reader, writer = context.Pipe(duplex=False)
    readers.append(reader)
    inherited = tuple(readers) if _METHOD == "fork" else ()
    process: BaseProcess = context.Process(  # type: ignore[attr-defined]  # every context has it
        target=_work, args=(share, part, writer, inherited), daemon=True
    )
    # A forked process has this one's handlers until it sets its own. Their exceptions would be lost
    # there, and the signal with them, or continue this process's work in the child.
    with signals_blocked(*_STOPPING):
        process.start()
        started.append(process)
    writer.close()


def _work(
    share: Share[Result],
    part: tuple[int, int],
    writer: Connection,
    inherited: tuple[Connection, ...],
) -> None:
    """Send the results of a share, or the error that it raises."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    # With a reader open, this process would not notice that the parent is gone.
    for reader in inherited:
        reader.close()
    try:
        for result in share(*part):
            writer.send(result)
    except BrokenPipeError:
        pass
    except Exception as error:
        writer.send(error)


def _receive(reader: Connection) -> Any:  # noqa: ANN401 - anything that can be pickled
    try:
        return reader.recv()
    except EOFError:
        raise ValueError(
            "a worker process ended unexpectedly, perhaps out of memory; try fewer processes"
        ) from None
