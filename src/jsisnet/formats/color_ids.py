"""Colours that are segment ids: R + 256 G + 65536 B."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64, UInt32
from PIL import Image

from jsisnet.files.atomic import replacing
from jsisnet.formats.coco_index import MAX_ID
from jsisnet.panoptic import VOID

try:
    from jsisnet import _pixels
except ImportError:
    _pixels = None  # type: ignore[assignment]  # installed without a C compiler

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
    known = np.array([*listed, *([] if VOID in listed else [VOID])], np.uint32)
    numbers = np.append(np.arange(1, len(listed) + 1), VOID).astype(np.int32)[: len(known)]
    order = np.argsort(known)
    dense = np.empty(ids.shape, np.int32)
    areas = np.zeros(len(known), np.int64)
    ascending = known[order], numbers[order]
    flat = np.ascontiguousarray(ids).ravel()
    renumbered = (_renumber if _pixels is None else _pixels.renumber)(
        flat, *ascending, dense.ravel(), areas
    )
    if renumbered < len(flat):
        raise ValueError(f"segment {flat[renumbered]}: is in the PNG, but not in the JSON file")
    counted = np.empty_like(areas)
    counted[order] = areas
    return dense, counted[: len(listed)]


def _renumber(
    ids: UInt32[np.ndarray, " n"],
    known: UInt32[np.ndarray, " k"],
    numbers: Int32[np.ndarray, " k"],
    renumbered: Int32[np.ndarray, " n"],
    areas: Int64[np.ndarray, " k"],
) -> int:
    """Do what the compiled loop does: give the pixels up to the first unknown id."""
    # Neighbours mostly share a segment, so runs of equal pixels are looked up, not pixels.
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))[: len(ids)]
    places = np.searchsorted(known, ids[starts]).clip(max=len(known) - 1)
    strange = starts[known[places] != ids[starts]]
    if len(strange):
        return int(strange[0])
    lengths = np.diff(starts, append=len(ids))
    renumbered[:] = np.repeat(numbers[places], lengths)
    areas[:] = np.bincount(places, lengths, len(known))
    return len(ids)


def rgb_to_ids(image: Image.Image) -> UInt32[np.ndarray, "h w"]:
    """Give the id of each pixel of an RGB or RGBA picture; alpha is ignored."""
    layout = "RGBX" if image.mode == "RGB" else "RGBA"
    pixels = np.frombuffer(image.tobytes("raw", layout), "<u4")
    return (pixels & np.uint32(MAX_ID)).reshape(image.height, image.width)


def ids_to_rgb(ids: UInt32[np.ndarray, "h w"]) -> Image.Image:
    """Give the RGB picture that codes ids."""
    height, width = ids.shape
    pixels = np.ascontiguousarray(ids, "<u4")
    return Image.frombytes("RGB", (width, height), pixels, "raw", "RGBX")
