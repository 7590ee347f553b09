"""Loops over the pixels of id maps: compiled (`_pixels.c`), or in NumPy if there is no compiler."""

import numpy as np

from jsisnet.arrays import Int32, Int64, UInt32

try:
    from jsisnet.files import _pixels
except ImportError:
    _pixels = None  # type: ignore[assignment]  # installed without a C compiler


def compiled() -> bool:
    """Whether the compiled loops are installed."""
    return _pixels is not None


def unfilter(raw: bytes, pixels: UInt32[np.ndarray, "rows w"], channels: int) -> None:
    """Undo the filters of PNG rows. Needs the compiled loops.

    Args:
        raw: Filtered rows of 8-bit RGB or RGBA, each behind its filter byte.
        pixels: Receives the ids from its second row on. Its first row is the row above `raw`, which
            the filters refer to.
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
        first: Ids of the rows, contiguous.
        second: Ids of the columns, contiguous.
        firsts: Known ids of `first`, ascending; all others share the row behind them.
        seconds: Known ids of `second`, ascending; all others share the column behind them.
        counts: Pixels by both ids; at least one row and one column more than there are known ids.
    """
    if _pixels is not None:
        _pixels.count_pairs(first, second, firsts, seconds, counts)
        return
    a, b = first.ravel(), second.ravel()
    # Neighbours mostly share both ids, so runs of equal pairs are looked up, not pixels.
    changes = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    starts = np.flatnonzero(np.append(True, changes)) if len(a) else np.zeros(0, np.int64)
    rows, columns = _positions(a[starts], firsts), _positions(b[starts], seconds)
    pairs = rows * counts.shape[1] + columns
    lengths = np.diff(starts, append=len(a))
    counts += np.bincount(pairs, lengths, counts.size).astype(np.int64).reshape(counts.shape)


def renumber(
    ids: UInt32[np.ndarray, " n"],
    known: UInt32[np.ndarray, " k"],
    numbers: Int32[np.ndarray, " k"],
    renumbered: Int32[np.ndarray, " n"],
    areas: Int64[np.ndarray, " k"],
) -> int:
    """Replace ids by numbers and count the pixels of each.

    Args:
        ids: What to replace.
        known: All ids that may occur, ascending.
        numbers: Their replacements.
        renumbered: Receives the numbers.
        areas: Receives the pixel counts.

    Returns:
        Number of pixels before the first unknown id: `len(ids)` if all are known. The outputs are
        complete only then.
    """
    if _pixels is not None:
        return _pixels.renumber(ids, known, numbers, renumbered, areas)
    # Neighbours mostly share a segment, so runs of equal pixels are looked up, not pixels.
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))[: len(ids)]
    positions = np.searchsorted(known, ids[starts]).clip(max=len(known) - 1)
    unknown = starts[known[positions] != ids[starts]]
    if len(unknown):
        return int(unknown[0])
    lengths = np.diff(starts, append=len(ids))
    renumbered[:] = np.repeat(numbers[positions], lengths)
    areas[:] = np.bincount(positions, lengths, len(known))
    return len(ids)


def _positions(
    ids: UInt32[np.ndarray, " n"], known: UInt32[np.ndarray, " k"]
) -> Int64[np.ndarray, " n"]:
    """Positions of ids among the known ones; `len(known)` for all others."""
    positions = np.searchsorted(known, ids).clip(max=len(known) - 1)
    return np.where(known[positions] == ids, positions, len(known))
