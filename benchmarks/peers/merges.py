"""Ways from network outputs to a panoptic map, after the rules of other libraries, in PyTorch.

Each chain begins with the logits and masks at the networks' resolution, and ends with a map of ids
at the size of the photo. The code is our own; the steps, and what is held in memory, are theirs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.detection.roi_heads import paste_masks_in_image

MIN_SCORE, MIN_MASK, MIN_STUFF_AREA, MAX_OVERLAP = 0.5, 0.5, 4096, 0.5
"""Thresholds of all chains; those of panopticapi's script."""

MIN_VISIBLE = 0.8
"""Smallest part of a mask that transformers keeps."""

INSTANCE_OFFSET = 1000
"""Factor of the instance number in mmdetection's ids."""

PROCESSED = (384, 384)
"""Size that transformers assumes images were preprocessed to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Predictions for one photo. Labels of things come first."""

    size: tuple[int, int]
    """Height and width of the photo, and of the boxes' frame."""

    things: int
    """Number of thing labels."""

    logits: Tensor
    """Semantic logits, labels x height x width, on a coarser grid."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    masks: Tensor
    """Probabilities inside the boxes, instances x side x side."""


def torchvision(case: Case) -> Tensor:
    """Merge with whole-image float masks, as `maskrcnn_resnet50_fpn` returns them."""
    best = _resized(case.logits, case.size).argmax(0)
    pasted = paste_masks_in_image(case.masks[:, None], case.boxes, case.size)[:, 0] >= MIN_MASK
    ids, kept = _lay(pasted, case.scores)
    return _fill(ids, len(kept), best, range(case.things, len(case.logits)))


def detectron2(case: Case) -> Tensor:
    """Merge as `PanopticFPN`: logits resized, binary masks pasted, then things before stuff.

    Its semantic branch has one class for all things.
    """
    enlarged, logits = _resized_twice(_things_as_one(case), case.size)
    pasted = _paste_binary(case)
    best = logits.argmax(0)
    ids, kept = _lay(pasted, case.scores)
    present = torch.unique(best).tolist()
    _fill(ids, len(kept), best, [label for label in present if label])
    del enlarged, logits, pasted  # which its results hold until here
    return ids


def mmdetection(case: Case) -> Tensor:
    """Merge as `HeuristicFusionHead`: ids of class and instance, small stuff removed at the end.

    Its semantic branch has no things.
    """
    pasted = _paste_binary(case)
    enlarged, logits = _resized_twice(case.logits[case.things :], case.size)
    laid, kept = _lay(pasted, case.scores)
    result = logits.argmax(0) + case.things
    for number, index in enumerate(kept, 1):
        result[laid == number] = case.labels[index] + number * INSTANCE_OFFSET
    classes, areas = torch.unique(result % INSTANCE_OFFSET, return_counts=True)
    small = classes[(classes >= case.things) & (areas < MIN_STUFF_AREA)]
    result[(result[..., None] == small).any(dim=-1)] = len(case.logits)
    del enlarged, logits, pasted
    return result


def transformers(case: Case) -> Tensor:
    """Merge as `Mask2FormerImageProcessor`: every query's mask resized twice, then the best.

    The queries are the instances: their masks on a grid of a quarter of the photo's size.
    """
    grid = (case.size[0] // 4, case.size[1] // 4)
    masks = paste_masks_in_image(case.masks[:, None], case.boxes / 4, grid)[:, 0].logit(1e-3)
    logits = _resized(masks, PROCESSED)
    probabilities = logits.sigmoid()
    kept = case.scores >= MIN_SCORE
    ids = _best_query(probabilities[kept], case.scores[kept], case.size)
    del logits, probabilities
    return ids


CHAINS: dict[str, Callable[[Case], Tensor]] = {
    "torchvision": torchvision,
    "detectron2": detectron2,
    "mmdetection": mmdetection,
    "transformers": transformers,
}


def _resized(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]


def _resized_twice(logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Enlarge logits to the network's input, and then to the photo, here of the same size.

    Both libraries hold both: the first belongs to the whole batch.
    """
    enlarged = _resized(logits, size)
    return enlarged, _resized(enlarged, size)


def _things_as_one(case: Case) -> Tensor:
    """Return logits of detectron2's semantic classes: all things, then each stuff class."""
    things = case.logits[: case.things].amax(dim=0, keepdim=True)
    return torch.cat([things, case.logits[case.things :]])


def _paste_binary(case: Case) -> Tensor:
    """Paste masks one by one, each into its box only, as detectron2 and mmdetection do on a CPU."""
    height, width = case.size
    pasted = torch.zeros(len(case.masks), height, width, dtype=torch.bool)
    limits = torch.tensor([width, height, width, height])
    corners = torch.minimum(torch.cat([case.boxes[:, :2] - 1, case.boxes[:, 2:] + 1], 1), limits)
    windows = torch.cat([corners[:, :2].floor(), corners[:, 2:].ceil()], 1).clamp(min=0)
    for index, (x0, y0, x1, y1) in enumerate(torch.minimum(windows, limits).int().tolist()):
        box = case.boxes[index]
        down = (torch.arange(y0, y1) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
        right = (torch.arange(x0, x1) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
        grid = torch.stack(torch.meshgrid(right, down, indexing="xy"), dim=-1)
        sampled = functional.grid_sample(
            case.masks[index][None, None], grid[None], align_corners=False
        )
        pasted[index, y0:y1, x0:x1] = sampled[0, 0] >= MIN_MASK
    return pasted


def _lay(pasted: Tensor, scores: Tensor) -> tuple[Tensor, list[int]]:
    """Give pixels to instances by score; those that better ones cover mostly get none.

    Returns:
        The number of each pixel's instance, from 1, and the instances in the order of their
        numbers.
    """
    ids = torch.zeros(pasted.shape[1:], dtype=torch.int64)
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        mask = pasted[index]
        area = int(mask.sum())
        taken = int((mask & (ids > 0)).sum())
        if area and taken / area <= MAX_OVERLAP:
            kept.append(index)
            ids[mask & (ids == 0)] = len(kept)
    return ids, kept


def _fill(ids: Tensor, count: int, best: Tensor, labels: Sequence[int]) -> Tensor:
    """Give free pixels to the stuff classes that cover enough of them."""
    for label in labels:
        region = (best == label) & (ids == 0)
        if int(region.sum()) >= MIN_STUFF_AREA:
            count += 1
            ids[region] = count
    return ids


def _best_query(masks: Tensor, scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Give each pixel to the query with the highest score times probability."""
    probabilities = _resized(masks, size)
    probabilities *= scores[:, None, None]
    owner = probabilities.argmax(0)
    ids, count = torch.zeros(size, dtype=torch.int32), 0
    for query in range(len(masks)):
        mask = owner == query
        area, whole = int(mask.sum()), int((probabilities[query] >= MIN_MASK).sum())
        if area and whole and area / whole > MIN_VISIBLE:
            count += 1
            ids[mask] = count
    return ids
