"""The boundaries of segments, for a panoptic quality that looks at outlines."""

import math

import numpy as np
from jaxtyping import Bool, Int32, UInt32

WIDTH = 0.02
"""Width of a boundary as a part of the image's diagonal."""

INTERIOR = np.uint32(2**32 - 1)
"""Value of the pixels that are no boundary; no colour codes it."""


def boundaries(ids: UInt32[np.ndarray, "h w"], width: float = WIDTH) -> UInt32[np.ndarray, "h w"]:
    """Keep the ids of the pixels near another segment or the edge of the image.

    Near is a square around the pixel that reaches as far in each direction as the boundary is
    wide, which is at least one pixel.

    Args:
        ids: A map.
        width: Part of the image's diagonal.

    Returns:
        The map with `INTERIOR` elsewhere; void stays void.

    Reference:
        Cheng et al., "Boundary IoU", CVPR 2021, section 4.
    """
    reach = max(1, round(width * math.hypot(*ids.shape)))
    kept = ids.copy()
    kept[_uniform(ids, reach) & (ids != 0)] = INTERIOR
    return kept


def _uniform(ids: UInt32[np.ndarray, "h w"], reach: int) -> Bool[np.ndarray, "h w"]:
    """Tell whether the square around each pixel lies in the image and has one id."""
    height, width = ids.shape
    result = np.zeros((height, width), bool)
    side = 2 * reach + 1
    if height >= side and width >= side:
        across = _sums(ids[:, 1:] != ids[:, :-1], side, side - 1)
        down = _sums(ids[1:] != ids[:-1], side - 1, side)
        result[reach : height - reach, reach : width - reach] = (across == 0) & (down == 0)
    return result


def _sums(changes: Bool[np.ndarray, "h w"], rows: int, columns: int) -> Int32[np.ndarray, "a b"]:
    """Count the changes in each window of so many rows and columns."""
    total = np.zeros((changes.shape[0] + 1, changes.shape[1] + 1), np.int32)
    np.cumsum(changes, axis=0, out=total[1:, 1:])
    np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
    return (
        total[rows:, columns:]
        - total[:-rows, columns:]
        - total[rows:, :-columns]
        + total[:-rows, :-columns]
    )
