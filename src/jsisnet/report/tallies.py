"""What is counted of all images: by size of the segments, by score, and by what became of them."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int64

from jsisnet.categories import UNKNOWN
from jsisnet.evaluation.errors import KINDS, SegmentError
from jsisnet.evaluation.matching import NOBODY, Matching

SIZES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Shares of an image's pixels that part small segments from large ones."""

SCORES = 10
"""Equal ranges into which scores from 0 to 1 are parted."""

FOUND = 0
"""Column of the segments with a match; those of the `KINDS` of errors follow."""


def _zeros(*shape: int) -> Int64[np.ndarray, "..."]:
    return np.zeros(shape, np.int64)


@dataclass(slots=True, eq=False)
class SizeTally:
    """Segments by the share of the image that they cover, of all classes together."""

    iou: Float64[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(len(SIZES) + 1))
    """Summed over the matches, by the size of the true segment."""
    tp: Int64[np.ndarray, " n"] = field(default_factory=lambda: _zeros(len(SIZES) + 1))
    """Matches, likewise."""
    fp: Int64[np.ndarray, " n"] = field(default_factory=lambda: _zeros(len(SIZES) + 1))
    """Predicted segments without a match, by their own size."""
    fn: Int64[np.ndarray, " n"] = field(default_factory=lambda: _zeros(len(SIZES) + 1))
    """True segments without a match."""

    def add(
        self, matching: Matching, true: Bool[np.ndarray, " g"], predicted: Bool[np.ndarray, " p"]
    ) -> None:
        """Count some of the true and the predicted segments of an image."""
        overlap, bins = matching.overlap, len(SIZES) + 1
        pixels = max(int(overlap.table.sum()), 1)
        true_bins = np.searchsorted(SIZES, overlap.true_areas / pixels, side="right")
        own_bins = np.searchsorted(SIZES, overlap.areas / pixels, side="right")
        hits = predicted & (matching.match != NOBODY)
        places = true_bins[matching.match[hits]]
        self.iou += np.bincount(places, matching.iou[hits], bins)
        self.tp += np.bincount(places, minlength=bins)
        self.fp += np.bincount(own_bins[predicted & matching.invented], minlength=bins)
        self.fn += np.bincount(true_bins[true & matching.missed], minlength=bins)


@dataclass(slots=True, eq=False)
class ScoreTally:
    """Predicted segments by their score; those that count neither way are left out."""

    count: Int64[np.ndarray, " n"] = field(default_factory=lambda: _zeros(SCORES))
    """Segments."""
    matched: Int64[np.ndarray, " n"] = field(default_factory=lambda: _zeros(SCORES))
    """Those that match a true segment."""
    total: Float64[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(SCORES))
    """Their scores, summed."""
    outside: int = 0
    """Segments with scores below 0 or above 1, which are counted nowhere else."""

    def add(self, matching: Matching) -> None:
        """Count the predicted segments of an image."""
        scores, hits = matching.scores, matching.match != NOBODY
        scored = ~np.isnan(scores) & (hits | matching.invented)
        inside = scored & (scores >= 0) & (scores <= 1)
        self.outside += int((scored & ~inside).sum())
        bins = np.minimum((scores[inside] * SCORES).astype(np.int64), SCORES - 1)
        self.count += np.bincount(bins, minlength=SCORES)
        self.matched += np.bincount(bins[hits[inside]], minlength=SCORES)
        self.total += np.bincount(bins, scores[inside], SCORES)

    @property
    def error(self) -> float:
        """How far scores are from the share of matches: mean over the segments, 0 to 1."""
        return float(np.abs(self.matched - self.total).sum() / max(int(self.count.sum()), 1))


@dataclass(slots=True, eq=False)
class Fates:
    """What became of the segments of each class."""

    true: Int64[np.ndarray, "k fates"]
    """True segments by class, and by whether they were `FOUND` or else the kind of their error."""
    predicted: Int64[np.ndarray, "k fates"]
    """Predicted segments, likewise."""

    @classmethod
    def nothing(cls, num_labels: int) -> "Fates":
        """Begin."""
        return cls(*(_zeros(num_labels, 1 + len(KINDS)) for _ in range(2)))

    def add(self, matching: Matching, errors: tuple[SegmentError, ...]) -> None:
        """Count the segments of an image, whose errors are given."""
        labels = matching.labels[matching.match != NOBODY]
        np.add.at(self.true, (labels, FOUND), 1)
        np.add.at(self.predicted, (labels, FOUND), 1)
        missed = matching.missed & (matching.true_labels != UNKNOWN)
        invented = matching.invented
        for error in errors:
            column = 1 + KINDS.index(error.kind)
            true, predicted = list(error.true), list(error.predicted)
            for i in (i for i in true if missed[i]):
                self.true[matching.true_labels[i], column] += 1
            for i in (i for i in predicted if invented[i]):
                self.predicted[matching.labels[i], column] += 1
