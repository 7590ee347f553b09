"""The figures of a training over its steps, read back from its run folder."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jsisnet.arrays import Float64

METRICS = "metrics.jsonl"
"""Name of the file of a run folder that holds its figures: one JSON object a line."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure over the steps."""

    steps: Float64[np.ndarray, " n"]
    """Whole numbers, ascending; a step occurs twice if its figure was written twice."""

    values: Float64[np.ndarray, " n"]
    """Finite."""


def read_entries(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a file of figures, each of which names its `step`.

    A last line without its end is left out: it is being written, or was when the run was killed.

    Raises:
        ValueError: If the file can't be read, or another line breaks the format.
    """
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ValueError(f"{path}: can't be read ({error.strerror})") from error
    return [_entry(line, f"{path}: line {number}") for number, line in enumerate(lines, 1)]


def curves(entries: Iterable[Mapping[str, Any]]) -> dict[str, Curve]:
    """Give each figure over the steps, by its name with dots, such as ``validation.all.pq``.

    What is no finite number is left out, and so are lists.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    for entry in entries:
        for name, value in _numbers({**entry, "step": None}):
            points.setdefault(name, []).append((float(entry["step"]), value))
    return {name: Curve(*np.array(found, np.float64).T) for name, found in points.items()}


def _entry(line: bytes, place: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: not the figures of a training ({error})") from error
    step = entry.get("step") if isinstance(entry, dict) else None
    if not isinstance(step, int) or not 0 <= step <= sys.maxsize:
        raise ValueError(f"{place}: not the figures of a training (it names no step)")
    return entry


def _numbers(values: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{place}{name}.")
        elif isinstance(value, int | float) and abs(value) <= sys.float_info.max:
            yield f"{place}{name}", float(value)
