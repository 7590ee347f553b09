"""A network measured on a data set."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jsisnet.arrays import Float64
from jsisnet.categories import Categories
from jsisnet.data.dataset import PanopticDataset
from jsisnet.data.sample import Sample
from jsisnet.evaluation import average_precision, panoptic_quality, proposal_recall, semantic_iou
from jsisnet.evaluation.average_precision import Collected, ImageInstances, Things
from jsisnet.evaluation.panoptic_quality import ImageQuality, PanopticQuality
from jsisnet.evaluation.proposal_recall import ProposalRecall
from jsisnet.evaluation.semantic_iou import SemanticIoU
from jsisnet.formats import coco
from jsisnet.inference.merge import Instances
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.raster import paste, windows
from jsisnet.model.detection import DetectionConfig
from jsisnet.model.network import Candidates, Outputs
from jsisnet.model.rpn import ProposalConfig, Proposals, propose
from jsisnet.panoptic import PanopticMap

TRUTH, PREDICTIONS = "truth.json", "predictions.json"
"""Names of the files that an evaluation writes; their PNGs lie in the folders named like them."""

RANKED = DetectionConfig(
    min_score=0.05, max_overlap=0.5, one_class_per_region=False, max_detections=100
)
"""Rules of the detections that average precision is measured on."""

PROPOSED = ProposalConfig(
    max_candidates=6000, max_overlap=0.5, max_proposals=max(proposal_recall.LIMITS)
)
"""Rules of the proposals that recall is measured on, whichever the network's own are."""

MIN_MASK = 0.5
"""Lowest probability of the pixels of a mask that average precision is measured on."""

Sums = TypeVar("Sums", SemanticIoU, Collected, ProposalRecall)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """What was measured on any number of photos; ``+`` joins the photos of two."""

    panoptic: PanopticQuality
    """Of the merged maps."""

    semantic: SemanticIoU | None = None
    """Of the semantic branch alone; ``None`` if no photo was measured so."""

    instances: Collected | None = None
    """Of the instance branch alone; ``None`` if no photo was measured so."""

    proposals: ProposalRecall | None = None
    """Of the region proposals; ``None`` if no photo was measured so."""

    images: tuple[ImageQuality, ...] = ()
    """Each photo's part of `panoptic`."""

    def __repr__(self) -> str:
        return f"Evaluation(PQ {100 * self.panoptic.mean().pq:.2f}, {len(self.images)} images)"

    def __add__(self, other: "Evaluation") -> "Evaluation":
        return Evaluation(
            panoptic=self.panoptic + other.panoptic,
            semantic=_joined(self.semantic, other.semantic),
            instances=_joined(self.instances, other.instances),
            proposals=_joined(self.proposals, other.proposals),
            images=self.images + other.images,
        )

    def summary(self, categories: Categories) -> dict[str, Any]:
        """Describe all photos as plain values in percent, ready for a JSON file.

        Returns:
            What the metrics' own summaries give, but for those that were not measured.
        """
        values = panoptic_quality.summary(self.panoptic, categories)
        if self.semantic is not None:
            values |= semantic_iou.summary(self.semantic, categories)
        if self.instances is not None:
            values |= average_precision.summary(self.instances, categories)
        if self.proposals is not None:
            values |= proposal_recall.summary(self.proposals)
        return values

    def summary_of_images(self, categories: Categories) -> dict[str, Any]:
        """Describe the merged map of each photo likewise, in the order of the image ids.

        Returns:
            ``mode`` and ``images``, as `Score.summary` gives them.
        """
        images = sorted(self.images, key=lambda i: (isinstance(i.image_id, str), i.image_id))
        return {"mode": "official", "images": [image.described(categories) for image in images]}


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
        semantic branch, and the recall of the proposals if there is an instance branch.

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
            outputs = predictor.outputs(image)
            prediction = predictor.merged(outputs, sample.panoptic.size)
            ranked = predictor.instances(outputs, RANKED) if ap else None
            total += _measured(predictor, outputs, ranked, prediction, sample, number)
            if written is not None:
                written.add(sample, prediction, dataset.image_name(number))
            if on_image is not None:
                on_image(done, len(numbers))
    return total


def _measured(
    predictor: Predictor,
    outputs: Outputs,
    ranked: Instances | None,
    prediction: PanopticMap,
    sample: Sample,
    number: int,
) -> Evaluation:
    """Compare one photo's predictions with its truth."""
    truth, num_labels = sample.panoptic, len(predictor.categories)
    frame = predictor.config.size
    semantic = instances = proposals = None
    if outputs.semantic is not None:
        labels = predictor.semantic_labels(outputs, truth.size)
        semantic = semantic_iou.count(truth.labels(), labels, num_labels)
    if ranked is not None:
        true_things, iscrowd = average_precision.true_things(truth)
        image = ImageInstances(
            number=number,
            size=truth.size,
            truth=true_things,
            iscrowd=iscrowd,
            prediction=_found(ranked, frame, truth.size),
            scores=ranked.scores.astype(np.float64),
        )
        instances = Collected((image,))
    if outputs.proposals is not None and outputs.candidates is not None:
        proposals = proposal_recall.count(
            proposal_recall.true_boxes(truth),
            ranked=_moved(_ranked_proposals(outputs.candidates), frame, truth.size),
            own=_moved(outputs.proposals, frame, truth.size),
        )
    panoptic = panoptic_quality.count_matches(truth, prediction, num_labels)
    return Evaluation(
        panoptic=panoptic,
        semantic=semantic,
        instances=instances,
        proposals=proposals,
        images=(ImageQuality.of(sample.image_id, panoptic),),
    )


def _ranked_proposals(candidates: Candidates) -> Proposals:
    return propose(
        candidates.objectness,
        candidates.anchor_deltas,
        candidates.anchors,
        candidates.size,
        PROPOSED,
    )


def _found(instances: Instances, frame: tuple[int, int], size: tuple[int, int]) -> Things:
    """Move instances from the network's input to a photo, one mask at a time."""
    boxes = instances.boxes * np.array(_stretch(frame, size), np.float32)
    corners, masks = boxes.tolist(), []
    for mask, box, window in zip(instances.masks, corners, windows(boxes, size), strict=True):
        pixels = paste(mask, box, window) >= MIN_MASK
        masks.append(average_precision.encode(pixels, window, size))
    return Things(
        labels=instances.labels,
        boxes=np.array(corners, np.float64).reshape(-1, 4),
        masks=tuple(masks),
    )


def _moved(
    proposals: Proposals, frame: tuple[int, int], size: tuple[int, int]
) -> Float64[np.ndarray, "p 4"]:
    """Move the proposals of a batch of one from the network's input to a photo."""
    return proposals.of_image(0).double().cpu().numpy() * np.array(_stretch(frame, size))


def _stretch(frame: tuple[int, int], size: tuple[int, int]) -> list[float]:
    """Give the factors of a box's corners from the network's input to a photo."""
    vertical, horizontal = size[0] / frame[0], size[1] / frame[1]
    return [horizontal, vertical, horizontal, vertical]


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
