"""Which predicted segment is which true one, and what became of the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from jsisnet.evaluation.overlap import Overlap, overlap
from jsisnet.panoptic import PanopticMap, Segment

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
