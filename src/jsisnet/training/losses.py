"""The loss terms of Table 2, each with its own normalisation; that of pixels: `semantic_loss`."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from jsisnet.arrays import Bool, Float, Int, Int64


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Weights of the terms, lambda 1 to 7 of the paper."""

    rpn_objectness: float = 1.0
    """Whether an anchor holds an object."""

    rpn_boxes: float = 1.0
    """Where the object of an anchor is."""

    classes: float = 1.0
    """What a region shows."""

    boxes: float = 0.15
    """Where the object of a region is."""

    masks: float = 0.3
    """Which part of a region the object is."""

    semantic: float = 1.0
    """What every pixel shows."""

    l2: float = 5.5e-5
    """Half the sum of the squared kernels; the optimiser's weight decay is this weight."""

    mask_reduction: Literal["sum", "mean"] = "sum"
    """Over the images of a batch, mask losses are added (``sum``, as in the authors' later code) or
    averaged (``mean``). Added, their weight grows with the batch size."""


class Losses(NamedTuple):
    """The seven weighted terms of one batch; a tuple, because distributed wrappers look inside."""

    rpn_objectness: Float[Tensor, ""]
    rpn_boxes: Float[Tensor, ""]
    classes: Float[Tensor, ""]
    boxes: Float[Tensor, ""]
    masks: Float[Tensor, ""]
    semantic: Float[Tensor, ""]
    l2: Float[Tensor, ""]
    """Carries no gradient: weight decay does its work."""

    def total(self) -> Float[Tensor, ""]:
        """Add the terms."""
        return torch.stack(tuple(self)).sum()


def objectness_loss(
    logits: Float[Tensor, "n 2"], isobject: Int64[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Average the cross-entropy of an image's sampled anchors; 0 without any."""
    return functional.cross_entropy(logits.float(), isobject, reduction="sum") / max(len(logits), 1)


def box_loss(deltas: Float[Tensor, "n 4"], targets: Float[Tensor, "n 4"]) -> Float[Tensor, ""]:
    """Add the smooth L1 distances of all coordinates."""
    return functional.smooth_l1_loss(deltas.float(), targets, reduction="sum")


def class_loss(
    logits: Float[Tensor, "n t_and_background"],
    channels: Int64[Tensor, " n"],
    unlabelled: Bool[Tensor, "n t"],
) -> Float[Tensor, ""]:
    """Add the cross-entropies of regions.

    Args:
        logits: The background is the last channel.
        channels: What the regions show.
        unlabelled: Things that nobody has looked for in a region's photo. Background there means
            background or one of these, so the probabilities are added.
    """
    possible = functional.one_hot(channels, logits.shape[1]).bool()
    background = channels == logits.shape[1] - 1
    possible[:, :-1] |= unlabelled & background[:, None]
    logits = logits.float()
    wanted = logits.masked_fill(~possible, float("-inf"))
    return (logits.logsumexp(dim=1) - wanted.logsumexp(dim=1)).sum()


def mask_loss(logits: Float[Tensor, "n m m"], targets: Float[Tensor, "n m m"]) -> Float[Tensor, ""]:
    """Average the sigmoid cross-entropy over the cells of an image's positives; 0 without any."""
    loss = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="sum")
    return loss / max(targets.numel(), 1)


def kernels(module: nn.Module) -> list[Tensor]:
    """List the trained parameters that decay: weights of convolutions and linear layers."""
    layers = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    return [
        layer.weight
        for layer in module.modules()
        if isinstance(layer, layers) and layer.weight.requires_grad
    ]


def half_sum_of_squares(parameters: list[Tensor]) -> Float[Tensor, ""]:
    """Give R of the paper's loss, as TensorFlow's `l2_loss` defines it; without gradient."""
    with torch.no_grad():
        return torch.stack(torch._foreach_norm(parameters)).float().square().sum() / 2


def mask_targets(
    instance_ids: Int[Tensor, "h w"],
    objects: Int64[Tensor, " n"],
    regions: Float[Tensor, "n 4"],
    size: int,
) -> Float[Tensor, "n m m"]:
    """Give the share of the object in each cell of a grid that spans each region.

    The mask of an object is never drawn: four pixels around each of 2x2 points a cell are compared
    with the object's id, which is what RoIAlign makes of the mask.

    Args:
        instance_ids: i + 1 where object i is.
        objects: Index of the object of each region.
        regions: Corners in pixels.
        size: Cells along each side, m.
    """
    height, width = instance_ids.shape
    points = (torch.arange(2 * size, device=regions.device) + 0.5) / (2 * size)
    x = regions[:, :1] + points * (regions[:, 2:3] - regions[:, :1]) - 0.5
    y = regions[:, 1:2] + points * (regions[:, 3:] - regions[:, 1:2]) - 0.5
    columns, right = _neighbours(x, width)
    rows, lower = _neighbours(y, height)
    wanted = (objects + 1)[:, None, None]
    share = regions.new_zeros(len(regions), 2 * size, 2 * size)
    for row, row_weight in zip(rows, (1 - lower, lower), strict=True):
        for column, column_weight in zip(columns, (1 - right, right), strict=True):
            inside = instance_ids[row[:, :, None], column[:, None, :]] == wanted
            share += inside * row_weight[:, :, None] * column_weight[:, None, :]
    return functional.avg_pool2d(share[:, None], 2)[:, 0]


def _neighbours(
    positions: Float[Tensor, "n p"], limit: int
) -> tuple[tuple[Int64[Tensor, "n p"], Int64[Tensor, "n p"]], Float[Tensor, "n p"]]:
    """Give the pixels before and after each position, kept inside, and the weight of the latter."""
    before = positions.floor()
    weight = positions - before
    first = before.long().clamp(0, limit - 1)
    return (first, (before.long() + 1).clamp(0, limit - 1)), weight
