"""Bilinear resizing of masks and logits, only at the pixels that need it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool, Float, Float32, Int, Int32, Int64
from jsisnet.panoptic import row_strips

Window = tuple[slice, slice]
"""Rows and columns of a canvas."""

NO_CHANNEL = -1
"""Value of pixels without a channel."""

_STRIP = 1 << 16
"""Pixels of a map that are handled at a time."""

_MAX_16 = 2**15
"""Number of channels from which 16 bits do not suffice."""

_BLOCK = 1 << 18
"""Logits that are interpolated at a time."""

_SERIAL, _BLOCK_COLUMNS = 1 << 18, 256
"""Product of three sides up to which OpenBLAS multiplies matrices in one thread, and the columns
of such a block."""

_SURELY = 1e-5
"""Probability above a minimum from which on rounding does not matter."""

_STRIP_PASTED = 1 << 20
"""Pixels of a mask that are pasted at a time."""

_MIN_EXTENT = 1e-30
"""Lower limit of a box's side, which keeps the divisions finite."""


def cell_positions(
    pixels: slice, cells: int, low: float, high: float
) -> Float32[np.ndarray, " pixels"]:
    """Return where pixel centres lie on a grid, in cells: 0 is the centre of the first cell.

    Args:
        pixels: Range of pixels along one axis.
        cells: Number of cells of the grid along that axis.
        low: Where the grid begins, in pixels.
        high: Where it ends.
    """
    centres = np.arange(pixels.start, pixels.stop, dtype=np.float32) + np.float32(0.5 - low)
    scale = np.float32(cells / max(high - low, _MIN_EXTENT))
    return centres * scale - np.float32(0.5)


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Bilinear interpolation along one axis: the two cells around each pixel, and their shares.

    Pixels beyond the first and last cell centres take the value of that cell.
    """

    low: Int64[np.ndarray, " pixels"]
    """Cell before the pixel's centre."""

    high: Int64[np.ndarray, " pixels"]
    """Cell after it; the last cell has no neighbour and stands twice."""

    weight: Float32[np.ndarray, " pixels"]
    """Share of `high`; that of `low` is the rest."""

    @classmethod
    def between(cls, cells: int, pixels: int) -> "Axis":
        """Resize a number of cells to a number of pixels, with aligned borders."""
        positions = cell_positions(slice(0, pixels), cells, 0.0, float(pixels))
        positions = positions.clip(0, cells - 1)
        low = positions.astype(np.int64)
        weight = positions - low.astype(np.float32)
        return cls(low, np.minimum(low + 1, cells - 1), weight)


def windows(boxes: Float[np.ndarray, "n 4"], canvas: tuple[int, int]) -> list[Window]:
    """Find the pixels whose centres lie inside each box; an empty box has none.

    Args:
        boxes: Corners in pixels of the canvas; may lie outside it.
        canvas: Height and width.
    """
    height, width = canvas
    limits = np.array([width, height, width, height], boxes.dtype)
    corners = np.minimum(np.ceil(boxes - boxes.dtype.type(0.5)).clip(0), limits)
    return [
        (slice(y0, max(y0, y1)), slice(x0, max(x0, x1)))
        for x0, y0, x1, y1 in corners.astype(np.int64).tolist()
    ]


def paste(
    mask: Float32[np.ndarray, "m m"], box: Sequence[float], window: Window
) -> Float32[np.ndarray, "h w"]:
    """Interpolate a mask at the pixels of a window.

    Args:
        mask: Grid that spans the box; values belong to cell centres, and are 0 outside the grid.
        box: Corners x0, y0, x1, y1 in pixels of the canvas.
        window: Pixels inside the box.

    Reference:
        He et al., "Mask R-CNN", section 3.1, with pixel centres as in torchvision and detectron2.
    """
    return _product(*_factors(mask, box, window))


