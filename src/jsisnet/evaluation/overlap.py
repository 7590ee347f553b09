"""How many pixels each pair of a true and a predicted segment shares."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64, UInt32

from jsisnet.panoptic import VOID, PanopticMap

try:
    from jsisnet import _pixels
except ImportError:
    _pixels = None  # type: ignore[assignment]  # installed without a C compiler

Ids = UInt32[np.ndarray, "_ w"]
"""A part of a map of ids."""


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """Pixels by the segments of two maps of one size, each counted once."""

    table: Int64[np.ndarray, "rows columns"]
    """Pixels that have both ids: true ones down, predicted ones across. First comes void, then the
    segments in their order, and last whatever else there is."""

    @property
    def shared(self) -> Int64[np.ndarray, "g p"]:
        """Pixels of each pair of a true and a predicted segment."""
        return self.table[1:-1, 1:-1]

    @property
    def void(self) -> Int64[np.ndarray, " p"]:
        """Pixels of each predicted segment that are void in the truth."""
        return self.table[0, 1:-1]

    @property
    def true_areas(self) -> Int64[np.ndarray, " g"]:
        """Pixels of each true segment."""
        return self.table[1:-1].sum(1)

    @property
    def areas(self) -> Int64[np.ndarray, " p"]:
        """Pixels of each predicted segment."""
        return self.table[:, 1:-1].sum(0)

    @property
    def iou(self) -> Float64[np.ndarray, "g p"]:
        """What each pair shares, divided by what it covers together but for true void."""
        union = self.true_areas[:, None] + self.areas - self.shared - self.void
        return self.shared / np.maximum(union, 1)


def overlap(truth: PanopticMap, prediction: PanopticMap) -> Overlap:
    """Count the shared pixels of two maps.

    Raises:
        ValueError: If the maps differ in size.
    """
    refuse_sizes(truth.size, prediction.size)
    ids, true_ids = (np.arange(1, len(each.segments) + 1) for each in (prediction, truth))
    first, second = (np.ascontiguousarray(each.ids).view(np.uint32) for each in (truth, prediction))
    return overlap_of_ids([(first, second)], true_ids, ids)


def overlap_of_ids(
    strips: Iterable[tuple[Ids, Ids]],
    true_ids: Int[np.ndarray, " g"],
    ids: Int[np.ndarray, " p"],
) -> Overlap:
    """Count the shared pixels of two maps that are given part by part.

    Args:
        strips: The same pixels of the true and of the predicted map, row after row in memory.
        true_ids: Ids of the true segments, in their order. `VOID` may be one of them.
        ids: Ids of the predicted segments, likewise.
    """
    firsts, true_order = _keys(true_ids)
    seconds, order = _keys(ids)
    # Behind the place for the rest is one that stays empty.
    counts = np.zeros((len(firsts) + 2, len(seconds) + 2), np.int64)
    for first, second in strips:
        if _pixels is not None:
            _pixels.count_pairs(first, second, firsts, seconds, counts)
        else:
            _count_pairs(first.ravel(), second.ravel(), firsts, seconds, counts)
    return Overlap(counts[true_order][:, order])


def refuse_sizes(true_size: Sequence[int], size: Sequence[int]) -> None:
    """Refuse two maps of different height or width.

    Raises:
        ValueError: If they differ; a map of one row or column would fit any other otherwise.
    """
    if tuple(true_size) != tuple(size):
        found, expected = ("x".join(map(str, each)) for each in (size, true_size))
        raise ValueError(f"the predicted map is {found} pixels, expected {expected}")


def _keys(
    ids: Int[np.ndarray, " n"],
) -> tuple[UInt32[np.ndarray, " k"], Int64[np.ndarray, " m"]]:
    """Sort ids, and tell where void, each of the ids, and the rest are in a table of them.

    Behind the rest the table has an empty place.
    """
    listed = ids.tolist()
    keys = sorted({VOID, *listed})
    places = {key: place for place, key in enumerate(keys)}
    # Where void is a segment itself, no pixels are left for it: the empty place stands for it.
    void = len(keys) + 1 if VOID in listed else 0
    order = [void, *(places[each] for each in listed), len(keys)]
    return np.array(keys, np.uint32), np.array(order, np.int64)


def _count_pairs(
    first: UInt32[np.ndarray, " n"],
    second: UInt32[np.ndarray, " n"],
    firsts: UInt32[np.ndarray, " a"],
    seconds: UInt32[np.ndarray, " b"],
    counts: Int64[np.ndarray, "rows columns"],
) -> None:
    """Do what the compiled loop does."""
    # Neighbours mostly share both ids, so runs of equal pairs are looked up, not pixels.
    changes = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    starts = np.flatnonzero(np.append(True, changes)) if len(first) else np.zeros(0, np.int64)
    rows, columns = _places(first[starts], firsts), _places(second[starts], seconds)
    pairs = rows * counts.shape[1] + columns
    lengths = np.diff(starts, append=len(first))
    counts += np.bincount(pairs, lengths, counts.size).astype(np.int64).reshape(counts.shape)


def _places(
    values: UInt32[np.ndarray, " n"], keys: UInt32[np.ndarray, " k"]
) -> Int64[np.ndarray, " n"]:
    """Find values among ascending keys; one that is missing is behind the last."""
    places = np.searchsorted(keys, values).clip(max=len(keys) - 1)
    return np.where(keys[places] == values, places, len(keys))
