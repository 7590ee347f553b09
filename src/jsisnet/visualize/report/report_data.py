"""Data of a report, collected image by image: tallies, and candidates for the gallery."""

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.categories import UNKNOWN, Categories
from jsisnet.evaluation.compared_files import ComparedImage
from jsisnet.evaluation.errors import KINDS, ErrorKind, SegmentError, segment_errors
from jsisnet.evaluation.matching import UNMATCHED, Matching
from jsisnet.evaluation.panoptic_quality import ImageQuality, quality_of
from jsisnet.formats.coco_index import ListedMap
from jsisnet.panoptic import ImageId

SIZES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Upper bounds of the size ranges of segments, as fractions of an image; the last has none."""

SCORES = 10
"""Number of equal score ranges from 0 to 1."""

MATCHED = 0
"""Column of the matched segments in `Outcomes`; a column for each of the `KINDS` follows."""

Reason = ErrorKind | Literal["lowest"]
"""Why an image is a candidate for the gallery: a kind of error, or a low PQ."""

_PER_CLASS = 2
"""Candidates for each kind of error and class."""

_LOWEST = 16
"""Candidates with the lowest PQ."""

_ALL = -1
"""Stands for all classes in the key of the candidates with the lowest PQ."""


def _zeros(*shape: int) -> Int64[np.ndarray, "..."]:
    return np.zeros(shape, np.int64)


@dataclass(slots=True, eq=False)
class SizeTally:
    """Matches and errors by segment size, summed over classes."""

    iou: Float64[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(len(SIZES) + 1))
    """Summed IoU of the matches, by the size of the true segment."""
    tp: Int64[np.ndarray, " n"] = field(default_factory=lambda: _zeros(len(SIZES) + 1))
    """True positives, by the size of the true segment."""
    fp: Int64[np.ndarray, " n"] = field(default_factory=lambda: _zeros(len(SIZES) + 1))
    """False positives, by the size of the predicted segment."""
    fn: Int64[np.ndarray, " n"] = field(default_factory=lambda: _zeros(len(SIZES) + 1))
    """False negatives, by the size of the true segment."""

    def add(
        self, matching: Matching, true: Bool[np.ndarray, " g"], predicted: Bool[np.ndarray, " p"]
    ) -> None:
        """Add the selected segments of an image.

        Args:
            matching: The image.
            true: Which true segments to count.
            predicted: Which predicted segments to count.
        """
        overlap, bins = matching.overlap, len(SIZES) + 1
        pixels = max(int(overlap.table.sum()), 1)
        true_bins = np.searchsorted(SIZES, overlap.true_areas / pixels, side="right")
        own_bins = np.searchsorted(SIZES, overlap.areas / pixels, side="right")
        hits = predicted & (matching.match != UNMATCHED)
        bins_hit = true_bins[matching.match[hits]]
        self.iou += np.bincount(bins_hit, matching.iou[hits], bins)
        self.tp += np.bincount(bins_hit, minlength=bins)
        self.fp += np.bincount(own_bins[predicted & matching.false_positives], minlength=bins)
        self.fn += np.bincount(true_bins[true & matching.false_negatives], minlength=bins)


@dataclass(slots=True, eq=False)
class ScoreTally:
    """True and false positives by score."""

    count: Int64[np.ndarray, " n"] = field(default_factory=lambda: _zeros(SCORES))
    """Predicted segments, without those that are neither true nor false positives."""
    matched: Int64[np.ndarray, " n"] = field(default_factory=lambda: _zeros(SCORES))
    """True positives."""
    total: Float64[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(SCORES))
    """Summed scores."""
    outside: int = 0
    """Segments with scores outside 0 to 1; `count` leaves them out."""

    def add(self, matching: Matching) -> None:
        """Add the predicted segments of an image."""
        scores, hits = matching.scores, matching.match != UNMATCHED
        scored = ~np.isnan(scores) & (hits | matching.false_positives)
        inside = scored & (scores >= 0) & (scores <= 1)
        self.outside += int((scored & ~inside).sum())
        bins = np.minimum((scores[inside] * SCORES).astype(np.int64), SCORES - 1)
        self.count += np.bincount(bins, minlength=SCORES)
        self.matched += np.bincount(bins[hits[inside]], minlength=SCORES)
        self.total += np.bincount(bins, scores[inside], SCORES)

    @property
    def error(self) -> float:
        """Expected calibration error, 0 to 1."""
        return float(np.abs(self.matched - self.total).sum() / max(int(self.count.sum()), 1))


@dataclass(slots=True, eq=False)
class Outcomes:
    """Outcomes of segments by class: column `MATCHED`, then one for each of the `KINDS`."""

    true: Int64[np.ndarray, "k outcomes"]
    """True segments."""
    predicted: Int64[np.ndarray, "k outcomes"]
    """Predicted segments."""

    @classmethod
    def zeros(cls, num_labels: int) -> "Outcomes":
        """Return the outcomes of no image."""
        return cls(*(_zeros(num_labels, 1 + len(KINDS)) for _ in range(2)))

    def add(self, matching: Matching, errors: tuple[SegmentError, ...]) -> None:
        """Add the segments of an image, given its errors."""
        labels = matching.labels[matching.match != UNMATCHED]
        np.add.at(self.true, (labels, MATCHED), 1)
        np.add.at(self.predicted, (labels, MATCHED), 1)
        missed = matching.false_negatives & (matching.true_labels != UNKNOWN)
        spurious = matching.false_positives
        for error in errors:
            column = 1 + KINDS.index(error.kind)
            true, predicted = list(error.true), list(error.predicted)
            for i in (i for i in true if missed[i]):
                self.true[matching.true_labels[i], column] += 1
            for i in (i for i in predicted if spurious[i]):
                self.predicted[matching.labels[i], column] += 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorGroup:
    """The errors of one kind and class in one image."""

    kind: ErrorKind

    label: int
    """True class; predicted class if there is no true segment."""

    predicted_label: int | None
    """Predicted class of segments with the wrong class; ``None`` for all other kinds."""

    count: int
    """Number of errors."""

    share: float
    """Fraction of the image that their segments cover, 0 to 1."""

    @property
    def labels(self) -> tuple[int, ...]:
        """The classes involved."""
        return (self.label,) if self.predicted_label is None else (self.label, self.predicted_label)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GalleryImage:
    """A candidate for the gallery, with what is needed to draw it."""

    number: int
    """Position among the compared images."""

    image_id: ImageId

    truth: ListedMap
    """Ground truth."""

    prediction: ListedMap | None
    """Prediction; ``None`` if it is missing."""

    match: Int64[np.ndarray, " p"]
    """See `Matching.match`."""

    pq: float | None
    """PQ of this image, 0 to 1; ``None`` if no segment counts."""

    errors: tuple[ErrorGroup, ...]
    """Largest first."""


class ReportData:
    """Collects the data of a report; memory does not grow with the number of images."""

    def __init__(self, categories: Categories):
        """Start without images.

        Args:
            categories: Classes of the compared files.
        """
        self.isthing = np.array([category.isthing for category in categories], bool)
        self.sizes = {"things": SizeTally(), "stuff": SizeTally()}
        self.scores = ScoreTally()
        self.outcomes = Outcomes.zeros(len(categories))
        self.images = 0
        self._kept: dict[tuple[Reason, int], list[tuple[float, int, GalleryImage]]]
        self._kept = defaultdict(list)

    def add(self, image: ComparedImage) -> None:
        """Add a compared image; images that could not be compared are skipped."""
        matching = image.matching
        if matching is None or image.truth is None:
            return
        errors = segment_errors(matching)
        isthing = np.append(self.isthing, False)  # for `UNKNOWN`, which is -1
        for name, wanted in (("things", True), ("stuff", False)):
            known = matching.true_labels != UNKNOWN
            true = known & (isthing[matching.true_labels] == wanted)
            self.sizes[name].add(matching, true, isthing[matching.labels] == wanted)
        self.scores.add(matching)
        self.outcomes.add(matching, errors)
        quality = ImageQuality.of(image.image_id, quality_of(matching, len(self.isthing)))
        candidate = GalleryImage(
            number=self.images,
            image_id=image.image_id,
            truth=image.truth,
            prediction=image.prediction,
            match=matching.match,
            pq=quality.pq,
            errors=_grouped(matching, errors),
        )
        self.images += 1
        largest: dict[tuple[Reason, int], float] = {}
        for group in candidate.errors:
            largest.setdefault((group.kind, group.label), group.share)
        for (reason, label), share in largest.items():
            self._keep(reason, label, share, candidate)
        if candidate.pq is not None and candidate.errors:
            self._keep("lowest", _ALL, -candidate.pq, candidate)

    def candidates(self) -> dict[Reason, list[GalleryImage]]:
        """Return the candidates for each reason, most important first.

        The worst image of every class precedes the second worst of any class.
        """
        ranked: dict[Reason, list[tuple[int, float, int, GalleryImage]]] = defaultdict(list)
        for (reason, _), kept in self._kept.items():
            for rank, (size, place, image) in enumerate(sorted(kept, key=_first_two, reverse=True)):
                order = 0 if reason == "lowest" else rank
                ranked[reason].append((order, -size, -place, image))
        return {
            reason: [image for *_, image in sorted(images, key=lambda entry: entry[:3])]
            for reason, images in ranked.items()
        }

    def _keep(self, reason: Reason, label: int, size: float, image: GalleryImage) -> None:
        kept = self._kept[reason, label]
        entry = (size, -image.number, image)
        if len(kept) < (_LOWEST if reason == "lowest" else _PER_CLASS):
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)


def _first_two(entry: tuple[float, int, GalleryImage]) -> tuple[float, int]:
    return entry[:2]


def _grouped(matching: Matching, errors: tuple[SegmentError, ...]) -> tuple[ErrorGroup, ...]:
    """Group the errors of an image by kind and class, largest first."""
    pixels = max(int(matching.overlap.table.sum()), 1)
    true_shares, shares = matching.overlap.true_areas / pixels, matching.overlap.areas / pixels
    groups: dict[tuple[ErrorKind, int, int | None], list[float]] = defaultdict(list)
    for error in errors:
        true, predicted = list(error.true), list(error.predicted)
        covered = true_shares[true] if true else shares[predicted]
        labels = matching.true_labels[true] if true else matching.labels[predicted]
        other = int(matching.labels[predicted[0]]) if error.kind == "misclassified" else None
        groups[error.kind, int(labels[0]), other].append(float(covered.sum()))
    found = (
        ErrorGroup(
            kind=kind, label=label, predicted_label=other, count=len(sizes), share=sum(sizes)
        )
        for (kind, label, other), sizes in groups.items()
    )
    return tuple(sorted(found, key=lambda group: -group.share))
