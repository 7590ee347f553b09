"""What the benchmarks share: options, fair timing, and the lines that say what held."""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Promise:
    """A figure and the least it should be."""

    name: str
    figure: float
    goal: float

    def __str__(self) -> str:
        verdict = "holds" if self.figure >= self.goal else "falls short"
        return f"{verdict}: {self.name} {self.figure:.3g} (goal {self.goal:g})"


def options(description: str) -> argparse.Namespace:
    """Read the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--quick", action="store_true", help="fewer runs, under a minute")
    return parser.parse_args()


def in_turn(runs: int, **contestants: Callable[[], object]) -> dict[str, list[float]]:
    """Time contestants one after the other, again and again, after a round that does not count.

    Args:
        runs: Rounds that count.
        contestants: What to time, by name.

    Returns:
        Seconds of each round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for counts in [False] + [True] * runs:
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            if counts:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def row(name: str, seconds: list[float]) -> str:
    """Describe timings in milliseconds: median, lowest and highest."""
    middle, low, high = statistics.median(seconds), min(seconds), max(seconds)
    return f"{name:<44} {middle * 1e3:9.1f} ms ({low * 1e3:.1f}-{high * 1e3:.1f})"


def finish(promises: list[Promise], figures: dict[str, object], file: Path | None) -> None:
    """Write the figures, print a line for each promise, and exit with 1 if one falls short."""
    machine = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    if file is not None:
        content = {**machine, **figures, "promises": [asdict(promise) for promise in promises]}
        temporary = file.with_name(f".{file.name}.part")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.replace(file)
    for promise in promises:
        print(promise)
    sys.exit(any(promise.figure < promise.goal for promise in promises))
