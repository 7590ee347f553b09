"""Loops over the pixels of id maps: compiled (`_pixels.c`), or in NumPy without a C compiler."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Int32, Int64, Integer, UInt8, UInt32

try:
    from jsisnet.files import _pixels
except ImportError:
    _pixels = None  # type: ignore[assignment]  # installed without a C compiler


@dataclass(frozen=True, slots=True)
class FilteredRows:
    """Rows of an 8-bit RGB or RGBA PNG, inflated but still filtered."""

    raw: bytes
    """The rows, each preceded by its filter byte."""

    channels: int
    """Bytes per pixel, 3 or 4."""


UP = 2
"""Filter type of PNG rows that are stored as differences from the row above."""


def compiled() -> bool:
    """Whether the compiled loops are installed."""
    return _pixels is not None


def filter_up(pixels: UInt32[np.ndarray, "rows w"]) -> UInt8[np.ndarray, "r n"]:
    """Return the rows of an RGB PNG, filtered: each byte less the one above it.

    Args:
        pixels: Ids, at most 24 bits each; contiguous. The first row is the one above those to be
            filtered.
    """
    rows, width = pixels.shape[0] - 1, pixels.shape[1]
    raw = np.empty((rows, 1 + 3 * width), np.uint8)
    if _pixels is not None:
        _pixels.filter(pixels, raw, width)
        return raw
    colors = pixels.astype("<u4", copy=False).view(np.uint8).reshape(rows + 1, width, 4)
    raw[:, 0] = UP
    raw[:, 1:] = (colors[1:] - colors[:-1])[..., :3].reshape(rows, 3 * width)
    return raw


def unfilter(raw: bytes, pixels: UInt32[np.ndarray, "rows w"], channels: int) -> None:
    """Reverse the filters of PNG rows; requires the compiled loops.

    Args:
        raw: Filtered rows of 8-bit RGB or RGBA, each preceded by its filter byte.
        pixels: Output; ids are written from the second row on. The first row holds the row above
            `raw`, which the filters refer to.
        channels: Bytes per pixel, 3 or 4; alpha is dropped.

    Raises:
        ValueError: If a row has an unknown filter.
    """
    _pixels.unfilter(raw, pixels, pixels.shape[1], channels)


def count_pairs(
    first: UInt32[np.ndarray, "h w"],
    second: UInt32[np.ndarray, "h w"],
    firsts: UInt32[np.ndarray, " a"],
    seconds: UInt32[np.ndarray, " b"],
    counts: Int64[np.ndarray, "rows columns"],
) -> None:
    """Add the joint histogram of two id maps to `counts`.

    Args:
        first: Ids that index the rows of `counts`; contiguous.
        second: Ids that index its columns; contiguous.
        firsts: Known ids of `first`, ascending; all other ids share the row after them.
        seconds: Known ids of `second`, ascending; all other ids share the column after them.
        counts: Output; at least one row and one column more than there are known ids.
    """
    if _pixels is not None:
        _pixels.count_pairs(first, second, firsts, seconds, counts)
        return
    a, b = first.ravel(), second.ravel()
    # Neighbours mostly share both ids, so runs of equal pairs are looked up instead of pixels.
    changes = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    starts = np.flatnonzero(np.append(True, changes)) if len(a) else np.zeros(0, np.int64)
    rows, columns = _positions(a[starts], firsts), _positions(b[starts], seconds)
    pairs = rows * counts.shape[1] + columns
    lengths = np.diff(starts, append=len(a))
    counts += np.bincount(pairs, lengths, counts.size).astype(np.int64).reshape(counts.shape)


def count_png_pairs(
    strips: Iterable[tuple[FilteredRows, FilteredRows]],
    width: int,
    firsts: UInt32[np.ndarray, " a"],
    seconds: UInt32[np.ndarray, " b"],
    counts: Int64[np.ndarray, "rows columns"],
) -> None:
    """Add the joint histogram of two PNGs of one size to `counts`; requires the compiled loops.

    A row of each is unfiltered and counted before the next, so the ids stay in a core's cache.

    Args:
        strips: The same rows of both PNGs, from top to bottom.
        width: Pixels of a row.
        firsts: See `count_pairs`.
        seconds: See `count_pairs`.
        counts: See `count_pairs`. Incomplete after an error.

    Raises:
        ValueError: If a row has an unknown filter.
    """
    last = np.zeros((2, width), np.uint32)
    for first, second in strips:
        _pixels.count_png_pairs(
            first.raw, first.channels, second.raw, second.channels, last, firsts, seconds, counts
        )


def renumber(
    ids: UInt32[np.ndarray, " n"],
    known: UInt32[np.ndarray, " k"],
    numbers: Int32[np.ndarray, " k"],
    renumbered: Int32[np.ndarray, " n"],
    areas: Int64[np.ndarray, " k"],
) -> int:
    """Replace ids by numbers and count the pixels of each.

    Args:
        ids: Pixels.
        known: All valid ids, ascending.
        numbers: Replacement of each known id.
        renumbered: Output for the numbers.
        areas: Output for the pixel count of each known id.

    Returns:
        Number of pixels before the first unknown id, or `len(ids)` if all are known. The outputs
        are complete only in that case.
    """
    if _pixels is not None:
        return _pixels.renumber(ids, known, numbers, renumbered, areas)
    # Neighbours mostly share a segment, so runs are looked up instead of pixels.
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))[: len(ids)]
    positions = np.searchsorted(known, ids[starts]).clip(max=len(known) - 1)
    unknown = starts[known[positions] != ids[starts]]
    if len(unknown):
        return int(unknown[0])
    lengths = np.diff(starts, append=len(ids))
    renumbered[:] = np.repeat(numbers[positions], lengths)
    areas[:] = np.bincount(positions, lengths, len(known))
    return len(ids)


def blend(
    image: UInt8[np.ndarray, "h w 3"],
    ids: Int32[np.ndarray, "h w"],
    level: UInt8[np.ndarray, "h w"],
    factors: Integer[np.ndarray, "segments levels 3"],
    summands: Integer[np.ndarray, "segments levels 3"],
    picture: UInt8[np.ndarray, "h w 3"],
) -> None:
    """Mix a photo with colours: (factor * photo + summand) / 256, rounded down.

    Args:
        image: The photo.
        ids: Segment of each pixel.
        level: Level of each pixel.
        factors: Factors of each segment, level and channel.
        summands: Summands likewise; no result may exceed 16 bits.
        picture: Output; contiguous.
    """
    if hasattr(_pixels, "blend"):  # which builds of older sources lack
        image, ids, level = map(np.ascontiguousarray, (image, ids, level))
        _pixels.blend(image, ids, level, factors, summands, factors.shape[1], picture)
        return
    rows = ids.astype(np.intp) * factors.shape[1]
    rows += level
    mixed = factors.reshape(-1, 3).take(rows, axis=0)
    mixed *= image
    mixed += summands.reshape(-1, 3).take(rows, axis=0)
    mixed >>= 8
    picture[:] = mixed


def _positions(
    ids: UInt32[np.ndarray, " n"], known: UInt32[np.ndarray, " k"]
) -> Int64[np.ndarray, " n"]:
    """Return the positions of ids among the known ones; `len(known)` for unknown ids."""
    positions = np.searchsorted(known, ids).clip(max=len(known) - 1)
    return np.where(known[positions] == ids, positions, len(known))
