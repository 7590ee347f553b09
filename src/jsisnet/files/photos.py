"""Reading photos of any common format as RGB, and writing pictures."""

import threading
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jsisnet.arrays import UInt8
from jsisnet.files.atomic import replacing

MAX_PIXELS = 200_000_000
"""Size limit of photos: a file of a few bytes can claim any size, and decoding one of this size
takes 600 MB."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""Formats that can be read, whatever the file name; of several frames the first is used."""

_JPEG_QUALITY = 90

_MAX_JPEG_SIDE = 65_500
"""Longest side of a JPEG in pixels."""

_MAX_16_BIT = 65535

_pillow_limit = threading.Lock()


def check_image(image: object) -> None:
    """Check that an image is an array of 8-bit RGB pixels, and not of floats from 0 to 1.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"the image is of type {type(image).__name__}; expected a NumPy array")
    if image.dtype != np.uint8 or image.shape[2:] != (3,):
        found = f"{image.dtype} of shape {image.shape}"
        raise ValueError(f"the image is {found}; expected uint8 of height x width x 3")


def read_image(path: Path | str, *, upright: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """Read a photo as RGB.

    Grey, palette and CMYK images are converted, 16-bit grey is scaled to 8 bits, and transparent
    pixels are blended with white.

    Args:
        path: File in one of the `FORMATS`, with at most `MAX_PIXELS` pixels.
        upright: Apply the EXIF orientation. Off by default because annotations, such as COCO's,
            refer to the pixels as stored.

    Raises:
        ValueError: If the file is missing, damaged or not an image; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: not a file; expected an image")
    try:
        with _open(path) as image:
            _check_size(*image.size)
            image.load()
            return np.array(_rgb(ImageOps.exif_transpose(image) if upright else image))
    except Exception as error:  # damaged files raise anything, struct.error and KeyError included
        raise ValueError(f"{path}: can't be read as an image ({_reason(error)})") from error


def format_of(path: Path) -> str:
    """Return the format for a file name's extension.

    Raises:
        ValueError: If no such format can be written.
    """
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise ValueError(f"{path}: expected a name that ends in .jpg or .png")
    return kind


def write_picture(picture: UInt8[np.ndarray, "h w 3"], path: Path) -> None:
    """Write an RGB picture atomically, in the format of its file name.

    Raises:
        ValueError: If the format is unknown, or can't hold a picture of this size.
    """
    kind = format_of(path)
    if kind == "JPEG" and max(picture.shape) > _MAX_JPEG_SIDE:
        raise ValueError(f"{path}: a JPEG has at most {_MAX_JPEG_SIDE} pixels along a side")
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format=kind, quality=_JPEG_QUALITY)


def _open(path: Path) -> Image.Image:
    """Open an image without Pillow's own size limit, which is global and lower than ours."""
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
        raise ValueError("pixels are floating-point numbers; expected 8 or 16 bits")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    grey = np.asarray(image)
    if grey.min() < 0 or grey.max() > _MAX_16_BIT:
        raise ValueError("grey values exceed 16 bits")
    return Image.fromarray((grey // 257).astype(np.uint8)).convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "none of " + ", ".join(FORMATS)
    return str(error) or type(error).__name__
