"""Pictures as files."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jsisnet.files.atomic import replacing

_QUALITY = 90
"""Of JPEG files; other formats ignore it."""

_LONGEST = 65_500
"""Pixels along a side of a JPEG file."""


def format_of(path: Path) -> str:
    """Give the format that a name stands for.

    Raises:
        ValueError: If it ends in none that can be written.
    """
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise ValueError(f"{path}: expected a name that ends in .jpg or .png")
    return kind


def write_picture(picture: UInt8[np.ndarray, "h w 3"], path: Path) -> None:
    """Write an RGB picture in the format of its name; it appears complete or not at all.

    Raises:
        ValueError: If the name ends in no format that can hold the picture.
    """
    kind = format_of(path)
    if kind == "JPEG" and max(picture.shape) > _LONGEST:
        raise ValueError(f"{path}: a JPEG has at most {_LONGEST} pixels along a side")
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format=kind, quality=_QUALITY)
