"""The regions of equal ids in a map: their pixels, boxes and pieces."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt32


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Regions:
    """What a map shows of each id in it, in ascending order; void is one of them."""

    ids: Int64[np.ndarray, " n"]
    """Each id once."""

    areas: Int64[np.ndarray, " n"]
    """Pixels, at least one."""

    boxes: Int64[np.ndarray, "n 4"]
    """Tight boxes: x0, y0, x1, y1, upper end exclusive."""

    pieces: Int64[np.ndarray, " n"]
    """Parts that do not touch each other, not even at a corner."""


def regions(ids: UInt32[np.ndarray, "h w"]) -> Regions:
    """Describe the regions of a map."""
    height, width = ids.shape
    # Runs of equal pixels along the rows are far fewer than pixels.
    starts = np.ones((height, width), bool)
    np.not_equal(ids[:, 1:], ids[:, :-1], out=starts[:, 1:])
    firsts = np.flatnonzero(starts)
    rows, left = np.divmod(firsts, width)
    lengths = np.diff(firsts, append=height * width)
    right = left + lengths
    numbers, places = np.unique(ids.ravel()[firsts], return_inverse=True)
    boxes = np.array([width, height, 0, 0]) + np.zeros((len(numbers), 1), np.int64)
    np.minimum.at(boxes[:, 0], places, left)
    np.minimum.at(boxes[:, 1], places, rows)
    np.maximum.at(boxes[:, 2], places, right)
    np.maximum.at(boxes[:, 3], places, rows + 1)
    # Rows behind each other on one axis, so far apart that none touches the next.
    shifts = rows * (width + 2)
    lower, upper = _touching(shifts + left, shifts + right, width + 2)
    alike = places[lower] == places[upper]
    roots = _roots(len(firsts), lower[alike], upper[alike])
    first_runs = roots == np.arange(len(roots))
    return Regions(
        ids=numbers.astype(np.int64),
        areas=np.bincount(places, lengths, len(numbers)).astype(np.int64),
        boxes=boxes,
        pieces=np.bincount(places[first_runs], minlength=len(numbers)),
    )


def _touching(
    begins: Int64[np.ndarray, " n"], ends: Int64[np.ndarray, " n"], stride: int
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """Give the pairs of runs that touch: the numbers of the lower ones and of the upper ones."""
    first = np.searchsorted(ends, begins - stride)
    counts = np.searchsorted(begins, ends - stride, side="right") - first
    lower = np.repeat(np.arange(len(begins)), counts)
    nth = np.arange(len(lower)) - np.repeat(np.cumsum(counts) - counts, counts)
    return lower, first[lower] + nth


def _roots(
    count: int, one: Int64[np.ndarray, " m"], other: Int64[np.ndarray, " m"]
) -> Int64[np.ndarray, " n"]:
    """Give for each of some things the first one that pairs connect it with."""
    roots = np.arange(count)
    while True:
        high, low = np.maximum(roots[one], roots[other]), np.minimum(roots[one], roots[other])
        if (high == low).all():
            return roots
        np.minimum.at(roots, high, low)
        # Every thing then hangs at a root itself.
        while (roots[roots] != roots).any():
            roots = roots[roots]
