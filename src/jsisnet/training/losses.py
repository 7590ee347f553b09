"""Loss terms of the paper's Table 2, except for the semantic one (see `semantic_loss`)."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from jsisnet.arrays import Bool, Float, Int, Int64


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Weights of the loss terms: lambda 1 to 7 of the paper."""

    rpn_objectness: float = 1.0
    """Objectness of the anchors."""

    rpn_boxes: float = 1.0
    """Box regression of the anchors."""

    classes: float = 1.0
    """Classification of the regions."""

    boxes: float = 0.15
    """Box regression of the regions."""

    masks: float = 0.3
    """Masks of the regions."""

    semantic: float = 1.0
    """Semantic segmentation."""

    l2: float = 5.5e-5
    """L2 term, half the sum of the squared kernels. SGD implements it as weight decay, which has
    the same gradient but is added after clipping: it is the term only while nothing is clipped."""

    mask_reduction: Literal["sum", "mean"] = "sum"
    """Reduction of the mask losses over the images of a batch: ``sum``, as in the authors' later
    code, or ``mean``. With ``sum`` their weight grows with the batch size."""


class Losses(NamedTuple):
    """The seven weighted terms of one batch; a tuple, so that DDP can traverse it."""

    rpn_objectness: Float[Tensor, ""]
    rpn_boxes: Float[Tensor, ""]
    classes: Float[Tensor, ""]
    boxes: Float[Tensor, ""]
    masks: Float[Tensor, ""]
    semantic: Float[Tensor, ""]
    l2: Float[Tensor, ""]
    """Without gradient, as the optimiser's weight decay adds it, after clipping."""

    def total(self) -> Float[Tensor, ""]:
        """Return the sum of the terms."""
        return torch.stack(tuple(self)).sum()


def objectness_loss(
    logits: Float[Tensor, "n 2"], isobject: Int64[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of an image's sampled anchors; 0 without any."""
    return functional.cross_entropy(logits.float(), isobject, reduction="sum") / max(len(logits), 1)


def box_loss(deltas: Float[Tensor, "n 4"], targets: Float[Tensor, "n 4"]) -> Float[Tensor, ""]:
    """Return the sum of the smooth L1 distances of all coordinates."""
    return functional.smooth_l1_loss(deltas.float(), targets, reduction="sum")


def class_loss(
    logits: Float[Tensor, "n t_and_background"],
    channels: Int64[Tensor, " n"],
    unlabelled: Bool[Tensor, "n t"],
) -> Float[Tensor, ""]:
    """Return the sum of the cross-entropies of regions.

    Args:
        logits: The last channel is the background.
        channels: True channel of each region.
        unlabelled: Thing classes that are not annotated in a region's photo. A background region
            may show one of them, so their probabilities count as background.
    """
    possible = functional.one_hot(channels, logits.shape[1]).bool()
    background = channels == logits.shape[1] - 1
    possible[:, :-1] |= unlabelled & background[:, None]
    logits = logits.float()
    wanted = logits.masked_fill(~possible, float("-inf"))
    return (logits.logsumexp(dim=1) - wanted.logsumexp(dim=1)).sum()


def mask_loss(logits: Float[Tensor, "n m m"], targets: Float[Tensor, "n m m"]) -> Float[Tensor, ""]:
    """Return the mean sigmoid cross-entropy over all cells of an image's positives; 0 without."""
    loss = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="sum")
    return loss / max(targets.numel(), 1)


def kernels(module: nn.Module) -> list[Tensor]:
    """Return the trainable parameters that decay: weights of convolutions and linear layers."""
    layers = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    return [
        layer.weight
        for layer in module.modules()
        if isinstance(layer, layers) and layer.weight.requires_grad
    ]


def half_sum_of_squares(parameters: list[Tensor]) -> Float[Tensor, ""]:
    """Return R of the paper's loss, as TensorFlow's `l2_loss` defines it, without gradient."""
    with torch.no_grad():
        return torch.stack(torch._foreach_norm(parameters)).float().square().sum() / 2


def mask_targets(
    instance_ids: Int[Tensor, "h w"],
    objects: Int64[Tensor, " n"],
    regions: Float[Tensor, "n 4"],
    size: int,
) -> Float[Tensor, "n m m"]:
    """Return the fraction of each cell of a region's grid that the object covers.

    Equal to RoIAlign of the object's mask with 2x2 points per cell, but the mask is never drawn:
    the ids of the four pixels around each point are compared with the object's id.

    Args:
        instance_ids: i + 1 at the pixels of object i.
        objects: Object index of each region.
        regions: Boxes in pixels.
        size: Number of cells along each side, m.
    """
    height, width = instance_ids.shape
    points = (torch.arange(2 * size, device=regions.device) + 0.5) / (2 * size)
    x = regions[:, :1] + points * (regions[:, 2:3] - regions[:, :1]) - 0.5
    y = regions[:, 1:2] + points * (regions[:, 3:] - regions[:, 1:2]) - 0.5
    columns, right = bilinear_neighbours(x, width)
    rows, lower = bilinear_neighbours(y, height)
    wanted = (objects + 1)[:, None, None]
    share = regions.new_zeros(len(regions), 2 * size, 2 * size)
    for row, row_weight in zip(rows, (1 - lower, lower), strict=True):
        for column, column_weight in zip(columns, (1 - right, right), strict=True):
            inside = instance_ids[row[:, :, None], column[:, None, :]] == wanted
            share += inside * row_weight[:, :, None] * column_weight[:, None, :]
    return functional.avg_pool2d(share[:, None], 2)[:, 0]


def bilinear_neighbours(
    positions: Float[Tensor, "*n"], limit: int
) -> tuple[tuple[Int64[Tensor, "*n"], Int64[Tensor, "*n"]], Float[Tensor, "*n"]]:
    """Return the pixels before and after each position along an axis, and the weight of the latter.

    Args:
        positions: Coordinates, where integers are pixel centres.
        limit: Number of pixels; those outside are replaced by the nearest one inside.
    """
    before = positions.floor()
    weight = positions - before
    first = before.long().clamp(0, limit - 1)
    return (first, (before.long() + 1).clamp(0, limit - 1)), weight
