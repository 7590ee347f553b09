"""Matching of predicted to true segments by their IoU."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.evaluation.overlap import Overlap, overlap
from jsisnet.panoptic import PanopticMap, Segment

UNMATCHED = -1
"""Stands for the position of a true segment where a prediction has no match."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Matching:
    """The G true and P predicted segments of one image, and which of them match."""

    overlap: Overlap
    """Pixels that they share."""

    true_labels: Int64[np.ndarray, " g"]
    """Labels of the true segments; `UNKNOWN` ones match nothing."""

    iscrowd: Bool[np.ndarray, " g"]
    """True segments that are crowd regions; they are never false negatives."""

    labels: Int64[np.ndarray, " p"]
    """Labels of the predicted segments."""

    scores: Float64[np.ndarray, " p"]
    """Confidence of the predicted segments, NaN if unknown."""

    match: Int64[np.ndarray, " p"]
    """Position of the true segment that each predicted one matches, or `UNMATCHED`."""

    iou: Float64[np.ndarray, " p"]
    """IoU of each predicted segment with its match; 0 if unmatched."""

    ignored: Bool[np.ndarray, " p"]
    """Unmatched predictions that mostly cover true void or a crowd region of their class."""

    @cached_property
    def false_negatives(self) -> Bool[np.ndarray, " g"]:
        """Unmatched true segments, other than crowd regions."""
        matched = np.zeros(len(self.true_labels), bool)
        matched[self.match[self.match != UNMATCHED]] = True
        return ~matched & ~self.iscrowd

    @cached_property
    def false_positives(self) -> Bool[np.ndarray, " p"]:
        """Unmatched predicted segments that are not ignored."""
        return (self.match == UNMATCHED) & ~self.ignored


def match(truth: PanopticMap, prediction: PanopticMap, *, all_crowds: bool = False) -> Matching:
    """Match the segments of two maps.

    Args:
        truth: Ground truth.
        prediction: Map of the same size.
        all_crowds: See `match_overlap`.

    Raises:
        ValueError: If the maps differ in size.
    """
    return match_overlap(
        overlap(truth, prediction),
        true_labels=_labels(truth.segments),
        iscrowd=np.array([segment.iscrowd for segment in truth.segments], bool),
        labels=_labels(prediction.segments),
        scores=np.array([segment.score for segment in prediction.segments], np.float64),
        all_crowds=all_crowds,
    )


def match_overlap(  # noqa: PLR0913 - the segments' columns
    shared: Overlap,
    *,
    true_labels: Int64[np.ndarray, " g"],
    iscrowd: Bool[np.ndarray, " g"],
    labels: Int64[np.ndarray, " p"],
    scores: Float64[np.ndarray, " p"],
    all_crowds: bool = False,
    boundary: Overlap | None = None,
) -> Matching:
    """Match segments by the pixels they share.

    Segments of one label match if their IoU exceeds one half, so each has at most one match. True
    void is left out of the union. An unmatched prediction is ignored if more than half of it
    covers true void or a crowd region of its class.

    Args:
        shared: Pixels that true and predicted segments share.
        true_labels: Labels of the true segments.
        iscrowd: Which of them are crowd regions.
        labels: Labels of the predicted segments.
        scores: Confidence of the predicted segments, NaN if unknown.
        all_crowds: Whether predictions on any crowd region of their class are ignored; the
            official script considers only the last one that the file lists.
        boundary: Pixels that the boundaries share. If given, the IoU of a pair is the lower one of
            the segments' and of the boundaries'.

    Reference:
        Kirillov et al., "Panoptic Segmentation", CVPR 2019, section 4; panopticapi's
        ``evaluation.py``. Cheng et al., "Boundary IoU", CVPR 2021, section 6.
    """
    same = true_labels[:, None] == labels
    iou = shared.iou if boundary is None else np.minimum(shared.iou, boundary.iou)
    # As the segments of a map are disjoint, no column has two hits.
    rows, columns = np.nonzero((same & (iou > 1 / 2)) & ~iscrowd[:, None])
    position = np.full(len(labels), UNMATCHED, np.int64)
    position[columns] = rows
    matched_iou = np.zeros(len(labels))
    matched_iou[columns] = iou[rows, columns]
    excused = shared.void
    if iscrowd.any():
        crowds = iscrowd if all_crowds else iscrowd & _last_of_label(true_labels, iscrowd)
        excused = excused + (shared.shared * (same & crowds[:, None])).sum(0)
    return Matching(
        overlap=shared,
        true_labels=true_labels,
        iscrowd=iscrowd,
        labels=labels,
        scores=scores,
        match=position,
        iou=matched_iou,
        ignored=(position == UNMATCHED) & (2 * excused > shared.areas),
    )


def _labels(segments: Sequence[Segment]) -> Int64[np.ndarray, " n"]:
    return np.array([segment.label for segment in segments], np.int64)


def _last_of_label(
    labels: Int64[np.ndarray, " n"], among: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Return which of the segments `among` is the last one of its label."""
    last = np.zeros(len(labels), bool)
    last[list({labels[i]: i for i in np.flatnonzero(among)}.values())] = True
    return last
