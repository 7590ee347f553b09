"""Panoptic quality: how well predicted segments match true ones."""

from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.categories import UNKNOWN, Categories
from jsisnet.evaluation.matching import NOBODY, Matching, match
from jsisnet.panoptic import ImageId, PanopticMap


@dataclass(frozen=True, slots=True, eq=False)
class PanopticQuality:
    """Sums of one or more images, one value per label; ``+`` joins the images of two sums."""

    iou: Float64[np.ndarray, " k"]
    """Summed over the matches."""

    tp: Int64[np.ndarray, " k"]
    """Matches."""

    fp: Int64[np.ndarray, " k"]
    """Predicted segments without a match."""

    fn: Int64[np.ndarray, " k"]
    """True segments without a match."""

    @classmethod
    def zero(cls, num_labels: int) -> "PanopticQuality":
        """Give the sums of no image."""
        nothing = np.zeros(num_labels, np.int64)
        return cls(nothing.astype(np.float64), nothing, nothing, nothing)

    def __add__(self, other: "PanopticQuality") -> "PanopticQuality":
        return PanopticQuality(
            self.iou + other.iou, self.tp + other.tp, self.fp + other.fp, self.fn + other.fn
        )

    @property
    def seen(self) -> Bool[np.ndarray, " k"]:
        """Labels that the truth or a counted prediction has; only these enter an average."""
        return self.tp + self.fp + self.fn > 0

    @property
    def pq(self) -> Float64[np.ndarray, " k"]:
        """Panoptic quality from 0 to 1, NaN for labels not `seen`."""
        return _ratio(self.iou, self.tp + self.fp / 2 + self.fn / 2)

    @property
    def sq(self) -> Float64[np.ndarray, " k"]:
        """Mean IoU of the matches: 0 without any, NaN for labels not `seen`."""
        return np.where(self.seen, _ratio(self.iou, np.maximum(self.tp, 1)), np.nan)

    @property
    def rq(self) -> Float64[np.ndarray, " k"]:
        """F1 score of the matching from 0 to 1, NaN for labels not `seen`."""
        return _ratio(self.tp, self.tp + self.fp / 2 + self.fn / 2)


