"""Panoptic quality of predictions in COCO panoptic files, in total and for each image."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jsisnet.arrays import Int64
from jsisnet.categories import UNKNOWN, Categories
from jsisnet.evaluation import panoptic_quality
from jsisnet.evaluation.compared_files import ComparedFiles, ComparedImage, CompareRules, Mode
from jsisnet.evaluation.errors import confusions
from jsisnet.evaluation.panoptic_quality import ImageQuality, PanopticQuality, quality_of
from jsisnet.files.processes import Share, in_order, reuse_freed_memory

_MOST, _CHUNKS = 16, 16
"""Most images in a chunk, and fewest chunks for each process, so that all end at the same time."""

InOrder = Callable[[Share[list["MeasuredImage"]], int, int], Iterable[list["MeasuredImage"]]]
"""Function like `in_order`, which computes the results elsewhere."""

OnImage = Callable[[ComparedImage], None]
"""Called with each image, in the order of the ground truth."""


@dataclass(kw_only=True, slots=True, eq=False)
class Score:
    """Sums over the images so far."""

    categories: Categories
    mode: Mode
    """Mode of the comparison; see `CompareRules.mode`."""
    quality: PanopticQuality
    """Panoptic quality of all images."""
    boundary: PanopticQuality | None
    """Boundary PQ, by the lower of a pair's IoU and boundary IoU; ``None`` if not measured."""
    confusion: Int64[np.ndarray, "k1 k1"]
    """Segments by true and predicted label; the last row and column stand for no segment, see
    `confusions`."""
    images: list[ImageQuality] = field(default_factory=list)
    """Quality of each image that was compared."""
    missing: int = 0
    """Number of images without a prediction, which were treated as all void."""
    crowded: set[int] = field(default_factory=set)
    """Labels of the crowd regions of the ground truth."""
    warnings: list[str] = field(default_factory=list)
    """Errors in the files that the official script overlooks."""
    errors: list[str] = field(default_factory=list)
    """Why images were skipped."""

    @classmethod
    def zero(cls, files: ComparedFiles) -> "Score":
        """Return the score of no images."""
        categories = files.categories
        zero = PanopticQuality.zero(len(categories))
        return cls(
            categories=categories,
            mode=files.rules.mode,
            quality=zero,
            boundary=zero if files.rules.boundary else None,
            confusion=np.zeros((len(categories) + 1, len(categories) + 1), np.int64),
            warnings=list(files.warnings),
            errors=list(files.errors),
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
        """Add one image."""
        self.warnings.extend(image.warnings)
        if image.quality is None:
            self.errors.append(image.error or "")
            return
        self.images.append(image.quality)
        self.quality += image.quality.spread(len(self.categories))
        if self.boundary is not None and image.boundary is not None:
            self.boundary += image.boundary.spread(len(self.categories))
        np.add.at(self.confusion, (image.confusions[:, 0], image.confusions[:, 1]), 1)
        self.missing += image.missing
        self.crowded |= image.crowded

    def only_crowds(self) -> list[str]:
        """Return the names of classes whose true segments are all crowds, which are not scored."""
        true = self.quality.tp + self.quality.fn
        return [self.categories[label].name for label in sorted(self.crowded) if not true[label]]

    def summary(self, *, with_images: bool = True) -> dict[str, Any]:
        """Return everything as plain values for a JSON file, in percent.

        Args:
            with_images: Whether to describe each image, which takes most of the time.

        Returns:
            The values of `panoptic_quality.summary`, and under ``boundary`` those by boundaries, if
            they were measured; ``mode``; ``images``; ``confusion``, an entry for each pair of
            classes that were confused, the most frequent first, where ``None`` stands for no
            segment; ``missing``; warnings as ``oddities`` and errors as ``faults``.
        """
        values = panoptic_quality.summary(self.quality, self.categories)
        if self.boundary is not None:
            values["boundary"] = panoptic_quality.summary(self.boundary, self.categories)
        images = self.images if with_images else []
        return values | {
            "mode": self.mode,
            "images": [image.described(self.categories) for image in images],
            "confusion": self._confusions(),
            "missing": self.missing,
            "oddities": self.warnings,
            "faults": self.errors,
        }

    def _confusions(self) -> list[dict[str, object]]:
        names = [*(category.name for category in self.categories), None]
        rows, columns = np.nonzero(self.confusion)  # a copy could take gigabytes
        wrong = rows != columns
        rows, columns = rows[wrong], columns[wrong]
        order = np.argsort(-self.confusion[rows, columns], kind="stable")
        return [
            {"truth": names[i], "prediction": names[j], "count": int(self.confusion[i, j])}
            for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True)
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredImage:
    """Result of one image that is added to a `Score`."""

    quality: ImageQuality | None = None
    """Panoptic quality of the image; ``None`` if it is invalid."""
    boundary: ImageQuality | None = None
    """Its boundary PQ; ``None`` if not measured."""
    confusions: Int64[np.ndarray, "n 2"]
    """True and predicted labels; see `confusions`."""
    missing: bool = False
    """Whether it has no prediction."""
    crowded: frozenset[int] = frozenset()
    """Labels of the true crowd regions."""
    error: str | None = None
    """Why the image was skipped."""
    warnings: tuple[str, ...] = ()
    """Errors of the image that the official script overlooks."""
    compared: ComparedImage | None = None
    """The compared image itself, if `on_image` is used."""


@dataclass(frozen=True, slots=True)
class _Share:
    """Work of one of several processes, in chunks of consecutive images."""

    files: ComparedFiles
    chunk: int
    """Images that are measured and passed on together: passing on one takes a tenth of its time."""
    keep_compared: bool

    def __call__(self, chunks: Iterable[int]) -> Iterator[list[MeasuredImage]]:
        total, num_labels = len(self.files), len(self.files.categories)
        for start in (number * self.chunk for number in chunks):
            images = self.files.match(range(start, min(start + self.chunk, total)))
            yield [
                _measured(image, num_labels, image if self.keep_compared else None)
                for image in images
            ]


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
    """Compute the panoptic quality of predictions; both files are COCO panoptic files.

    Args:
        truth: JSON file of the ground truth.
        prediction: JSON file of the predictions, with the category ids of the ground truth.
        truth_pngs: Folder or zip of the true maps; default: the one beside the JSON file.
        prediction_pngs: Folder or zip of the predicted maps; default: see `truth_pngs`.
        mode: See `CompareRules.mode`.
        missing: How to treat an image without a prediction: as an error, or as all void.
        recount_areas: Whether to accept ground truth whose areas differ from its PNGs.
        keep_going: Whether to skip invalid images; the score lists their errors.
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
        rules=CompareRules(
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
    share_out: InOrder = in_order,
) -> Score:
    """Compute the panoptic quality of predictions.

    Args:
        files: Ground truth and predictions.
        processes: Number of worker processes; see `ComparedFiles.images`.
        on_image: Called with each image as soon as it has been added.
        on_progress: Called with the number of images done and the total.
        share_out: Shares the chunks among the processes.

    Raises:
        ValueError: If an image is invalid; see `ComparedFiles.images`.
    """
    reuse_freed_memory()
    total = Score.zero(files)
    chunk = min(_MOST, max(1, len(files) // (_CHUNKS * processes)))
    work = _Share(files, chunk, on_image is not None)
    chunks = share_out(work, -(-len(files) // chunk), processes)
    for done, image in enumerate(chain.from_iterable(chunks), 1):
        total.add(image)
        if on_image is not None and image.compared is not None:
            on_image(image.compared)
        on_progress(done, len(files))
    return total


def _crowded(image: ComparedImage) -> frozenset[int]:
    if image.truth is None or not image.truth.iscrowd.any():
        return frozenset()
    return frozenset(image.truth.labels[image.truth.iscrowd].tolist()) - {UNKNOWN}


def _measured(image: ComparedImage, num_labels: int, kept: ComparedImage | None) -> MeasuredImage:
    if image.matching is None:
        none = np.zeros((0, 2), np.int64)
        return MeasuredImage(confusions=none, error=image.error, compared=kept)
    boundary = None
    if image.boundary is not None:
        boundary = ImageQuality.of(image.image_id, quality_of(image.boundary, num_labels))
    return MeasuredImage(
        quality=ImageQuality.of(image.image_id, quality_of(image.matching, num_labels)),
        boundary=boundary,
        confusions=confusions(image.matching, num_labels),
        missing=image.prediction is None,
        crowded=_crowded(image),
        warnings=image.warnings,
        compared=kept,
    )
