"""Causes of false negatives and false positives, and the confusion of classes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jsisnet.arrays import Bool, Int64
from jsisnet.categories import UNKNOWN
from jsisnet.evaluation.matching import UNMATCHED, Matching

ErrorKind = Literal["misclassified", "split", "merged", "inexact", "missed", "spurious"]
"""Cause of an error: the segment has the wrong class; one true segment is predicted in several
parts; several are predicted as one; class and location are right, but the IoU is too low; nothing
of the class is predicted there; a prediction has no true segment of its class there."""

KINDS: tuple[ErrorKind, ...] = ("misclassified", "split", "merged", "inexact", "missed", "spurious")
"""All kinds; if several could explain a segment, the first one does."""

MIN_IOU = 0.1
"""Lowest IoU of an inexact prediction with its true segment."""

MIN_PART = 0.1
"""Lowest fraction of a true segment that a prediction covers to be one of its parts."""

_HALF = 1 / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentError:
    """One error of an image, with the segments that it explains."""

    kind: ErrorKind

    true: tuple[int, ...] = ()
    """Positions of the true segments; one of several may have a match."""

    predicted: tuple[int, ...] = ()
    """Positions of the predicted segments; one of several may have a match."""


def segment_errors(matching: Matching) -> tuple[SegmentError, ...]:
    """Explain each false negative and each false positive of an image by exactly one error.

    True segments of `UNKNOWN` classes are left out.
    """
    missed, false = _unmatched(matching)
    errors = []
    for find in (_misclassified, _split, _merged, _inexact):
        for error in find(matching, missed, false):
            errors.append(error)
            missed[list(error.true)] = False
            false[list(error.predicted)] = False
    errors += [SegmentError(kind="missed", true=(i,)) for i in _positions(missed)]
    errors += [SegmentError(kind="spurious", predicted=(i,)) for i in _positions(false)]
    return tuple(errors)


def class_confusions(matching: Matching) -> Bool[np.ndarray, "g p"]:
    """Return which false negatives and false positives overlap by more than half of their union.

    These are the segments whose location is right and whose class is wrong.
    """
    missed, false = _unmatched(matching)
    candidates = missed[:, None] & false
    if not candidates.any():
        return candidates
    different = matching.true_labels[:, None] != matching.labels
    return candidates & different & (matching.overlap.iou > _HALF)


def confusions(matching: Matching, nothing: int) -> Int64[np.ndarray, "n 2"]:
    """List the true and the predicted label of all segments of an image.

    Args:
        matching: The image.
        nothing: Label that stands for no segment.

    Returns:
        One row for each match, each pair of `class_confusions`, each other false negative and each
        other false positive. Ignored predictions and crowd regions are left out.
    """
    missed, false = _unmatched(matching)
    true, predicted = np.nonzero(class_confusions(matching))
    missed[true] = False
    false[predicted] = False
    hits = matching.labels[matching.match != UNMATCHED].tolist()
    missed_labels = matching.true_labels[missed].tolist()
    false_labels = matching.labels[false].tolist()
    true_labels = [*hits, *matching.true_labels[true].tolist(), *missed_labels]
    labels = [*hits, *matching.labels[predicted].tolist(), *[nothing] * len(missed_labels)]
    pairs = [true_labels + [nothing] * len(false_labels), labels + false_labels]
    return np.array(pairs, np.int64).T


def _unmatched(matching: Matching) -> tuple[Bool[np.ndarray, " g"], Bool[np.ndarray, " p"]]:
    """Return the false negatives of known classes, and the false positives."""
    known = matching.true_labels != UNKNOWN
    return matching.false_negatives & known, matching.false_positives.copy()


def _misclassified(
    matching: Matching, missed: Bool[np.ndarray, " g"], false: Bool[np.ndarray, " p"]
) -> Iterator[SegmentError]:
    confused = class_confusions(matching) & missed[:, None] & false
    for i in _positions(confused.any(1)):
        yield SegmentError(kind="misclassified", true=(i,), predicted=(int(confused[i].argmax()),))


def _split(
    matching: Matching, missed: Bool[np.ndarray, " g"], false: Bool[np.ndarray, " p"]
) -> Iterator[SegmentError]:
    overlap, matches = matching.overlap, _matches(matching)
    inside = overlap.shared > _HALF * (overlap.areas - overlap.void)
    large = overlap.shared >= MIN_PART * np.maximum(overlap.true_areas, 1)[:, None]
    parts = _same_class(matching) & inside & large & (false | matches)
    parts[~missed & ~matches.any(1)] = False
    covered = (overlap.shared * parts).sum(1) > _HALF * overlap.true_areas
    for i in _positions((parts.sum(1) > 1) & covered):
        yield SegmentError(kind="split", true=(i,), predicted=_positions(parts[i]))


def _merged(
    matching: Matching, missed: Bool[np.ndarray, " g"], false: Bool[np.ndarray, " p"]
) -> Iterator[SegmentError]:
    overlap, matches = matching.overlap, _matches(matching)
    covered = overlap.shared > _HALF * overlap.true_areas[:, None]
    parts = _same_class(matching) & covered & (missed[:, None] | matches)
    parts[:, ~false & ~matches.any(0)] = False
    for i in _positions(parts.sum(0) > 1):
        yield SegmentError(kind="merged", true=_positions(parts[:, i]), predicted=(i,))


def _inexact(
    matching: Matching, missed: Bool[np.ndarray, " g"], false: Bool[np.ndarray, " p"]
) -> Iterator[SegmentError]:
    iou = np.where(_same_class(matching), matching.overlap.iou, 0)
    rows, columns = np.nonzero((iou >= MIN_IOU) & missed[:, None] & false)
    for best in np.argsort(-iou[rows, columns], kind="stable").tolist():
        i, j = int(rows[best]), int(columns[best])
        if missed[i] and false[j]:
            yield SegmentError(kind="inexact", true=(i,), predicted=(j,))


def _same_class(matching: Matching) -> Bool[np.ndarray, "g p"]:
    """Return which pairs have the same class; pairs with a crowd region are left out."""
    return (matching.true_labels[:, None] == matching.labels) & ~matching.iscrowd[:, None]


def _matches(matching: Matching) -> Bool[np.ndarray, "g p"]:
    """Return which pairs match."""
    return np.arange(len(matching.true_labels))[:, None] == matching.match


def _positions(mask: Bool[np.ndarray, " n"]) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())
