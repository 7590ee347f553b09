"""Fair measurements of time and memory."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from jsisnet.memory import most_memory

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
    """Call a function of a module in a new process that has imported what the module does."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return pool.submit(function, *arguments, **named).result()


def memory_of(run: Callable[[], object]) -> Memory:
    """Tell what something needs, in a process that has done nothing larger before."""
    before = most_memory()
    run()
    most = most_memory()
    return Memory(whole=most, increase=most - before)
