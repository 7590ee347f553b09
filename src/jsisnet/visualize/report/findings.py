"""What a report keeps of the images while they are compared: sums, and the most telling images."""

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
        hits = predicted & (matching.match != UNMATCHED)
        places = true_bins[matching.match[hits]]
        self.iou += np.bincount(places, matching.iou[hits], bins)
        self.tp += np.bincount(places, minlength=bins)
        self.fp += np.bincount(own_bins[predicted & matching.false_positives], minlength=bins)
        self.fn += np.bincount(true_bins[true & matching.false_negatives], minlength=bins)


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
        labels = matching.labels[matching.match != UNMATCHED]
        np.add.at(self.true, (labels, FOUND), 1)
        np.add.at(self.predicted, (labels, FOUND), 1)
        missed = matching.false_negatives & (matching.true_labels != UNKNOWN)
        invented = matching.false_positives
        for error in errors:
            column = 1 + KINDS.index(error.kind)
            true, predicted = list(error.true), list(error.predicted)
            for i in (i for i in true if missed[i]):
                self.true[matching.true_labels[i], column] += 1
            for i in (i for i in predicted if invented[i]):
                self.predicted[matching.labels[i], column] += 1


Reason = ErrorKind | Literal["lowest"]
"""Why an image is worth a look: what is wrong in it, or that its PQ is among the lowest."""

_KEPT = 2
"""Images of a reason and a class that are kept: those where it is the largest part of them."""

_LOWEST = 16
"""Images with the lowest PQ that are kept."""

_WHOLE = -1
"""In the place of a class: all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One kind of error of one class in one image, or several of them."""

    kind: ErrorKind
    """What is wrong."""

    label: int
    """True class, or the predicted one of what is not there."""

    taken_for: int | None
    """Predicted class of what is swapped."""

    count: int
    """How often."""

    share: float
    """Part of the image that it is about, 0 to 1."""

    @property
    def labels(self) -> tuple[int, ...]:
        """Classes that it is about."""
        return (self.label,) if self.taken_for is None else (self.label, self.taken_for)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TellingImage:
    """What is needed to show an image."""

    number: int
    """Its place among all."""

    image_id: ImageId
    """As in the files."""

    truth: ListedMap
    """What the truth lists."""

    prediction: ListedMap | None
    """What the predictions list; ``None`` if there is none."""

    match: Int64[np.ndarray, " p"]
    """As in `Matching`."""

    pq: float | None
    """Of this image, 0 to 1."""

    findings: tuple[Finding, ...]
    """What is wrong in it, largest first."""


class Findings:
    """Is given each image; memory grows with the number of classes, not with that of images."""

    def __init__(self, categories: Categories):
        """Begin.

        Args:
            categories: Classes of the files.
        """
        self.isthing = np.array([category.isthing for category in categories], bool)
        self.sizes = {"things": SizeTally(), "stuff": SizeTally()}
        self.scores = ScoreTally()
        self.fates = Fates.nothing(len(categories))
        self.images = 0
        self._kept: dict[tuple[Reason, int], list[tuple[float, int, TellingImage]]]
        self._kept = defaultdict(list)

    def add(self, image: ComparedImage) -> None:
        """Take note of an image; faulty ones are passed over."""
        matching = image.matching
        if matching is None or image.truth is None:
            return
        errors = segment_errors(matching)
        isthing = np.append(self.isthing, False)  # the last one is that of `UNKNOWN` classes
        for name, wanted in (("things", True), ("stuff", False)):
            known = matching.true_labels != UNKNOWN
            true = known & (isthing[matching.true_labels] == wanted)
            self.sizes[name].add(matching, true, isthing[matching.labels] == wanted)
        self.scores.add(matching)
        self.fates.add(matching, errors)
        quality = ImageQuality.of(image.image_id, quality_of(matching, len(self.isthing)))
        telling = TellingImage(
            number=self.images,
            image_id=image.image_id,
            truth=image.truth,
            prediction=image.prediction,
            match=matching.match,
            pq=quality.pq,
            findings=_findings(matching, errors),
        )
        self.images += 1
        largest: dict[tuple[Reason, int], float] = {}
        for finding in telling.findings:
            largest.setdefault((finding.kind, finding.label), finding.share)
        for (reason, label), share in largest.items():
            self._keep(reason, label, share, telling)
        if telling.pq is not None and telling.findings:
            self._keep("lowest", _WHOLE, -telling.pq, telling)

    def candidates(self) -> dict[Reason, list[TellingImage]]:
        """Give the images that were kept for each reason, the most telling ones first.

        Of each class the worst image precedes the second one of any class.
        """
        ranked: dict[Reason, list[tuple[int, float, int, TellingImage]]] = defaultdict(list)
        for (reason, _), kept in self._kept.items():
            for rank, (size, place, image) in enumerate(sorted(kept, key=_first_two, reverse=True)):
                order = 0 if reason == "lowest" else rank
                ranked[reason].append((order, -size, -place, image))
        return {
            reason: [image for *_, image in sorted(images, key=lambda entry: entry[:3])]
            for reason, images in ranked.items()
        }

    def _keep(self, reason: Reason, label: int, size: float, image: TellingImage) -> None:
        kept = self._kept[reason, label]
        entry = (size, -image.number, image)
        if len(kept) < (_LOWEST if reason == "lowest" else _KEPT):
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)


def _first_two(entry: tuple[float, int, TellingImage]) -> tuple[float, int]:
    return entry[:2]


def _findings(matching: Matching, errors: tuple[SegmentError, ...]) -> tuple[Finding, ...]:
    """Join the errors of one kind and class, and tell how much of the image they are about."""
    pixels = max(int(matching.overlap.table.sum()), 1)
    counts: dict[tuple[ErrorKind, int, int | None], list[float]] = defaultdict(list)
    areas = matching.overlap.true_areas / pixels, matching.overlap.areas / pixels
    for error in errors:
        share = _share(error, *areas)
        true = matching.true_labels[list(error.true)].tolist()
        predicted = matching.labels[list(error.predicted)].tolist()
        taken_for = predicted[0] if error.kind == "swapped" else None
        counts[error.kind, (true or predicted)[0], taken_for].append(share)
    found = (
        Finding(kind=kind, label=label, taken_for=other, count=len(shares), share=sum(shares))
        for (kind, label, other), shares in counts.items()
    )
    return tuple(sorted(found, key=lambda finding: -finding.share))


def _share(
    error: SegmentError, true: Float64[np.ndarray, " g"], predicted: Float64[np.ndarray, " p"]
) -> float:
    if error.true:
        return float(true[list(error.true)].sum())
    return float(predicted[list(error.predicted)].sum())
