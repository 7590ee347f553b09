"""Colours that are segment ids: R + 256 G + 65536 B."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt32
from PIL import Image

from jsisnet.files.atomic import replacing
from jsisnet.files.png import MAX_ID

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
