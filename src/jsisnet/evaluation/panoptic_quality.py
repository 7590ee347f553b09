"""Panoptic quality (PQ), segmentation quality (SQ) and recognition quality (RQ)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.categories import UNKNOWN, Categories
from jsisnet.evaluation.matching import UNMATCHED, Matching, match
from jsisnet.panoptic import ImageId, PanopticMap


def qualities(sums: Float64[np.ndarray, "*s 4 k"]) -> Float64[np.ndarray, "*s 3 k"]:
    """Compute PQ, SQ and RQ of each class.

    Args:
        sums: For each class the summed IoU of the matches and the numbers tp, fp and fn.

    Returns:
        Values from 0 to 1; NaN for classes without any segment.
    """
    iou, tp, fp, fn = np.moveaxis(sums, -2, 0)
    segments = tp + fp / 2 + fn / 2
    divisor = np.maximum(segments, 1 / 2)
    values = np.stack([iou / divisor, iou / np.maximum(tp, 1), tp / divisor], axis=-2)
    return np.where(segments[..., None, :] > 0, values, np.nan)


def class_means(
    sums: Float64[np.ndarray, "*s 4 k"], groups: Bool[np.ndarray, "m k"]
) -> Float64[np.ndarray, "*s 3 m"]:
    """Compute the mean PQ, SQ and RQ of groups of classes, for many data sets at once.

    Args:
        sums: See `qualities`.
        groups: Which classes belong to each group; those without any segment are left out.

    Returns:
        Values from 0 to 1; NaN for a group whose classes have no segment.
    """
    values = qualities(sums)
    seen = ~np.isnan(values)
    number = seen.astype(np.float64) @ groups.T
    total = np.where(seen, values, 0) @ groups.T
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


@dataclass(frozen=True, slots=True)
class MeanQuality:
    """Mean PQ, SQ and RQ over the classes that have a segment; NaN if none has."""

    pq: float
    sq: float
    rq: float
    classes: int
    """Number of classes in the mean."""

    @classmethod
    def of(cls, values: Float64[np.ndarray, "3 k"]) -> "MeanQuality":
        """Average what `qualities` returns."""
        values = values[:, ~np.isnan(values[0])]
        if not values.size:
            return cls(np.nan, np.nan, np.nan, 0)
        pq, sq, rq = (float(row.mean()) for row in values)
        return cls(pq, sq, rq, values.shape[1])

    def in_percent(self) -> dict[str, float | None]:
        """Return ``pq``, ``sq`` and ``rq`` in percent; ``None`` for NaN."""
        return {"pq": _percent(self.pq), "sq": _percent(self.sq), "rq": _percent(self.rq)}


@dataclass(frozen=True, slots=True, eq=False)
class PanopticQuality:
    """Sums of one or more images, one value per label; ``+`` adds the images of two sums."""

    iou: Float64[np.ndarray, " k"]
    """Summed IoU of the matches."""

    tp: Int64[np.ndarray, " k"]
    """True positives: matched segments."""

    fp: Int64[np.ndarray, " k"]
    """False positives: predicted segments without a match."""

    fn: Int64[np.ndarray, " k"]
    """False negatives: true segments without a match."""

    @classmethod
    def zero(cls, num_labels: int) -> "PanopticQuality":
        """Return the sums of no image."""
        zeros = np.zeros(num_labels, np.int64)
        return cls(zeros.astype(np.float64), zeros, zeros, zeros)

    def __add__(self, other: "PanopticQuality") -> "PanopticQuality":
        return PanopticQuality(
            self.iou + other.iou, self.tp + other.tp, self.fp + other.fp, self.fn + other.fn
        )

    def __repr__(self) -> str:
        mean = self.mean()
        return f"PanopticQuality(pq={mean.pq:.4f}, {mean.classes} of {len(self.iou)} classes)"

    @property
    def sums(self) -> Float64[np.ndarray, "4 k"]:
        """The four sums as rows."""
        return np.stack([self.iou, self.tp, self.fp, self.fn])

    @property
    def seen(self) -> Bool[np.ndarray, " k"]:
        """Labels of any true or counted predicted segment; only these enter a mean."""
        return self.tp + self.fp + self.fn > 0

    @property
    def pq(self) -> Float64[np.ndarray, " k"]:
        """Panoptic quality from 0 to 1, NaN for labels not `seen`."""
        return qualities(self.sums)[0]

    @property
    def sq(self) -> Float64[np.ndarray, " k"]:
        """Segmentation quality, the mean IoU of the matches; 0 without any."""
        return qualities(self.sums)[1]

    @property
    def rq(self) -> Float64[np.ndarray, " k"]:
        """Recognition quality, the F1 score of the matching from 0 to 1."""
        return qualities(self.sums)[2]

    def mean(self, labels: Sequence[int] | None = None) -> MeanQuality:
        """Average over the classes that are `seen`.

        Args:
            labels: Classes to average over; default: all.
        """
        values = qualities(self.sums)
        return MeanQuality.of(values if labels is None else values[:, list(labels)])


def count_matches(
    truth: PanopticMap, prediction: PanopticMap, num_labels: int, *, all_crowds: bool = False
) -> PanopticQuality:
    """Match the segments of one image and count true positives and errors.

    Args:
        truth: Ground truth.
        prediction: Map of the same size.
        num_labels: Number of labels, K.
        all_crowds: See `match_overlap`.

    Returns:
        Sums of this image.

    Raises:
        ValueError: If the maps differ in size, or a label is K or higher.
    """
    labels = [segment.label for each in (truth, prediction) for segment in each.segments]
    if max(labels, default=UNKNOWN) >= num_labels:
        raise ValueError(f"a segment has label {max(labels)}; expected one of {num_labels} labels")
    return quality_of(match(truth, prediction, all_crowds=all_crowds), num_labels)


def quality_of(matching: Matching, num_labels: int) -> PanopticQuality:
    """Count the true positives and the errors of one image.

    Args:
        matching: The image.
        num_labels: Number of labels, K; true segments of other labels are not counted.
    """
    labels, hits = matching.labels, matching.match != UNMATCHED
    missed = matching.true_labels[matching.false_negatives]
    # Up to 100,000 multiples of 2^-36 add without rounding: no order of images changes a sum.
    iou = np.round(matching.iou[hits] * 2**36) / 2**36
    return PanopticQuality(
        np.bincount(labels[hits], iou, num_labels).astype(np.float64),
        np.bincount(labels[hits], minlength=num_labels),
        np.bincount(labels[matching.false_positives], minlength=num_labels),
        np.bincount(missed[missed != UNKNOWN], minlength=num_labels),
    )


def summary(quality: PanopticQuality, categories: Categories) -> dict[str, object]:
    """Return sums as plain values in percent, ready for a JSON file.

    Returns:
        ``all``, ``things`` and ``stuff``, each with the means ``pq``, ``sq`` and ``rq`` over the
        ``n`` classes seen; and ``classes``, one entry for each. Missing values are ``None``.
    """
    groups = {
        "all": range(len(categories)),
        "things": categories.thing_labels,
        "stuff": categories.stuff_labels,
    }
    means = {name: quality.mean(labels) for name, labels in groups.items()}
    pq, sq, rq = qualities(quality.sums).tolist()
    return {name: mean.in_percent() | {"n": mean.classes} for name, mean in means.items()} | {
        "classes": [
            {
                "name": category.name,
                "isthing": category.isthing,
                "pq": _percent(pq[label]),
                "sq": _percent(sq[label]),
                "rq": _percent(rq[label]),
                "tp": int(quality.tp[label]),
                "fp": int(quality.fp[label]),
                "fn": int(quality.fn[label]),
            }
            for label, category in enumerate(categories)
        ]
    }


def _percent(value: float) -> float | None:
    return None if np.isnan(value) else 100 * value


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageQuality:
    """Sums of one image, for its own labels only."""

    image_id: ImageId
    labels: Int64[np.ndarray, " n"]
    """Labels of its true and counted predicted segments, ascending."""
    iou: Float64[np.ndarray, " n"]
    """See `PanopticQuality`, for this and the other sums."""
    tp: Int64[np.ndarray, " n"]
    fp: Int64[np.ndarray, " n"]
    fn: Int64[np.ndarray, " n"]

    @classmethod
    def of(cls, image_id: ImageId, quality: PanopticQuality) -> "ImageQuality":
        """Keep the sums of the labels that are seen."""
        labels = np.flatnonzero(quality.seen)
        return cls(
            image_id=image_id,
            labels=labels,
            iou=quality.iou[labels],
            tp=quality.tp[labels],
            fp=quality.fp[labels],
            fn=quality.fn[labels],
        )

    def spread(self, num_labels: int) -> PanopticQuality:
        """Return the sums of all labels, with zeros for the others."""
        whole = np.zeros((3, num_labels), np.int64)
        whole[:, self.labels] = self.tp, self.fp, self.fn
        iou = np.zeros(num_labels)
        iou[self.labels] = self.iou
        return PanopticQuality(iou, *whole)

    @property
    def mean(self) -> MeanQuality:
        """Mean over the labels, as if the data set consisted of this image."""
        return MeanQuality.of(qualities(np.stack([self.iou, self.tp, self.fp, self.fn])))

    @property
    def pq(self) -> float | None:
        """Mean PQ from 0 to 1; ``None`` for an image without labels."""
        return None if np.isnan(self.mean.pq) else self.mean.pq

    def described(self, categories: Categories) -> dict[str, object]:
        """Return plain values: means in percent, numbers of segments, and the sums per class."""
        counts = {"tp": self.tp, "fp": self.fp, "fn": self.fn}
        columns = (self.labels, self.iou, self.tp, self.fp, self.fn)
        return {
            "image_id": self.image_id,
            **self.mean.in_percent(),
            **{name: int(values.sum()) for name, values in counts.items()},
            "classes": [
                {"name": categories[label].name, "iou": iou, "tp": tp, "fp": fp, "fn": fn}
                for label, iou, tp, fp, fn in zip(*(c.tolist() for c in columns), strict=True)
            ],
        }
