"""The segments of a map one by one, each with its mask, as annotation tools store them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool, Int64
from jsisnet.categories import Categories, Category
from jsisnet.panoptic import PanopticMap


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Region:
    """One segment of a map that has pixels."""

    id: int
    """Its id in the map, and in the panoptic PNG."""

    category: Category

    score: float | None
    """Confidence of a predicted thing; ``None`` for stuff."""

    corner: tuple[int, int]
    """Left and upper end of its box, in pixels."""

    mask: Bool[np.ndarray, "h w"]
    """Its pixels within the box; holes and separate parts included."""


def regions(panoptic: PanopticMap, categories: Categories) -> Iterator[Region]:
    """Yield the segments that have pixels, in the order of the map."""
    for number, (segment, box) in enumerate(
        zip(panoptic.segments, panoptic.boxes().tolist(), strict=True), 1
    ):
        x0, y0, x1, y1 = box
        if x1 > x0:
            yield Region(
                id=number,
                category=categories[segment.label],
                score=segment.score,
                corner=(x0, y0),
                mask=panoptic.ids[y0:y1, x0:x1] == number,
            )


def run_lengths(mask: Bool[np.ndarray, "h w"]) -> Int64[np.ndarray, " n"]:
    """Return the lengths of equal runs along the rows of a mask, unset pixels first.

    Runs continue from one row to the next. The first has no pixels if the first pixel is set.
    """
    flat = mask.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(edges, prepend=0, append=flat.size)
    return np.concatenate([[0], lengths]) if flat.size and flat[0] else lengths