def paste_in_strips(
    mask: Float32[np.ndarray, "m m"], box: Sequence[float], window: Window
) -> Iterator[tuple[Window, Float32[np.ndarray, "h w"]]]:
    """Interpolate a mask as `paste` does, bit for bit, in strips of rows.

    Args:
        mask: See `paste`.
        box: See `paste`.
        window: See `paste`.

    Yields:
        A strip of the window, and the values in it.
    """
    rows, columns = window
    first, second = _factors(mask, box, window)
    block = _block_rows(*second.shape)
    # The products of two blocks are those of the whole only where these are the same blocks.
    step = block * max(1, _STRIP_PASTED // (block * max(1, second.shape[1])))
    for top in range(0, len(first), step):
        part = first[top : top + step]
        start = rows.start + top
        yield (slice(start, start + len(part)), columns), _product(part, second)


def _factors(
    mask: Float32[np.ndarray, "m m"], box: Sequence[float], window: Window
) -> tuple[Float32[np.ndarray, "h m"], Float32[np.ndarray, "m w"]]:
    """Return the matrices whose product is the mask in a window."""
    rows, columns = window
    x0, y0, x1, y1 = box
    side = len(mask)
    vertical = _weights(cell_positions(rows, side, y0, y1), side)
    horizontal = _weights(cell_positions(columns, side, x0, x1), side)
    return _product(vertical, mask), horizontal.T


def _block_rows(depth: int, width: int) -> int:
    """Return the rows of the blocks in which matrices with these sides are multiplied."""
    return max(1, _SERIAL // (depth * max(1, min(width, _BLOCK_COLUMNS))))


def _product(
    first: Float32[np.ndarray, "h m"], second: Float32[np.ndarray, "m w"]
) -> Float32[np.ndarray, "h w"]:
    """Multiply matrices in blocks that NumPy's BLAS computes in one thread.

    It starts threads for larger ones, whatever the user has chosen; on a busy machine they spin for
    16 ms, while a mask takes half a millisecond.
    """
    depth, width = second.shape
    product = np.empty((len(first), width), np.float32)
    for left in range(0, width, _BLOCK_COLUMNS):
        columns = slice(left, left + _BLOCK_COLUMNS)
        step = _block_rows(depth, width)
        for top in range(0, len(first), step):
            rows = slice(top, top + step)
            # OpenBLAS may compute with what lies beside the matrices, and drop the result.
            with np.errstate(invalid="ignore"):
                np.matmul(first[rows], second[:, columns], out=product[rows, columns])
    return product


def _weights(
    positions: Float32[np.ndarray, " pixels"], cells: int
) -> Float32[np.ndarray, "pixels cells"]:
    """Return the bilinear weight of each cell; cells outside the grid take their share along."""
    distances = positions[:, None] - np.arange(cells, dtype=np.float32)
    np.abs(distances, out=distances)
    np.subtract(1, distances, out=distances)
    return np.maximum(distances, 0, out=distances)


@dataclass(frozen=True, slots=True, eq=False)
class Upsampled:
    """Logits on a coarse grid, read as if resized bilinearly to a canvas."""

    logits: Float32[np.ndarray, "cells c"]
    """One row per grid cell, so that a pixel reads four contiguous pieces of memory."""

    grid: tuple[int, int]
    """Height and width of the grid."""

    rows: Axis
    """Interpolation along the height."""

    columns: Axis
    """Interpolation along the width."""

    @classmethod
    def to(cls, canvas: tuple[int, int], logits: Float[np.ndarray, "c h w"]) -> "Upsampled":
        """Prepare logits for a canvas of the given height and width."""
        channels, height, width = logits.shape
        flat = logits.reshape(channels, height * width).T
        return cls(
            np.ascontiguousarray(flat, np.float32),
            (height, width),
            Axis.between(height, canvas[0]),
            Axis.between(width, canvas[1]),
        )

    def channels(self, channels: Sequence[int]) -> "Upsampled":
        """Select channels, which are renumbered in the given order."""
        selected = self.logits.take(list(channels), axis=1)
        return Upsampled(selected, self.grid, self.rows, self.columns)

    def at(
        self, rows: Int64[np.ndarray, " p"], columns: Int64[np.ndarray, " p"]
    ) -> Float32[np.ndarray, "p c"]:
        """Interpolate the logits at some pixels."""
        upper, lower = (cells[rows] * self.grid[1] for cells in (self.rows.low, self.rows.high))
        left, right = self.columns.low[columns], self.columns.high[columns]
        down, across = self.rows.weight[rows], self.columns.weight[columns]
        up, back = 1 - down, 1 - across
        values = self.logits.take(upper + left, axis=0)
        values *= (up * back)[:, None]
        corners = (
            (upper + right, up * across),
            (lower + left, down * back),
            (lower + right, down * across),
        )
        for cells, share in corners:
            corner = self.logits.take(cells, axis=0)
            corner *= share[:, None]
            values += corner
        return values

    def best(self, wanted: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
        """Return the channel with the highest logit at each wanted pixel; the lowest wins a tie."""
        result = np.empty(wanted.shape, np.int16 if self.logits.shape[1] < _MAX_16 else np.int32)
        for strip, chosen in self.best_in_strips(wanted):
            result[strip] = chosen
        return result

    def best_in_strips(
        self, wanted: Bool[np.ndarray, "h w"]
    ) -> Iterator[tuple[slice, Int32[np.ndarray, "rows w"]]]:
        """Yield what `best` returns in strips, each with its rows.

        Between four cells with the same best channel, interpolation cannot change it. So only the
        pixels between cells that differ are interpolated.
        """
        best = self.logits.argmax(axis=1).astype(np.int32).reshape(self.grid)
        below = np.concatenate([best[1:], best[-1:]])
        mixed = (best != below) | _differs_from_right(best) | _differs_from_right(below)
        for strip in self._strips():
            cells = self.rows.low[strip]
            chosen = best[cells].take(self.columns.low, axis=1)
            rows, columns = np.nonzero(mixed[cells].take(self.columns.low, axis=1) & wanted[strip])
            for block in self._blocks(len(rows)):
                values = self.at(rows[block] + strip.start, columns[block])
                chosen[rows[block], columns[block]] = values.argmax(axis=1)
            yield strip, np.where(wanted[strip], chosen, np.int32(NO_CHANNEL))

    def exceeds(
        self, min_probability: float, channels: Sequence[int], wanted: Bool[np.ndarray, "h w"]
    ) -> Bool[np.ndarray, "h w"]:
        """Find the wanted pixels where one of `channels` is at least this probable.

        Probabilities are the softmax over all channels. The logarithm of a softmax is concave: if a
        channel is probable enough in four cells, it is so between them, too. So only the other
        pixels are interpolated.
        """
        probabilities = softmax(self.logits, axis=1)[:, list(channels)].reshape(*self.grid, -1)
        probable = np.greater_equal(probabilities, min_probability + _SURELY)
        sure = np.any(_in_four_cells(probable), axis=2)
        result = wanted.copy()
        for strip in self._strips():
            known = sure[self.rows.low[strip]].take(self.columns.low, axis=1)
            rows, columns = np.nonzero(wanted[strip] & ~known)
            for block in self._blocks(len(rows)):
                values = self.at(rows[block] + strip.start, columns[block])
                highest = softmax(values, axis=1)[:, list(channels)].max(axis=1)
                result[strip][rows[block], columns[block]] = highest >= min_probability
        return result

    def _strips(self) -> Iterator[slice]:
        return row_strips((len(self.rows.low), len(self.columns.low)), _STRIP)

    def _blocks(self, pixels: int) -> Iterator[slice]:
        step = max(1, _BLOCK // max(1, self.logits.shape[1]))
        return (slice(first, first + step) for first in range(0, pixels, step))


def _differs_from_right(best: Int32[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    return best != np.concatenate([best[:, 1:], best[:, -1:]], axis=1)


def _in_four_cells(holds: Bool[np.ndarray, "h w c"]) -> Bool[np.ndarray, "h w c"]:
    """Tell where something holds in a cell, the ones below and right of it, and the one between."""
    both = holds & np.concatenate([holds[1:], holds[-1:]])
    return both & np.concatenate([both[:, 1:], both[:, -1:]], axis=1)


def softmax(logits: Float[np.ndarray, "*shape"], axis: int) -> Float32[np.ndarray, "*shape"]:
    """Return the probabilities of channels.

    Args:
        logits: Logits of any precision.
        axis: Axis of the channels.
    """
    exponentials = np.exp(logits.astype(np.float32) - logits.max(axis=axis, keepdims=True))
    probabilities: Float32[np.ndarray, "*shape"] = exponentials / exponentials.sum(
        axis=axis, keepdims=True
    )
    return probabilities
