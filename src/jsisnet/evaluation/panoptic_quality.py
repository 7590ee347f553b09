"""Panoptic quality: how well predicted segments match true ones."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from jsisnet.categories import Categories
from jsisnet.panoptic import PanopticMap, Segment


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

    Segments of one label match when their IoU exceeds one half, which allows one match at most.
    True void is taken out of a prediction before its IoU is measured. A prediction that mostly
    covers true void or a crowd region of its own class counts neither way.

    Args:
        truth: Ground truth.
        prediction: Map of the same size.
        num_labels: Number of labels, K.
        all_crowds: Whether every crowd region of a class excuses predictions; the official script
            knows only the last one that the file lists.

    Returns:
        Sums of this image.

    Raises:
        ValueError: If the maps differ in size.

    Reference:
        Kirillov et al., "Panoptic Segmentation", CVPR 2019, section 4; panopticapi's
        ``evaluation.py``.
    """
    pixels = _shared_pixels(truth, prediction)
    overlap, void = pixels[1:, 1:], pixels[0, 1:]
    true_areas, areas = pixels[1:].sum(1, keepdims=True), pixels[:, 1:].sum(0)
    true_labels, labels = _labels(truth.segments), _labels(prediction.segments)
    crowd = np.array([segment.iscrowd for segment in truth.segments], bool)

    same = true_labels[:, None] == labels
    union = true_areas + areas - overlap - void
    matches = same & ~crowd[:, None] & (2 * overlap > union)
    excusing = crowd if all_crowds else crowd & _last_of_label(true_labels, crowd)
    excused = void + (overlap * (same & excusing[:, None])).sum(0)

    missed = ~crowd & ~matches.any(1)
    invented = ~matches.any(0) & (2 * excused <= areas)
    rows, columns = np.nonzero(matches)
    # Up to 100,000 multiples of 2^-36 add without rounding: no order of images changes a sum.
    iou = np.round(overlap[rows, columns] / union[rows, columns] * 2**36) / 2**36
    return PanopticQuality(
        np.bincount(labels[columns], iou, num_labels).astype(np.float64),
        np.bincount(labels[columns], minlength=num_labels),
        np.bincount(labels[invented], minlength=num_labels),
        np.bincount(true_labels[missed], minlength=num_labels),
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


def _shared_pixels(
    truth: PanopticMap, prediction: PanopticMap
) -> Int64[np.ndarray, "rows columns"]:
    """Count, for each pair of a true and a predicted id, the pixels that have both."""
    if truth.size != prediction.size:
        (height, width), (true_height, true_width) = prediction.size, truth.size
        raise ValueError(
            f"the predicted map is {height}x{width} pixels, expected {true_height}x{true_width}"
        )
    rows, columns = len(truth.segments) + 1, len(prediction.segments) + 1
    true_ids, ids = truth.ids.ravel(), prediction.ids.ravel()
    # Neighbours mostly share both ids, so runs of equal pairs are counted, not pixels.
    changes = (true_ids[1:] != true_ids[:-1]) | (ids[1:] != ids[:-1])
    starts = np.flatnonzero(np.append(True, changes)) if len(ids) else np.zeros(0, np.int64)
    pairs = true_ids[starts] * np.int64(columns) + ids[starts]
    pixels = np.bincount(pairs, np.diff(starts, append=len(ids)), rows * columns)
    return pixels.astype(np.int64).reshape(rows, columns)


def _labels(segments: tuple[Segment, ...]) -> Int64[np.ndarray, " n"]:
    return np.array([segment.label for segment in segments], np.int64)


def _last_of_label(
    labels: Int64[np.ndarray, " n"], among: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    last = np.zeros(len(labels), bool)
    last[list({labels[i]: i for i in np.flatnonzero(among)}.values())] = True
    return last


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
