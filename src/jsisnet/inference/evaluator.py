"""Evaluation of a network on a data set."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jsisnet.arrays import Float, Float64
from jsisnet.categories import Categories
from jsisnet.evaluation import average_precision, panoptic_quality, proposal_recall, semantic_iou
from jsisnet.evaluation.average_precision import CollectedInstances, ImageInstances, Things
from jsisnet.evaluation.panoptic_quality import ImageQuality, PanopticQuality
from jsisnet.evaluation.proposal_recall import ProposalRecall
from jsisnet.evaluation.semantic_iou import SemanticIoU
from jsisnet.formats import coco, image_list
from jsisnet.formats.dataset import PanopticDataset, Sample
from jsisnet.formats.image_list import ListedImage
from jsisnet.inference.branch_files import (
    IMAGES,
    NOTE,
    branch_file,
    check_branches,
    write_branches,
)
from jsisnet.inference.engine import Extras, Outputs
from jsisnet.inference.merge import Instances
from jsisnet.inference.predictor import Predictor, semantic_labels
from jsisnet.inference.raster import paste, windows
from jsisnet.inference.results_folder import PREDICTIONS
from jsisnet.inference.thresholds import DetectionConfig, ProposalConfig
from jsisnet.inference.written_files import WrittenFiles, locked, read_written
from jsisnet.panoptic import ImageId, PanopticMap, void_label

TRUTH = "truth.json"
"""Name of the JSON file of the truth beside `PREDICTIONS`; the PNGs of each are in the folder of
the same name without suffix."""

_NOTE, _PURPOSE = ".evaluate.json", "evaluation"
"""Name of the note of the maps that were written, and the purpose in it; see `WrittenFiles`."""

RANKED = DetectionConfig(
    min_score=0.05, max_overlap=0.5, one_class_per_region=False, max_detections=100
)
"""Thresholds of the detections for average precision."""

PROPOSED = ProposalConfig(
    max_candidates=6000, max_overlap=0.5, max_proposals=max(proposal_recall.LIMITS)
)
"""Limits of the proposals for recall, independent of the network's own."""

MIN_MASK = 0.5
"""Threshold of the masks for average precision."""

Sums = TypeVar("Sums", SemanticIoU, CollectedInstances, ProposalRecall)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """Metrics over any number of images; ``+`` combines two sets of images."""

    panoptic: PanopticQuality
    """Panoptic quality of the merged maps."""

    semantic: SemanticIoU | None = None
    """IoU of the semantic branch; ``None`` if not measured."""

    instances: CollectedInstances | None = None
    """Detections and ground truth for average precision; ``None`` if not measured."""

    proposals: ProposalRecall | None = None
    """Recall of the region proposals; ``None`` if not measured."""

    images: tuple[ImageQuality, ...] = ()
    """Panoptic quality of each image."""

    def __repr__(self) -> str:
        return f"Evaluation(PQ {100 * self.panoptic.mean().pq:.2f}, {len(self.images)} images)"

    def __add__(self, other: "Evaluation") -> "Evaluation":
        return Evaluation(
            panoptic=self.panoptic + other.panoptic,
            semantic=_add(self.semantic, other.semantic),
            instances=_add(self.instances, other.instances),
            proposals=_add(self.proposals, other.proposals),
            images=self.images + other.images,
        )

    def summary(self, categories: Categories) -> dict[str, Any]:
        """Return all metrics that were measured as plain values in percent, ready for JSON."""
        values = panoptic_quality.summary(self.panoptic, categories)
        if self.semantic is not None:
            values |= semantic_iou.summary(self.semantic, categories)
        if self.instances is not None:
            values |= average_precision.summary(self.instances, categories)
        if self.proposals is not None:
            values |= proposal_recall.summary(self.proposals)
        return values

    def summary_of_images(self, categories: Categories) -> dict[str, Any]:
        """Return the panoptic quality of each image, in the order of the image ids.

        Returns:
            ``mode`` and ``images``, in the format of `Score.summary`.
        """
        images = sorted(self.images, key=lambda i: (isinstance(i.image_id, str), i.image_id))
        return {"mode": "official", "images": [image.described(categories) for image in images]}


