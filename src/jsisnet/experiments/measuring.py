"""Measurement of time and memory."""

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar

from jsisnet.files.processes import TERMINATION_TIMEOUT, process_peak_memory

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Peak memory of a process in megabytes (2**20 bytes)."""

    whole: float
    increase: float
    """Peak minus the memory before the measurement, mostly that of imports."""


def time_in_turn(
    runs: int, wait: Callable[[], object] = lambda: None, /, **functions: Callable[[], object]
) -> dict[str, list[float]]:
    """Time functions in alternating order, after a warm-up round.

    Args:
        runs: Number of rounds after the warm-up.
        wait: Called after each run, to wait for asynchronous devices.
        functions: Functions to time, by name.

    Returns:
        Seconds of each round by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for counts in [False] + [True] * runs:
        for name, run in functions.items():
            began = time.perf_counter()
            run()
            wait()
            if counts:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def in_own_process(
    function: Callable[Parameters, Result], *arguments: Parameters.args, **named: Parameters.kwargs
) -> Result:
    """Call a module-level function in a new process.

    The process ignores SIGINT; this process terminates it when the wait is interrupted.

    Raises:
        ValueError: If the process is killed. Exceptions of the function are raised as they are.
    """
    fresh = multiprocessing.get_context("spawn")
    receiver, sender = fresh.Pipe(duplex=False)
    process = fresh.Process(
        target=_run_and_send, args=(sender, partial(function, *arguments, **named))
    )
    with _sigint_ignored():
        process.start()
    sender.close()
    try:
        result, error = receiver.recv()
        process.join()
    except EOFError:
        process.join()
        raise ValueError(f"its process ended with code {process.exitcode}") from None
    finally:
        process.terminate()
        process.join(TERMINATION_TIMEOUT)
        process.kill()
        process.join()
    if error is not None:
        raise error
    return result


def memory_of(run: Callable[[], object]) -> Memory:
    """Measure the peak memory of a call, in a process that has not needed more before."""
    before = process_peak_memory()
    run()
    most = process_peak_memory()
    return Memory(whole=most, increase=most - before)


def _run_and_send(sender: Connection, call: Callable[[], object]) -> None:
    # An exception, so that incomplete files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    outcome: tuple[object, Exception | None]
    try:
        outcome = call(), None
    except Exception as error:
        outcome = None, error
    sender.send(outcome)


@contextmanager
def _sigint_ignored() -> Iterator[None]:
    """Ignore SIGINT, also in processes started meanwhile. Has no effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
