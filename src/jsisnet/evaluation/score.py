"""Panoptic quality of predictions that lie in files, for all images and for each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jsisnet.arrays import Int64
from jsisnet.categories import Categories
from jsisnet.evaluation import panoptic_quality
from jsisnet.evaluation.compared_files import ComparedFiles, ComparedImage, Mode, Rules
from jsisnet.evaluation.errors import confusions
from jsisnet.evaluation.panoptic_quality import ImageQuality, PanopticQuality, quality_of
from jsisnet.files.processes import in_order

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
    """Segments by true and predicted label; the last ones stand for nothing, see `confusions`."""
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

    def __repr__(self) -> str:
        pq, sq, rq = (100 * value for value in (self.pq, self.sq, self.rq))
        return f"Score(PQ {pq:.2f}, SQ {sq:.2f}, RQ {rq:.2f}, {len(self.images)} images)"

    @property
    def pq(self) -> float:
        """Mean PQ over all classes from 0 to 1; NaN if no class has a segment."""
        return self.quality.mean().pq

    @property
    def sq(self) -> float:
        """Mean SQ over all classes from 0 to 1; NaN if no class has a segment."""
        return self.quality.mean().sq

    @property
    def rq(self) -> float:
        """Mean RQ over all classes from 0 to 1; NaN if no class has a segment."""
        return self.quality.mean().rq

    def add(self, image: "MeasuredImage") -> None:
        """Count an image."""
        self.oddities.extend(image.oddities)
        if image.quality is None:
            self.faults.append(image.fault or "")
            return
        self.images.append(image.quality)
        self.quality += image.quality.spread(len(self.categories))
        if self.boundary is not None and image.boundary is not None:
            self.boundary += image.boundary.spread(len(self.categories))
        np.add.at(self.confusion, (image.confusions[:, 0], image.confusions[:, 1]), 1)
        self.missing += image.missing

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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeasuredImage:
    """The little that is counted of an image."""

    quality: ImageQuality | None = None
    """Its sums; ``None`` for a faulty image."""
    boundary: ImageQuality | None = None
    """Likewise by boundaries, if wanted."""
    confusions: Int64[np.ndarray, "n 2"]
    """What `confusions` gives."""
    missing: bool = False
    """Whether it has no prediction."""
    fault: str | None = None
    """As in `ComparedImage`, like the two after it."""
    oddities: tuple[str, ...] = ()
    compared: ComparedImage | None = None
    """The image itself, if somebody wants to know more."""


@dataclass(frozen=True, slots=True)
class _Share:
    """What one of several processes measures."""

    files: ComparedFiles
    isdetailed: bool

    def __call__(self, first: int, step: int) -> Iterator[MeasuredImage]:
        for image in self.files.share(first, step):
            yield _measured(image, len(self.files.categories), image if self.isdetailed else None)


def score_files(  # noqa: PLR0913 - the options of `jsisnet score`
    truth: Path | str,
    prediction: Path | str,
    *,
    truth_pngs: Path | str | None = None,
    prediction_pngs: Path | str | None = None,
    mode: Mode = "official",
    missing: Literal["error", "void"] = "error",
    recount_areas: bool = False,
    keep_going: bool = False,
    boundary: bool = False,
    processes: int = 1,
) -> Score:
    """Measure predictions against ground truth, both COCO panoptic files.

    Args:
        truth: JSON file of the ground truth.
        prediction: JSON file of the predictions, with the category ids of the ground truth.
        truth_pngs: Folder or zip of the true maps; default: beside the JSON file, named like it.
        prediction_pngs: Folder or zip of the predicted maps; default: see `truth_pngs`.
        mode: See `Rules.mode`.
        missing: What an image without a prediction is: an error, or all void.
        recount_areas: Whether to accept ground truth whose areas differ from its PNGs.
        keep_going: Whether to leave out images with errors; the score lists them.
        boundary: Whether to measure boundary PQ too, which takes several times as long.
        processes: Number of worker processes.

    Raises:
        ValueError: If a file is invalid; the message names file, image and segment.

    Example:
        >>> score = jsisnet.score("truth.json", "predictions.json")  # doctest: +SKIP
        >>> score.pq, score.quality.mean(score.categories.thing_labels).pq  # doctest: +SKIP
        (0.412, 0.387)
    """
    files = ComparedFiles(
        Path(truth),
        Path(prediction),
        truth_pngs=None if truth_pngs is None else Path(truth_pngs),
        prediction_pngs=None if prediction_pngs is None else Path(prediction_pngs),
        rules=Rules(
            mode=mode,
            recount_areas=recount_areas,
            missing=missing,
            keep_going=keep_going,
            boundary=boundary,
        ),
    )
    return score(files, processes=processes)


def score(
    files: ComparedFiles,
    *,
    processes: int = 1,
    on_image: OnImage | None = None,
    on_progress: Callable[[int, int], object] = lambda *_: None,
) -> Score:
    """Measure predictions against a truth.

    Args:
        files: Both.
        processes: As in `ComparedFiles.images`.
        on_image: Is given each image as soon as it is counted.
        on_progress: Is told the numbers of images done and in total.

    Raises:
        ValueError: As `ComparedFiles.images` does.
    """
    total = Score.nothing(files)
    work = _Share(files, on_image is not None)
    for done, image in enumerate(in_order(work, len(files), processes), 1):
        total.add(image)
        if on_image is not None and image.compared is not None:
            on_image(image.compared)
        on_progress(done, len(files))
    return total


def _measured(image: ComparedImage, num_labels: int, kept: ComparedImage | None) -> MeasuredImage:
    if image.matching is None:
        nothing = np.zeros((0, 2), np.int64)
        return MeasuredImage(confusions=nothing, fault=image.fault, compared=kept)
    boundary = None
    if image.boundary is not None:
        boundary = ImageQuality.of(image.image_id, quality_of(image.boundary, num_labels))
    return MeasuredImage(
        quality=ImageQuality.of(image.image_id, quality_of(image.matching, num_labels)),
        boundary=boundary,
        confusions=confusions(image.matching, num_labels),
        missing=image.prediction is None,
        oddities=image.oddities,
        compared=kept,
    )