def evaluate(  # noqa: PLR0913 - two places to write to
    predictor: Predictor,
    dataset: PanopticDataset,
    *,
    out: Path | None = None,
    raw: Path | None = None,
    on_image: Callable[[int, int], None] | None = None,
    share: tuple[int, int] = (0, 1),
    ap: bool = False,
) -> Evaluation:
    """Segment the images of a data set and compare them with the ground truth.

    The files of an earlier evaluation in `out` and `raw` are replaced: the JSON files are deleted
    first and written last, so that they never describe maps of two evaluations.

    Args:
        predictor: Trained network.
        dataset: Data set, opened with the predictor's categories.
        out: Folder to write predictions and ground truth to, in COCO's panoptic format and the
            predictor's classes.
        raw: Folder to write what the branches predict to, one ``.npz`` file per image; see
            `write_branches`.
        on_image: Called after each image with the number of images done and the total.
        share: Rank of this process and number of processes. Each process evaluates its own images;
            the sum over all processes equals the result of a single one.
        ap: Whether to measure average precision, if there is an instance branch.

    Returns:
        Metrics of the images of this process. Mean IoU is measured if there is a semantic branch,
        and proposal recall if there is an instance branch and the engine tells its proposals.

    Raises:
        ValueError: If an image or its ground truth is damaged, `out` or `raw` is given with several
            processes, or `raw` with a network that has no branches; if another process is writing
            to one of them, or a file that no earlier evaluation has written would be overwritten.
    """
    rank, processes = share
    if processes > 1 and not (out is None and raw is None):
        option = "out" if raw is None else "raw"
        raise ValueError(
            f"predictions can't be written with {processes} processes; use one, or omit `{option}`"
        )
    if raw is not None:
        check_branches(predictor.engine)
    total = Evaluation(panoptic=PanopticQuality.zero(len(predictor.categories)))
    extras = Extras(detection=RANKED if ap else None, proposals=PROPOSED)
    numbers = range(rank, len(dataset), processes)
    with ExitStack() as stack:
        stack.enter_context(locked(*filter(None, (out, raw))))
        _make_way(dataset, out, raw)
        files = None if out is None else stack.enter_context(_open_files(out, predictor))
        branches = None if raw is None else stack.enter_context(_open_branches(raw, predictor))
        for done, number in enumerate(numbers, 1):
            sample = dataset[number]
            image = sample.image
            outputs = predictor.outputs(image, extras)
            prediction = predictor.merge(outputs, sample.panoptic.size)
            total += _measure(predictor, outputs, prediction, sample, number)
            if files is not None:
                files.add(sample, prediction, dataset.image_name(number))
            if branches is not None:
                branches.add(outputs, sample, dataset.image_name(number))
            if on_image is not None:
                on_image(done, len(numbers))
    return total


def _measure(
    predictor: Predictor,
    outputs: Outputs | PanopticMap,
    prediction: PanopticMap,
    sample: Sample,
    number: int,
) -> Evaluation:
    """Compare the predictions for one image with its ground truth."""
    truth, num_labels = sample.panoptic, len(predictor.categories)
    panoptic = panoptic_quality.count_matches(truth, prediction, num_labels)
    measured = Evaluation(panoptic=panoptic, images=(ImageQuality.of(sample.image_id, panoptic),))
    if isinstance(outputs, PanopticMap):
        return measured
    frame = predictor.config.size or truth.size
    semantic = instances = proposals = None
    if outputs.semantic is not None:
        labels = semantic_labels(outputs, truth.size)
        semantic = semantic_iou.count(truth.labels(void_label(num_labels)), labels, num_labels)
    if outputs.ranked is not None:
        true_things, iscrowd = average_precision.true_things(truth)
        image = ImageInstances(
            number=number,
            size=truth.size,
            truth=true_things,
            iscrowd=iscrowd,
            prediction=_things_in_image(outputs.ranked, frame, truth.size),
            scores=outputs.ranked.scores.astype(np.float64),
        )
        instances = CollectedInstances((image,))
    if outputs.proposals is not None and outputs.ranked_proposals is not None:
        proposals = proposal_recall.count(
            proposal_recall.true_boxes(truth),
            ranked=_boxes_in_image(outputs.ranked_proposals, frame, truth.size),
            own=_boxes_in_image(outputs.proposals, frame, truth.size),
        )
    return replace(measured, semantic=semantic, instances=instances, proposals=proposals)


