"""What the report calls things."""

from itertools import pairwise

from jsisnet.evaluation.errors import ErrorKind
from jsisnet.report.tallies import SIZES

NAMES = {
    "found": "found",
    "swapped": "wrong class",
    "split": "split",
    "merged": "merged",
    "inexact": "inexact",
    "missed": "missed",
    "invented": "invented",
    "lowest": "lowest PQ",
}
"""What becomes of segments, and why an image is worth a look."""

MEANINGS: dict[ErrorKind, str] = {
    "swapped": "found, but as another class",
    "split": "one object, predicted in several parts",
    "merged": "several objects, predicted as one",
    "inexact": "right class and place, but an IoU of at most 0.5",
    "missed": "nothing alike was predicted",
    "invented": "predicted where nothing alike is",
}
"""What they mean."""

NONE = "–"
"""What stands for a number that does not exist."""


def percent(value: float | None, digits: int = 1) -> str:
    """Write a part from 0 to 1 as percentage, without its sign."""
    return NONE if value is None else f"{100 * value:.{digits}f}"


def share(value: float) -> str:
    """Write a part of an image: small ones with more digits."""
    shown = f"{100 * value:.2g}" if value < 1 / 10 else f"{100 * value:.0f}"
    return f"{shown} %" if 100 * value >= 0.01 else "< 0.01 %"  # noqa: PLR2004


def size_ranges() -> list[str]:
    """Name the ranges of sizes, in percent of an image."""
    edges = [f"{100 * edge:g}" for edge in SIZES]
    between = [f"{low}–{high}" for low, high in pairwise(edges)]
    return [f"< {edges[0]}", *between, f"> {edges[-1]}"]
