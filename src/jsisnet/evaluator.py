"""A network measured on a data set."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jsisnet.categories import Categories
from jsisnet.data.dataset import PanopticDataset
from jsisnet.data.sample import Sample
from jsisnet.evaluation import average_precision, panoptic_quality, semantic_iou
from jsisnet.evaluation.average_precision import Collected, Photo, Things
from jsisnet.evaluation.panoptic_quality import PanopticQuality
from jsisnet.evaluation.semantic_iou import SemanticIoU
from jsisnet.formats import coco
from jsisnet.inference.paste import paste, windows
from jsisnet.instances import Instances
from jsisnet.model.detection import DetectionConfig
from jsisnet.model.network import Outputs
from jsisnet.panoptic import PanopticMap
from jsisnet.predictor import Predictor

TRUTH, PREDICTIONS = "truth.json", "predictions.json"
"""Names of the files that an evaluation writes; their PNGs lie in the folders named like them."""

RANKED = DetectionConfig(
    min_score=0.05, max_overlap=0.5, one_class_per_region=False, max_detections=100
)
"""Rules of the detections that average precision is measured on."""

MIN_MASK = 0.5
"""Lowest probability of the pixels of a mask that average precision is measured on."""

Sums = TypeVar("Sums", SemanticIoU, Collected)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """What was measured on any number of photos; ``+`` joins the photos of two."""

    panoptic: PanopticQuality
    """Of the merged maps."""

    semantic: SemanticIoU | None = None
    """Of the semantic branch alone; ``None`` if no photo was measured so."""

    instances: Collected | None = None
    """Of the instance branch alone; ``None`` if no photo was measured so."""

    def __add__(self, other: "Evaluation") -> "Evaluation":
        return Evaluation(
            panoptic=self.panoptic + other.panoptic,
            semantic=_joined(self.semantic, other.semantic),
            instances=_joined(self.instances, other.instances),
        )

    def summary(self, categories: Categories) -> dict[str, Any]:
        """Describe all photos as plain values in percent, ready for a JSON file.

        Returns:
            What the three metrics' own summaries give, but for those that were not measured.
        """
        values = panoptic_quality.summary(self.panoptic, categories)
        if self.semantic is not None:
            values |= semantic_iou.summary(self.semantic, categories)
        if self.instances is not None:
            values |= average_precision.summary(self.instances, categories)
        return values


def evaluate(
    predictor: Predictor,
    dataset: PanopticDataset,
    *,
    out: Path | None = None,
    on_image: Callable[[int, int], None] | None = None,
    share: tuple[int, int] = (0, 1),
    ap: bool = False,
) -> Evaluation:
    """Segment the photos of a data set and compare with their ground truth.

    Args:
        predictor: The network.
        dataset: Opened with the predictor's categories.
        out: Folder that receives predictions and ground truth, both in the predictor's classes and
            in COCO's panoptic format.
        on_image: Is told the number of photos done and their total.
        share: Number of a process and of all processes. Each measures its own photos, and the sum
            over all processes is the same as that of one.
        ap: Whether to measure average precision too, if there is an instance branch.

    Returns:
        What was measured on the photos of the share. The mean IoU is measured if there is a
        semantic branch.

    Raises:
        ValueError: If a photo or its ground truth is damaged, or a share is to be written.
    """
    rank, processes = share
    if out is not None and processes > 1:
        raise ValueError(f"one of {processes} processes can't write the predictions of all")
    total = Evaluation(panoptic=PanopticQuality.zero(len(predictor.categories)))
    numbers = range(rank, len(dataset), processes)
    with ExitStack() as stack:
        written = None if out is None else stack.enter_context(_writing(out, predictor))
        for done, number in enumerate(numbers, 1):
            sample = dataset[number]
            image = sample.image.permute(1, 2, 0).numpy()
            outputs = predictor.outputs(image, RANKED if ap else None)
            prediction = predictor.merged(outputs, sample.panoptic.size)
            total += _measured(predictor, outputs, prediction, sample, number)
            if written is not None:
                written.add(sample, prediction, dataset.image_name(number))
            if on_image is not None:
                on_image(done, len(numbers))
    return total


def _measured(
    predictor: Predictor, outputs: Outputs, prediction: PanopticMap, sample: Sample, number: int
) -> Evaluation:
    """Compare one photo's predictions with its truth."""
    truth, num_labels = sample.panoptic, len(predictor.categories)
    semantic = instances = None
    if outputs.semantic is not None:
        labels = predictor.semantic_labels(outputs, truth.size)
        semantic = semantic_iou.count(truth.labels(), labels, num_labels)
    if outputs.extra is not None:
        ranked = outputs.extra.of_image(0)
        true_things, iscrowd = average_precision.true_things(truth)
        photo = Photo(
            number=number,
            size=truth.size,
            truth=true_things,
            iscrowd=iscrowd,
            found=_found(ranked, predictor.config.size, truth.size),
            scores=ranked.scores.double().cpu().numpy(),
        )
        instances = Collected((photo,))
    return Evaluation(
        panoptic=panoptic_quality.count(truth, prediction, num_labels),
        semantic=semantic,
        instances=instances,
    )


def _found(instances: Instances, frame: tuple[int, int], size: tuple[int, int]) -> Things:
    """Move instances from the network's input to a photo, one mask at a time."""
    vertical, horizontal = size[0] / frame[0], size[1] / frame[1]
    scale = instances.boxes.new_tensor([horizontal, vertical, horizontal, vertical])
    boxes = instances.boxes * scale
    corners, masks = boxes.tolist(), []
    for mask, box, window in zip(instances.masks, corners, windows(boxes, size), strict=True):
        pixels = (paste(mask, box, window) >= MIN_MASK).cpu().numpy()
        masks.append(average_precision.encode(pixels, window, size))
    return Things(
        labels=instances.labels.cpu().numpy(),
        boxes=np.array(corners, np.float64).reshape(-1, 4),
        masks=tuple(masks),
    )


def _joined(first: Sums | None, second: Sums | None) -> Sums | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    """Files of predictions and ground truth under way."""

    truth: coco.Writer
    predictions: coco.Writer

    def add(self, sample: Sample, prediction: PanopticMap, name: str) -> None:
        for writer, panoptic in ((self.truth, sample.panoptic), (self.predictions, prediction)):
            writer.add(panoptic, image_id=sample.image_id, image_name=name)


@contextmanager
def _writing(out: Path, predictor: Predictor) -> Iterator[_Written]:
    with (
        coco.writing(out / TRUTH, predictor.categories) as truth,
        coco.writing(out / PREDICTIONS, predictor.categories) as predictions,
    ):
        yield _Written(truth=truth, predictions=predictions)
