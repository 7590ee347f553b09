"""Boxes as x0, y0, x1, y1 in continuous pixels: their overlap and their code."""

import math

import torch
from torch import Tensor

from jsisnet.arrays import Float

MAX_LOG_SCALE = math.log(1000 / 16)
"""Upper limit of the decoded change of a side, so that a wild offset can't overflow."""


def areas(boxes: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch"]:
    """Give the area of each box, 0 where an upper end lies below the lower one."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def intersections(
    rows: Float[Tensor, "r 4"], columns: Float[Tensor, "c 4"]
) -> Float[Tensor, "r c"]:
    """Give the common area of each pair."""
    low = torch.maximum(rows[:, None, :2], columns[None, :, :2])
    high = torch.minimum(rows[:, None, 2:], columns[None, :, 2:])
    sides = (high - low).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def iou(rows: Float[Tensor, "r 4"], columns: Float[Tensor, "c 4"]) -> Float[Tensor, "r c"]:
    """Give the intersection over union of each pair; 0 where both boxes are empty."""
    common = intersections(rows, columns)
    union = areas(rows)[:, None] + areas(columns)[None, :] - common
    return common / union.clamp(min=torch.finfo(union.dtype).tiny)


def encode(
    boxes: Float[Tensor, "*batch 4"],
    references: Float[Tensor, "*batch 4"],
    weights: tuple[float, float, float, float],
) -> Float[Tensor, "*batch 4"]:
    """Write boxes as offsets (dx, dy, dw, dh) from reference boxes.

    Args:
        boxes: Boxes with positive sides.
        references: Boxes with positive sides.
        weights: Factors of dx, dy, dw, dh.

    Reference:
        Girshick et al., "Rich feature hierarchies", appendix C.
    """
    sides = references[..., 2:] - references[..., :2]
    shift = (boxes[..., :2] + boxes[..., 2:] - references[..., :2] - references[..., 2:]) / 2
    scale = ((boxes[..., 2:] - boxes[..., :2]) / sides).log()
    return torch.cat([shift / sides, scale], dim=-1) * boxes.new_tensor(weights)


def decode(
    deltas: Float[Tensor, "*#batch 4"],
    references: Float[Tensor, "*#batch 4"],
    weights: tuple[float, float, float, float],
) -> Float[Tensor, "*both 4"]:
    """Invert `encode`; one reference may serve several offsets."""
    deltas = deltas / deltas.new_tensor(weights)
    sides = references[..., 2:] - references[..., :2]
    centres = (references[..., :2] + references[..., 2:]) / 2 + deltas[..., :2] * sides
    half = sides * deltas[..., 2:].clamp(max=MAX_LOG_SCALE).exp() / 2
    return torch.cat([centres - half, centres + half], dim=-1)


def clip(boxes: Float[Tensor, "*batch 4"], size: tuple[int, int]) -> Float[Tensor, "*batch 4"]:
    """Move corners that lie outside an image of the given height and width to its border."""
    height, width = size
    limits = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limits)
