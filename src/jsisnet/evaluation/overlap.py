"""Pixel counts for each pair of a true and a predicted segment."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jsisnet.arrays import Float64, Int, Int64, UInt32
from jsisnet.files import pixels
from jsisnet.files.png import IdStrips
from jsisnet.panoptic import VOID, PanopticMap

Ids = UInt32[np.ndarray, "_ w"]
"""Some rows of a map of ids."""


@dataclass(frozen=True, eq=False)
class Overlap:
    """Pixels that the segments of two maps of one size share; each pixel is counted once."""

    table: Int64[np.ndarray, "rows columns"]
    """Pixels by true id (rows) and predicted id (columns). The first row and column are void, the
    last ones ids that are not listed; the segments lie between them in their order."""

    @property
    def shared(self) -> Int64[np.ndarray, "g p"]:
        """Intersection of each true with each predicted segment, in pixels."""
        return self.table[1:-1, 1:-1]

    @property
    def void(self) -> Int64[np.ndarray, " p"]:
        """Pixels of each predicted segment that are void in the ground truth."""
        return self.table[0, 1:-1]

    @cached_property
    def true_areas(self) -> Int64[np.ndarray, " g"]:
        """Pixels of each true segment."""
        return self.table[1:-1].sum(1)

    @cached_property
    def areas(self) -> Int64[np.ndarray, " p"]:
        """Pixels of each predicted segment."""
        return self.table[:, 1:-1].sum(0)

    @cached_property
    def iou(self) -> Float64[np.ndarray, "g p"]:
        """Intersection over union of each pair; true void is left out of the union."""
        union = self.true_areas[:, None] + (self.areas - self.void) - self.shared
        return self.shared / np.maximum(union, 1)


def overlap(truth: PanopticMap, prediction: PanopticMap) -> Overlap:
    """Count the pixels that the segments of two maps share.

    Raises:
        ValueError: If the maps differ in size.
    """
    check_sizes(truth.size, prediction.size)
    ids, true_ids = (np.arange(1, len(each.segments) + 1) for each in (prediction, truth))
    first, second = (np.ascontiguousarray(each.ids).view(np.uint32) for each in (truth, prediction))
    return overlap_of_ids([(first, second)], true_ids, ids)


def overlap_of_ids(
    strips: Iterable[tuple[Ids, Ids]],
    true_ids: Int[np.ndarray, " g"],
    ids: Int[np.ndarray, " p"],
) -> Overlap:
    """Count the pixels that the segments of two streamed maps share.

    Args:
        strips: The same rows of the true and of the predicted map, contiguous in memory.
        true_ids: Ids of the true segments, in their order. `VOID` may be one of them.
        ids: Ids of the predicted segments, in their order. `VOID` may be one of them.
    """
    counts = _Counts.of(true_ids, ids)
    for first, second in strips:
        pixels.count_pairs(first, second, counts.true_ids, counts.ids, counts.table)
    return counts.overlap()


def overlap_of_pngs(
    truth: IdStrips,
    prediction: IdStrips,
    true_ids: Int[np.ndarray, " g"],
    ids: Int[np.ndarray, " p"],
) -> Overlap:
    """Count the pixels that the segments of two PNGs of one size share.

    Args:
        truth: True map.
        prediction: Predicted map.
        true_ids: See `overlap_of_ids`.
        ids: See `overlap_of_ids`.

    Raises:
        ValueError: If a PNG is damaged.
    """
    if truth.filtered is not None and prediction.filtered is not None:
        counts = _Counts.of(true_ids, ids)
        strips = zip(truth.filtered, prediction.filtered, strict=True)
        # What is wrong shows below, when the maps are read one by one.
        with suppress(ValueError):
            pixels.count_png_pairs(strips, truth.size[1], counts.true_ids, counts.ids, counts.table)
            return counts.overlap()
    return overlap_of_ids(zip(truth.strips, prediction.strips, strict=True), true_ids, ids)


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """Pixel counts by sorted ids."""

    true_ids: UInt32[np.ndarray, " a"]
    ids: UInt32[np.ndarray, " b"]
    table: Int64[np.ndarray, "rows columns"]
    true_order: Int64[np.ndarray, " r"]
    order: Int64[np.ndarray, " c"]

    @classmethod
    def of(cls, true_ids: Int[np.ndarray, " g"], ids: Int[np.ndarray, " p"]) -> "_Counts":
        firsts, true_order = _sorted_ids(true_ids)
        seconds, order = _sorted_ids(ids)
        # One row and column more than ids, void and the rest: `_sorted_ids` may need an empty one.
        table = np.zeros((len(firsts) + 2, len(seconds) + 2), np.int64)
        return cls(firsts, seconds, table, true_order, order)

    def overlap(self) -> Overlap:
        return Overlap(self.table[self.true_order][:, self.order])


def check_sizes(true_size: Sequence[int], size: Sequence[int]) -> None:
    """Check that two maps have the same height and width.

    Raises:
        ValueError: If they differ; NumPy would broadcast a map of one row or column.
    """
    if tuple(true_size) != tuple(size):
        found, expected = ("x".join(map(str, each)) for each in (size, true_size))
        raise ValueError(f"the predicted map is {found} pixels; expected {expected}")


def _sorted_ids(
    ids: Int[np.ndarray, " n"],
) -> tuple[UInt32[np.ndarray, " k"], Int64[np.ndarray, " m"]]:
    """Return the distinct ids in ascending order, `VOID` included, and how to restore the order.

    The second array holds, for void, for each of `ids` and for the rest, its row in a table with
    one row per sorted id, one for the rest and an empty one.
    """
    listed = ids.tolist()
    keys = sorted({VOID, *listed})
    rows = {key: row for row, key in enumerate(keys)}
    # Where void is a segment itself, its pixels count there; the empty row stands for void.
    void = len(keys) + 1 if VOID in listed else 0
    order = [void, *(rows[each] for each in listed), len(keys)]
    return np.array(keys, np.uint32), np.array(order, np.int64)
