"""Selection of detections among classified proposals."""

from dataclasses import dataclass

import torch
from torch import Tensor

from jsisnet.arrays import Bool, Float, Int64
from jsisnet.inference.thresholds import DetectionConfig
from jsisnet.model import boxes
from jsisnet.model.rpn import Proposals
from jsisnet.model.suppression import EXCLUDED, suppress, take

BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Box coding weights of the region head."""

MIN_SIDE = 1e-2
"""Shortest side of a detection, in pixels of the network's input; torchvision's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorThresholds:
    """Thresholds of `detect` that are inputs of a traced network, as in `DetectionConfig`."""

    min_score: Float[Tensor, ""]
    max_overlap: Float[Tensor, ""]
    one_class_per_region: Bool[Tensor, ""]
    max_detections: int


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
    """Labels of the data set; that of the first thing where padded."""

    scores: Float[Tensor, "b d"]
    """Softmax scores; 0 where padded."""

    masks: Float[Tensor, "b d m m"]
    """Mask probabilities on a grid that spans the box; 0 where padded."""

    valid: Bool[Tensor, "b d"]
    """False where padded."""


def detect(
    class_logits: Float[Tensor, "b p t_and_background"],
    deltas: Float[Tensor, "b p t 4"],
    proposals: Proposals,
    size: tuple[int, int],
    config: DetectionConfig | TensorThresholds,
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

    one_class = torch.as_tensor(config.one_class_per_region)
    channels = torch.arange(scores.shape[-1], device=scores.device)
    best = channels == scores.argmax(dim=-1, keepdim=True)
    wanted = (scores >= config.min_score) & (scores > 0)
    wanted = wanted & (boxes.shorter_sides(refined) >= MIN_SIDE)
    candidates = scores.where(wanted & (best | ~one_class), EXCLUDED)
    # Boxes of different classes are moved apart where they must not suppress each other.
    apart = channels[:, None] * (max(size) + 1) * ~one_class

    kept, valid = suppress(
        (refined + apart).flatten(1, 2),
        candidates.flatten(1),
        torch.as_tensor(config.max_overlap),
        config.max_detections,
    )
    return DetectedBoxes(
        boxes=take(refined.flatten(1, 2), kept, valid),
        channels=(kept % scores.shape[-1]).masked_fill(~valid, 0),
        scores=take(scores.flatten(1), kept, valid),
        valid=valid,
    )
