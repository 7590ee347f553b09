"""Selection of detections among classified proposals."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms, nms

from jsisnet.arrays import Bool, Float, Int64
from jsisnet.model import boxes
from jsisnet.model.rpn import Proposals

BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Box coding weights of the region head."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionConfig:
    """Thresholds of `detect`."""

    min_score: float = 0.5
    """Minimum softmax score of a thing class."""

    max_overlap: float = 0.4
    """IoU above which non-maximum suppression drops the box with the lower score."""

    one_class_per_region: bool = True
    """Whether each proposal yields its best class only, with suppression across classes, which
    suits the merge. Otherwise it yields every class, with suppression within each class, which
    suits average precision."""

    max_detections: int = 300
    """Detections kept per image."""

    def __post_init__(self) -> None:
        if self.max_detections < 1:
            raise ValueError(f"max_detections is {self.max_detections}; expected at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectedBoxes:
    """Boxes of a batch that survived suppression, best first, padded to a fixed number."""

    boxes: Float[Tensor, "b d 4"]
    """Corners in pixels of the network's input, clipped to it; zeros where padded."""

    channels: Int64[Tensor, "b d"]
    """Thing channel of each box; 0 where padded."""

    scores: Float[Tensor, "b d"]
    """Softmax scores; 0 where padded."""

    valid: Bool[Tensor, "b d"]
    """False where padded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detections:
    """Detected things of a batch, best first, padded to a fixed number."""

    boxes: Float[Tensor, "b d 4"]
    """Corners in pixels of the network's input; zeros where padded."""

    labels: Int64[Tensor, "b d"]
    """Labels of the data set; arbitrary where padded."""

    scores: Float[Tensor, "b d"]
    """Softmax scores; 0 where padded."""

    masks: Float[Tensor, "b d m m"]
    """Mask probabilities on a grid that spans the box."""

    valid: Bool[Tensor, "b d"]
    """False where padded."""


def detect(
    class_logits: Float[Tensor, "b p t_and_background"],
    deltas: Float[Tensor, "b p t 4"],
    proposals: Proposals,
    size: tuple[int, int],
    config: DetectionConfig,
) -> DetectedBoxes:
    """Refine proposals by their class, drop low scores and suppress overlapping boxes.

    Args:
        class_logits: Logits of each proposal; the background is the last channel.
        deltas: Box offsets of each proposal, one set per thing class.
        proposals: Boxes that were classified.
        size: Height and width of the network's input.
        config: Thresholds.
    """
    scores = class_logits.float().softmax(dim=-1)[..., :-1] * proposals.valid[..., None]
    refined = boxes.decode(deltas.float(), proposals.boxes[:, :, None], BOX_WEIGHTS)
    refined = boxes.clip(refined, size)

    batch, limit = len(scores), config.max_detections
    kept = DetectedBoxes(
        boxes=refined.new_zeros(batch, limit, 4),
        channels=torch.zeros(batch, limit, dtype=torch.int64, device=refined.device),
        scores=refined.new_zeros(batch, limit),
        valid=torch.zeros(batch, limit, dtype=torch.bool, device=refined.device),
    )
    for image in range(batch):
        candidates, channels, candidate_scores = _candidates(refined[image], scores[image], config)
        if config.one_class_per_region:
            order = nms(candidates, candidate_scores, config.max_overlap)
        else:
            order = batched_nms(candidates, candidate_scores, channels, config.max_overlap)
        order = order[:limit]
        kept.boxes[image, : len(order)] = candidates[order]
        kept.channels[image, : len(order)] = channels[order]
        kept.scores[image, : len(order)] = candidate_scores[order]
        kept.valid[image, : len(order)] = True
    return kept


def _candidates(
    refined: Float[Tensor, "p t 4"], scores: Float[Tensor, "p t"], config: DetectionConfig
) -> tuple[Float[Tensor, "n 4"], Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """Return the nonempty boxes above the score threshold, with thing channels and scores."""
    if config.one_class_per_region:
        best = scores.argmax(dim=1, keepdim=True)
        wanted = torch.zeros_like(scores, dtype=torch.bool).scatter(1, best, value=True)
    else:
        wanted = torch.ones_like(scores, dtype=torch.bool)
    wanted &= (scores >= config.min_score) & (scores > 0) & (boxes.areas(refined) > 0)
    rows, channels = wanted.nonzero(as_tuple=True)
    return refined[rows, channels], channels, scores[rows, channels]
