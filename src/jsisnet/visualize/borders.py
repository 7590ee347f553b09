"""Borders between segments as antialiased lines, without those of tiny fragments."""

import numpy as np
from PIL import Image, ImageFilter

from jsisnet.arrays import Int32, Int64, Shaped, UInt8

_NEIGHBOURS = {(0, 1): 2, (1, 0): 2, (1, 1): 1, (1, -1): 1}
"""Steps to half of a pixel's neighbours, in rows and columns, with their weights."""

_BESIDE = 4
"""Sum of the weights of the neighbours across a straight border."""

_SMOOTH = 2
"""Width in pixels up to which a line covers only the pixels beside the border."""


def lines(ids: Int32[np.ndarray, "h w"], width: float, min_area: int) -> UInt8[np.ndarray, "h w"]:
    """Draw the borders between segments.

    Args:
        ids: Segments' numbers.
        width: Width of the lines in pixels, 1 or more; half of it lies on either side.
        min_area: Connected parts of segments with fewer pixels have no line.

    Returns:
        How much of each pixel the lines cover, 0 to 255.
    """
    ids = without_fragments(ids, min_area)
    few = ids.astype(np.min_scalar_type(int(ids.max(initial=0))))
    beyond = _weight_beyond(few)
    cover = np.minimum(np.arange(13) * 255 / _BESIDE, 255)
    if width <= _SMOOTH:
        return (cover * width / _SMOOTH).astype(np.uint8).take(beyond)
    thin = Image.fromarray(cover.astype(np.uint8).take(beyond))
    blurred = thin.filter(ImageFilter.BoxBlur((width - _SMOOTH) / 2))
    # A line of two pixels that a box of k pixels has blurred is k + 1 pixels wide and flat.
    return np.asarray(blurred.point([min(255, round(value * (width - 1))) for value in range(256)]))


def without_fragments(ids: Int32[np.ndarray, "h w"], min_area: int) -> Int32[np.ndarray, "h w"]:
    """Fill connected parts of segments that have fewer pixels with the segment beside them."""
    height, width = ids.shape
    if ids.size == 0:
        return ids
    starts = np.ones((height, width), bool)
    np.not_equal(ids[:, 1:], ids[:, :-1], out=starts[:, 1:])
    begins = np.flatnonzero(starts)
    lengths = np.diff(begins, append=ids.size)
    values = ids.ravel()[begins]
    parts = _connected(begins, values, width, height)
    large = np.bincount(parts, lengths, len(parts))[parts] >= min_area
    if large.all() or not large.any():
        return ids
    run, row = np.arange(len(begins)), begins // width
    before = np.maximum.accumulate(np.where(large, run, 0))
    after = np.minimum.accumulate(np.where(large, run, len(run) - 1)[::-1])[::-1]
    source = np.where(large[before] & (row[before] == row), before, after)
    return np.repeat(values[source], lengths).reshape(height, width)


def _connected(
    begins: Int64[np.ndarray, " runs"],
    values: Int32[np.ndarray, " runs"],
    width: int,
    height: int,
) -> Int64[np.ndarray, " runs"]:
    """Return a number for each run of pixels in a row; connected ones of a segment share it."""
    inner = begins[begins >= width] - width, begins[begins < width * (height - 1)] + width
    above = np.searchsorted(begins, inner[0], side="right") - 1
    below = np.searchsorted(begins, inner[1], side="right") - 1
    one = np.concatenate([above, np.arange(len(below))])
    other = np.concatenate([np.arange(len(begins) - len(above), len(begins)), below])
    touching = values[one] == values[other]
    one, other = one[touching], other[touching]
    parts = np.arange(len(begins))
    while True:
        first, second = parts[one], parts[other]
        apart = first != second
        if not apart.any():
            return parts
        # Each part joins the lowest of those that it touches; then chains of parts are shortened.
        low, high = np.minimum(first, second)[apart], np.maximum(first, second)[apart]
        np.minimum.at(parts, high, low)
        while not np.array_equal(shorter := parts[parts], parts):
            parts = shorter


def _weight_beyond(ids: Shaped[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Sum the weights of the neighbours of each pixel that belong to other segments."""
    height, width = ids.shape
    total = np.zeros(ids.shape, np.uint8)
    for (down, right), weight in _NEIGHBOURS.items():
        rightwards, leftwards = max(0, right), max(0, -right)
        here = slice(0, height - down), slice(leftwards, width - rightwards)
        there = slice(down, height), slice(rightwards, width - leftwards)
        added = (ids[here] != ids[there]).view(np.uint8) * np.uint8(weight)
        total[here] += added
        total[there] += added
    return total
