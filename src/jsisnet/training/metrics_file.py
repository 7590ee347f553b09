"""The file metrics.jsonl of a run folder: losses, learning rate and evaluations over the steps."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jsisnet.arrays import Float64
from jsisnet.files.regular import check_regular

METRICS = "metrics.jsonl"
"""Name of the file in a run folder; each line is a JSON object."""


def read_entries(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a metrics file. Each has a `step`.

    An incomplete last line is skipped: the training is writing it, or was killed while it did.

    Raises:
        ValueError: If the file can't be read or a line is invalid.
    """
    try:
        check_regular(path)
        *lines, _ = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ValueError(f"{path}: can't be read ({error.strerror})") from error
    return [_entry(line, f"{path}: line {number}") for number, line in enumerate(lines, 1)]


@dataclass(frozen=True, slots=True)
class Curve:
    """Values of one metric over the training steps."""

    steps: Float64[np.ndarray, " n"]
    """Integers in ascending order; a step that was logged twice occurs twice."""

    values: Float64[np.ndarray, " n"]
    """Finite."""


def curves(entries: Iterable[Mapping[str, Any]]) -> dict[str, Curve]:
    """Collect the curve of each metric by its dotted name, such as ``validation.all.pq``.

    Lists and values that are not finite numbers are skipped.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    for entry in entries:
        for name, value in _numbers({**entry, "step": None}):
            points.setdefault(name, []).append((float(entry["step"]), value))
    return {name: Curve(*np.array(found, np.float64).T) for name, found in points.items()}


def _entry(line: bytes, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not a line of training metrics ({error})") from error
    step = entry.get("step") if isinstance(entry, dict) else None
    if not isinstance(step, int) or not 0 <= step <= sys.maxsize:
        raise ValueError(f"{where}: not a line of training metrics (it has no valid 'step')")
    return entry


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and abs(value) <= sys.float_info.max:
            yield f"{prefix}{name}", float(value)
