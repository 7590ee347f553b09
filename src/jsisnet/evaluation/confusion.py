"""Which class is taken for which other one."""

import numpy as np
from jaxtyping import Bool, Int64

from jsisnet.categories import UNKNOWN
from jsisnet.evaluation.matching import NOBODY, Matching

HALF = 1 / 2
"""IoU above which segments of two classes are taken to be the same thing."""


def mistaken(matching: Matching) -> Bool[np.ndarray, "g p"]:
    """Tell which missed and invented segments are one another, but for their class."""
    missed = matching.missed & (matching.true_labels != UNKNOWN)
    alike = missed[:, None] & matching.invented & (matching.overlap.iou > HALF)
    return alike & (matching.true_labels[:, None] != matching.labels)


def confusion_of(matching: Matching, num_labels: int) -> Int64[np.ndarray, "k1 k1"]:
    """Count the segments of one image by their true and their predicted class.

    Returns:
        True classes down, predicted ones across. The last row is for predictions that are no true
        segment, the last column for true segments that nothing was taken for.
    """
    counts = np.zeros((num_labels + 1, num_labels + 1), np.int64)
    swapped = mistaken(matching)
    hits = matching.match != NOBODY
    true, predicted = np.nonzero(swapped)
    np.add.at(counts, (matching.labels[hits], matching.labels[hits]), 1)
    missed = matching.missed & ~swapped.any(1) & (matching.true_labels != UNKNOWN)
    invented = matching.invented & ~swapped.any(0)
    np.add.at(counts, (matching.true_labels[true], matching.labels[predicted]), 1)
    counts[:-1, -1] = np.bincount(matching.true_labels[missed], minlength=num_labels)
    counts[-1, :-1] = np.bincount(matching.labels[invented], minlength=num_labels)
    return counts
