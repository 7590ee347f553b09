"""Small pictures inside a page."""

import io
from base64 import b64encode
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

_QUALITY = 72


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture for a page."""

    uri: str
    """All of it, as JPEG."""

    size: tuple[int, int]
    """Height and width in pixels."""


def encoded(pixels: UInt8[np.ndarray, "h w 3"]) -> Picture:
    """Make the pixels a picture for a page."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=_QUALITY, optimize=True)
    height, width = pixels.shape[:2]
    code = b64encode(content.getvalue()).decode("ascii")
    return Picture(uri=f"data:image/jpeg;base64,{code}", size=(height, width))
