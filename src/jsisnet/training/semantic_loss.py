"""Cross-entropy of the semantic branch, computed in strips of a few rows.

Logits at full image size are the largest tensors of a training, and autograd would keep several of
them. Here only one strip exists at a time: its loss and its gradient are computed together, while
the strip is still in the processor's cache.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jsisnet.arrays import Float, Integer
from jsisnet.data.sample import is_void
from jsisnet.training.losses import bilinear_neighbours

_STRIP = {"cpu": 1 << 20, "cuda": 1 << 26}
"""Logits per strip: as many as fit the caches of a CPU, or enough to keep a GPU busy."""


def semantic_loss(
    logits: Float[Tensor, "b k h w"],
    labels: Integer[Tensor, "b H W"],
    weights: Float[Tensor, " k"] | None = None,
) -> Float[Tensor, ""]:
    """Return the sum of the cross-entropies of the pixels that are not void.

    The logits are first resized bilinearly to the size of the labels, with aligned pixel centres.

    Args:
        logits: On a grid that spans the image.
        labels: Class of each pixel.
        weights: Factor of the pixels of each class; 1 by default.
    """
    total: Tensor = _SemanticLoss.apply(logits, labels, weights)
    return total


class _SemanticLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's own
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None,
    ) -> Tensor:
        total = logits.new_zeros((), dtype=torch.float32)
        needs_gradient = ctx.needs_input_grad[0]
        gradients = torch.empty_like(logits, dtype=torch.float32) if needs_gradient else None
        with torch.autocast(logits.device.type, enabled=False):
            resizing = _Resizing.between(logits, labels)
            for image, (coarse, truth) in enumerate(zip(logits.float(), labels, strict=True)):
                gradient = None if gradients is None else gradients[image]
                total += _image_loss(coarse, truth, weights, resizing, gradient)
        ctx.save_for_backward(gradients)
        ctx.dtype = logits.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upper: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - torch's own
        (gradients,) = ctx.saved_tensors
        return (gradients * upper).to(ctx.dtype), None, None


@dataclass(frozen=True, slots=True, eq=False)
class _Resizing:
    """Bilinear resizing as two matrix products: rows @ coarse @ columns.T."""

    rows: Float[Tensor, "H h"]
    columns: Float[Tensor, "W w"]
    strips: tuple[tuple[slice, slice], ...]
    """Rows of pixels of each strip, and the coarse rows that they depend on."""

    @classmethod
    def between(cls, logits: Tensor, labels: Tensor) -> "_Resizing":
        device = logits.device
        (classes, height), (tall, wide) = logits.shape[1:3], labels.shape[1:]
        step = max(1, _STRIP.get(device.type, _STRIP["cuda"]) // (classes * wide))
        rows = _resize_matrix(height, tall)
        return cls(
            rows.to(device),
            _resize_matrix(logits.shape[3], wide).to(device),
            tuple(_strips(rows, step)),
        )


def _image_loss(
    logits: Float[Tensor, "k h w"],
    labels: Integer[Tensor, "H W"],
    class_weights: Float[Tensor, " k"] | None,
    resizing: _Resizing,
    out: Float[Tensor, "k h w"] | None,
) -> Float[Tensor, ""]:
    """Return the loss of an image, and write its gradient to `out` unless that is ``None``."""
    # Rows come first, so that the rows of a strip form one matrix.
    wide = logits.transpose(0, 1) @ resizing.columns.T
    gradient = None if out is None else torch.zeros_like(wide)
    total = logits.new_zeros(())
    for pixels, cells in resizing.strips:
        weights = resizing.rows[pixels, cells]
        full = (weights @ wide[cells].flatten(1)).unflatten(1, wide.shape[1:])
        loss, slopes = _strip_loss(full, labels[pixels], class_weights)
        total += loss
        if gradient is not None:
            gradient[cells].flatten(1).addmm_(weights.T, slopes.flatten(1))
    if out is not None and gradient is not None:
        out.copy_((gradient @ resizing.columns).transpose(0, 1))
    return total


def _strip_loss(
    logits: Float[Tensor, "rows k W"],
    labels: Integer[Tensor, "rows W"],
    weights: Float[Tensor, " k"] | None,
) -> tuple[Float[Tensor, ""], Float[Tensor, "rows k W"]]:
    """Return the loss of a strip and its gradient, which overwrites the logits."""
    void = is_void(labels)
    channel = labels.long().masked_fill_(void, 0)[:, None]
    logits.sub_(logits.amax(dim=1, keepdim=True))
    wanted = logits.gather(1, channel)
    logits.exp_()
    sums = logits.sum(dim=1, keepdim=True)
    losses = (sums.log() - wanted)[:, 0].masked_fill_(void, 0)
    logits.div_(sums)
    logits.scatter_add_(1, channel, torch.full_like(wanted, -1))
    logits.masked_fill_(void[:, None], 0)
    if weights is not None:
        scale = weights[channel[:, 0]]
        losses.mul_(scale)
        logits.mul_(scale[:, None])
    return losses.sum(), logits


def _resize_matrix(cells: int, pixels: int) -> Float[Tensor, "pixels cells"]:
    """Return the weights of the cells for each pixel along an axis."""
    centres = torch.arange(pixels) + 0.5
    positions = (centres * (cells / pixels) - 0.5).clamp(0, cells - 1)
    (before, after), weight = bilinear_neighbours(positions, cells)
    matrix = torch.zeros(pixels, cells)
    matrix.scatter_add_(1, before[:, None], 1 - weight[:, None])
    return matrix.scatter_add_(1, after[:, None], weight[:, None])


def _strips(rows: Float[Tensor, "H h"], step: int) -> Iterator[tuple[slice, slice]]:
    for first in range(0, len(rows), step):
        pixels = slice(first, min(first + step, len(rows)))
        used = rows[pixels].any(dim=0).nonzero()
        yield pixels, slice(int(used.min()), int(used.max()) + 1)