def _things_in_image(instances: Instances, frame: tuple[int, int], size: tuple[int, int]) -> Things:
    """Scale instances from the network's input to the image, one mask at a time."""
    boxes = instances.boxes * np.array(_scale(frame, size), np.float32)
    corners, masks = boxes.tolist(), []
    for mask, box, window in zip(instances.masks, corners, windows(boxes, size), strict=True):
        pixels = paste(mask, box, window) >= MIN_MASK
        masks.append(average_precision.encode(pixels, window, size))
    return Things(
        labels=instances.labels,
        boxes=np.array(corners, np.float64).reshape(-1, 4),
        masks=tuple(masks),
    )


def _boxes_in_image(
    boxes: Float[np.ndarray, "p 4"], frame: tuple[int, int], size: tuple[int, int]
) -> Float64[np.ndarray, "p 4"]:
    """Scale boxes from the network's input to the image."""
    return boxes.astype(np.float64) * np.array(_scale(frame, size))


def _scale(frame: tuple[int, int], size: tuple[int, int]) -> list[float]:
    """Return the factors of box corners from the network's input to the image."""
    vertical, horizontal = size[0] / frame[0], size[1] / frame[1]
    return [horizontal, vertical, horizontal, vertical]


def _add(first: Sums | None, second: Sums | None) -> Sums | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _make_way(dataset: PanopticDataset, out: Path | None, raw: Path | None) -> None:
    """Claim the files of an evaluation, which deletes those of an earlier one."""
    images = [dataset.image_name(number) for number in range(len(dataset))]
    claims: list[tuple[WrittenFiles, list[str], list[str]]] = []
    if out is not None:
        indexes = [PREDICTIONS, TRUTH]
        pngs = [Path(image).with_suffix(".png").as_posix() for image in images]
        maps = [f"{Path(index).stem}/{png}" for index in indexes for png in pngs]
        claims.append((read_written(out / _NOTE, _PURPOSE, anew=True), indexes, maps))
    if raw is not None:
        files = [branch_file(image) for image in images]
        claims.append((read_written(raw / NOTE, _PURPOSE, anew=True), [IMAGES], files))
    for written, indexes, names in claims:
        written.check([*indexes, *names])
    for written, indexes, names in claims:
        folder = written.path.parent
        written.claim([*indexes, *names], [folder / index for index in indexes])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Files:
    """Open files of predictions and ground truth."""

    truth: coco.Writer
    predictions: coco.Writer

    def add(self, sample: Sample, prediction: PanopticMap, name: str) -> None:
        for writer, panoptic in ((self.truth, sample.panoptic), (self.predictions, prediction)):
            writer.add(panoptic, image_id=sample.image_id, image_name=name)


@contextmanager
def _open_files(out: Path, predictor: Predictor) -> Iterator[_Files]:
    with (
        coco.writing(out / TRUTH, predictor.categories) as truth,
        coco.writing(out / PREDICTIONS, predictor.categories) as predictions,
    ):
        yield _Files(truth=truth, predictions=predictions)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Branches:
    """Folder of what the branches predict, and the images that it holds."""

    folder: Path
    predictor: Predictor
    images: dict[ImageId, ListedImage]

    def add(self, outputs: Outputs | PanopticMap, sample: Sample, name: str) -> None:
        size = sample.panoptic.size
        write_branches(
            outputs,
            self.folder,
            name,
            frame=self.predictor.config.size or size,
            size=size,
            categories=self.predictor.categories,
        )
        self.images[sample.image_id] = ListedImage(name=name, size=size)


@contextmanager
def _open_branches(folder: Path, predictor: Predictor) -> Iterator[_Branches]:
    branches = _Branches(folder=folder, predictor=predictor, images={})
    yield branches
    image_list.write(folder / IMAGES, branches.images, predictor.categories)
