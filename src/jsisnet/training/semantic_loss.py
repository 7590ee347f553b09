"""Cross-entropy of the semantic branch, computed in strips of a few rows.

Logits at full image size are the largest tensors of a training, and autograd would keep several of
them. Here only one strip exists at a time: its loss and its gradient are computed together, while
the strip is still in the processor's cache.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jsisnet.arrays import Float, Int64, Integer
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
            resizing = _resizing(logits.shape[1:], labels.shape[1:], logits.device)
            space = _Space.like(logits, labels, resizing)
            for image, (coarse, truth) in enumerate(zip(logits.float(), labels, strict=True)):
                gradient = None if gradients is None else gradients[image]
                total += _image_loss(coarse, _Truth.of(truth, weights), resizing, space, gradient)
        ctx.save_for_backward(gradients)
        ctx.dtype = logits.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upper: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - torch's own
        (gradients,) = ctx.saved_tensors
        return (gradients * upper).to(ctx.dtype), None, None


class _Strip(NamedTuple):
    """Part of bilinear resizing: the rows of pixels of a strip."""

    pixels: slice
    cells: slice
    """Coarse rows that the pixels depend on."""

    weights: Float[Tensor, "pixels cells"]


class _Resizing(NamedTuple):
    """Bilinear resizing as two matrix products: rows @ coarse @ columns.T."""

    strips: tuple[_Strip, ...]
    columns: Float[Tensor, "W w"]


@lru_cache(maxsize=32)
def _resizing(grid: tuple[int, int, int], size: tuple[int, int], device: torch.device) -> _Resizing:
    """Return the matrices from a grid, given with its number of classes, to a size in pixels."""
    classes, height, width = grid
    step = max(1, _STRIP.get(device.type, _STRIP["cuda"]) // (classes * size[1]))
    rows, columns = _resize_matrix(height, size[0]), _resize_matrix(width, size[1])
    strips = (
        _Strip(pixels, cells, rows[pixels, cells].to(device))
        for pixels, cells in _strips(rows, step)
    )
    return _Resizing(tuple(strips), columns.to(device))


class _Space(NamedTuple):
    """Memory that all images use in turn: fresh pages cost more time than the arithmetic."""

    wide: Float[Tensor, "h k W"]
    """Logits that are resized along their rows alone."""

    slopes: Float[Tensor, "h k W"]
    """Gradient of `wide`."""

    full: Float[Tensor, "pixels k W"]
    """Logits of a strip, and their gradient."""

    @classmethod
    def like(cls, logits: Tensor, labels: Tensor, resizing: _Resizing) -> "_Space":
        classes, height = logits.shape[1:3]
        tall = max(len(strip.weights) for strip in resizing.strips)
        wide, slopes, full = (
            logits.new_empty(rows, classes, labels.shape[2], dtype=torch.float32)
            for rows in (height, height, tall)
        )
        return cls(wide, slopes, full)


class _Truth(NamedTuple):
    """Targets of the pixels of an image, or of a strip."""

    channel: Int64[Tensor, "H 1 W"]
    weight: Float[Tensor, "H 1 W"]
    """0 for void, whose channel means nothing."""

    @classmethod
    def of(cls, labels: Integer[Tensor, "H W"], weights: Float[Tensor, " k"] | None) -> "_Truth":
        void = is_void(labels)[:, None]
        channel = labels.long()[:, None].masked_fill_(void, 0)
        weight = (~void).float() if weights is None else weights[channel].masked_fill_(void, 0)
        return cls(channel, weight)

    def part(self, pixels: slice) -> "_Truth":
        return _Truth(self.channel[pixels], self.weight[pixels])


def _image_loss(
    logits: Float[Tensor, "k h w"],
    truth: _Truth,
    resizing: _Resizing,
    space: _Space,
    out: Float[Tensor, "k h w"] | None,
) -> Float[Tensor, ""]:
    """Return the loss of an image, and write its gradient to `out` unless that is ``None``."""
    # Rows come first, so that the rows of a strip form one matrix.
    by_row = logits.transpose(0, 1).flatten(0, 1)
    torch.mm(by_row, resizing.columns.T, out=space.wide.flatten(0, 1))
    space.slopes.zero_()
    total = logits.new_zeros(())
    for pixels, cells, weights in resizing.strips:
        full = space.full[: len(weights)]
        torch.mm(weights, space.wide[cells].flatten(1), out=full.flatten(1))
        total += _strip_loss(full, truth.part(pixels))
        if out is not None:
            space.slopes[cells].flatten(1).addmm_(weights.T, full.flatten(1))
    if out is not None:
        narrow = space.slopes.flatten(0, 1) @ resizing.columns
        out.copy_(narrow.unflatten(0, (logits.shape[1], -1)).transpose(0, 1))
    return total


def _strip_loss(logits: Float[Tensor, "rows k W"], truth: _Truth) -> Float[Tensor, ""]:
    """Return the loss of a strip and overwrite its logits with their gradient."""
    channel, weight = truth
    logits.sub_(logits.amax(dim=1, keepdim=True))
    wanted = logits.gather(1, channel)
    logits.exp_()
    sums = logits.sum(dim=1, keepdim=True)
    logits.mul_(weight / sums)
    logits.scatter_add_(1, channel, -weight)
    return ((sums.log() - wanted) * weight).sum()


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
