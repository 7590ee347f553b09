"""Fair measurements of time and memory."""

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

from jsisnet.files.processes import TERMINATION_TIMEOUT, most_memory

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """The most that a process has needed, in megabytes (2**20 bytes)."""

    whole: float
    increase: float
    """What is left without what it needed at first, mostly imports."""


def in_turn(
    runs: int, wait: Callable[[], object] = lambda: None, /, **contestants: Callable[[], object]
) -> dict[str, list[float]]:
    """Time contestants one after the other, again and again, after a round that does not count.

    Args:
        runs: Rounds that count.
        wait: Waits until a run is really over, for devices that work on after it.
        contestants: What to time, by name.

    Returns:
        Seconds of each round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for counts in [False] + [True] * runs:
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            wait()
            if counts:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def in_own_process(
    function: Callable[Parameters, Result], *arguments: Parameters.args, **named: Parameters.kwargs
) -> Result:
    """Call a function of a module in a new process that has imported what the module does.

    The process does not hear of SIGINT; whoever waits for it ends it.

    Raises:
        ValueError: If the process is killed. What the function raises is raised too.
    """
    fresh = multiprocessing.get_context("spawn")
    receiver, sender = fresh.Pipe(duplex=False)
    process = fresh.Process(target=_answer, args=(sender, partial(function, *arguments, **named)))
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
    """Tell what something needs, in a process that has done nothing larger before."""
    before = most_memory()
    run()
    most = most_memory()
    return Memory(whole=most, increase=most - before)


def _answer(sender: Connection, call: Callable[[], object]) -> None:
    # Raises, so that what is half-written is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    outcome: tuple[object, Exception | None]
    try:
        outcome = call(), None
    except Exception as error:
        outcome = None, error
    sender.send(outcome)


@contextmanager
def _sigint_ignored() -> Iterator[None]:
    """Ignore SIGINT, as processes do that are begun meanwhile. Only a main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
