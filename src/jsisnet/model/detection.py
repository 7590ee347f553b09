"""From what the region head says of proposals to detections."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms, nms

from jsisnet.arrays import Bool, Float, Int64
from jsisnet.model import boxes
from jsisnet.model.rpn import Proposals

BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Weights of the detections' box code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionConfig:
    """Which classified regions become detections."""

    min_score: float = 0.5
    """Lowest softmax score of a thing class."""

    max_overlap: float = 0.4
    """Of two boxes whose IoU is higher, the one with the lower score goes."""

    one_class_per_region: bool = True
    """Whether a region stands for its best class alone and suppresses boxes of all classes, as the
    merge wants it; otherwise for each class, and suppresses boxes of the same one, as average
    precision wants it."""

    max_detections: int = 300
    """Detections kept per image."""

    def __post_init__(self) -> None:
        if self.max_detections < 1:
            raise ValueError(f"max_detections is {self.max_detections}; expected at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectedBoxes:
    """Boxes of a batch that survived suppression, best first, padded to one number."""

    boxes: Float[Tensor, "b d 4"]
    """Corners in pixels of the network's input, clipped to it; zeros where padded."""

    channels: Int64[Tensor, "b d"]
    """Thing channels; 0 where padded."""

    scores: Float[Tensor, "b d"]
    """Softmax scores; 0 where padded."""

    valid: Bool[Tensor, "b d"]
    """False where padded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detections:
    """Detected things of a batch, best first, padded to one number."""

    boxes: Float[Tensor, "b d 4"]
    """Corners in pixels of the network's input; zeros where padded."""

    labels: Int64[Tensor, "b d"]
    """Labels of the data set."""

    scores: Float[Tensor, "b d"]
    """Softmax scores; 0 where padded."""

    masks: Float[Tensor, "b d m m"]
    """Probabilities on a grid that spans the box."""

    valid: Bool[Tensor, "b d"]
    """False where padded."""


def detect(
    class_logits: Float[Tensor, "b p t_and_background"],
    deltas: Float[Tensor, "b p t 4"],
    proposals: Proposals,
    size: tuple[int, int],
    config: DetectionConfig,
) -> DetectedBoxes:
    """Refine, filter and suppress the boxes of classified proposals.

    Args:
        class_logits: The background is the last channel.
        deltas: Offsets of the proposals for each thing class.
        proposals: Boxes and which of them are real.
        size: Height and width of the network's input.
        config: Limits.
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
    """List the nonempty boxes of sufficient score, with their thing channels and scores."""
    if config.one_class_per_region:
        best = scores.argmax(dim=1, keepdim=True)
        wanted = torch.zeros_like(scores, dtype=torch.bool).scatter(1, best, value=True)
    else:
        wanted = torch.ones_like(scores, dtype=torch.bool)
    wanted &= (scores >= config.min_score) & (scores > 0) & (boxes.areas(refined) > 0)
    rows, channels = wanted.nonzero(as_tuple=True)
    return refined[rows, channels], channels, scores[rows, channels]
