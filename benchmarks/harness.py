"""Shared parts of the benchmarks: options, generated photos, timings and goals."""

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from jsisnet.categories import Categories, Category
from jsisnet.experiments.measuring import Memory, in_own_process, memory_of, time_in_turn
from jsisnet.files.processes import available_cores
from jsisnet.panoptic import PanopticMap, Segment

__all__ = [
    "CATEGORIES",
    "Memory",
    "Promise",
    "Timings",
    "added_memory",
    "code_of",
    "finish",
    "in_own_process",
    "memory_of",
    "options",
    "row",
    "scene",
    "spinning",
    "time_in_turn",
    "timings_in_turn",
]

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # that of ONNX Runtime, for peers too
# Installed packages are compiled; a checkout is too, once imported, unless this is set.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

THINGS, STUFF = 80, 53
"""Numbers of classes, as in COCO."""

CATEGORIES = Categories(
    tuple(
        Category(id=number, name=f"class {number}", isthing=number <= THINGS)
        for number in range(1, THINGS + STUFF + 1)
    )
)
"""Classes of the generated photos."""

OBJECTS, REGIONS = 8, 4
"""Numbers of things, and of stuff regions behind them, in a photo."""


@dataclass(frozen=True)
class Promise:
    """A figure and its goal, which is a lower or an upper limit."""

    name: str
    figure: float
    goal: float
    lower_is_better: bool = False

    @property
    def holds(self) -> bool:
        """Whether the figure meets its goal."""
        return self.figure <= self.goal if self.lower_is_better else self.figure >= self.goal

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "falls short"
        limit = "at most " if self.lower_is_better else ""
        return f"{verdict}: {self.name} {self.figure:.3g} (goal {limit}{self.goal:g})"


@dataclass(frozen=True)
class Timings:
    """Seconds of several calls of one function."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """CPU time of all threads, which another program on the machine hardly changes."""


def timings_in_turn(runs: int, functions: dict[str, Callable[[], object]]) -> dict[str, Timings]:
    """Time functions in alternating order, after a warm-up round."""
    timings = {name: Timings() for name in functions}
    for counts in [False] + [True] * runs:
        for name, run in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            if counts:
                timings[name].wall.append(time.perf_counter() - wall)
                timings[name].cpu.append(time.process_time() - cpu)
    return timings


def added_memory(run: Callable[[], object]) -> float:
    """Measure the megabytes (2**20 bytes) that a call adds to this process at its peak."""
    peak = Path("/proc/self/clear_refs")
    if peak.exists():  # on Linux the peak can be forgotten, which that of imports would hide
        peak.write_text("5")
    return memory_of(run).increase


def code_of(commit: str, folder: Path) -> Path:
    """Extract the package of an earlier commit from the history of the repository.

    Returns:
        The folder that Python must search for it.
    """
    root = Path(__file__).parents[1]
    command = ["git", "-C", str(root), "archive", commit, "src/jsisnet"]
    packed = subprocess.run(command, capture_output=True, check=False)
    if packed.returncode:
        sys.exit(
            f"Commit {commit}, which this benchmark compares with, is not in {root}; clone the "
            "repository with its whole history"
        )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


@contextmanager
def spinning() -> Iterator[None]:
    """Keep each core busy with a process that does nothing."""
    program = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
    command = [sys.executable, "-c", program]
    processes = [subprocess.Popen(command) for _ in range(available_cores())]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def options(description: str) -> argparse.Namespace:
    """Parse the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures to this file, too"
    )
    parser.add_argument("--quick", action="store_true", help="fewer runs, under a minute")
    return parser.parse_args()


def scene(number: int, size: tuple[int, int]) -> tuple[np.ndarray, PanopticMap]:
    """Draw a photo of a given height and width and its map: things of many sizes on wavy stuff."""
    generator = np.random.default_rng(number)
    height, width = size
    rows, columns = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    directions = generator.normal(0, 6, (REGIONS, 2))
    phases = generator.uniform(0, 2 * np.pi, REGIONS)
    waves = [
        np.sin(down * rows + right * columns + phase)
        for (down, right), phase in zip(directions, phases, strict=True)
    ]
    ids = 1 + np.argmax(waves, axis=0)
    for index, radius in enumerate(np.geomspace(0.3, 0.03, OBJECTS), REGIONS + 1):
        y, x, phase = generator.uniform([0.1, 0.1, 0], [0.9, 0.9, 2 * np.pi])
        angle = np.arctan2(rows - y, columns - x)
        outline = radius * (1 + 0.2 * np.sin(5 * angle + phase))
        ids[np.hypot(rows - y, columns - x) < outline] = index
    stuff = generator.choice(CATEGORIES.stuff_labels, REGIONS, replace=False).tolist()
    things = generator.choice(CATEGORIES.thing_labels, OBJECTS).tolist()
    segments = [Segment(label=label, isthing=False) for label in stuff]
    segments += [Segment(label=label, isthing=True) for label in things]
    colors = generator.integers(0, 256, (len(segments) + 1, 3))
    noise = generator.normal(0, 8, (height, width, 3))
    image = (colors[ids] + 30 * waves[0][..., None] + noise).clip(0, 255).astype(np.uint8)
    return image, PanopticMap.compact(ids, segments)


def row(name: str, seconds: list[float]) -> str:
    """Format timings in milliseconds: median, minimum and maximum."""
    middle, low, high = statistics.median(seconds), min(seconds), max(seconds)
    return f"{name:<44} {middle * 1e3:9.1f} ms ({low * 1e3:.1f}-{high * 1e3:.1f})"


def finish(promises: list[Promise], figures: dict[str, object], file: Path | None) -> None:
    """Write the figures, print a line for each promise, and exit with 1 if a goal is missed."""
    machine = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    if file is not None:
        content = {**machine, **figures, "promises": [asdict(promise) for promise in promises]}
        temporary = file.with_name(f".{file.name}.part")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.replace(file)
    for promise in promises:
        print(promise)
    sys.exit(not all(promise.holds for promise in promises))
