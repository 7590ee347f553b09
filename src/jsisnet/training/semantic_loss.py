"""The loss of the semantic branch, a few rows of pixels at a time.

Logits at the size of the photo are the largest tensors of a training, and several of them would be
needed at once. Here there is never more than a strip of them: its gradient is known as soon as its
loss, so both are computed together, while the strip is still in the processor's cache.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jsisnet.arrays import Float, UInt8
from jsisnet.panoptic import IGNORE

_STRIP = {"cpu": 1 << 20, "cuda": 1 << 26}
"""Logits of a strip: as many as the caches hold, or enough to keep a GPU busy."""


def semantic_loss(
    logits: Float[Tensor, "b k h w"], labels: UInt8[Tensor, "b H W"]
) -> Float[Tensor, ""]:
    """Add the cross-entropies of the pixels that are not void.

    Logits are resized to the size of the labels first, bilinearly, pixel centres aligned.
    """
    total: Tensor = _SemanticLoss.apply(logits, labels)
    return total


class _SemanticLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        total = logits.new_zeros((), dtype=torch.float32)
        isneeded = ctx.needs_input_grad[0]
        gradients = torch.empty_like(logits, dtype=torch.float32) if isneeded else None
        with torch.autocast(logits.device.type, enabled=False):
            resizing = _Resizing.between(logits, labels)
            for image, (coarse, truth) in enumerate(zip(logits.float(), labels, strict=True)):
                into = None if gradients is None else gradients[image]
                total += _of_image(coarse, truth, resizing, into)
        ctx.save_for_backward(gradients)
        ctx.dtype = logits.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upper: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - torch's own
        (gradients,) = ctx.saved_tensors
        return (gradients * upper).to(ctx.dtype), None


@dataclass(frozen=True, slots=True, eq=False)
class _Resizing:
    """Bilinear resizing as two products: rows @ coarse @ columns.T."""

    rows: Float[Tensor, "H h"]
    columns: Float[Tensor, "W w"]
    strips: tuple[tuple[slice, slice], ...]
    """Rows of pixels, and the coarse rows that they lie between."""

    @classmethod
    def between(cls, logits: Tensor, labels: Tensor) -> "_Resizing":
        device = logits.device
        (classes, height), (tall, wide) = logits.shape[1:3], labels.shape[1:]
        step = max(1, _STRIP.get(device.type, _STRIP["cuda"]) // (classes * wide))
        rows = _interpolation(height, tall)
        return cls(
            rows.to(device),
            _interpolation(logits.shape[3], wide).to(device),
            tuple(_strips(rows, step)),
        )


def _of_image(
    logits: Float[Tensor, "k h w"],
    labels: UInt8[Tensor, "H W"],
    resizing: _Resizing,
    into: Float[Tensor, "k h w"] | None,
) -> Float[Tensor, ""]:
    """Give the loss of an image, and write its gradient somewhere if that is needed."""
    # Rows come first, so that those of a strip are one matrix.
    wide = logits.transpose(0, 1) @ resizing.columns.T
    gradient = None if into is None else torch.zeros_like(wide)
    total = logits.new_zeros(())
    for pixels, cells in resizing.strips:
        weights = resizing.rows[pixels, cells]
        full = (weights @ wide[cells].flatten(1)).unflatten(1, wide.shape[1:])
        loss, slopes = _of_strip(full, labels[pixels])
        total += loss
        if gradient is not None:
            gradient[cells].flatten(1).addmm_(weights.T, slopes.flatten(1))
    if into is not None and gradient is not None:
        into.copy_((gradient @ resizing.columns).transpose(0, 1))
    return total


def _of_strip(
    logits: Float[Tensor, "rows k W"], labels: UInt8[Tensor, "rows W"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "rows k W"]]:
    """Give the loss of a strip and its gradient, which takes the place of the logits."""
    isvoid = labels == IGNORE
    channel = labels.long().masked_fill_(isvoid, 0)[:, None]
    logits.sub_(logits.amax(dim=1, keepdim=True))
    wanted = logits.gather(1, channel)
    logits.exp_()
    sums = logits.sum(dim=1, keepdim=True)
    loss = (sums.log() - wanted)[:, 0].masked_fill_(isvoid, 0).sum()
    logits.div_(sums)
    logits.scatter_add_(1, channel, torch.full_like(wanted, -1))
    return loss, logits.masked_fill_(isvoid[:, None], 0)


def _interpolation(cells: int, pixels: int) -> Float[Tensor, "pixels cells"]:
    """Give the shares that each pixel along an axis takes of the cells around it."""
    centres = torch.arange(pixels) + 0.5
    position = (centres * (cells / pixels) - 0.5).clamp(0, cells - 1)
    low = position.long()
    share = (position - low)[:, None]
    table = torch.zeros(pixels, cells)
    table.scatter_add_(1, low[:, None], 1 - share)
    return table.scatter_add_(1, (low + 1).clamp(max=cells - 1)[:, None], share)


def _strips(rows: Float[Tensor, "H h"], step: int) -> Iterator[tuple[slice, slice]]:
    for first in range(0, len(rows), step):
        pixels = slice(first, min(first + step, len(rows)))
        used = rows[pixels].any(dim=0).nonzero()
        yield pixels, slice(int(used.min()), int(used.max()) + 1)
