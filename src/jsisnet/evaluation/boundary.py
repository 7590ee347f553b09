"""Boundaries of segments, for boundary IoU."""

import math

import numpy as np

from jsisnet.arrays import Bool, Int32, UInt32
from jsisnet.panoptic import VOID

WIDTH = 0.02
"""Width of a boundary as a fraction of the image's diagonal."""

INTERIOR = np.uint32(2**32 - 1)
"""Value of pixels that belong to no boundary; higher than any id."""


def boundaries(ids: UInt32[np.ndarray, "h w"], width: float = WIDTH) -> UInt32[np.ndarray, "h w"]:
    """Keep the ids of the pixels near another segment or the edge of the image.

    A pixel is near if the square around it, which reaches one boundary width in each direction,
    holds another id or leaves the image.

    Args:
        ids: A map.
        width: Boundary width as a fraction of the image's diagonal; at least one pixel is used.

    Returns:
        The map with `INTERIOR` elsewhere; void stays void.

    Reference:
        Cheng et al., "Boundary IoU", CVPR 2021, section 4.
    """
    reach = max(1, round(width * math.hypot(*ids.shape)))
    kept = ids.copy()
    kept[_uniform(ids, reach) & (ids != VOID)] = INTERIOR
    return kept


def _uniform(ids: UInt32[np.ndarray, "h w"], reach: int) -> Bool[np.ndarray, "h w"]:
    """Return where the square around a pixel lies inside the image and holds a single id."""
    height, width = ids.shape
    result = np.zeros((height, width), bool)
    side = 2 * reach + 1
    if height >= side and width >= side:
        across = _window_sums(ids[:, 1:] != ids[:, :-1], side, side - 1)
        down = _window_sums(ids[1:] != ids[:-1], side - 1, side)
        result[reach : height - reach, reach : width - reach] = (across == 0) & (down == 0)
    return result


def _window_sums(
    changes: Bool[np.ndarray, "h w"], rows: int, columns: int
) -> Int32[np.ndarray, "a b"]:
    """Count the changes in each window of `rows` by `columns`, by a summed-area table."""
    total = np.zeros((changes.shape[0] + 1, changes.shape[1] + 1), np.int32)
    np.cumsum(changes, axis=0, out=total[1:, 1:])
    np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
    return (
        total[rows:, columns:]
        - total[:-rows, columns:]
        - total[rows:, :-columns]
        + total[:-rows, :-columns]
    )
