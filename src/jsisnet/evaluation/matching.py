"""Which predicted segment is which true one, and what became of the others."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool, Float64, Int, Int32, Int64, UInt32
from jsisnet.files import pixels
from jsisnet.panoptic import VOID, PanopticMap, Segment

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
        pixels.count_pairs(first, second, firsts, seconds, counts)
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


WIDTH = 0.02
"""Width of a boundary as a part of the image's diagonal."""

INTERIOR = np.uint32(2**32 - 1)
"""Value of the pixels that are no boundary; no colour codes it."""


def boundaries(ids: UInt32[np.ndarray, "h w"], width: float = WIDTH) -> UInt32[np.ndarray, "h w"]:
    """Keep the ids of the pixels near another segment or the edge of the image.

    Near is a square around the pixel that reaches as far in each direction as the boundary is
    wide, which is at least one pixel.

    Args:
        ids: A map.
        width: Part of the image's diagonal.

    Returns:
        The map with `INTERIOR` elsewhere; void stays void.

    Reference:
        Cheng et al., "Boundary IoU", CVPR 2021, section 4.
    """
    reach = max(1, round(width * math.hypot(*ids.shape)))
    kept = ids.copy()
    kept[_uniform(ids, reach) & (ids != 0)] = INTERIOR
    return kept


def _uniform(ids: UInt32[np.ndarray, "h w"], reach: int) -> Bool[np.ndarray, "h w"]:
    """Tell whether the square around each pixel lies in the image and has one id."""
    height, width = ids.shape
    result = np.zeros((height, width), bool)
    side = 2 * reach + 1
    if height >= side and width >= side:
        across = _sums(ids[:, 1:] != ids[:, :-1], side, side - 1)
        down = _sums(ids[1:] != ids[:-1], side - 1, side)
        result[reach : height - reach, reach : width - reach] = (across == 0) & (down == 0)
    return result


def _sums(changes: Bool[np.ndarray, "h w"], rows: int, columns: int) -> Int32[np.ndarray, "a b"]:
    """Count the changes in each window of so many rows and columns."""
    total = np.zeros((changes.shape[0] + 1, changes.shape[1] + 1), np.int32)
    np.cumsum(changes, axis=0, out=total[1:, 1:])
    np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
    return (
        total[rows:, columns:]
        - total[:-rows, columns:]
        - total[rows:, :-columns]
        + total[:-rows, :-columns]
    )


NOBODY = -1
"""Position of a segment that does not exist."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Matching:
    """What became of the G true and the P predicted segments of one image."""

    overlap: Overlap
    """Pixels that they share."""

    true_labels: Int64[np.ndarray, " g"]
    """Labels of the true segments; `UNKNOWN` ones match nothing."""

    iscrowd: Bool[np.ndarray, " g"]
    """True segments that hold a group; they are never missed."""

    labels: Int64[np.ndarray, " p"]
    """Labels of the predicted segments."""

    scores: Float64[np.ndarray, " p"]
    """Confidence in the predicted segments, NaN where there is none."""

    match: Int64[np.ndarray, " p"]
    """Position of the true segment that each predicted one matches, or `NOBODY`."""

    iou: Float64[np.ndarray, " p"]
    """Intersection over union of each match, 0 without one."""

    excused: Bool[np.ndarray, " p"]
    """Predicted segments without a match that mostly cover true void or a crowd of their class."""

    @property
    def missed(self) -> Bool[np.ndarray, " g"]:
        """True segments without a match, other than crowds."""
        matched = np.zeros(len(self.true_labels), bool)
        matched[self.match[self.match != NOBODY]] = True
        return ~matched & ~self.iscrowd

    @property
    def invented(self) -> Bool[np.ndarray, " p"]:
        """Predicted segments without a match or an excuse."""
        return (self.match == NOBODY) & ~self.excused


def match(truth: PanopticMap, prediction: PanopticMap, *, all_crowds: bool = False) -> Matching:
    """Match the segments of two maps.

    Args:
        truth: Ground truth.
        prediction: Map of the same size.
        all_crowds: As in `matched`.

    Raises:
        ValueError: If the maps differ in size.
    """
    return matched(
        overlap(truth, prediction),
        true_labels=_labels(truth.segments),
        iscrowd=np.array([segment.iscrowd for segment in truth.segments], bool),
        labels=_labels(prediction.segments),
        scores=np.array([segment.score for segment in prediction.segments], np.float64),
        all_crowds=all_crowds,
    )


def matched(  # noqa: PLR0913 - the segments' columns
    shared: Overlap,
    *,
    true_labels: Int64[np.ndarray, " g"],
    iscrowd: Bool[np.ndarray, " g"],
    labels: Int64[np.ndarray, " p"],
    scores: Float64[np.ndarray, " p"],
    all_crowds: bool = False,
    boundary: Overlap | None = None,
) -> Matching:
    """Match segments whose shared pixels are counted.

    Segments of one label match when their IoU exceeds one half, which allows one match at most.
    True void is taken out of a prediction before its IoU is measured. A prediction that mostly
    covers true void or a crowd region of its own class counts neither way.

    Args:
        shared: Pixels that true and predicted segments share.
        true_labels: As in `Matching`, like the three after it.
        iscrowd: See there.
        labels: See there.
        scores: See there.
        all_crowds: Whether every crowd region of a class excuses predictions; the official script
            knows only the last one that the file lists.
        boundary: Pixels that the segments' boundaries share. If given, the IoU is the lower one of
            the segments' and of their boundaries'.

    Reference:
        Kirillov et al., "Panoptic Segmentation", CVPR 2019, section 4; panopticapi's
        ``evaluation.py``. Cheng et al., "Boundary IoU", CVPR 2021, section 6.
    """
    same = true_labels[:, None] == labels
    iou = shared.iou if boundary is None else np.minimum(shared.iou, boundary.iou)
    hits = same & ~iscrowd[:, None] & (iou > 1 / 2)
    columns = np.flatnonzero(hits.any(0))
    position = np.full(len(labels), NOBODY, np.int64)
    position[columns] = hits.argmax(0)[columns] if len(columns) else NOBODY

    excusing = iscrowd if all_crowds else iscrowd & _last_of_label(true_labels, iscrowd)
    on_crowd = (shared.shared * (same & excusing[:, None])).sum(0)
    own = np.zeros(len(labels))
    own[columns] = iou[position[columns], columns]
    return Matching(
        overlap=shared,
        true_labels=true_labels,
        iscrowd=iscrowd,
        labels=labels,
        scores=scores,
        match=position,
        iou=own,
        excused=(position == NOBODY) & (2 * (shared.void + on_crowd) > shared.areas),
    )


def _labels(segments: Sequence[Segment]) -> Int64[np.ndarray, " n"]:
    return np.array([segment.label for segment in segments], np.int64)


def _last_of_label(
    labels: Int64[np.ndarray, " n"], among: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    last = np.zeros(len(labels), bool)
    last[list({labels[i]: i for i in np.flatnonzero(among)}.values())] = True
    return last
