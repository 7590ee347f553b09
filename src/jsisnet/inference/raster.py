"""Coarse logits read at the pixels of a canvas, without resizing all of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from jsisnet.arrays import Bool, Float, Int32, Int64

Window = tuple[slice, slice]
"""Rows and columns of a canvas."""


def windows(boxes: Float[Tensor, "n 4"], canvas: tuple[int, int]) -> list[Window]:
    """Find the pixels of a canvas whose centres lie in each box; none if the box is empty.

    Args:
        boxes: Corners in pixels of the canvas; may lie outside it.
        canvas: Height and width.
    """
    height, width = canvas
    limits = boxes.new_tensor([width, height, width, height])
    corners = torch.minimum((boxes - 0.5).ceil().clamp(min=0), limits)
    return [
        (slice(y0, max(y0, y1)), slice(x0, max(x0, x1)))
        for x0, y0, x1, y1 in corners.int().tolist()
    ]


def paste(mask: Float[Tensor, "m m"], box: list[float], window: Window) -> Float[Tensor, "h w"]:
    """Read a mask at the pixels of a window, bilinearly.

    Args:
        mask: Grid that spans the box; each value stands at the centre of its cell, and the cells
            beyond the border are 0.
        box: Corners in pixels of the canvas that the window belongs to.
        window: Pixels inside the box.

    Reference:
        He et al., "Mask R-CNN", section 3.1, with pixel centres as in torchvision and detectron2.
    """
    rows, columns = window
    x0, y0, x1, y1 = box
    return _hats(mask, rows, y0, y1) @ mask @ _hats(mask, columns, x0, x1).T


def _hats(mask: Float[Tensor, "m m"], pixels: slice, low: float, high: float) -> Tensor:
    """Give each pixel's bilinear weights of the cells along one axis."""
    side = mask.shape[0]
    centres = torch.arange(pixels.start, pixels.stop, device=mask.device) + (0.5 - low)
    cells = centres * (side / max(high - low, torch.finfo(mask.dtype).tiny)) - 0.5
    distances = (cells[:, None] - torch.arange(side, device=mask.device)).abs_()
    return distances.neg_().add_(1).clamp_(min=0)


NO_CHANNEL = -1
"""Value of the pixels that got no channel."""

_BLOCK_PIXELS = 1 << 16
"""Pixels that are interpolated together, which bounds the memory."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """For each pixel along one axis of the canvas, the two grid cells between which it lies."""

    low: Int64[Tensor, " pixels"]
    high: Int64[Tensor, " pixels"]
    weight: Float[Tensor, " pixels"]
    """Share of the upper cell."""

    @classmethod
    def between(cls, cells: int, pixels: int, device: torch.device) -> "_Axis":
        centres = torch.arange(pixels, device=device) + 0.5
        position = (centres * (cells / pixels) - 0.5).clamp(0, cells - 1)
        low = position.long()
        return cls(low, (low + 1).clamp(max=cells - 1), position - low)


@dataclass(frozen=True, slots=True, eq=False)
class Upsampled:
    """Logits on a coarse grid as if resized bilinearly to a canvas, pixel centres aligned."""

    logits: Float[Tensor, "cells c"]
    """One row per grid cell, so that a pixel reads four short pieces of memory."""

    grid: tuple[int, int]
    rows: _Axis
    columns: _Axis

    @classmethod
    def to(cls, canvas: tuple[int, int], logits: Float[Tensor, "c h w"]) -> "Upsampled":
        """Prepare logits for a canvas of the given height and width."""
        _, height, width = logits.shape
        return cls(
            logits.float().flatten(1).T.contiguous(),
            (height, width),
            _Axis.between(height, canvas[0], logits.device),
            _Axis.between(width, canvas[1], logits.device),
        )

    def channels(self, channels: list[int]) -> "Upsampled":
        """Keep some channels only."""
        logits = self.logits[:, channels].contiguous()
        return Upsampled(logits, self.grid, self.rows, self.columns)

    def at(self, rows: Int64[Tensor, " p"], columns: Int64[Tensor, " p"]) -> Float[Tensor, "p c"]:
        """Interpolate the logits at some pixels."""
        width = self.grid[1]
        upper, lower = self.rows.low[rows] * width, self.rows.high[rows] * width
        left, right = self.columns.low[columns], self.columns.high[columns]
        down, across = self.rows.weight[rows], self.columns.weight[columns]
        up, back = 1 - down, 1 - across
        corners = torch.stack([upper + left, upper + right, lower + left, lower + right], dim=1)
        shares = torch.stack([up * back, up * across, down * back, down * across], dim=1)
        return F.embedding_bag(corners, self.logits, per_sample_weights=shares, mode="sum")

    def best(self, wanted: Bool[Tensor, "h w"]) -> Int32[Tensor, "h w"]:
        """Find the channel with the highest logit at each wanted pixel; the lowest wins a tie.

        Interpolation between four cells with the same best channel can't change it, so that only
        the pixels between cells that differ are interpolated.
        """
        best = self.logits.max(dim=1).indices.int().view(self.grid)
        below = torch.cat([best[1:], best[-1:]])
        mixed = (best != below) | _differs_from_right(best) | _differs_from_right(below)
        result = torch.empty_like(wanted, dtype=torch.int32)
        for block in self._blocks():
            cells = self.rows.low[block]
            nearby = best[cells][:, self.columns.low]
            rows, columns = (mixed[cells][:, self.columns.low] & wanted[block]).nonzero(
                as_tuple=True
            )
            values = self.at(rows + block.start, columns)
            nearby[rows, columns] = values.max(dim=1).indices.int()
            result[block] = torch.where(wanted[block], nearby, NO_CHANNEL)
        return result

    def exceeds(
        self, min_probability: float, channels: list[int], wanted: Bool[Tensor, "h w"]
    ) -> Bool[Tensor, "h w"]:
        """Find the wanted pixels where one of some channels is at least this probable."""
        result = wanted.clone()
        for block in self._blocks():
            rows, columns = wanted[block].nonzero(as_tuple=True)
            probabilities = self.at(rows + block.start, columns).softmax(dim=1)
            highest = probabilities[:, channels].max(dim=1).values
            result[block][rows, columns] = highest >= min_probability
        return result

    def _blocks(self) -> Iterator[slice]:
        height = len(self.rows.low)
        step = max(1, _BLOCK_PIXELS // max(1, len(self.columns.low)))
        return (slice(row, min(row + step, height)) for row in range(0, height, step))


def _differs_from_right(best: Int32[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    return best != torch.cat([best[:, 1:], best[:, -1:]], dim=1)
