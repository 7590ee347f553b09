"""Panoptic quality of predictions that lie in files, for all images and for each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int64

from jsisnet.categories import Categories
from jsisnet.evaluation import panoptic_quality
from jsisnet.evaluation.compared_files import ComparedFiles, ComparedImage, Mode
from jsisnet.evaluation.confusion import confusion_of
from jsisnet.evaluation.image_quality import ImageQuality
from jsisnet.evaluation.panoptic_quality import PanopticQuality, quality_of

OnImage = Callable[[ComparedImage], None]
"""Is given each image, in the order of the truth."""


@dataclass(kw_only=True, slots=True, eq=False)
class Score:
    """What was measured so far."""

    categories: Categories
    mode: Mode
    """How it was judged."""
    quality: PanopticQuality
    """Sums over all images."""
    boundary: PanopticQuality | None
    """Likewise with the lower one of the segments' and of their boundaries' IoU, if wanted."""
    confusion: Int64[np.ndarray, "k1 k1"]
    """As `confusion_of` gives it, over all images."""
    images: list[ImageQuality] = field(default_factory=list)
    """Each image that was compared."""
    missing: int = 0
    """Images without a prediction, which were taken for void."""
    oddities: list[str] = field(default_factory=list)
    """What is wrong though the official script gives a number, in sentences."""
    faults: list[str] = field(default_factory=list)
    """Why images were left out, in sentences."""

    @classmethod
    def nothing(cls, files: ComparedFiles) -> "Score":
        """Begin."""
        categories = files.categories
        zero = PanopticQuality.zero(len(categories))
        return cls(
            categories=categories,
            mode=files.rules.mode,
            quality=zero,
            boundary=zero if files.rules.boundary else None,
            confusion=np.zeros((len(categories) + 1, len(categories) + 1), np.int64),
            oddities=list(files.oddities),
            faults=list(files.faults),
        )

    def add(self, image: ComparedImage) -> None:
        """Count an image."""
        self.oddities.extend(image.oddities)
        if image.matching is None:
            self.faults.append(image.fault or "")
            return
        quality = quality_of(image.matching, len(self.categories))
        self.quality += quality
        if self.boundary is not None and image.boundary is not None:
            self.boundary += quality_of(image.boundary, len(self.categories))
        self.confusion += confusion_of(image.matching, len(self.categories))
        self.missing += image.prediction is None
        self.images.append(ImageQuality.of(image.image_id, quality))

    def summary(self) -> dict[str, Any]:
        """Describe everything as plain values, in percent, ready for a JSON file.

        Returns:
            What `panoptic_quality.summary` gives, and under ``boundary`` the same by boundaries, if
            they were measured; ``mode``; ``images``; ``confusion``, one entry for each pair of two
            classes that was mistaken, most often first, with ``None`` for nothing; ``missing``,
            ``oddities`` and ``faults``.
        """
        values = panoptic_quality.summary(self.quality, self.categories)
        if self.boundary is not None:
            values["boundary"] = panoptic_quality.summary(self.boundary, self.categories)
        return values | {
            "mode": self.mode,
            "images": [image.described(self.categories) for image in self.images],
            "confusion": self._confusions(),
            "missing": self.missing,
            "oddities": self.oddities,
            "faults": self.faults,
        }

    def _confusions(self) -> list[dict[str, object]]:
        names = [*(category.name for category in self.categories), None]
        wrong = self.confusion * ~np.eye(len(names), dtype=bool)
        rows, columns = np.nonzero(wrong)
        order = np.argsort(-wrong[rows, columns], kind="stable")
        return [
            {"truth": names[i], "prediction": names[j], "count": int(wrong[i, j])}
            for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True)
        ]


def score(
    files: ComparedFiles, *, threads: int | None = None, on_image: OnImage = lambda _: None
) -> Score:
    """Measure predictions against a truth.

    Args:
        files: Both.
        threads: How many images are worked on at once; default: one per core.
        on_image: Is given each image, before the next one is counted.

    Raises:
        ValueError: As `ComparedFiles.images` does.
    """
    total = Score.nothing(files)
    for image in files.images(threads):
        total.add(image)
        on_image(image)
    return total
