"""Reading photos, whatever their kind, as RGB."""

import threading
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jsisnet.arrays import UInt8
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


MAX_PIXELS = 200_000_000
"""Photos with more pixels are refused: a file of a few bytes can claim any size, and decoding one
of this size takes 600 MB."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""Kinds of files that are read, whatever their name ends in; of several frames, the first."""

_HIGHEST_16_BIT = 65535
_pillow_limit = threading.Lock()


def read_image(path: Path | str, *, upright: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """Read a photo as RGB.

    Grey, palette and CMYK pictures are converted, 16-bit grey is scaled to 8 bit, and
    transparent pixels are blended with white.

    Args:
        path: A file of one of the `FORMATS`, with at most `MAX_PIXELS` pixels.
        upright: Turn the picture as its EXIF orientation says. Off by default because
            annotations, COCO's among them, belong to the pixels as stored.

    Raises:
        ValueError: If there is no such file, or it is damaged, or not such a picture. The message
            names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: is not a file; expected a picture")
    try:
        with _opened(path) as image:
            _check_size(*image.size)
            image.load()
            return np.array(_rgb(ImageOps.exif_transpose(image) if upright else image))
    except Exception as error:  # damaged files raise anything, struct.error and KeyError included
        raise ValueError(f"{path}: can't be read as a picture ({_reason(error)})") from error


def _opened(path: Path) -> Image.Image:
    """Open a picture without Pillow's own limit, which is global and lower than ours."""
    with _pillow_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_size(width: int, height: int) -> None:
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels; expected 1 to {MAX_PIXELS:,}")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers; expected 8 or 16 bit")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    grey = np.asarray(image)
    if grey.min() < 0 or grey.max() > _HIGHEST_16_BIT:
        raise ValueError("grey values exceed 16 bit")
    return Image.fromarray((grey // 257).astype(np.uint8)).convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is none of " + ", ".join(FORMATS)
    return str(error) or type(error).__name__
