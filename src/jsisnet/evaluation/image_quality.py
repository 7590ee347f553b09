"""Panoptic quality of one image, as files keep it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from jsisnet.categories import Categories
from jsisnet.evaluation.panoptic_quality import PanopticQuality
from jsisnet.panoptic import ImageId


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
