"""Colours that are segment ids: R + 256 G + 65536 B."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64, UInt32
from PIL import Image

from jsisnet.formats.files import replacing
from jsisnet.panoptic import VOID

MAX_ID = 2**24 - 1
"""Highest id that a colour can code."""

_RUN_LENGTHS = 3


def write_ids(ids: UInt32[np.ndarray, "h w"], path: Path) -> None:
    """Write ids as a PNG, which appears complete or not at all."""
    with replacing(path) as temporary:
        # Maps are runs of equal pixels: coding only those is as fast as zlib's lowest level and
        # gives smaller files than its default.
        ids_to_rgb(ids).save(temporary, format="PNG", compress_type=_RUN_LENGTHS)


def renumber(
    ids: UInt32[np.ndarray, "h w"], listed: Sequence[int]
) -> tuple[Int32[np.ndarray, "h w"], Int64[np.ndarray, " n"]]:
    """Replace each panoptic id by one plus its position in `listed`, and count the pixels of each.

    Raises:
        ValueError: If an id other than `VOID` is not listed.
    """
    flat = ids.ravel()
    # Neighbours mostly share a segment, so runs of equal pixels are looked up, not pixels.
    starts = np.flatnonzero(np.append(True, flat[1:] != flat[:-1]))
    values = flat[starts]
    known = np.array([*listed, *([] if VOID in listed else [VOID])], np.uint32)
    order = np.argsort(known)
    place = np.searchsorted(known, values, sorter=order)
    found = order[np.minimum(place, len(order) - 1)]
    strange = values[known[found] != values]
    if len(strange):
        raise ValueError(f"segment {strange[0]}: is in the PNG, but not in the JSON file")
    numbers = np.append(np.arange(1, len(listed) + 1), VOID).astype(np.int32)[found]
    lengths = np.diff(starts, append=len(flat))
    areas = np.bincount(numbers, lengths, len(listed) + 1)[1:].astype(np.int64)
    return np.repeat(numbers, lengths).reshape(ids.shape), areas


def rgb_to_ids(image: Image.Image) -> UInt32[np.ndarray, "h w"]:
    """Give the id of each pixel of an RGB or RGBA picture; alpha is ignored."""
    layout = "RGBX" if image.mode == "RGB" else "RGBA"
    pixels = np.frombuffer(image.tobytes("raw", layout), "<u4")
    return (pixels & np.uint32(MAX_ID)).reshape(image.height, image.width)


def ids_to_rgb(ids: UInt32[np.ndarray, "h w"]) -> Image.Image:
    """Give the RGB picture that codes ids."""
    height, width = ids.shape
    return Image.frombytes("RGB", (width, height), ids.astype("<u4").tobytes(), "raw", "RGBX")
