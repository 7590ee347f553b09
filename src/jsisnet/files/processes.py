"""Work that several processes share, with results in order and nothing left behind."""

import gc
import multiprocessing
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

TERMINATION_TIMEOUT = 3
"""Seconds that a terminated process has to exit by itself before it is killed."""


def most_memory() -> float:
    """Give the most memory that this process has needed so far, in megabytes (2**20 bytes).

    Not of the processes that it has started.
    """
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, getrusage begins with the peak of the process that started this one.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 2**10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


Result = TypeVar("Result")

Share = Callable[[int, int], Iterable[Result]]
"""Gives every n-th result from the k-th on, for k and n; can be pickled."""

_METHOD = "fork" if sys.platform == "linux" else "spawn"
"""A copy of this process starts at once, as all that it imports is there."""


def in_order(share: Share[Result], count: int, processes: int) -> Iterator[Result]:
    """Give the results of a work in their order.

    Each process sends its results through a pipe that holds few of them: one that is ahead waits,
    and one whose reader is gone ends.

    Args:
        share: The work.
        count: Number of results.
        processes: How many share it; with one nothing is started.

    Raises:
        ValueError: If the work raises it, or a process ends unexpectedly.
    """
    workers = min(processes, count)
    if workers <= 1:
        yield from share(0, 1)
        return
    readers: list[Connection] = []
    started: list[BaseProcess] = []
    try:
        # What is there now is not looked through by a copy, which would have to copy its memory.
        gc.freeze()
        for rank in range(workers):
            _start(share, (rank, workers), readers, started)
        gc.unfreeze()
        for number in range(count):
            result: Result | Exception = _received(readers[number % workers])
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        for process in started:
            process.terminate()
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
    process.start()
    started.append(process)
    writer.close()


def _work(
    share: Share[Result],
    part: tuple[int, int],
    writer: Connection,
    inherited: tuple[Connection, ...],
) -> None:
    """Send the results of a share, or what went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # While this process had a reader open, it would not notice that the first process is gone.
    for reader in inherited:
        reader.close()
    try:
        for result in share(*part):
            writer.send(result)
    except BrokenPipeError:
        pass
    except Exception as error:
        writer.send(error)


def _received(reader: Connection) -> Any:  # noqa: ANN401 - what a pipe gives
    try:
        return reader.recv()
    except EOFError:
        raise ValueError(
            "a process ended unexpectedly, perhaps for lack of memory; fewer may do"
        ) from None