def count(
    truth: PanopticMap, prediction: PanopticMap, num_labels: int, *, all_crowds: bool = False
) -> PanopticQuality:
    """Match the segments of one image and count the outcome.

    Args:
        truth: Ground truth.
        prediction: Map of the same size.
        num_labels: Number of labels, K.
        all_crowds: As in `match`.

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
    """Count the outcome of one image.

    Args:
        matching: The image.
        num_labels: Number of labels, K; true segments of other labels are not counted.
    """
    labels, hits = matching.labels, matching.match != NOBODY
    missed = matching.true_labels[matching.missed]
    # Up to 100,000 multiples of 2^-36 add without rounding: no order of images changes a sum.
    iou = np.round(matching.iou[hits] * 2**36) / 2**36
    return PanopticQuality(
        np.bincount(labels[hits], iou, num_labels).astype(np.float64),
        np.bincount(labels[hits], minlength=num_labels),
        np.bincount(labels[matching.invented], minlength=num_labels),
        np.bincount(missed[missed != UNKNOWN], minlength=num_labels),
    )


def summary(quality: PanopticQuality, categories: Categories) -> dict[str, object]:
    """Describe sums as plain values in percent, ready for a JSON file.

    Returns:
        ``all``, ``things`` and ``stuff``, each with the means ``pq``, ``sq`` and ``rq`` over the
        ``n`` classes seen; and ``classes``, one entry for each. What has no value is ``None``.
    """
    groups = {
        "all": tuple(range(len(categories))),
        "things": categories.thing_labels,
        "stuff": categories.stuff_labels,
    }
    pq, sq, rq = (values.tolist() for values in (quality.pq, quality.sq, quality.rq))
    return {name: _average(quality, list(labels)) for name, labels in groups.items()} | {
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


def _ratio(
    over: Float64[np.ndarray, " k"] | Int64[np.ndarray, " k"],
    under: Float64[np.ndarray, " k"] | Int64[np.ndarray, " k"],
) -> Float64[np.ndarray, " k"]:
    return np.divide(over, under, out=np.full(len(over), np.nan), where=under > 0)


def _average(quality: PanopticQuality, labels: list[int]) -> dict[str, object]:
    seen = [label for label in labels if quality.seen[label]]
    means: dict[str, object] = {
        name: _percent(float(values[seen].mean())) if seen else None
        for name, values in (("pq", quality.pq), ("sq", quality.sq), ("rq", quality.rq))
    }
    return means | {"n": len(seen)}


def _percent(value: float) -> float | None:
    return None if np.isnan(value) else 100 * value


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageQuality:
    """Sums of one image, for the labels that it has."""

    image_id: ImageId
    labels: Int64[np.ndarray, " n"]
    """Labels that the truth or a counted prediction has, ascending."""
    iou: Float64[np.ndarray, " n"]
    """As in `PanopticQuality`, like all that follow."""
    tp: Int64[np.ndarray, " n"]
    fp: Int64[np.ndarray, " n"]
    fn: Int64[np.ndarray, " n"]

    @classmethod
    def of(cls, image_id: ImageId, quality: PanopticQuality) -> "ImageQuality":
        """Keep what an image has of the sums over its segments."""
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
        """Give the sums of all labels."""
        whole = np.zeros((3, num_labels), np.int64)
        whole[:, self.labels] = self.tp, self.fp, self.fn
        iou = np.zeros(num_labels)
        iou[self.labels] = self.iou
        return PanopticQuality(iou, *whole)

    @property
    def pq(self) -> float | None:
        """Mean over the labels, from 0 to 1, as of a data set of this image; ``None`` without."""
        return self._mean(self.iou / (self.tp + self.fp / 2 + self.fn / 2))

    @property
    def sq(self) -> float | None:
        """Likewise the mean IoU of the matches."""
        return self._mean(self.iou / np.maximum(self.tp, 1))

    @property
    def rq(self) -> float | None:
        """Likewise the F1 score of the matching."""
        return self._mean(self.tp / (self.tp + self.fp / 2 + self.fn / 2))

    def described(self, categories: Categories) -> dict[str, object]:
        """Give plain values: means in percent, numbers of segments, and the sums of each class."""
        means = {"pq": self.pq, "sq": self.sq, "rq": self.rq}
        counts = {"tp": self.tp, "fp": self.fp, "fn": self.fn}
        columns = (self.labels, self.iou, self.tp, self.fp, self.fn)
        return {
            "image_id": self.image_id,
            **{name: None if mean is None else 100 * mean for name, mean in means.items()},
            **{name: int(values.sum()) for name, values in counts.items()},
            "classes": [
                {"name": categories[label].name, "iou": iou, "tp": tp, "fp": fp, "fn": fn}
                for label, iou, tp, fp, fn in zip(*(c.tolist() for c in columns), strict=True)
            ],
        }

    def _mean(self, values: Float64[np.ndarray, " n"]) -> float | None:
        return float(values.mean()) if len(values) else None


def class_means(
    sums: Float64[np.ndarray, "*s 4 k"], groups: Bool[np.ndarray, "m k"]
) -> Float64[np.ndarray, "*s 3 m"]:
    """Give the mean PQ, SQ and RQ of groups of classes, over the classes that the sums have seen.

    Args:
        sums: Of each class the IoU of the matches and their number, tp; fp; fn.
        groups: Classes that each mean is over.

    Returns:
        Values from 0 to 1; NaN for a group without a class that was seen.
    """
    iou, tp, fp, fn = np.moveaxis(sums, -2, 0)
    under = np.maximum(tp + fp / 2 + fn / 2, 1 / 2)
    values = np.stack([iou / under, iou / np.maximum(tp, 1), tp / under], axis=-2)
    number = (((tp + fp + fn) > 0).astype(np.float64) @ groups.T)[..., None, :]
    nothing = np.full((*values.shape[:-1], len(groups)), np.nan)
    return np.divide(values @ groups.T, number, out=nothing, where=number > 0)
