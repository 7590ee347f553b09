"""Coarse logits read at the pixels of a canvas, without resizing all of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

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
