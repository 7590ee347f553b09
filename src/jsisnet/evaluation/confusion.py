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
