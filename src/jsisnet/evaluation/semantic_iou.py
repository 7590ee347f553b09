"""Mean IoU of semantic segmentation."""

from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool, Float64, Int32, Int64
from jsisnet.categories import Categories
from jsisnet.panoptic import void_label


@dataclass(frozen=True, slots=True, eq=False)
class SemanticIoU:
    """Sums of one or more images; ``+`` adds the images of two sums."""

    confusion: Int64[np.ndarray, "k k"]
    """Number of pixels by true (row) and predicted (column) label; true void is not counted."""

    @classmethod
    def zero(cls, num_labels: int) -> "SemanticIoU":
        """Return the sums of no image."""
        return cls(np.zeros((num_labels, num_labels), np.int64))

    def __add__(self, other: "SemanticIoU") -> "SemanticIoU":
        return SemanticIoU(self.confusion + other.confusion)

    @property
    def seen(self) -> Bool[np.ndarray, " k"]:
        """Labels of any true or predicted pixel; only these enter the mean."""
        return self._union > 0

    @property
    def iou(self) -> Float64[np.ndarray, " k"]:
        """Intersection over union from 0 to 1, over all images; NaN for labels not `seen`."""
        both = self.confusion.diagonal()
        unseen = np.full(len(both), np.nan)
        return np.divide(both, self._union, out=unseen, where=self.seen)

    @property
    def _union(self) -> Int64[np.ndarray, " k"]:
        return self.confusion.sum(0) + self.confusion.sum(1) - self.confusion.diagonal()


def count(
    truth: Int32[np.ndarray, "h w"], prediction: Int32[np.ndarray, "h w"], num_labels: int
) -> SemanticIoU:
    """Count the pixels of one image by true and predicted label.

    Args:
        truth: True labels; void as `void_label` says.
        prediction: Predicted labels, none of them void.
        num_labels: Number of labels, K.

    Returns:
        Sums of this image.

    Raises:
        ValueError: If a label is negative or K or higher.
    """
    known = truth != void_label(num_labels)
    true, predicted = truth[known].astype(np.int64), prediction[known]
    for name, labels in (("true", true), ("predicted", predicted)):
        if labels.size and not 0 <= labels.min() <= labels.max() < num_labels:
            raise ValueError(
                f"the {name} labels are {labels.min()} to {labels.max()}; expected 0 to "
                f"{num_labels - 1}"
            )
    pairs = np.bincount(true * num_labels + predicted, minlength=num_labels**2)
    return SemanticIoU(pairs.astype(np.int64).reshape(num_labels, num_labels))


def summary(result: SemanticIoU, categories: Categories) -> dict[str, object]:
    """Return sums as plain values in percent, ready for a JSON file.

    Returns:
        ``miou``, the mean over the classes seen, and ``semantic``, one entry for each class.
        Missing values are ``None``.
    """
    iou, seen = 100 * result.iou, result.seen
    return {
        "miou": float(iou[seen].mean()) if seen.any() else None,
        "semantic": [
            {"name": category.name, "iou": float(iou[label]) if seen[label] else None}
            for label, category in enumerate(categories)
        ],
    }
