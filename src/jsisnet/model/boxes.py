"""Operations on boxes x0, y0, x1, y1 in continuous pixel coordinates: overlap and box coding."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from jsisnet.arrays import Bool, Float, Int64

MAX_LOG_SCALE = math.log(1000 / 16)
"""Upper limit of dw and dh when decoding, which prevents overflow."""


def areas(boxes: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch"]:
    """Return the area of each box; 0 if its corners are reversed."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def shorter_sides(boxes: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch"]:
    """Return the shorter side of each box; negative if its corners are reversed."""
    return (boxes[..., 2:] - boxes[..., :2]).amin(dim=-1)


def intersections(
    rows: Float[Tensor, "r 4"], columns: Float[Tensor, "c 4"]
) -> Float[Tensor, "r c"]:
    """Return the area of intersection of each pair."""
    low = torch.maximum(rows[:, None, :2], columns[None, :, :2])
    high = torch.minimum(rows[:, None, 2:], columns[None, :, 2:])
    sides = (high - low).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def iou(rows: Float[Tensor, "r 4"], columns: Float[Tensor, "c 4"]) -> Float[Tensor, "r c"]:
    """Return the intersection over union of each pair; 0 if both boxes are empty."""
    common = intersections(rows, columns)
    union = areas(rows)[:, None] + areas(columns)[None, :] - common
    return common / union.clamp(min=torch.finfo(union.dtype).tiny)


def encode(
    boxes: Float[Tensor, "*batch 4"],
    references: Float[Tensor, "*batch 4"],
    weights: tuple[float, float, float, float],
) -> Float[Tensor, "*batch 4"]:
    """Encode boxes as offsets (dx, dy, dw, dh) from reference boxes.

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
    """Decode offsets to boxes, the inverse of `encode`; references broadcast."""
    deltas = deltas / deltas.new_tensor(weights)
    sides = references[..., 2:] - references[..., :2]
    centres = (references[..., :2] + references[..., 2:]) / 2 + deltas[..., :2] * sides
    half = sides * deltas[..., 2:].clamp(max=MAX_LOG_SCALE).exp() / 2
    return torch.cat([centres - half, centres + half], dim=-1)


def clip(boxes: Float[Tensor, "*batch 4"], size: tuple[int, int]) -> Float[Tensor, "*batch 4"]:
    """Clip boxes to an image of the given height and width."""
    height, width = size
    limits = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limits)


def with_image(boxes: Float[Tensor, "b n 4"]) -> Float[Tensor, "r 5"]:
    """Return the boxes of a batch as rows, with the number of their image before each."""
    number = torch.arange(boxes.shape[0], device=boxes.device, dtype=boxes.dtype)
    numbers = number[:, None, None].expand(-1, boxes.shape[1], 1)
    return torch.cat([numbers, boxes], dim=2).flatten(0, 1)


def joined_with_image(boxes: Sequence[Float[Tensor, "_ 4"]]) -> Float[Tensor, "r 5"]:
    """Return the boxes of each image as rows, with the number of their image before each."""
    rows = [
        torch.cat([torch.full_like(each[:, :1], number), each], dim=1)
        for number, each in enumerate(boxes)
    ]
    return torch.cat(rows)


def rows_and_first(wanted: Bool[Tensor, " r"]) -> Int64[Tensor, " n"]:
    """Return the numbers of the wanted rows, and of the first row in any case.

    So no layer meets an empty batch, which a traced network must not, unless there is no row. On
    the meta device, which has no values, all rows are wanted.
    """
    if wanted.is_meta:
        return torch.arange(wanted.shape[0], device=wanted.device)
    rows = torch.cat([torch.ones_like(wanted[:1]), wanted[1:]]).nonzero()[:, 0]
    if torch.compiler.is_compiling():
        torch._check(rows.shape[0] >= 1)
        torch._check(rows.shape[0] <= wanted.shape[0])
    return rows
