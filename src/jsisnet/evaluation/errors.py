"""Why segments were missed or invented."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jsisnet.arrays import Bool, Int64
from jsisnet.categories import UNKNOWN
from jsisnet.evaluation.matching import NOBODY, Matching

HALF = 1 / 2
"""IoU above which segments of two classes are taken to be the same thing."""


def mistaken(matching: Matching) -> Bool[np.ndarray, "g p"]:
    """Tell which missed and invented segments are one another, but for their class."""
    missed = matching.missed & (matching.true_labels != UNKNOWN)
    candidates = missed[:, None] & matching.invented
    if not candidates.any():
        return candidates
    different = matching.true_labels[:, None] != matching.labels
    return candidates & different & (matching.overlap.iou > HALF)


def confusions(matching: Matching, nothing: int) -> Int64[np.ndarray, "n 2"]:
    """List what the segments of one image are and what they are taken for.

    Args:
        matching: The image.
        nothing: Label that stands for no segment.

    Returns:
        True and predicted label of each match, each mistake, each true segment that nothing was
        taken for, and each predicted one that is no true segment.
    """
    swapped = mistaken(matching)
    true, predicted = np.nonzero(swapped)
    missed = matching.missed & ~swapped.any(1) & (matching.true_labels != UNKNOWN)
    invented = matching.invented & ~swapped.any(0)
    hits = matching.labels[matching.match != NOBODY]
    misses, inventions = matching.true_labels[missed], matching.labels[invented]
    taken = np.full(len(misses), nothing), np.full(len(inventions), nothing)
    return np.stack(
        [
            np.concatenate([hits, matching.true_labels[true], misses, taken[1]]),
            np.concatenate([hits, matching.labels[predicted], taken[0], inventions]),
        ],
        axis=1,
    )


ErrorKind = Literal["swapped", "split", "merged", "inexact", "missed", "invented"]
"""What can go wrong: a segment is taken for another class; one thing is predicted in several parts;
several things are predicted as one; class and place are right, but not the outline; nothing is
predicted where something is; something is predicted where nothing is."""

KINDS: tuple[ErrorKind, ...] = ("swapped", "split", "merged", "inexact", "missed", "invented")
"""All of them; what several could explain is the first one."""

MIN_IOU = 0.1
"""IoU from which on a segment without a match is an inexact one and no other."""

MIN_PART = 0.1
"""Part of a thing that a prediction has to cover to be one of those that it is split into."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentError:
    """One thing that went wrong."""

    kind: ErrorKind
    """What it is."""

    true: tuple[int, ...] = ()
    """Positions of the true segments that it is about; one of several may have a match."""

    predicted: tuple[int, ...] = ()
    """Positions of the predicted segments, likewise."""


def segment_errors(matching: Matching) -> tuple[SegmentError, ...]:
    """Explain each missed and each invented segment of an image by exactly one error.

    True segments of classes that the data set lacks are left out.
    """
    missed = matching.missed & (matching.true_labels != UNKNOWN)
    invented = matching.invented
    errors = []
    for find in (_swapped, _split, _merged, _inexact):
        for error in find(matching, missed, invented):
            errors.append(error)
            missed[list(error.true)] = False
            invented[list(error.predicted)] = False
    errors += [SegmentError(kind="missed", true=(i,)) for i in _positions(missed)]
    errors += [SegmentError(kind="invented", predicted=(i,)) for i in _positions(invented)]
    return tuple(errors)


def _swapped(
    matching: Matching, missed: Bool[np.ndarray, " g"], invented: Bool[np.ndarray, " p"]
) -> Iterator[SegmentError]:
    alike = mistaken(matching) & missed[:, None] & invented
    for i in _positions(alike.any(1)):
        yield SegmentError(kind="swapped", true=(i,), predicted=(int(alike[i].argmax()),))


def _split(
    matching: Matching, missed: Bool[np.ndarray, " g"], invented: Bool[np.ndarray, " p"]
) -> Iterator[SegmentError]:
    overlap, own = matching.overlap, _own(matching)
    inside = overlap.shared > HALF * (overlap.areas - overlap.void)
    large = overlap.shared >= MIN_PART * np.maximum(overlap.true_areas, 1)[:, None]
    parts = _alike(matching) & inside & large & (invented | own)
    parts[~missed & ~own.any(1)] = False
    covered = (overlap.shared * parts).sum(1) > HALF * overlap.true_areas
    for i in _positions((parts.sum(1) > 1) & covered):
        yield SegmentError(kind="split", true=(i,), predicted=_positions(parts[i]))


def _merged(
    matching: Matching, missed: Bool[np.ndarray, " g"], invented: Bool[np.ndarray, " p"]
) -> Iterator[SegmentError]:
    overlap, own = matching.overlap, _own(matching)
    covered = overlap.shared > HALF * overlap.true_areas[:, None]
    parts = _alike(matching) & covered & (missed[:, None] | own)
    parts[:, ~invented & ~own.any(0)] = False
    for i in _positions(parts.sum(0) > 1):
        yield SegmentError(kind="merged", true=_positions(parts[:, i]), predicted=(i,))


def _inexact(
    matching: Matching, missed: Bool[np.ndarray, " g"], invented: Bool[np.ndarray, " p"]
) -> Iterator[SegmentError]:
    iou = np.where(_alike(matching), matching.overlap.iou, 0)
    rows, columns = np.nonzero((iou >= MIN_IOU) & missed[:, None] & invented)
    for place in np.argsort(-iou[rows, columns], kind="stable").tolist():
        i, j = int(rows[place]), int(columns[place])
        if missed[i] and invented[j]:
            yield SegmentError(kind="inexact", true=(i,), predicted=(j,))


def _alike(matching: Matching) -> Bool[np.ndarray, "g p"]:
    """Tell which segments have one class; crowds are like nothing."""
    return (matching.true_labels[:, None] == matching.labels) & ~matching.iscrowd[:, None]


def _own(matching: Matching) -> Bool[np.ndarray, "g p"]:
    """Tell which segments match each other."""
    return np.arange(len(matching.true_labels))[:, None] == matching.match


def _positions(which: Bool[np.ndarray, " n"]) -> tuple[int, ...]:
    return tuple(np.flatnonzero(which).tolist())
